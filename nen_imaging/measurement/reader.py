"""What a person said about a staging: a mask in place of the network's, and readings of single lesions."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes

from nen_imaging.contract import Reason, Refusal
from nen_imaging.stage import StageError, sha256_of
from nen_imaging.volume import GridMismatchError, Volume, read_nifti, require_same_grid, resample

_MOSTLY_THERE = 0.5
SAME_LESION_VOLUME_FACTOR = 1.5  # what a lesion's volume may differ by between two segmentations of one CT
SAME_LESION_MM = 5.0  # and its centroid, where its own radius is smaller: the spacing of thick slices
MASK_FILE = "reader_mask.nii.gz"  # beside reader.json


@dataclass(frozen=True)
class NamedRegion:
    """A reader's volume of interest: its file beside reader.json with its checksum, its name and organ."""

    name: str
    organ: str
    file: str
    sha256: str


@dataclass(frozen=True)
class LesionReading:
    """A lesion's number, what it was read as (`benign`, `treated`), and its volume and centroid (LPS) at that time.

    Both are None where nobody wrote them down.
    """

    lesion: int
    reading: str
    volume_ml: float | None = None
    centroid_mm: tuple[float, ...] | None = None

    def change(self, row: Mapping[str, Any]) -> str:
        """Why a row of lesions.csv is another lesion than the one that was read, in words; empty where it is not."""
        volume_ml, radius_mm = float(row["volume_ml"]), float(row["sphere_diameter_mm"]) / 2
        if self.volume_ml is not None and not _alike(self.volume_ml, volume_ml):
            return f"had {self.volume_ml:.3g} ml, the lesion of this number now has {volume_ml:.3g} ml"
        if self.centroid_mm is not None:
            away_mm = math.dist(self.centroid_mm, [float(row[f"centroid_{axis}_mm"]) for axis in "xyz"])
            if away_mm > max(radius_mm, SAME_LESION_MM):
                return f"lay {away_mm:.0f} mm from the lesion that has this number now"
        return ""


@dataclass(frozen=True)
class Reader:
    """The content of reader.json: the checksum of a mask, readings of lesions, volumes of interest."""

    mask_sha256: str | None
    readings: tuple[LesionReading, ...] = ()
    regions: tuple[NamedRegion, ...] = ()


def read_reader(path: Path) -> Reader:
    """Read reader.json."""
    content: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    regions = (NamedRegion(row["name"], row["organ"], row["file"], row["sha256"]) for row in content["voi"])
    readings = tuple(_lesion_reading(row) for row in content["lesions"])
    return Reader(content["mask"]["sha256"] if content["mask"] else None, readings, tuple(regions))


def _lesion_reading(row: Mapping[str, Any]) -> LesionReading:
    """A reading with the volume that the reader wrote, else with the recorded one.

    What was recorded of a lesion of another volume than the reader wrote is not of the lesion that was meant.
    """
    lesion, reading, as_read = int(row["lesion"]), row["reading"], row["as_read"]
    written_ml = float(row["volume_ml"]) if row["volume_ml"] else None
    if as_read is None or (written_ml is not None and not _alike(written_ml, as_read["volume_ml"])):
        return LesionReading(lesion, reading, written_ml)
    return LesionReading(lesion, reading, written_ml or as_read["volume_ml"], tuple(as_read["centroid_mm"]))


def _alike(one_ml: float, other_ml: float) -> bool:
    return max(one_ml, other_ml) <= SAME_LESION_VOLUME_FACTOR * min(one_ml, other_ml)


@dataclass(frozen=True)
class AppliedReadings:
    """The lesions that are benign, and why readings were not applied."""

    benign: frozenset[int]
    reasons: list[Reason]


def apply_readings(readings: Collection[LesionReading], lesions: Collection[Mapping[str, Any]]) -> AppliedReadings:
    """Hold readings against the rows of lesions.csv: numbers are those of one segmentation, another one counts anew."""
    row_of = {int(row["lesion"]): row for row in lesions}
    changes = [(one, one.change(row_of[one.lesion])) for one in readings if one.lesion in row_of]
    reasons = [
        Reason("reader.lesion_changed", f"Lesion {one.lesion}, read as {one.reading}, {change}.")
        for one, change in changes
        if change
    ]
    if unknown := sorted({one.lesion for one in readings if one.reading == "benign"} - row_of.keys()):
        text = f"Read as benign: {', '.join(map(str, unknown))}; this staging has {len(row_of)} lesions."
        reasons.append(Reason("reader.lesion_unknown", text))
    benign = {one.lesion for one, change in changes if one.reading == "benign" and not change}
    return AppliedReadings(frozenset(benign), reasons)


def read_reader_region(folder: Path, region: NamedRegion) -> Volume:
    """The mask of a volume of interest, on its own grid; raises StageError as `read_reader_mask`."""
    path = folder / region.file
    if not path.is_file() or sha256_of(path) != region.sha256:
        raise StageError(f"{path} is missing or changed since the study was indexed: run again, it is indexed anew.")
    mask = read_nifti(path)
    return mask.with_array(mask.array.astype(np.float32) > 0)


@dataclass(frozen=True)
class ReaderMask:
    """A reader's label map (0, 1 liver, 2 lesion) on the CT's grid, and what had to be done to bring it there."""

    labels: Volume
    reasons: list[Reason]


def read_reader_mask(path: Path, sha256: str, grid: Volume) -> ReaderMask:
    """The reader's label map on a grid; one of another grid is brought there by place, and that is said.

    Raises
    ------
    StageError
        The file is gone or is not the one that the index saw, or it holds other labels.
    Refusal
        ``reader.mask_elsewhere``: it lies for the most part outside the grid.
    """
    if not path.is_file() or sha256_of(path) != sha256:
        raise StageError(f"{path} is missing or changed since the study was indexed: run again, it is indexed anew.")
    mask = read_nifti(path)
    found = np.unique(mask.array)
    if not np.isin(found, (0, 1, 2)).all():
        raise StageError(f"{path} holds the labels {found[:9].tolist()}; allowed are 0, 1 (liver) and 2 (lesion).")
    mask = mask.with_array(mask.array.astype(np.uint8)).oriented("".join(aff2axcodes(grid.affine)))
    try:
        require_same_grid(mask, grid)
        return ReaderMask(grid.with_array(mask.array), [])
    except GridMismatchError as difference:
        moved = resample(mask, grid.shape, grid.affine, nearest=True)
        drawn_ml, kept_ml = (float(np.count_nonzero(one.array)) * one.voxel_volume_ml for one in (mask, moved))
        if kept_ml < _MOSTLY_THERE * drawn_ml:
            text = f"Of the reader's liver of {drawn_ml:.0f} ml only {kept_ml:.0f} ml lie on this CT."
            raise Refusal("reader.mask_elsewhere", text) from difference
        text = f"The reader's mask lies on another grid than the CT and was brought to it voxel by voxel. {difference}"
        return ReaderMask(grid.with_array(moved.array), [Reason("reader.mask_regridded", text)])
