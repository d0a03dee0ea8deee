"""How the network does on patients it has not seen: every figure asked of it, from `nen-imaging validate`.

    python benchmarks/cross_validation.py --data DATA --models RUN/models --model f1 f2 f3 --results V

DATA holds the labelled CT that config/validation/*.csv name; the bundles are those of a cross-validation, so that each
scan is segmented by the one that held its patient out. What is done already is not done again. Digital patients, which
no bundle has seen, are dealt out among them.

Prints a table in Markdown: each figure, what was asked of it at least, and what was hoped for. A scan in which no liver
is found has a load of 0, without an interval that could hold.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from scipy.stats import binomtest

from nen_imaging.cli.main import main as command
from nen_imaging.validation import VARIANTS

TABLES = Path(__file__).parents[1] / "config" / "validation"
CHANGED = [name for name in VARIANTS if name != "synthetic"]
Scores = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A figure of the table; ``holds`` says whether its value is at least what was asked, where that is one number."""

    name: str
    value: str
    at_least: str = ""
    aim: str = ""
    holds: bool | None = None


@dataclass
class Table:
    """The lines so far."""

    lines: list[Line] = field(default_factory=list)

    def add(
        self, name: str, values: Sequence[float], asked: Sequence[float], aim: str, *, most: bool, digits: int
    ) -> None:
        """A line of one or two figures, each asked to be at least (or at most) a number."""
        compare = np.less_equal if most else np.greater_equal
        shown = " / ".join(f"{value:.{digits}f}" for value in values)
        wanted = " / ".join(f"{one:g}" for one in asked)
        self.lines.append(Line(name, shown, wanted, aim, bool(compare(values, asked).all())))

    def note(self, name: str, value: str, *, holds: bool | None = None, at_least: str = "") -> None:
        self.lines.append(Line(name, value, at_least, "", holds))

    def text(self) -> str:
        marks = {True: "yes", False: "**no**", None: ""}
        rows = [f"| {one.name} | {one.value} | {one.at_least} | {one.aim} | {marks[one.holds]} |" for one in self.lines]
        return "\n".join(["| figure | reached | at least | aim | holds |", "| --- | --- | --- | --- | --- |", *rows])


def main() -> None:
    arguments = _arguments()
    run = partial(_validated, arguments)
    csv_root = ["csv", "--root", str(arguments.data)]
    whole = run("whole_scans", [*csv_root, "--table", str(TABLES / "whole_scans.csv")])
    patients = [*csv_root, "--table", str(TABLES / "patients.csv")]
    plain = run("patients", patients)
    synthetic = run("synthetic", [*patients, "--variant", "synthetic"])
    changed = {name: run(name, [*patients, "--variant", name]) for name in CHANGED}
    digital = run("phantom_high", ["phantom_high"])
    low = run("phantom", ["phantom"])
    table = Table()
    _livers(table, whole, plain)
    _lesions(table, plain)
    _loads(table, plain, synthetic, digital)
    for name, cases in changed.items():
        dice, errors = _dice_over(cases, 5), _errors(cases)
        table.add(f"made {name}: lesion Dice (> 5 ml)", [fmean(dice)], [0.55], ".70", most=False, digits=3)
        table.add(f"made {name}: load error, mean [points]", [fmean(map(abs, errors))], [3], "1.5", most=True, digits=2)
    for name, cases in (
        ("real scans", plain),
        ("real scans above 5 %", [one for one in plain if _true(one) > 5]),
        ("real scans with synthetic lesions", synthetic),
        ("digital patients", digital + low),
    ):
        _interval(table, name, cases)
    print(table.text())


def _livers(table: Table, whole: list[Scores], plain: list[Scores]) -> None:
    dice = [case["liver"]["dice"] for case in whole]
    table.add(
        "liver Dice, whole scans: mean / worst",
        [fmean(dice), min(dice)],
        [0.95, 0.90],
        ".965 / .94",
        most=False,
        digits=3,
    )
    dice = [case["liver"]["dice"] for case in plain]
    table.note("liver Dice, scans cut to the liver: mean / worst", f"{fmean(dice):.3f} / {min(dice):.3f}")


