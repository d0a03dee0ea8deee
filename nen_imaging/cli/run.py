"""A whole study folder, from DICOM to tables."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from nen_imaging.cli.checks import output_folder, timeline_folder, whole_number

HELP = "measure a study folder: every staging's load and uptake, every patient's responses"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("study", type=Path, help="folder (or archive) with CT and PET DICOM, in any order")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder (default: results)")
    parser.add_argument("--timeline", type=timeline_folder, help="folder with therapies.csv, markers.csv, ...")
    parser.add_argument("--config", type=Path, help="YAML with the keys of config/default.yaml that differ")
    parser.add_argument("--cores", type=whole_number, default=os.cpu_count() or 1, help="cores to use (default: all)")
    parser.add_argument("--model", help="bundle of models/registry.yaml (default: its default)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--profile", help="Snakemake profile: a folder, or gpu, slurm, kubernetes")
    parser.add_argument("--only", choices=("failed",), help="only patients with a stage that failed or was killed")
    parser.add_argument("--verify", action="store_true", help="check every result's checksum first; slow")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done")


def run(arguments: argparse.Namespace) -> int:
    """Hand the study to the workflow and print the staging tables."""
    from nen_imaging.contract import Refusal, Results
    from nen_imaging.runner import RunRequest, run_workflow

    if not arguments.study.exists():
        raise Refusal("study.empty", f"There is no {arguments.study}.")
    request = RunRequest(
        study=arguments.study.absolute(),
        results=Results(arguments.results.absolute()),
        timeline=arguments.timeline and arguments.timeline.absolute(),
        config=arguments.config and arguments.config.absolute(),
        cores=arguments.cores,
        model=arguments.model,
        device=arguments.device,
        profile=arguments.profile,
        only_failed=arguments.only == "failed",
        verify=arguments.verify,
        dry_run=arguments.dry_run,
    )
    with output_folder(request.results.root):
        return run_workflow(request)
