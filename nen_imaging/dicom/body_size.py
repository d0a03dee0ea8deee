"""Body size: what an uptake value is normalised by, besides weight.

Sources of the formulas: James 1976 (128; the misprint 120 lives on as DICOM's SUVType "LBM"), Janmahasatian et al.
Clin Pharmacokinet 2005;44:1051, Sugawara et al. Radiology 1999;213:521, Du Bois 1916.
"""

from __future__ import annotations

from collections.abc import Callable

BodySize = Callable[[float, float, str], float]  # weight in kg, height in m, sex M or F


def lean_body_mass_james_kg(weight_kg: float, height_m: float, sex: str, *, male_constant: float = 128.0) -> float:
    """Lean body mass after James: it falls with weight in the very obese and fails there."""
    ratio_squared = (weight_kg / (100 * height_m)) ** 2
    if sex == "M":
        return 1.10 * weight_kg - male_constant * ratio_squared
    return 1.07 * weight_kg - 148.0 * ratio_squared


def lean_body_mass_120_kg(weight_kg: float, height_m: float, sex: str) -> float:
    """The variant with 120 for men that DICOM's SUVType LBM means."""
    return lean_body_mass_james_kg(weight_kg, height_m, sex, male_constant=120.0)


def lean_body_mass_janmahasatian_kg(weight_kg: float, height_m: float, sex: str) -> float:
    """Lean body mass after Janmahasatian, the default for SUL."""
    body_mass_index = weight_kg / height_m**2
    if sex == "M":
        return 9270 * weight_kg / (6680 + 216 * body_mass_index)
    return 9270 * weight_kg / (8780 + 244 * body_mass_index)


def ideal_body_weight_kg(weight_kg: float, height_m: float, sex: str) -> float:  # noqa: ARG001 - one signature for all
    """Ideal body weight after Sugawara."""
    above_152_cm = 100 * height_m - 152
    return 48.0 + 1.06 * above_152_cm if sex == "M" else 45.5 + 0.91 * above_152_cm


def body_surface_m2(weight_kg: float, height_m: float, sex: str) -> float:  # noqa: ARG001 - one signature for all
    """Body surface after Du Bois."""
    return 0.007184 * weight_kg**0.425 * (100 * height_m) ** 0.725


def for_sex(size: BodySize, weight_kg: float, height_m: float, sex: str | None) -> float:
    """A body size; for a sex other than M or F the mean of both (IBSI-SUV manual 2026)."""
    if sex in ("M", "F"):
        return size(weight_kg, height_m, sex)
    return (size(weight_kg, height_m, "M") + size(weight_kg, height_m, "F")) / 2
