"""Two validations side by side: the same cases, the differences, and whether chance explains them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nen_imaging.stage import StageError
from nen_imaging.tables import read_table
from nen_imaging.validation.statistics import LEVEL_PERCENT, Sums, weights_of

COMPARED = (
    "liver_dice", "liver_assd_mm", "liver_hd95_mm", "lesion_dice", "lesion_assd_mm", "lesions_found_iou0.5",
    "load_error_size_points",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One figure of both validations over the cases that both have.

    ``difference`` is second minus first, with a bootstrap 95 % interval; ``p_value`` is of Wilcoxon's signed-rank test,
    two-sided, 1 where all pairs are equal.
    """

    figure: str
    cases: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Compared:
    """Both validations' names and figures, and the cases that only one of them has measured."""

    first: str
    second: str
    figures: tuple[Comparison, ...]
    left_out: tuple[str, ...]


def compare(first: Path, second: Path) -> Compared:
    """Compare two result folders, case by case.

    Raises StageError where a folder holds no validation, the data sets differ, or no case was measured in both.
    """
    manifests = [_manifest(folder) for folder in (first, second)]
    datasets = [manifest["dataset"] for manifest in manifests]
    if datasets[0] != datasets[1]:
        raise StageError(f"{first} is of {datasets[0]}, {second} of {datasets[1]}: they hold different cases.")
    tables = [
        {row["case"]: row for row in read_table(folder / "cases.csv") if not row["problem"]}
        for folder in (first, second)
    ]
    common = [case for case in tables[0] if case in tables[1]]
    if not common:
        raise StageError(f"{first} and {second} have measured no case in common.")
    figures = [
        _compared(name, [[_value(table[case], name) for case in common] for table in tables]) for name in COMPARED
    ]
    models = [manifest["model"] for manifest in manifests]
    names = models if all(models) and models[0] != models[1] else [first.name, second.name]
    left_out = sorted({*tables[0], *tables[1]} - set(common))
    return Compared(names[0], names[1], tuple(one for one in figures if one.cases), tuple(left_out))


def comparison_text(compared: Compared) -> str:
    """The comparison as a table for a terminal."""
    head = f"{'':<26}{'cases':>6}{compared.first[:14]:>16}{compared.second[:14]:>16}   difference (95 % interval), p"
    lines = [head]
    for one in compared.figures:
        interval = f"({one.low:+.4f} to {one.high:+.4f})" if math.isfinite(one.low) else ""
        numbers = f"{one.figure:<26}{one.cases:>6}{one.first:>16.4f}{one.second:>16.4f}"
        lines.append(f"{numbers}   {one.difference:+.4f} {interval}, p = {one.p_value:.3g}")
    if compared.left_out:
        lines.append(f"Measured in one of them only, left out: {', '.join(compared.left_out)}.")
    return "\n".join(lines)


def _compared(name: str, values: Sequence[Sequence[float]]) -> Comparison:
    from scipy.stats import wilcoxon

    pairs = np.array(values, float)
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if not pairs.shape[1]:
        return Comparison(name, 0, *[math.nan] * 6)
    differences = pairs[1] - pairs[0]
    drawn = Sums([{"d": value} for value in differences], weights_of(len(differences))).mean("d")
    edge = (100 - LEVEL_PERCENT) / 2
    low, high = np.percentile(drawn[1:], [edge, 100 - edge]) if len(differences) > 2 else (math.nan, math.nan)
    p_value = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    means = pairs.mean(axis=1)
    return Comparison(
        name,
        len(differences),
        float(means[0]),
        float(means[1]),
        float(differences.mean()),
        float(low),
        float(high),
        p_value,
    )


def _value(row: Mapping[str, str], name: str) -> float:
    if name == "load_error_size_points":
        return abs(_value(row, "load_error_points"))
    return float(row[name]) if row.get(name) else math.nan


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "run.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StageError(f"{folder} holds no validation: its run.json cannot be read.") from error
