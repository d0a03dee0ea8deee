"""The published case, from a seed to its staging table."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nen_imaging.contract import Results
    from nen_imaging.phantom.case import Case
    from nen_imaging.phantom.case_check import CheckedStaging

HELP = "make the published case as a digital patient, measure it, hold its loads against the paper's"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--seed", type=int, default=1, help="another number: another patient with the same course")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where study and results go (default: demo)")
    parser.add_argument("--open", action="store_true", help="open the report in the browser at the end")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="cores to use (default: all)")
    parser.add_argument("--model", help="bundle of models/registry.yaml (default: its default)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def run(arguments: argparse.Namespace) -> int:
    """Make the case (unless it is there), run the workflow, compare; 0 only if all five published loads are met."""
    from nen_imaging.contract import ExitCode, Results
    from nen_imaging.phantom.case import Case, read_course, write_case
    from nen_imaging.phantom.case_check import check_case, published_loads_are_met
    from nen_imaging.runner import RunRequest, run_workflow

    case = Case(arguments.out.absolute() / f"seed-{arguments.seed}")
    course = read_course()
    if not case.is_complete(arguments.seed):
        print(f"Making a digital patient with {len(course)} stagings in {case.folder} (about a minute) ...", flush=True)
        write_case(case.folder, arguments.seed, processes=arguments.cores)
    results = Results(case.folder / "results")
    print("Measuring it from its DICOM ...", flush=True)
    code = run_workflow(
        RunRequest(
            case.study, results, case.timeline, cores=arguments.cores, model=arguments.model, device=arguments.device
        )
    )
    checked = check_case(results, course)
    print("", *_comparison(checked), "", *_places(case, results), sep="\n")
    if arguments.open:
        _open(results)
    return ExitCode.ALL_MEASURED if code == 0 and published_loads_are_met(checked) else ExitCode.SOME_NOT_MEASURED


def _comparison(checked: Sequence[CheckedStaging]) -> list[str]:
    from nen_imaging.phantom.case_check import TOLERANCE_POINTS
    from nen_imaging.report.summary import aligned

    titles = ("Staging", "Table 1 of the paper", "Paper [%]", "Measured [%]", "Off by", "Response")
    published = [staging for staging in checked if staging.planned.is_published]
    met = sum(staging.is_met for staging in published)
    verdict = "PASS" if met == len(published) else "FAIL"
    return [
        *aligned(titles, [_row(staging) for staging in checked]),
        "(...): this load is illustrative, the paper prints none. All images are drawn from a seed.",
        f"{verdict}: {met} of the {len(published)} published loads are met within {TOLERANCE_POINTS:g} points.",
    ]


def _row(staging: CheckedStaging) -> tuple[str, ...]:
    planned = staging.planned
    paper = f"{planned.load_percent:.0f}" if planned.is_published else f"({planned.load_percent:.0f})"
    if staging.load_percent is None or staging.interval_percent is None or staging.deviation_points is None:
        return f"{planned.date:%Y-%m}", planned.published_text, paper, "not measured", "", staging.response
    low, high = staging.interval_percent
    verdict = "" if not planned.is_published else " ok" if staging.is_met else " MISSED"
    measured, off = f"{staging.load_percent:.1f} ({low:.0f}-{high:.0f})", f"{staging.deviation_points:+.1f}{verdict}"
    return f"{planned.date:%Y-%m}", planned.published_text, paper, measured, off, staging.response


def _places(case: Case, results: Results) -> list[str]:
    reports = [path.absolute() for path in sorted(results.root.glob("patients/*/report/report.html"))]
    return [
        *(f"Report     {path}" for path in reports),
        f"Images     {case.study} (DICOM), {case.timeline} (what a person knows)",
        f"Truth      {case.truth} (read by nothing above)",
    ]


def _open(results: Results) -> None:
    import webbrowser

    for report in sorted(results.root.glob("patients/*/report/report.html")):
        webbrowser.open(report.absolute().as_uri())
