"""An installed segmenter, called on a NIfTI in a temporary folder; its labels are mapped to liver and lesion."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from nen_imaging.segmentation.bundle import INFERENCE, Bundle, BundleError, verify
from nen_imaging.segmentation.bundle_folder import Settings, parse_settings, read_json
from nen_imaging.segmentation.drawn import Mask, Meaning, aligned, masks_of, segmentation_of
from nen_imaging.segmentation.infer import choose_device
from nen_imaging.segmentation.preprocess import prepared
from nen_imaging.segmentation.program import run_program
from nen_imaging.segmentation.result import Segmentation
from nen_imaging.segmentation.two_stage import SMALLEST_LIVER_ML
from nen_imaging.stage import StageError
from nen_imaging.volume import Volume, read_nifti, write_nifti

VERSION_LIMIT_S = 120.0
EXTERNAL = "external"  # a device that the program chooses for itself

Arguments = Annotated[tuple[str, ...], Field(min_length=1)]


class Output(Settings):
    """One file that the commands write below `{output}`: what its labels mean; 0 is background."""

    file: str
    labels: dict[Annotated[int, Field(ge=1)], Meaning]

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or not file.endswith((".nii", ".nii.gz")):
            raise ValueError(f"{file!r} must be a NIfTI (.nii, .nii.gz) below the output folder")
        return file


class Command(Settings):
    """The content of `configs/inference.json`.

    In each argument `{input}` is the CT (NIfTI), `{input_folder}` the folder in which it lies alone, `{output}` the
    folder to write into, `{bundle}` the bundle's own, `{threads}` a number, `{device}` cpu or cuda or what
    ``device_names`` calls them.
    """

    kind: Literal["command"]
    commands: tuple[Arguments, ...] = Field(min_length=1, description="program and arguments each, run in this order")
    outputs: tuple[Output, ...] = Field(min_length=1)
    input_file: str = Field("ct.nii.gz", pattern=r"^[\w.-]+\.nii(\.gz)?$", description="name of the CT's file")
    time_limit_s: float = Field(1800.0, gt=0, description="for all commands together")
    version_command: Arguments | None = Field(None, description="prints what shall count as the program's version")
    device_names: dict[str, str] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Command:
        meant = {meaning for output in self.outputs for meaning in output.labels.values()}
        if missing := {"liver", "lesion"} - meant:
            raise ValueError(
                f"outputs: no label means {' or '.join(sorted(missing))}; a tumour load needs liver and lesions"
            )
        given = " ".join(argument for command in self.commands for argument in command)
        if not ("{input}" in given or "{input_folder}" in given) or "{output}" not in given:
            raise ValueError("commands: they must name {input} (or {input_folder}) and {output}")
        return self


def check(bundle: Bundle) -> str:
    """See `Kind`: each program must be there, and tell its version where a command for that is given."""
    path, settings = bundle.folder / INFERENCE, _settings(bundle)
    version_command = settings.version_command
    for key, command in (*(("commands", one) for one in settings.commands), ("version_command", version_command)):
        program = command[0].replace("{bundle}", str(bundle.folder.absolute())) if command else None
        if program and shutil.which(program) is None:
            raise BundleError(f"{path}: {key}: there is no program {program!r}. Install it, or give its absolute path.")
    if version_command is None:
        return ""
    values = {"bundle": str(bundle.folder.absolute())}
    try:
        said = run_program(
            _filled(version_command, values),
            folder=bundle.folder,
            time_limit_s=VERSION_LIMIT_S,
            environment=settings.environment,
        )
    except StageError as error:
        raise BundleError(f"{path}: version_command: {error}") from error
    return " ".join(said.split())


def require_version(bundle: Bundle, version: str) -> None:
    """Raise BundleError unless the program's version is the one that was registered, and so stands in the digest."""
    if version != bundle.version:
        raise BundleError(
            f"Bundle {bundle.name}: its program is {version or 'without version'!r} now, the registry says "
            f"{bundle.version!r}. Install that one again, or accept the new: nen-imaging models accept {bundle.name}."
        )


def segment(ct: Volume, bundle: Bundle, *, device: str, threads: int | None) -> Segmentation:
    """See `segment_volume`: CT out, commands, labels in; the temporary folder goes in any case."""
    verify(bundle)
    require_version(bundle, check(bundle))
    settings, image = _settings(bundle), prepared(ct)
    used, note = choose_device(device) if _chooses_device(settings) else (EXTERNAL, "")
    with tempfile.TemporaryDirectory(prefix="nen_imaging_") as temporary:
        input_folder, output = Path(temporary) / "input", Path(temporary) / "output"
        for folder in (input_folder, output):
            folder.mkdir()
        write_nifti(input_folder / settings.input_file, image)
        values = {
            "input": str(input_folder / settings.input_file),
            "input_folder": str(input_folder),
            "output": str(output),
            "bundle": str(bundle.folder.absolute()),
            "threads": str(threads or 1),
            "device": settings.device_names.get(used, used),
        }
        _run(bundle, settings, values, Path(temporary))
        liver, lesion = _masks(bundle, settings, output, image)
    return segmentation_of(ct, image, liver, lesion, device_used=used, device_note=note)


def _run(bundle: Bundle, settings: Command, values: Mapping[str, str], folder: Path) -> None:
    end = time.monotonic() + settings.time_limit_s
    for command in settings.commands:
        try:
            run_program(
                _filled(command, values),
                folder=folder,
                time_limit_s=max(0.1, end - time.monotonic()),
                environment=settings.environment,
            )
        except StageError as error:
            where = f"`commands` and `time_limit_s` ({settings.time_limit_s:g}) in {bundle.folder / INFERENCE}"
            raise StageError(f"Bundle {bundle.name}: {error}\nSee {where}.") from error


def _masks(bundle: Bundle, settings: Command, folder: Path, image: Volume) -> tuple[Mask, Mask]:
    """Liver and lesions on the image's grid; files of lesions alone may be missing where there is no liver."""
    liver, lesion = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    for output in sorted(settings.outputs, key=lambda output: "liver" not in output.labels.values()):
        path = folder / output.file
        if not path.is_file():
            if "liver" not in output.labels.values() and liver.sum() * image.voxel_volume_ml < SMALLEST_LIVER_ML:
                continue
            raise StageError(_missing(bundle, output, folder))
        what, where = f"Bundle {bundle.name}: {output.file}", f"`outputs` in {bundle.folder / INFERENCE}"
        try:
            drawn = read_nifti(path)
        except Exception as error:  # nibabel raises many kinds for a damaged file
            raise StageError(f"{what} is no label map: {error}") from error
        labels = aligned(drawn, image, what, "The program must write labels on the grid of its input.")
        for whole, part in zip((liver, lesion), masks_of(labels, output.labels, what, where), strict=True):
            whole |= part
    return liver, lesion


def _missing(bundle: Bundle, output: Output, folder: Path) -> str:
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return (
        f"Bundle {bundle.name}: the program ended well but wrote no {output.file}; it wrote "
        f"{', '.join(written[:8]) or 'nothing'}. Correct `outputs` in {bundle.folder / INFERENCE}."
    )


def _settings(bundle: Bundle) -> Command:
    path = bundle.folder / INFERENCE
    return parse_settings(path, read_json(path), Command)


def _chooses_device(settings: Command) -> bool:
    return any("{device}" in argument for command in settings.commands for argument in command)


def _filled(arguments: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The arguments with the known placeholders filled; other braces stay."""
    filled = []
    for argument in arguments:
        for name, value in values.items():
            argument = argument.replace(f"{{{name}}}", value)
        filled.append(argument)
    return filled
