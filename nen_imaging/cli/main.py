"""`nen-imaging`: find the verb, parse, run, turn expected failures into one message and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from types import ModuleType

from nen_imaging import __version__
from nen_imaging.contract import ExitCode, Refusal

VERBS = (
    "run", "index", "fetch", "segment", "suv", "demo", "validate", "models", "train", "doctor", "unlock", "clean",
    "stage",
)  # fmt: skip
_WHEN_INTERRUPTED = {
    **dict.fromkeys(("run", "fetch", "demo", "validate"), "what is finished stays, run again to go on"),
    "train": "what is finished stays, run again with --resume to go on",
    **dict.fromkeys(("segment", "suv", "doctor"), "nothing was written"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns its exit code."""
    # torch's threads wait in a loop otherwise: two segmentations on two cores took 158 s instead of 26 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:] if arguments is None else arguments
    chosen = arguments[0] if arguments and arguments[0] in VERBS else None
    parser = build_parser((chosen,) if chosen else VERBS)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except Refusal as refusal:
        print(f"Refused ({refusal.reason.code}): {refusal.reason.text}\n{refusal.reason.remedy}", file=sys.stderr)
        return ExitCode.NOTHING_DONE
    except KeyboardInterrupt:
        print(f"Interrupted; {_WHEN_INTERRUPTED.get(chosen or '', 'run again to finish')}.", file=sys.stderr)
        return 130
    except expected_errors() as error:
        print(f"nen-imaging: {error}", file=sys.stderr)
        return ExitCode.USAGE


def build_parser(verbs: tuple[str, ...] = VERBS) -> argparse.ArgumentParser:
    """The parser with the named verbs; one verb alone is parsed without importing the others."""
    parser = argparse.ArgumentParser(prog="nen-imaging", description="Hepatic tumour load and SSR uptake from DICOM.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in verbs:
        module = _module(verb)
        subparser = subparsers.add_parser(verb, help=module.HELP, description=module.HELP)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def expected_errors() -> tuple[type[Exception], ...]:
    """The errors whose message is meant for the user as it is; all others are bugs and show their trace."""
    from nen_imaging.config import ConfigError
    from nen_imaging.dicom.privacy import PrivacyError
    from nen_imaging.pacs.connection import PacsFileError
    from nen_imaging.segmentation.bundle import BundleError
    from nen_imaging.stage import StageError
    from nen_imaging.tables import TableError
    from nen_imaging.timeline import TimelineError

    paths = FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError  # their message names the path
    return ConfigError, StageError, TableError, BundleError, TimelineError, PrivacyError, PacsFileError, *paths


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"nen_imaging.cli.{verb}")
