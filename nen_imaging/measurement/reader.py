"""What a person said about a staging: a mask in place of the network's, and readings of single lesions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes

from nen_imaging.contract import Reason, Refusal
from nen_imaging.stage import StageError, sha256_of
from nen_imaging.volume import GridMismatchError, Volume, read_nifti, require_same_grid, resample

_MOSTLY_THERE = 0.5
MASK_FILE = "reader_mask.nii.gz"  # beside reader.json


@dataclass(frozen=True)
class NamedRegion:
    """A reader's volume of interest: its file beside reader.json with its checksum, its name and organ."""

    name: str
    organ: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Reader:
    """The content of reader.json: the checksum of a mask, the lesions read as benign, volumes of interest."""

    mask_sha256: str | None
    benign: frozenset[int]
    regions: tuple[NamedRegion, ...] = ()


def read_reader(path: Path) -> Reader:
    """Read reader.json."""
    content: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    benign = {int(row["lesion"]) for row in content["lesions"] if row["reading"] == "benign"}
    regions = (NamedRegion(row["name"], row["organ"], row["file"], row["sha256"]) for row in content["voi"])
    return Reader(content["mask"]["sha256"] if content["mask"] else None, frozenset(benign), tuple(regions))


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