def _lesions(table: Table, plain: list[Scores]) -> None:
    table.add("lesion Dice per case, > 5 ml", [fmean(_dice_over(plain, 5))], [0.68], ".80", most=False, digits=3)
    table.note("lesion Dice per case, > 1 ml", f"{fmean(_dice_over(plain, 1)):.3f}")
    large = [lesion for case in plain for lesion in case["detection"]["truth"] if lesion["longest_diameter_mm"] >= 10]
    recall = fmean([lesion["match_iou"]["0.5"] > 0 for lesion in large])
    table.add("recall of lesions >= 10 mm, IoU > 0.5", [recall], [0.60], ".75", most=False, digits=3)
    false = [sum(lesion["match_iou"]["0"] == 0 for lesion in case["detection"]["prediction"]) for case in plain]
    table.add("false lesions per case", [fmean(false)], [2], "1", most=True, digits=2)


def _loads(table: Table, plain: list[Scores], synthetic: list[Scores], digital: list[Scores]) -> None:
    errors = np.abs(_errors(plain))
    table.add(
        "load error [points]: mean / worst", [errors.mean(), errors.max()], [1.5, 3], ".7 / 1.5", most=True, digits=2
    )
    relative = [100 * abs(_found(case) / _true(case) - 1) for case in plain if _true(case) > 5]
    table.add("load error above 5 % load, relative: mean [%]", [fmean(relative)], [25], "10", most=True, digits=0)
    true, found = (np.array([figure(case) for case in synthetic]) for figure in (_true, _found))
    slope, bias = np.polyfit(true, found, 1)[0], float((found - true).mean())
    table.lines.append(
        Line(
            "synthetic lesions of 10 to 60 %: slope", f"{slope:.2f}", ".85-1.1", ".95-1.05", bool(0.85 <= slope <= 1.1)
        )
    )
    table.add("the same: bias, size of [points]", [abs(bias)], [2], ".5", most=True, digits=2)
    empty = [_found(case) for case in plain if _true(case) == 0]
    table.add(
        "livers without tumour: load, mean / highest [%]",
        [fmean(empty), max(empty)],
        [0.5, 0.5],
        ".2",
        most=True,
        digits=2,
    )
    dice = [case["liver"]["dice"] for case in digital]
    table.add("digital patients of 50 to 75 %: liver Dice", [fmean(dice)], [0.95], ".97", most=False, digits=3)
    near = sum(abs(error) <= 3 for error in _errors(digital))
    table.add("the same: loads within 3 points, of 10", [near], [9], "10", most=False, digits=0)


def _interval(table: Table, name: str, cases: list[Scores]) -> None:
    loads = [case["load"] for case in cases if case["load"]]
    held = sum(load["low"] <= load["true_percent"] <= load["high"] for load in loads)
    chance = binomtest(held, len(cases)).proportion_ci(0.95, "wilson")
    share = f"{100 * held / len(cases):.0f} % ({100 * chance.low:.0f}-{100 * chance.high:.0f}), {held} of {len(cases)}"
    table.note(
        f"90 % interval holds the load: {name}", share, holds=chance.low <= 0.9 <= chance.high, at_least="90 % possible"
    )
    widths = [(load["high"] - load["low"], max(2.0, 0.25 * load["percent"])) for load in loads]
    width, allowed = median(one for one, _ in widths), median(one for _, one in widths)
    table.note(
        f"its median width [points]: {name}", f"{width:.1f}", holds=width <= allowed, at_least=f"<= {allowed:.1f}"
    )


def _dice_over(cases: Iterable[Scores], smallest_ml: float) -> list[float]:
    return [case["lesion"]["dice"] for case in cases if case["volumes"]["true_lesion_ml"] > smallest_ml]


def _true(case: Scores) -> float:
    return 100 * float(case["volumes"]["true_lesion_ml"] / case["volumes"]["true_liver_ml"])


def _found(case: Scores) -> float:
    return float(case["load"]["percent"]) if case["load"] else 0.0


def _errors(cases: Iterable[Scores]) -> list[float]:
    return [_found(case) - _true(case) for case in cases]


def _validated(arguments: argparse.Namespace, name: str, what: list[str]) -> list[Scores]:
    """The scores of a validation, made or found in its folder."""
    results = arguments.results / name
    models = ["--models", str(arguments.models), "--model", *arguments.model]
    code = command(["validate", *what, *models, "--threads", str(arguments.threads), "--results", str(results)])
    with (results / "cases.csv").open(newline="", encoding="utf-8") as file:
        measured = [row["case"] for row in csv.DictReader(file) if not row["problem"]]
    if code:
        print(f"{name}: some cases could not be measured, see {results}/report.html")
    return [json.loads((results / "scores" / case / "scores.json").read_text("utf-8")) for case in measured]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "models", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
