"""Free a results folder whose run was killed."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "free a results folder whose run was killed; running stages keep their own locks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("results", type=Path)


def run(arguments: argparse.Namespace) -> int:
    """Remove Snakemake's lock; refused while another run is alive."""
    from nen_imaging.contract import ExitCode
    from nen_imaging.runner import unlock
    from nen_imaging.workflow import idle_results

    with idle_results(arguments.results) as results:
        unlock(results)
    print(f"{results.root} is free; the next run goes on where the killed one stopped.")
    return ExitCode.ALL_MEASURED
