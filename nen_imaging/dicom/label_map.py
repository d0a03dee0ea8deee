"""A reader's liver and lesions from a DICOM Segmentation image, as one label map (1 liver, 2 lesion)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nen_imaging.contract import Refusal
from nen_imaging.dicom.segmentation_image import read_segments
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
        ``region.unreadable`` where no segment is called a liver, and whatever the file is refused for; the text
        quotes no label, since a person typed them.
    """
    with path.open("rb") as stream:
        dataset = read_dataset(stream)
    if "SegmentSequence" not in dataset:
        raise Refusal("region.unreadable", "The mask is neither NIfTI nor DICOM SEG.")
    segments = read_segments(dataset)
    labels: Volume | None = None
    for value, words in ((1, _LIVER_WORDS), (2, _LESION_WORDS)):
        for segment in segments:
            name = segment.label.casefold()
            if not any(word in name for word in words) or (value == 1 and _is_lesion(name)):
                continue
            if labels is None:
                labels = segment.mask.with_array(np.zeros(segment.mask.shape, np.uint8))
            labels.array[segment.mask.array.astype(bool)] = value
    if labels is None or not (labels.array == 1).any():
        text = f"None of the {len(segments)} segments of the mask is called a liver (label `liver`; lesions: `lesion`)."
        raise Refusal("region.unreadable", text)
    return labels


def _is_lesion(name: str) -> bool:
    return any(word in name for word in _LESION_WORDS)
