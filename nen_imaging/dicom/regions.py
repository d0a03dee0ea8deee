"""A reader's volume of interest from whatever a workstation exports: NIfTI, DICOM SEG or RT Structure Set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nibabel.filebasedimages import ImageFileError

from nen_imaging.contract import Refusal
from nen_imaging.dicom.contours import own_mask, read_contours
from nen_imaging.dicom.segmentation_image import read_segments
from nen_imaging.dicom.series import read_dataset
from nen_imaging.volume import Volume, read_nifti


def read_region(path: Path, name: str) -> Volume:
    """The mask (boolean) of one region on its own grid.

    Of a file with several regions the one called ``name`` is taken (in any case of letters).

    Raises
    ------
    Refusal
        ``region.unreadable`` and whatever the file's kind is refused for; the text quotes no region's name, since
        a person typed them.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        try:
            volume = read_nifti(path)
        except (OSError, EOFError, ValueError, ImageFileError) as error:
            raise Refusal("region.unreadable", f"The NIfTI file cannot be read ({type(error).__name__}).") from error
        return volume.with_array(volume.array.astype(np.float32) > 0)
    with path.open("rb") as stream:
        dataset = read_dataset(stream)
    if "ROIContourSequence" in dataset:
        regions = read_contours(dataset)
        return own_mask(regions[_place([one.name for one in regions], name)])
    if "SegmentSequence" in dataset:
        segments = read_segments(dataset)
        return segments[_place([one.label for one in segments], name)].mask
    raise Refusal("region.unreadable", "The file is neither NIfTI nor DICOM SEG nor RTSTRUCT.")


def _place(names: list[str], wanted: str) -> int:
    if len(names) == 1:
        return 0
    found = [place for place, name in enumerate(names) if name.strip().casefold() == wanted.strip().casefold()]
    if len(found) != 1:
        raise Refusal("region.unreadable", f"{len(found)} of its {len(names)} regions have the name of the row.")
    return found[0]
