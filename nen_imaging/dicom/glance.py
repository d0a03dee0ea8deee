"""What up to three slices of a series show, where headers cannot tell it from another one.

Only what holds for any patient is looked at: whether these are measured values at all, how noisy even tissue is, how
much of the soft tissue is brighter than it is without contrast medium.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.contract import Refusal
from nen_imaging.dicom.attributes import quiet_reading
from nen_imaging.dicom.database import FileRow, FilesDatabase
from nen_imaging.dicom.files import BrokenArchiveError, open_files
from nen_imaging.dicom.group import Series, SeriesKind
from nen_imaging.dicom.pixels import AIR_HU, activity, hounsfield, hounsfield_reasons
from nen_imaging.dicom.series import read_slices

GLANCE_VERSION = 1  # raise with every change of what is seen: series are then looked at anew
_PICTURE_GREYS = 256
_METAL_HU = 1500
_CLIPPED_SHARE = 0.002
_WINDOW = (7, 7, 1)
_SOFT_HU = (0.0, 250.0)
_ENHANCED_HU = 90.0  # above every soft tissue without contrast medium
_QUIETEST_PERCENT = 25.0  # of all windows: most of the others hold an edge
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Glance:
    """What the slices show."""

    fault: str = ""
    """Why nothing can be measured on them; empty if nothing speaks against it."""
    noise: float | None = None
    """SD within even tissue: of a CT in HU, of a PET as a share of the mean; None where no such tissue is seen."""
    enhanced: float = 0.0
    """The share of a CT's soft tissue that is brighter than it is without contrast medium."""


class Glances:
    """Glances at the series of a study; each is kept in `files.sqlite`, so that slices are read once."""

    def __init__(self, study: Path, database: FilesDatabase) -> None:
        self._study, self._database = study, database

    def __call__(self, series: Series) -> Glance:
        name = f"{GLANCE_VERSION} {series.digest}"
        if known := self._database.glance(name):
            return Glance(**json.loads(known))
        try:
            found = self._read(series)
        except (OSError, BrokenArchiveError):  # may be mended without a change of the files: nothing to keep
            return Glance("cannot be opened")
        self._database.keep_glance(name, json.dumps(asdict(found)))
        return found

    def _read(self, series: Series) -> Glance:
        is_ct = series.kind == SeriesKind.CT
        files = open_files(self._study, quarters(in_order(self._database.files_of(series.key))))
        try:
            with quiet_reading():
                slices = list(read_slices(files, hounsfield if is_ct else activity, quarters))
            stack = np.stack(slices, axis=-1)
        except Refusal as refusal:
            return Glance(f"cannot be read ({refusal.reason.code})")
        except ValueError:  # one of them has another size than its header says
            return Glance("differ in size")
        return glance_at_ct(stack) if is_ct else glance_at_pet(stack)  # type: ignore[arg-type]  # as the reader says


def in_order(rows: Sequence[FileRow]) -> list[str]:
    """The paths of a series' files from its one end to the other."""

    def place(row: FileRow) -> tuple[float, str]:
        header = row.header
        if header is None or not header.orientation or not header.positions:
            return 0.0, row.entry.path
        normal = np.cross(header.orientation[:3], header.orientation[3:])
        return float(normal @ header.positions[0]), row.entry.path

    return [row.entry.path for row in sorted(rows, key=place)]


def quarters(items: Sequence[_Item]) -> list[_Item]:
    """What stands at a quarter, the half and three quarters; fewer of fewer than four."""
    return [items[n] for n in sorted({len(items) * part // 4 for part in (1, 2, 3)}) if n < len(items)]


def glance_at_ct(slices: NDArray[np.int16]) -> Glance:
    """Look at slices in HU, shape (i, j, count)."""
    if fault := _fault_of_ct(slices):
        return Glance(fault)
    mean, deviation = _in_windows(slices)
    soft = (mean > _SOFT_HU[0]) & (mean < _SOFT_HU[1])
    if not soft.any():
        return Glance()
    return Glance("", _quietest(deviation[soft]), round(float((mean[soft] > _ENHANCED_HU).mean()), 3))


def _fault_of_ct(slices: NDArray[np.int16]) -> str:
    seen = slices[slices > AIR_HU]
    greys = len(np.unique(seen))
    if greys <= 1:
        return "show nothing"
    if greys <= _PICTURE_GREYS:
        return f"have {greys} grey levels, as a picture"
    brightest = int(seen.max())
    if brightest < _METAL_HU and float((seen == brightest).mean()) > _CLIPPED_SHARE:
        return f"are clipped at {brightest} HU"
    return next((f"have implausible HU: {reason.text.rstrip('.')}" for reason in hounsfield_reasons(slices)), "")


def glance_at_pet(slices: NDArray[np.float32]) -> Glance:
    """Look at slices in whatever unit they are stored, shape (i, j, count)."""
    seen = slices[slices > 0]
    if not seen.size or float(seen.min()) == float(seen.max()):
        return Glance("show no activity")
    brightest = slices.max(axis=(0, 1))
    clipped = (slices == brightest) & (brightest > 0)
    if float(clipped.sum()) > max(_CLIPPED_SHARE * seen.size, 10 * slices.shape[2]):
        return Glance("are clipped at their maximum")
    mean, deviation = _in_windows(slices)
    body = mean > 0.02 * float(np.percentile(seen, 99.9))
    return Glance("", _quietest(deviation[body] / mean[body])) if body.any() else Glance()


def _in_windows(slices: NDArray[np.generic]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Mean and SD around every voxel, within its slice."""
    values = slices.astype(np.float32)
    mean = ndimage.uniform_filter(values, _WINDOW)
    return mean, np.sqrt(np.maximum(ndimage.uniform_filter(values**2, _WINDOW) - mean**2, 0))


def _quietest(deviations: NDArray[np.floating]) -> float:
    return round(float(np.percentile(deviations, _QUIETEST_PERCENT)), 3)
