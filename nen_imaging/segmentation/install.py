"""Bundles into the registry, and whether they still are what was registered."""

from __future__ import annotations

from pathlib import Path

from nen_imaging.segmentation.bundle import Bundle, candidate, register_bundle, verify
from nen_imaging.segmentation.kinds import KINDS
from nen_imaging.segmentation.kinds.command import require_version


def install(
    models_dir: Path, folder: Path, *, name: str, licence: str, default: bool = False, rename_to: Path | None = None
) -> Bundle:
    """Register a folder of ``models_dir``, once it is clear that it can be run here; BundleError otherwise.

    With ``rename_to`` the folder gets this path in ``models_dir`` then, and not before.
    """
    bundle = candidate(models_dir, folder, name=name, licence=licence)
    version = KINDS[bundle.kind].check(bundle)
    folder = folder.rename(rename_to) if rename_to else folder
    return register_bundle(models_dir, folder, name=name, licence=licence, default=default, version=version)


def verify_installed(bundle: Bundle) -> None:
    """Hold a bundle's files, and the program that it calls, against the registry; BundleError says what differs."""
    verify(bundle)
    require_version(bundle, KINDS[bundle.kind].check(bundle))
