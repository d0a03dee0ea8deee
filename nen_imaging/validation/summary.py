"""The figures of a whole set of cases: `summary.csv`, and the lines that the command prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from nen_imaging.validation.detection import SIZE_BINS_MM, THRESHOLDS, Counts, Detection, counts
from nen_imaging.validation.lits import ISBI2017, codalab_scores
from nen_imaging.validation.metrics import FIGURES
from nen_imaging.validation.scores import codalab_of, detection_of
from nen_imaging.validation.statistics import Estimate, Floats, Formula, Sums, estimate, ratio, weights_of

COLUMNS = ("structure", "figure", "value", "low", "high", "cases", "convention")
DICE_ABOVE_ML = (1, 5)
LARGE_MM = 10.0
MUCH_PERCENT = 5.0  # of load; errors of smaller ones are told in points alone
OWN = "own: area-weighted surface elements"
HEADLINES = {
    ("liver", "dice"): "Dice of the liver, lesions included",
    ("liver", "dice_lowest"): "the worst of these",
    ("liver", "assd_mm"): "average distance of its surfaces",
    ("liver", "hd95_mm"): "95th percentile of that distance",
    ("lesion", "dice"): "Dice of all lesions of a case together",
    ("lesion", "dice_global"): "Dice of the lesions of all cases together",
    ("lesion", "recall_iou0"): "share of true lesions that are touched",
    ("lesion", "precision_iou0"): "share of lesions found that touch a true one",
    ("lesion", "recall_iou0.5"): "share of true lesions that are drawn well, IoU > 0.5",
    ("lesion", "precision_iou0.5"): "share of lesions found that are drawn well",
    ("lesion", "dice_over_5_ml"): "Dice of the lesions of a case that has more than 5 ml of them",
    ("lesion", "recall_iou0.5, >= 10 mm"): "share of true lesions of 10 mm and more that are drawn well",
    ("lesion", "false_per_case"): "lesions found in a case that match no true one",
    ("lesion", "panoptic_quality"): "detection and drawing in one figure",
    ("load", "bias_points"): "mean error of the load; positive: too much is called tumour",
    ("load", "rmse_points"): "root mean square error of the load",
    ("load", "limit_low_points"): "limits of agreement: 95 % of the errors lie between this",
    ("load", "limit_high_points"): "and this",
    ("load", "largest_error_points"): "largest error of the load",
    ("load", "mean_error_points"): "mean size of the error of the load",
    ("load", "relative_error_over_5_percent"): "the same as a share of the true load, where that is above 5 %",
    ("load", "slope"): "of the predicted load against the true one",
    ("load", "percent_where_none"): "load that is found in livers without a lesion",
    ("load", "misleading_response"): "share of cases where the error alone would change the response",
    ("load", "interval_coverage"): "share of true loads within their interval; 0.9 is promised",
    ("load", "interval_width_points"): "mean width of that interval",
    ("load", "segmentation_bias_points"): "mean error by the network",
    ("load", "discretisation_bias_points"): "mean error by sampling the patient in slices",
    ("load", "partial_volume_bias_points"): "mean error by the thickness of the slices",
}
"""The figures that matter most, and what they say."""


@dataclass(frozen=True)
class SummaryRow:
    """One line of `summary.csv`: a figure, its 95 % interval, and the cases it rests on."""

    structure: str
    figure: str
    estimate: Estimate
    convention: str

    def cells(self) -> dict[str, Any]:
        """The line's cells; what is no number stays empty."""
        numbers = {name: getattr(self.estimate, name) for name in ("value", "low", "high")}
        return {
            "structure": self.structure,
            "figure": self.figure,
            **{name: f"{value:.6g}" if math.isfinite(value) else "" for name, value in numbers.items()},
            "cases": self.estimate.cases,
            "convention": self.convention,
        }


def summarize(cases: Sequence[Mapping[str, Any]], compat: str | None = None) -> list[SummaryRow]:
    """Every figure of a set of scored cases (the content of their `scores.json`).

    A figure rests on the cases that have it: lesions that nobody drew, distances to a mask that is empty, loads of a
    liver that is only partly in view do not count.
    """
    if not cases:
        return []
    rows = [ingredients(case) for case in cases]
    sums = Sums(rows, weights_of(len(rows)))
    summary = []
    for (structure, figure), (formula, needed) in _formulas().items():
        count = sum(np.isfinite(row.get(needed, np.nan)) for row in rows)
        if count:
            summary.append(SummaryRow(structure, figure, estimate(formula, sums, int(count)), OWN))
    return summary + _extremes(cases) + _official(cases, compat)


