"""A patient's CT and PET studies from a PACS into a study folder."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nen_imaging.cli.checks import output_folder

if TYPE_CHECKING:
    from nen_imaging.pacs.fetch import SeriesProgress

HELP = "fetch a patient's CT and PET studies from a PACS into a study folder, only what is missing there"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "--from", dest="source", required=True, metavar="PACS", help="its name in the file of connections, or its URL"
    )
    parser.add_argument("--patient", required=True, metavar="ID", help="PatientID as the PACS writes it")
    parser.add_argument("--to", required=True, type=Path, metavar="STUDY", help="study folder; what it holds stays")
    parser.add_argument("--issuer", help="IssuerOfPatientID, where several use the same ids")
    parser.add_argument(
        "--connections", type=Path, help="YAML with the connections (default: pacs.yaml beside the key)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Fetch, and print what came; returns 3 if images that the PACS lists did not come, 1 if none could."""
    import sys

    from nen_imaging.contract import ExitCode
    from nen_imaging.dicom.instances import instances_in
    from nen_imaging.pacs.archive import PacsError
    from nen_imaging.pacs.connection import connect, read_connection
    from nen_imaging.pacs.fetch import fetch_patient

    connection = read_connection(arguments.source, arguments.connections)
    try:
        with output_folder(arguments.to.absolute()), _told() as progress:
            done = fetch_patient(
                connect(connection),
                arguments.patient,
                arguments.to,
                is_present=instances_in(arguments.to),
                issuer=arguments.issuer,
                progress=progress,
            )
    except PacsError as error:
        print(f"nen-imaging: {error}", file=sys.stderr)
        return ExitCode.NOTHING_DONE
    print(
        f"{done.fetched} images fetched ({done.bytes / 1e6:.1f} MB), {done.present} were there already: "
        f"{done.series} series in {arguments.to}"
    )
    for problem in done.problems:
        print(f"{problem} Run again to fetch the rest.")
    return ExitCode.SOME_NOT_MEASURED if done.missing else ExitCode.ALL_MEASURED


@contextmanager
def _told() -> Iterator[Callable[[SeriesProgress], None]]:
    """A progress bar on a terminal; in a log one line for every series."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(highlight=False)
    begun = 0
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("")

        def tell(now: SeriesProgress) -> None:
            nonlocal begun
            label = f"{now.series.modality} {now.series.date}, series {now.number} of {now.of}"
            bar.update(task, description=label, total=now.images, completed=now.present + now.fetched)
            if not console.is_terminal and now.number != begun:
                print(f"{label}: {now.images} images, {now.present} there already", flush=True)
            begun = now.number

        yield tell
