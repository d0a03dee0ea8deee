"""Bundles: folders in MONAI's bundle format that hold a trained model, and the registry that lists them.

::

    models/
      registry.yaml                    name, folder, licence, default, kind, sha256 of every file that decides a number
      nen_liver/
        LICENSE
        configs/metadata.json          what it is: version, intended use, training data, licences, seen patients
        configs/inference.json         networks, spacings, patches, intensity scaling, calibration
        models/{liver,lesion}.safetensors
        docs/README.md                 model card

That is a bundle of the kind `networks`. Of the other kinds (`kinds/`) `monai` is any MONAI bundle, and `command` and
`ensemble` hold little more than the two files in `configs/`. Nothing is ever downloaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nen_imaging.segmentation.bundle_folder import INFERENCE as INFERENCE
from nen_imaging.segmentation.bundle_folder import METADATA as METADATA
from nen_imaging.segmentation.bundle_folder import BundleError as BundleError
from nen_imaging.segmentation.bundle_folder import (
    KindName,
    Settings,
    deciding_files,
    kind_of,
    parse_settings,
    read_json,
)
from nen_imaging.segmentation.calibration import Calibration
from nen_imaging.segmentation.preprocess import InputScaling

REGISTRY = "registry.yaml"
LEARNT = {"seen_patients": str, "training_data": dict}


class NetworkFile(Settings):
    """A network's MONAI definition and its weights."""

    network_def: dict[str, Any] = Field(description="`_target_` below monai.networks.nets, and its arguments")
    weights: str


class NetworkInference(NetworkFile):
    """One stage of a bundle: a network, others whose logits are averaged with its own, and the grid they work on."""

    further: tuple[NetworkFile, ...] = ()
    spacing_mm: float = Field(gt=0)
    patch: tuple[int, int, int]

    @property
    def networks(self) -> tuple[NetworkFile, ...]:
        """All of them."""
        return (self, *self.further)


class Inference(Settings):
    """The content of `configs/inference.json`."""

    orientation: str = "LPS"
    scaling: InputScaling = InputScaling()
    overlap: float = Field(0.2, ge=0, lt=1, description="least one of neighbouring patches of the sliding window")
    liver: NetworkInference
    lesion: NetworkInference
    calibration: Calibration = Calibration()
    most_undecided_share: float = Field(
        0.5,
        gt=0,
        description="of a liver (see `uncertainty.undecided_share`); beyond, there is none. Measured: real livers at "
        "most 0.18, what was taken for one in a thigh and a chest 0.81",
    )


class EnsembleMembers(Settings):
    """The content of `configs/inference.json` of an ensemble: bundles of the same registry, none an ensemble itself."""

    kind: Literal["ensemble"]
    members: tuple[str, ...] = Field(min_length=2)


@dataclass(frozen=True)
class Bundle:
    """A registered bundle.

    ``sha256`` is one digest over all that decides a number: the checksums of its files, the ``version`` of the program
    that it calls (as it was when the bundle was registered), the digests of its ``members``.
    """

    name: str
    folder: Path
    sha256: str
    licence: str
    metadata: dict[str, Any]
    files: dict[str, str]
    default: bool = False
    kind: KindName = "networks"
    version: str = ""
    members: tuple[Bundle, ...] = ()


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    folder: str
    licence: str
    default: bool = False
    kind: KindName = "networks"
    version: str = ""
    sha256: dict[str, str]


def registered_names(models_dir: Path) -> list[str]:
    """The names in `registry.yaml` of a models folder, in its order; BundleError if it is missing or malformed."""
    return [entry.name for entry in _entries(models_dir)]


def load_registry(models_dir: Path) -> list[Bundle]:
    """The bundles that `registry.yaml` of a models folder lists, in its order.

    Raises BundleError if the registry or a bundle's metadata is missing or malformed.
    """
    entries = _entries(models_dir)
    return [_bundle(models_dir, entry, entries) for entry in entries]


def find_bundle(name: str | None, models_dir: Path) -> Bundle:
    """The bundle of that name, or the registry's default; of the others only an ensemble's members are looked at.

    Raises BundleError where there is none, listing the known ones, or it is broken.
    """
    entries = _entries(models_dir)
    return _bundle(models_dir, _find_entry(name, models_dir, entries), entries)


def _find_entry(name: str | None, models_dir: Path, entries: Sequence[_Entry]) -> _Entry:
    wanted = [entry for entry in entries if (entry.name == name if name else entry.default)]
    if len(wanted) == 1:
        return wanted[0]
    known = ", ".join(entry.name for entry in entries) or "none"
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
                f"The file was changed or damaged: restore it, or accept it: nen-imaging models accept {bundle.name}."
            )


def read_inference(bundle: Bundle) -> Inference:
    """How a bundle is run; BundleError names the key that is wrong."""
    path = bundle.folder / INFERENCE
    return parse_settings(path, {key: value for key, value in read_json(path).items() if key != "kind"}, Inference)


def candidate(models_dir: Path, folder: Path, *, name: str, licence: str) -> Bundle:
    """A bundle folder of ``models_dir`` as it would be registered; BundleError where that cannot be."""
    entries = _with_entry(_entries(models_dir, missing_ok=True), _entry(models_dir, folder, name, licence))
    return _bundle(models_dir, entries[-1], entries)