def ingredients(case: Mapping[str, Any]) -> dict[str, float]:
    """What one case adds to the sums that the figures are made of."""
    row: dict[str, float] = {}
    for structure in ("liver", "lesion"):
        if case[structure]:
            row |= {f"{structure}.{name}": _number(value) for name, value in case[structure].items()}
    if case["detection"]:
        row |= _detection_ingredients(detection_of(case))
    if case["lesion"] and case["lesion"]["voxels_true"]:
        row["lesion.dice_where_present"] = case["lesion"]["dice"]
        for smallest_ml in DICE_ABOVE_ML:
            if case["volumes"]["true_lesion_ml"] > smallest_ml:
                row[f"lesion.dice_over_{smallest_ml}_ml"] = case["lesion"]["dice"]
    if case["load"] and case["whole_liver"]:
        row |= _load_ingredients(case["load"])
    for name, value in (case["split"] or {}).items():
        row |= {f"split.{name}": value, f"split.{name}.size": abs(value)}
    return row


def headlines(summary: Sequence[SummaryRow]) -> list[SummaryRow]:
    """The figures that matter most, of those that there are."""
    known = {(row.structure, row.figure): row for row in summary if row.convention == OWN}
    return [known[key] for key in HEADLINES if key in known]


def summary_text(summary: Sequence[SummaryRow]) -> str:
    """The lines that matter most, for a terminal."""
    lines = []
    for row in [*headlines(summary), *(row for row in summary if row.convention != OWN)]:
        cells = row.cells()
        if not cells["value"]:
            continue
        interval = f"  ({float(cells['low']):.4g} to {float(cells['high']):.4g})" if cells["low"] else ""
        name = f"{row.structure or row.convention} {row.figure}"
        lines.append(f"{name:<34} {float(cells['value']):>10.4f}{interval}")
    return "\n".join(lines)


def _formulas() -> dict[tuple[str, str], tuple[Formula, str]]:
    """Structure and figure -> its formula, and the quantity that a case must have to count."""
    formulas: dict[tuple[str, str], tuple[Formula, str]] = {}
    for structure in ("liver", "lesion"):
        for name in FIGURES:
            formulas[structure, name] = _mean_of(f"{structure}.{name}"), f"{structure}.{name}"
        formulas[structure, "dice_global"] = _global_dice(structure), f"{structure}.voxels_true"
    formulas["lesion", "dice_where_present"] = _mean_of("lesion.dice_where_present"), "lesion.dice_where_present"
    for smallest_ml in DICE_ABOVE_ML:
        name = f"dice_over_{smallest_ml}_ml"
        formulas["lesion", name] = _mean_of(f"lesion.{name}"), f"lesion.{name}"
    formulas["lesion", "recall_iou0.5, >= 10 mm"] = _recall_of_large, f"{_key(0.5, None)}.truth"
    formulas["lesion", "false_per_case"] = _mean_of("lesion.false"), "lesion.false"
    for threshold in THRESHOLDS:
        for size in (None, *SIZE_BINS_MM):
            key = _key(threshold, size)
            suffix = f"_iou{threshold:g}" + (f", {size}" if size else "")
            for name in ("precision", "recall", "f1"):
                formulas["lesion", f"{name}{suffix}"] = partial(_of_counts, name, key), f"{key}.truth"
    key = _key(0.5, None)
    formulas["lesion", "panoptic_quality"] = partial(_of_counts, "panoptic_quality", key), f"{key}.truth"
    formulas["load", "bias_points"] = _mean_of("load.error"), "load.error"
    formulas["load", "rmse_points"] = (lambda sums: np.sqrt(sums.mean("load.error2"))), "load.error"
    formulas["load", "limit_low_points"] = (lambda sums: _limit(sums, -1)), "load.error"
    formulas["load", "limit_high_points"] = (lambda sums: _limit(sums, 1)), "load.error"
    formulas["load", "slope"] = _slope, "load.error"
    for name in (
        *("mean_error_points", "relative_error_over_5_percent", "percent_where_none", "misleading_response"),
        *("interval_coverage", "interval_coverage_over_5_percent", "interval_width_points"),
    ):
        formulas["load", name] = _mean_of(f"load.{name}"), f"load.{name}"
    for part in ("segmentation", "discretisation", "partial_volume"):
        formulas["load", f"{part}_bias_points"] = _mean_of(f"split.{part}"), f"split.{part}"
        formulas["load", f"{part}_mean_size_points"] = _mean_of(f"split.{part}.size"), f"split.{part}"
    return formulas


def _mean_of(name: str) -> Formula:
    return lambda sums: sums.mean(name)


