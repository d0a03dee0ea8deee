"""A bundle's folder: its kind, its settings, the files that decide a number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

INFERENCE = "configs/inference.json"
METADATA = "configs/metadata.json"
MONAI_YAML = ("configs/inference.yaml", "configs/inference.yml")
KindName = Literal["networks", "monai", "command", "ensemble"]
S = TypeVar("S", bound="Settings")


class BundleError(RuntimeError):
    """A bundle is missing, incomplete or not what the registry says."""


class Settings(BaseModel):
    """A part of a bundle's configuration; what it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def kind_of(folder: Path) -> KindName:
    """The kind that `configs/inference.json` names.

    Where it names none, a MONAI bundle is told by its `network_def` or `network`, or by its YAML; all else is ours.
    """
    path = folder / INFERENCE
    if not path.is_file():
        if any((folder / name).is_file() for name in MONAI_YAML):
            return "monai"
        raise BundleError(f"{path} is missing (and so is its YAML of a MONAI bundle): it says how the bundle is run.")
    content = read_json(path)
    kind = content.get("kind", "monai" if {"network_def", "network"} & content.keys() else "networks")
    if kind not in get_args(KindName):
        raise BundleError(f"{path}: kind: {kind!r} is unknown; known: {', '.join(get_args(KindName))}.")
    return kind


def deciding_files(folder: Path, kind: KindName) -> list[str]:
    """The files that decide a number: of foreign bundles all but documentation and what is hidden."""
    if kind == "networks":
        return [INFERENCE, *sorted(path.relative_to(folder).as_posix() for path in folder.glob("models/*.safetensors"))]
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [file.as_posix() for file in files if not _is_documentation(file, kind)]


def _is_documentation(file: Path, kind: KindName) -> bool:
    hidden = any(part.startswith((".", "__pycache__")) for part in file.parts)
    described = file.parts[0] == "docs" or file.name.upper().startswith(("LICENSE", "LICENCE", "README"))
    return hidden or described or (file.as_posix() == METADATA and kind != "monai")  # MONAI's names the labels


def parse_settings(path: Path, content: dict[str, Any], model: type[S]) -> S:
    """The content of a bundle's file as its model; BundleError names the file and the key that is wrong."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc'])) or 'all'}: {item['msg']}" for item in error.errors()]
        raise BundleError(f"{path}: " + "; ".join(lines)) from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a bundle's file; BundleError if there is none."""
    return _read(path, json.loads)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a bundle's YAML file; BundleError if there is none."""
    return _read(path, yaml.safe_load)


def _read(path: Path, parse: Callable[[str], object]) -> dict[str, Any]:
    try:
        content = parse(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BundleError(f"{path} of a bundle cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path} must hold names with values, found {type(content).__name__}.")
    return content