def register_bundle(
    models_dir: Path, folder: Path, *, name: str, licence: str, default: bool = False, version: str = ""
) -> Bundle:
    """Write a bundle folder of ``models_dir`` into the registry with its checksums, in place of one of its name.

    The first bundle of a registry becomes its default.
    """
    entry = _entry(models_dir, folder, name, licence).model_copy(update={"default": default, "version": version})
    entries = _with_entry(_entries(models_dir, missing_ok=True), entry)
    bundle = _bundle(models_dir, entries[-1], entries)
    _write_entries(models_dir, entries)
    return bundle


def unregister_bundle(models_dir: Path, name: str) -> Path:
    """Take a bundle, broken or not, out of the registry and return its folder, which stays.

    Raises BundleError for the default, an ensemble's member, or a folder that is not of this registry.
    """
    entries = _entries(models_dir)
    folders = {path.name for path in models_dir.iterdir() if path.is_dir()}
    if name in folders - {entry.name for entry in entries}:
        raise BundleError(f"{models_dir / name} is no registered bundle: nothing uses the folder, delete it by hand.")
    entry = _find_entry(name, models_dir, entries)
    folder = _folder(models_dir, entry)
    if entry.default and len(entries) > 1:
        raise BundleError(f"{name} is the default bundle; make another one the default first.")
    for other in entries:
        if other.kind == "ensemble" and _needs(models_dir, other, name):
            raise BundleError(f"{name} is a member of the ensemble {other.name}; remove that first.")
    _write_entries(models_dir, [one for one in entries if one.name != name])
    return folder


def _needs(models_dir: Path, ensemble: _Entry, member: str) -> bool:
    """Whether an ensemble cannot do without a bundle; a broken one needs nothing."""
    try:
        return member in _member_names(_folder(models_dir, ensemble))
    except BundleError:
        return False


def _folder(models_dir: Path, entry: _Entry) -> Path:
    """A bundle's folder, which `models remove` may delete: it must lie below the models folder."""
    parts = PurePath(entry.folder).parts
    if not parts or ".." in parts or PurePath(entry.folder).is_absolute():
        raise BundleError(
            f"{models_dir / REGISTRY}: the folder {entry.folder!r} of {entry.name} does not lie below {models_dir}. "
            "Correct it there, or take the entry out."
        )
    return models_dir / entry.folder


def _bundle(models_dir: Path, entry: _Entry, entries: Sequence[_Entry]) -> Bundle:
    """A bundle of a registry; an ensemble's digest and metadata stand for its members too."""
    folder = _folder(models_dir, entry)
    lines = [f"{name} {digest}" for name, digest in sorted(entry.sha256.items())]
    bundle = Bundle(
        name=entry.name,
        folder=folder,
        sha256=_digest([*lines, f"version {entry.version}"] if entry.version else lines),
        licence=entry.licence,
        metadata=_metadata(folder / METADATA),
        files=entry.sha256,
        default=entry.default,
        kind=entry.kind,
        version=entry.version,
    )
    return _with_members(bundle, models_dir, entries) if entry.kind == "ensemble" else bundle


def _metadata(path: Path) -> dict[str, Any]:
    """The metadata; whom a bundle has seen only in the form that ours have, foreign ones may mean another thing."""
    metadata = read_json(path)
    for key, kind in LEARNT.items():
        value = metadata.get(key)
        if not (isinstance(value, list) and all(isinstance(one, kind) for one in value)):
            metadata.pop(key, None)
    return metadata


def _member_names(ensemble: Path) -> tuple[str, ...]:
    path = ensemble / INFERENCE
    return parse_settings(path, read_json(path), EnsembleMembers).members


def _with_members(ensemble: Bundle, models_dir: Path, entries: Sequence[_Entry]) -> Bundle:
    path, names = ensemble.folder / INFERENCE, _member_names(ensemble.folder)
    known = {entry.name: entry for entry in entries if entry.kind != "ensemble"}
    for name in names:
        if name not in known:
            nested = any(entry.name == name for entry in entries)
            what = "is an ensemble itself" if nested else "is not registered"
            raise BundleError(f"{path}: members: {name!r} {what}; name single bundles: {', '.join(known) or 'none'}.")
    if len(set(names)) < len(names):
        raise BundleError(f"{path}: members: {', '.join(names)} name a bundle twice; name each once.")
    members = tuple(_bundle(models_dir, known[name], entries) for name in names)
    learnt = {key: [one for member in members for one in member.metadata.get(key, ())] for key in LEARNT}
    digest = _digest([ensemble.sha256, *(f"{member.name} {member.sha256}" for member in members)])
    return replace(ensemble, sha256=digest, members=members, metadata={**ensemble.metadata, **learnt})


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _entry(models_dir: Path, folder: Path, name: str, licence: str) -> _Entry:
    kind = kind_of(folder)
    return _Entry(
        name=name,
        folder=folder.relative_to(models_dir).as_posix(),
        licence=licence,
        kind=kind,
        sha256={file: _sha256(folder / file) for file in deciding_files(folder, kind)},
    )


def _with_entry(entries: Sequence[_Entry], entry: _Entry) -> list[_Entry]:
    """The entries with a new last one in place of its namesake; exactly one is the default."""
    others = [other for other in entries if other.name != entry.name]
    if entry.default or not any(other.default for other in others):
        entry = entry.model_copy(update={"default": True})
        others = [other.model_copy(update={"default": False}) for other in others]
    return [*others, entry]


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
    content = {"bundles": [entry.model_dump(mode="json", exclude_defaults=True) for entry in entries]}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    temporary.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
