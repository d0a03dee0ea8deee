"""Remove what a results folder no longer needs."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "remove stagings that left the study, and leftovers of killed jobs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("results", type=Path)
    parser.add_argument("--yes", action="store_true", help="remove; without it only show what would go")


def run(arguments: argparse.Namespace) -> int:
    """List or remove; refused while a run is alive."""
    from nen_imaging.contract import ExitCode
    from nen_imaging.stage import remove_folder
    from nen_imaging.workflow import idle_results, removable

    with idle_results(arguments.results) as results:
        folders = removable(results)
        for folder in folders:
            print(("removed " if arguments.yes else "would remove ") + str(folder.relative_to(results.root)))
            if arguments.yes:
                remove_folder(folder)
    if not folders:
        print("Nothing to remove.")
    return ExitCode.ALL_MEASURED
