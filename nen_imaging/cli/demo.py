"""The published case, from a seed to its staging table."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from nen_imaging.cli.checks import output_folder, whole_number

if TYPE_CHECKING:
    from nen_imaging.contract import Results
    from nen_imaging.phantom.case import Case

MOST_PROCESSES = 4  # of about 1.5 GB each, while the case is made
HELP = "make the published case as a digital patient, measure it, hold its loads against the paper's"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--seed", type=int, default=1, help="another number: another patient with the same course")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where study and results go (default: demo)")
    parser.add_argument("--open", action="store_true", help="open the report in the browser at the end")
    parser.add_argument("--cores", type=whole_number, default=os.cpu_count() or 1, help="cores to use (default: all)")
    parser.add_argument("--model", help="bundle of models/registry.yaml (default: its default)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def run(arguments: argparse.Namespace) -> int:
    """Make the case (unless it is there), run the workflow, compare; 0 only if all five published loads are met."""
    with output_folder(arguments.out.absolute()):
        return _measured(arguments)


def _measured(arguments: argparse.Namespace) -> int:
    from nen_imaging.contract import ExitCode, Results
    from nen_imaging.phantom.case import Case, read_course, write_case
    from nen_imaging.phantom.case_check import check_case, comparison, published_loads_are_met
    from nen_imaging.runner import RunRequest, run_workflow

    case = Case(arguments.out.absolute() / f"seed-{arguments.seed}")
    course = read_course()
    if not case.is_complete(arguments.seed):
        print(f"Making a digital patient with {len(course)} stagings in {case.folder} (about a minute) ...", flush=True)
        write_case(case.folder, arguments.seed, processes=min(arguments.cores, MOST_PROCESSES))
    results = Results(case.folder / "results")
    print("Measuring it from its DICOM ...", flush=True)
    code = run_workflow(
        RunRequest(
            case.study, results, case.timeline, cores=arguments.cores, model=arguments.model, device=arguments.device
        )
    )
    checked = check_case(results, course)
    print("", *comparison(checked), "", *_places(case, results), sep="\n")
    if arguments.open:
        _open(results)
    return ExitCode.ALL_MEASURED if code == 0 and published_loads_are_met(checked) else ExitCode.SOME_NOT_MEASURED


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
