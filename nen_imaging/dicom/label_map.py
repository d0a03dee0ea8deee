"""A reader's liver and lesions from a DICOM Segmentation image, as one label map (1 liver, 2 lesion)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nen_imaging.contract import Refusal
from nen_imaging.dicom.segmentation_image import Segment, read_segments
from nen_imaging.dicom.series import read_dataset
from nen_imaging.volume import Volume

_LIVER_WORDS = ("liver", "leber", "hepar", "foie")
_LESION_WORDS = ("lesion", "läsion", "tumor", "tumour", "metast", "neoplasm", "mass")


def read_label_map(path: Path) -> Volume:
    """The label map (uint8) on the segmentation's grid; lesions win over the liver.

    A segment is a lesion if its label names one (``lesion``, ``tumour``, ``metastasis``, also within ``liver
    lesion``), else the liver if its label says so; others are left out.

    Raises
    ------
    Refusal
        ``region.unreadable`` where no segment is called a liver (one that lesions cover is) or all are empty, and
        whatever the file is refused for; the text quotes no label, since a person typed them.
    """
    with path.open("rb") as stream:
        dataset = read_dataset(stream)
    if "SegmentSequence" not in dataset:
        raise Refusal("region.unreadable", "The mask is neither NIfTI nor DICOM SEG.")
    segments = read_segments(dataset)
    lesions = [segment for segment in segments if _is_called(segment, _LESION_WORDS)]
    others = [segment for segment in segments if not _is_called(segment, _LESION_WORDS)]
    livers = [segment for segment in others if _is_called(segment, _LIVER_WORDS)]
    if not livers:
        text = f"None of the {len(segments)} segments of the mask is called a liver (label `liver`; lesions: `lesion`)."
        raise Refusal("region.unreadable", text)
    labels = livers[0].mask.with_array(np.zeros(livers[0].mask.shape, np.uint8))
    for value, members in ((1, livers), (2, lesions)):
        for segment in members:
            labels.array[segment.mask.array.astype(bool)] = value
    if not labels.array.any():
        raise Refusal("region.unreadable", "The segments of the mask called liver or lesion hold no voxel.")
    return labels


def _is_called(segment: Segment, words: tuple[str, ...]) -> bool:
    return any(word in segment.label.casefold() for word in words)
