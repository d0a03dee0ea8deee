"""One stage by hand, as the rules call it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
from pathlib import Path

from nen_imaging.cli.checks import whole_number

HELP = "run one stage: the name, its folder, the folders and files it reads"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("name", help="import_ct, import_pet, import_low_dose_ct, segment, measure, ...")
    parser.add_argument("output", type=Path, help="the stage's folder inside the results")
    parser.add_argument("inputs", type=Path, nargs="*", help="stage folders and JSON files it reads")
    parser.add_argument("--options", type=json.loads, default={}, help="its section of the config, as JSON")
    parser.add_argument("--results", type=Path, default=Path(), help="the results folder (default: where you stand)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="default: NEN_IMAGING_DEVICE, else auto")
    parser.add_argument("--threads", type=whole_number, default=1)


def run(arguments: argparse.Namespace) -> int:
    """Run the stage; a crash leaves an error record and no folder, and the error goes on to the caller."""
    from nen_imaging.contract import ExitCode, Results
    from nen_imaging.shipped import shipped
    from nen_imaging.stage import Context, run_stage, write_json
    from nen_imaging.workflow import DEVICE_VARIABLE, stage_of

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    results = Results(arguments.results.absolute())
    device = arguments.device or os.environ.get(DEVICE_VARIABLE, "auto")
    context = Context(results.root, shipped("models"), device, arguments.threads)
    patient, staging = _who(arguments.output.absolute())
    error_record = results.error_record(arguments.name, patient, staging)
    inputs = tuple(path.absolute() for path in arguments.inputs)
    try:
        record = run_stage(stage_of(arguments.name), arguments.output.absolute(), inputs, arguments.options, context)
    except BaseException as error:
        content = {"patient": patient, "staging": staging or "", "stage": arguments.name}
        text = f"{type(error).__name__}: {error}"
        remedy = f"See the log of {arguments.name}; run again to try again."
        write_json(error_record, {**content, "error": text, "remedy": remedy})
        raise
    error_record.unlink(missing_ok=True)
    for reason in record.reasons:
        logging.getLogger(arguments.name).warning("%s: %s %s", reason["code"], reason["text"], reason["remedy"])
    logging.getLogger(arguments.name).info("%s in %.1f s", record.state, record.seconds)
    return ExitCode.ALL_MEASURED


def _who(folder: Path) -> tuple[str, str | None]:
    found = re.search(r"/patients/([^/]+)(?:/stagings/([^/]+))?/", folder.as_posix())
    return (found[1], found[2]) if found else ("unknown", None)
