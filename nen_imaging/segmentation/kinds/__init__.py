"""The kinds of bundles, one module each; whatever segments a CT ends in the same `Segmentation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.kinds import command, ensemble, monai_bundle, networks
from nen_imaging.segmentation.result import Segmentation
from nen_imaging.volume import Volume


class Kind(Protocol):
    """What each module here offers."""

    def check(self, bundle: Bundle) -> str:
        """The version of the program that the bundle calls, or nothing; BundleError unless it can be run here."""

    def segment(self, ct: Volume, bundle: Bundle, *, device: str, threads: int | None) -> Segmentation:
        """See `segment_volume`."""


KINDS: Mapping[str, Kind] = {
    "networks": networks,
    "monai": monai_bundle,
    "command": command,
    "ensemble": ensemble,
}
