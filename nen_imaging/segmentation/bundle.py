"""Bundles: folders in MONAI's bundle format that hold a trained model, and the registry that lists them.

::

    models/
      registry.yaml                    name, folder, licence, default, sha256 of every file that decides a number
      nen_liver/
        LICENSE
        configs/metadata.json          what it is: version, intended use, training data, licences, seen patients
        configs/inference.json         networks, spacings, patches, intensity scaling, calibration
        models/{liver,lesion}.safetensors
        docs/README.md                 model card

Nothing is ever downloaded.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nen_imaging.segmentation.calibration import Calibration
from nen_imaging.segmentation.preprocess import InputScaling

REGISTRY = "registry.yaml"
INFERENCE = "configs/inference.json"
METADATA = "configs/metadata.json"


class BundleError(RuntimeError):
    """A bundle is missing, incomplete or not what the registry says."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class NetworkInference(_Part):
    """One network of a bundle: its MONAI definition, its weights and the grid it works on."""

    network_def: dict[str, Any] = Field(description="`_target_` below monai.networks.nets, and its arguments")
    weights: str
    spacing_mm: float = Field(gt=0)
    patch: tuple[int, int, int]


class Inference(_Part):
    """The content of `configs/inference.json`."""

    orientation: str = "LPS"
    scaling: InputScaling = InputScaling()
    overlap: float = Field(0.5, ge=0, lt=1, description="of neighbouring patches of the sliding window")
    liver: NetworkInference
    lesion: NetworkInference
    calibration: Calibration = Calibration()


@dataclass(frozen=True)
class Bundle:
    """A registered bundle; ``sha256`` is one digest over the checksums of all its files that decide a number."""

    name: str
    folder: Path
    sha256: str
    licence: str
    metadata: dict[str, Any]
    files: dict[str, str]
    default: bool = False


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    folder: str
    licence: str
    default: bool = False
    sha256: dict[str, str]


def load_registry(models_dir: Path) -> list[Bundle]:
    """The bundles that `registry.yaml` of a models folder lists, in its order.

    Raises BundleError if the registry or a bundle's metadata is missing or malformed.
    """
    bundles = []
    for entry in _entries(models_dir):
        folder = models_dir / entry.folder
        text = "\n".join(f"{name} {digest}" for name, digest in sorted(entry.sha256.items()))
        digest = hashlib.sha256(text.encode()).hexdigest()
        metadata = _json(folder / METADATA)
        bundles.append(Bundle(entry.name, folder, digest, entry.licence, metadata, entry.sha256, entry.default))
    return bundles


def find_bundle(name: str | None, models_dir: Path) -> Bundle:
    """The bundle of that name, or the registry's default; BundleError, listing the known ones, if there is none."""
    bundles = load_registry(models_dir)
    wanted = [bundle for bundle in bundles if (bundle.name == name if name else bundle.default)]
    if len(wanted) == 1:
        return wanted[0]
    known = ", ".join(bundle.name for bundle in bundles) or "none"
    if name:
        raise BundleError(f"No bundle {name!r} in {models_dir / REGISTRY}; known: {known}.")
    raise BundleError(f"{models_dir / REGISTRY} must mark one bundle as default, found {len(wanted)}; known: {known}.")


def verify(bundle: Bundle) -> None:
    """Hold every file of a bundle against its checksum; BundleError names the first that is missing or different."""
    for name, expected in bundle.files.items():
        path = bundle.folder / name
        if not path.is_file():
            raise BundleError(f"Bundle {bundle.name}: {path} is missing. Install it again.")
        found = _sha256(path)
        if found != expected:
            raise BundleError(
                f"Bundle {bundle.name}: {path} has sha256 {found[:12]}..., the registry says {expected[:12]}.... "
                "The file was changed or damaged: restore it, or register the bundle again."
            )


def read_inference(bundle: Bundle) -> Inference:
    """How a bundle is run; BundleError names the key that is wrong."""
    path = bundle.folder / INFERENCE
    try:
        return Inference.model_validate(_json(path))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise BundleError(f"{path}: " + "; ".join(lines)) from None


def register_bundle(models_dir: Path, folder: Path, *, name: str, licence: str, default: bool = False) -> Bundle:
    """Write a bundle folder of ``models_dir`` into the registry with its checksums, in place of one of its name.

    The first bundle of a registry becomes its default.
    """
    files = [INFERENCE, *sorted(path.relative_to(folder).as_posix() for path in folder.glob("models/*.safetensors"))]
    checksums = {file: _sha256(folder / file) for file in files}
    others = [entry for entry in _entries(models_dir, missing_ok=True) if entry.name != name]
    default = default or not any(entry.default for entry in others)
    if default:
        others = [entry.model_copy(update={"default": False}) for entry in others]
    entry = _Entry(
        name=name,
        folder=folder.relative_to(models_dir).as_posix(),
        licence=licence,
        default=default,
        sha256=checksums,
    )
    _write_entries(models_dir, [*others, entry])
    return find_bundle(name, models_dir)


def unregister_bundle(models_dir: Path, name: str) -> Bundle:
    """Take a bundle out of the registry and return it; its folder stays. The default must be another one first."""
    bundle = find_bundle(name, models_dir)
    if bundle.default and len(load_registry(models_dir)) > 1:
        raise BundleError(f"{name} is the default bundle; make another one the default first.")
    _write_entries(models_dir, [entry for entry in _entries(models_dir) if entry.name != name])
    return bundle


def _entries(models_dir: Path, *, missing_ok: bool = False) -> list[_Entry]:
    path = models_dir / REGISTRY
    if missing_ok and not path.is_file():
        return []
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        return [_Entry.model_validate(entry) for entry in content["bundles"]]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, ValidationError) as error:
        raise BundleError(f"The registry of models {path} cannot be read: {error}") from error


def _write_entries(models_dir: Path, entries: list[_Entry]) -> None:
    path = models_dir / REGISTRY
    content = {"bundles": [entry.model_dump(mode="json") for entry in entries]}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    temporary.replace(path)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} of a registered bundle cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path} must hold a JSON object, found {type(content).__name__}.")
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
