"""What lies in a study, what would be measured, and what is left out and why."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nen_imaging.cli.checks import output_folder, timeline_folder

if TYPE_CHECKING:
    from nen_imaging.config import Config
    from nen_imaging.contract import Results
    from nen_imaging.dicom.index import IndexSummary

HELP = "show what is in a study folder, what would be measured, what is left out and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("study", type=Path, help="folder (or archive) with CT and PET DICOM, in any order")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    parser.add_argument("--timeline", type=timeline_folder, help="folder with therapies.csv, pins.csv, ...")
    parser.add_argument("--config", type=Path, help="YAML with the keys of config/default.yaml that differ")
    parser.add_argument("--reselect", action="store_true", help="choose series afresh, as for a new results folder")
    parser.add_argument("--show-paths", action="store_true", help="print the path of every file that is left out")
    parser.add_argument(
        "--linkage", action="store_true", help="write who is who beside the key, never into the results"
    )


def run(arguments: argparse.Namespace) -> int:
    """Index the study and print its stagings and what was left out."""
    from nen_imaging.cli.index_table import print_paths, print_summary
    from nen_imaging.config import load_config
    from nen_imaging.contract import ExitCode, Refusal, Results

    study = arguments.study.absolute()
    if not study.exists():
        raise Refusal("study.empty", "There is no such study folder.")
    results = Results(arguments.results.absolute())
    with output_folder(results.root):
        summary, notes = index_and_split(
            study,
            results,
            load_config(arguments.config),
            arguments.timeline,
            reselect=arguments.reselect,
            only_missing=arguments.timeline is None,
        )
    print_summary(summary, results, notes)
    if arguments.show_paths:
        print_paths(results)
    if arguments.linkage:
        from nen_imaging.dicom.linkage import link

        print(f"Who is who: {link(results)}")
    return ExitCode.ALL_MEASURED


def index_and_split(
    study: Path,
    results: Results,
    config: Config,
    timeline_folder: Path | None,
    *,
    reselect: bool = False,
    only_missing: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[IndexSummary, list[str]]:
    """Index a study and split its timeline; returns what was found, and notes on timeline rows without a place.

    With ``only_missing`` the small files of an earlier timeline stay: who only looks forgets no lesion that was read.
    """
    from nen_imaging.dicom.index import index_study
    from nen_imaging.dicom.label_map import read_label_map
    from nen_imaging.dicom.privacy import load_key
    from nen_imaging.dicom.regions import read_region
    from nen_imaging.dicom.select import SeveralPinnedError
    from nen_imaging.timeline import read_timeline, split_timeline

    timeline = read_timeline(timeline_folder)
    try:
        summary = index_study(
            study,
            results,
            options=config.options_of("staging") | config.options_of("selection"),
            key=load_key(outside=(study, results.root)),
            pins=timeline.pins,
            dates=timeline.dates,
            reselect=reselect,
            progress=progress,
        )
    except SeveralPinnedError as error:
        raise timeline.contradicting_pins(error.series) from error
    notes = split_timeline(
        timeline,
        results,
        summary.patients,
        summary.patients_named,
        read_region,
        read_label_map,
        summary.moved_days,
        only_missing=only_missing,
    )
    unknown = sorted(timeline.pins.keys() - summary.series)
    return summary, notes + [f"pins.csv: the study has no series {key}; not used" for key in unknown]
