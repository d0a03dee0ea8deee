"""Real World Value Mappings beside a PET: a check of our factor, never its source (one real mapping is 1000 off)."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

_SUV_BW = ("{SUVbw}g/ml", "g/ml{SUVbw}")
_TOLERANCE = 1e-3
_UNIT_SLIP = 0.01


@dataclass(frozen=True)
class CheckedMapping:
    """The mapping's slope to SUVbw, whether it agrees with the factor from the header, and a sentence on it."""

    slope: float
    agrees: bool
    text: str


def check_mapping(dataset: Dataset, factor: float) -> CheckedMapping | None:
    """Hold a Real World Value Mapping against the factor from Bq/ml to SUVbw; None if it maps to no SUVbw."""
    for reference in dataset.get("ReferencedImageRealWorldValueMappingSequence") or [dataset]:
        for mapping in reference.get("RealWorldValueMappingSequence") or []:
            unit = (mapping.get("MeasurementUnitsCodeSequence") or [Dataset()])[0].get("CodeValue")
            if unit in _SUV_BW and (slope := float(mapping.get("RealWorldValueSlope") or 0)) > 0:
                return _checked(slope, factor)
    return None


def _checked(slope: float, factor: float) -> CheckedMapping:
    ratio = factor / slope
    if abs(ratio - 1) <= _TOLERANCE:
        return CheckedMapping(slope, True, f"A real world value mapping ({slope:.6g}) confirms the factor.")
    power = next((10**n for n in (3, 6) if abs(ratio / 10**n - 1) < _UNIT_SLIP), None)
    how = f"{power} times too small" if power else f"off by a factor of {ratio:.4g}"
    return CheckedMapping(slope, False, f"A real world value mapping ({slope:.6g}) is {how}; it is not used.")
