"""How far to trust the numbers: a public data set, segmented and measured as its challenge measured it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from nen_imaging.cli.checks import output_folder, whole_number
from nen_imaging.validation import CONVENTIONS, DATASET_TITLES, VARIANTS

if TYPE_CHECKING:
    from nen_imaging.validation.run import CaseResult, Validation

HELP = "validate on a public data set, score label maps of any origin, compare two validations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments: a data set's name, `score` or `compare`, each with its own."""
    kinds = parser.add_subparsers(title="what to validate", required=True, metavar="NAME", dest="kind")
    for name, title in DATASET_TITLES.items():
        dataset = kinds.add_parser(name, help=title)
        drawn = name.startswith("phantom")
        dataset.add_argument("--root", type=Path, required=not drawn, default=Path(), help="where it lies")
        if name == "csv":
            dataset.add_argument("--table", type=Path, help="the table (default: cases.csv at the root)")
        dataset.add_argument(
            "--model",
            nargs="+",
            metavar="MODEL",
            help="bundle of models/registry.yaml (default: its default); several, as of a cross-validation: each case "
            "is segmented by one that held its patient out",
        )
        dataset.add_argument("--variant", choices=VARIANTS, help="change every image first: how robust is the bundle?")
        dataset.add_argument("--models", type=Path, help="folder with a registry.yaml (default: the one that ships)")
        dataset.add_argument("--cases", nargs="+", metavar="CASE", help="these alone")
        dataset.add_argument("--config", type=Path, help="YAML with the keys of config/default.yaml that differ")
        dataset.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
        dataset.add_argument("--threads", type=whole_number, default=os.cpu_count() or 1)
        _add_common(dataset)
    score = kinds.add_parser("score", help="label maps of any origin (NIfTI: 1 liver, 2 lesion); no network runs")
    score.add_argument("--truth", type=Path, required=True, help="folder of true label maps")
    score.add_argument("--pred", type=Path, required=True, help="folder of label maps, paired by name or number")
    _add_common(score)
    compare = kinds.add_parser("compare", help="results of two validations, case by case, with paired tests")
    compare.add_argument("first", type=Path)
    compare.add_argument("second", type=Path)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, required=True, help="folder to write; what is done there is kept")
    parser.add_argument("--compat", choices=CONVENTIONS, help="add the figures of an official convention")


def run(arguments: argparse.Namespace) -> int:
    """Validate and write the report; 3 if some cases could not be measured, 1 if none could."""
    if arguments.kind == "compare":
        return _compare(arguments)
    from nen_imaging.contract import ExitCode
    from nen_imaging.validation.summary import summary_text
    from nen_imaging.validation.write import write_report

    results = arguments.results.absolute()
    with output_folder(results):
        validation, done = _score(arguments, results) if arguments.kind == "score" else _dataset(arguments, results)
        if all(case.problem for case in done):
            print("No case could be measured.")
            return ExitCode.NOTHING_DONE
        print(summary_text(write_report(validation, done)))
    print(f"Written: {results}/cases.csv, summary.csv, report.html")
    return ExitCode.SOME_NOT_MEASURED if any(case.problem for case in done) else ExitCode.ALL_MEASURED


def _dataset(arguments: argparse.Namespace, results: Path) -> tuple[Validation, list[CaseResult]]:
    from nen_imaging.config import load_config
    from nen_imaging.segmentation.bundle import find_bundle
    from nen_imaging.shipped import shipped
    from nen_imaging.validation.datasets import find_cases
    from nen_imaging.validation.run import Validation, run_cases
    from nen_imaging.validation.variants import varied

    config = load_config(arguments.config)
    models = arguments.models or shipped("models")
    bundles = tuple(find_bundle(name, models) for name in arguments.model or [config.segment.model])
    table = getattr(arguments, "table", None)
    cases = find_cases(arguments.kind, arguments.root.absolute(), arguments.cases, table=table)
    if arguments.variant:
        cases = [varied(case, arguments.variant) for case in cases]
    validation = Validation(
        results,
        arguments.kind,
        bundles,
        arguments.compat,
        arguments.variant or "",
        config,
        arguments.device,
        arguments.threads,
    )
    return validation, run_cases(validation, cases)


def _score(arguments: argparse.Namespace, results: Path) -> tuple[Validation, list[CaseResult]]:
    from nen_imaging.validation.pairs import score_pairs
    from nen_imaging.validation.run import Validation

    validation = Validation(results, "score", compat=arguments.compat)
    return validation, score_pairs(validation, arguments.truth.absolute(), arguments.pred.absolute())


def _compare(arguments: argparse.Namespace) -> int:
    from nen_imaging.contract import ExitCode
    from nen_imaging.validation.compare import compare, comparison_text

    print(comparison_text(compare(arguments.first, arguments.second)))
    return ExitCode.ALL_MEASURED
