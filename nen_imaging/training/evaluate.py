"""Figures of a bundle on labelled cases, one row per scan, for the model card."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.segment import segment_volume
from nen_imaging.segmentation.uncertainty import overlap
from nen_imaging.training.cases import LESION, Case


def evaluate(case: Case, bundle: Bundle, *, device: str = "cpu") -> dict[str, Any]:
    """Dice of liver (with lesions) and lesions, load found and true in percent, seconds, flags."""
    started = time.perf_counter()
    found = segment_volume(case.image, bundle, device=device)
    seconds = time.perf_counter() - started
    masks = [volume.array.astype(np.uint8) for volume in (found.labels, case.label)]
    liver, true_liver = (mask > 0 for mask in masks)
    lesion, true_lesion = (mask == LESION for mask in masks)
    return {
        "scan": case.name,
        "liver_dice": round(overlap(liver, true_liver), 3),
        "lesion_dice": round(overlap(lesion, true_lesion), 3) if true_lesion.any() else "",
        "load_percent": round(100.0 * float(lesion.sum()) / max(1, int(liver.sum())), 2),
        "true_load_percent": round(100.0 * float(true_lesion.sum()) / max(1, int(true_liver.sum())), 2),
        "seconds": round(seconds, 1),
        "flags": " ".join(found.flags),
    }
