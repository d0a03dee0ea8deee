"""One CT, without a study around it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nen_imaging.cli.checks import output_folder, whole_number

if TYPE_CHECKING:
    from nen_imaging.dicom.series import CtImage
    from nen_imaging.stage import Context

HELP = "segment one CT (DICOM folder, archive or NIfTI): liver.nii.gz, load.json, lesions.csv, qc.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("image", type=Path, help="DICOM folder or archive, or .nii[.gz] in HU")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it is replaced as a whole")
    parser.add_argument(
        "--series", metavar="KEY", help="CT series to take (default: of several the one with most points)"
    )
    parser.add_argument("--model", help="bundle of models/registry.yaml (default: its default)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--config", type=Path, help="YAML with the keys of config/default.yaml that differ")
    parser.add_argument("--threads", type=whole_number, default=os.cpu_count() or 1)


def run(arguments: argparse.Namespace) -> int:
    """Run import, segment and measure of the workflow on one image, then keep what a person reads."""
    out = arguments.out.absolute()
    with output_folder(out.parent), output_folder(out):  # nothing is left of them where the image cannot be read
        return _segment(arguments, out)


def _segment(arguments: argparse.Namespace, out: Path) -> int:
    import tempfile

    from nen_imaging.config import load_config
    from nen_imaging.contract import ExitCode
    from nen_imaging.dicom.image import read_image
    from nen_imaging.dicom.select import SelectionRules
    from nen_imaging.shipped import shipped
    from nen_imaging.stage import Context, StageError
    from nen_imaging.workflow import segment_options

    if not (out / "load.json").is_file() and any(out.iterdir()):
        raise StageError(f"{out} holds other files; name a new folder, or one that an earlier segment wrote.")
    config = load_config(arguments.config, {"segment": {"model": arguments.model}} if arguments.model else None)
    bundle = segment_options(config)
    rules = SelectionRules.of(config.options_of("selection"))
    image = read_image(
        arguments.image, series=arguments.series, rules=rules, tell=print, **config.options_of("import_ct")
    )
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
        context = Context(Path(work), shipped("models"), arguments.device, arguments.threads)
        load = _stages(image, bundle, config.options_of("measure"), context)
        _keep(Path(work), out)
    print(_sentence(load))
    print(f"Written: {out}/liver.nii.gz, load.json, lesions.csv, qc.png")
    return ExitCode.ALL_MEASURED


def _stages(image: CtImage, segment: dict[str, Any], measure: dict[str, Any], context: Context) -> dict[str, Any]:
    """The content of load.json; ``segment`` and ``measure`` are the options of these stages."""
    import json
    from dataclasses import replace

    from nen_imaging.contract import Refusal
    from nen_imaging.stage import Outcome, Stage, StageCall, reasons_of, run_stage, write_json
    from nen_imaging.volume import write_nifti
    from nen_imaging.workflow import stage_of

    work = context.results

    def imported(call: StageCall) -> Outcome:
        write_nifti(call.folder / "ct.nii.gz", image.volume)
        return Outcome(image.reasons, image.facts)

    write_json(work / "reader.json", {"mask": None, "lesions": [], "voi": []})
    steps: list[tuple[Stage, tuple[Path, ...], dict]] = [
        (replace(stage_of("import_ct"), work=imported), (), {}),
        (stage_of("segment"), (work / "ct",), segment),
        (stage_of("measure"), (work / "ct", work / "segment", work / "reader.json"), measure),
    ]
    for stage, inputs, options in steps:
        folder = "ct" if stage.name == "import_ct" else stage.name
        record = run_stage(stage, work / folder, inputs, options, context)
        for reason in reasons_of(record):
            if record.refused:
                raise Refusal(reason.code, reason.text)
            print(f"{reason.code}: {reason.text} {reason.remedy}")
    return json.loads((work / "measure" / "load.json").read_text("utf-8"))


def _keep(work: Path, out: Path) -> None:
    from nen_imaging.stage import remove_folder

    ready = work / "ready"
    ready.mkdir()
    for kept in ("measure/liver.nii.gz", "measure/load.json", "measure/lesions.csv", "segment/qc.png"):
        (work / kept).rename(ready / Path(kept).name)
    remove_folder(out)
    ready.rename(out)


def _sentence(load: dict) -> str:
    return (
        f"Liver {load['liver_volume_ml']:.0f} ml, {load['lesions']} lesions of {load['lesion_volume_ml']:.0f} ml: "
        f"hepatic tumour load {load['load_percent']:.1f} % "
        f"(90 % interval {load['load_percent_low']:.1f}-{load['load_percent_high']:.1f} %)."
    )
