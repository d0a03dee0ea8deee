"""What a person said about a staging: a mask in place of the network's, and readings of single lesions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nen_imaging.stage import StageError, sha256_of
from nen_imaging.volume import GridMismatchError, Volume, read_nifti, require_same_grid, resample

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


def read_reader_mask(path: Path, sha256: str, grid: Volume) -> Volume:
    """The reader's label map (0, 1 liver, 2 lesion) on a grid; one of another grid is brought there by place.

    Raises
    ------
    StageError
        The file is gone or is not the one that the index saw, or it holds other labels.
    """
    if not path.is_file() or sha256_of(path) != sha256:
        raise StageError(f"{path} is missing or changed since the study was indexed: run again, it is indexed anew.")
    mask = read_nifti(path)
    found = np.unique(mask.array)
    if not np.isin(found, (0, 1, 2)).all():
        raise StageError(f"{path} holds the labels {found[:9].tolist()}; allowed are 0, 1 (liver) and 2 (lesion).")
    try:
        require_same_grid(mask, grid)
    except GridMismatchError:
        mask = resample(mask.with_array(mask.array.astype(np.uint8)), grid.shape, grid.affine, nearest=True)
    return grid.with_array(mask.array.astype(np.uint8))