def _global_dice(structure: str) -> Formula:
    def formula(sums: Sums) -> Floats:
        common, true, found = (sums.total(f"{structure}.{name}") for name in ("voxels_common", "voxels_true", "voxels"))
        return ratio(2 * common, true + found)

    return formula


def _of_counts(name: str, key: str, sums: Sums) -> Floats:
    return getattr(Counts(*(sums.total(f"{key}.{field.name}") for field in fields(Counts))), name)


def _recall_of_large(sums: Sums) -> Floats:
    """Of true lesions of 10 mm and more, at IoU > 0.5."""
    keys = [_key(0.5, size) for size, (smallest_mm, _) in SIZE_BINS_MM.items() if smallest_mm >= LARGE_MM]
    found, truth = (sum(sums.total(f"{key}.{name}") for key in keys) for name in ("found", "truth"))
    return ratio(found, truth)


def _slope(sums: Sums) -> Floats:
    """Of the line through predicted against true load with the least squares."""
    true, found = sums.mean("load.true"), sums.mean("load.true") + sums.mean("load.error")
    squares = sums.mean("load.true2")
    spread = np.where(squares - true**2 > 1e-9 * squares, squares - true**2, 0.0)  # of one load drawn alone: rounding
    return ratio(sums.mean("load.true_found") - true * found, spread)


def _limit(sums: Sums, side: int) -> Floats:
    """A limit of agreement, bias +- 1.96 SD, n - 1 in the variance (Bland and Altman, Lancet 1986;327:307)."""
    n, bias = sums.count("load.error"), sums.mean("load.error")
    variance = ratio(n * (sums.mean("load.error2") - bias**2), n - 1)
    return bias + side * 1.96 * np.sqrt(np.maximum(variance, 0.0))


def _detection_ingredients(detection: Detection) -> dict[str, float]:
    row: dict[str, float] = {}
    for threshold in THRESHOLDS:
        for size in (None, *SIZE_BINS_MM):
            values = asdict(counts([detection], threshold, size))
            row |= {f"{_key(threshold, size)}.{name}": float(value) for name, value in values.items()}
    row["lesion.false"] = float(sum(lesion.match_iou["0"] == 0 for lesion in detection.prediction))
    return row


def _load_ingredients(load: Mapping[str, Any]) -> dict[str, float]:
    true, found = load["true_percent"], load["percent"]
    error = found - true
    row = {
        "load.error": error,
        "load.error2": error**2,
        "load.mean_error_points": abs(error),
        "load.true": true,
        "load.true2": true**2,
        "load.true_found": true * found,
        "load.misleading_response": float(load["misleading"]),
    }
    if true > MUCH_PERCENT:
        row["load.relative_error_over_5_percent"] = abs(error) / true
    if true == 0:
        row["load.percent_where_none"] = found
    if load["low"] is not None:
        row["load.interval_coverage"] = float(load["low"] <= true <= load["high"])
        row["load.interval_width_points"] = load["high"] - load["low"]
        if true > MUCH_PERCENT:
            row["load.interval_coverage_over_5_percent"] = row["load.interval_coverage"]
    return row


def _extremes(cases: Sequence[Mapping[str, Any]]) -> list[SummaryRow]:
    """The worst liver, and the error of a load of largest size, with its sign; resampling tells nothing of these."""
    livers = [_number(case["liver"]["dice"]) for case in cases]
    rows = [("liver", "dice_lowest", min(livers), len(livers))]
    loads = [case["load"] for case in cases if case["load"] and case["whole_liver"]]
    if loads:
        largest = max((load["percent"] - load["true_percent"] for load in loads), key=abs)
        rows.append(("load", "largest_error_points", largest, len(loads)))
    return [
        SummaryRow(structure, figure, Estimate(value, math.nan, math.nan, count), OWN)
        for structure, figure, value, count in rows
    ]


def _official(cases: Sequence[Mapping[str, Any]], compat: str | None) -> list[SummaryRow]:
    """The figures of an official convention as its program gives them, without intervals."""
    scored = [case for case in cases if case["compat"]]
    if not compat or not scored:
        return []
    if compat == "codalab":
        figures = codalab_scores([codalab_of(case) for case in scored])
    else:
        names = ISBI2017 if compat == "isbi2017" else scored[0]["compat"]
        figures = {name: float(np.mean([_number(case["compat"][name]) for case in scored])) for name in names}
    return [
        SummaryRow("", name, Estimate(value, math.nan, math.nan, len(scored)), compat)
        for name, value in figures.items()
    ]


def _key(threshold: float, size: str | None) -> str:
    return f"iou{threshold:g}" + (f".{size}" if size else "")


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
