"""Figures of a bundle on labelled cases, one row per scan, for the model card."""

from __future__ import annotations

import time
from typing import Any

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.segment import segment_volume
from nen_imaging.training.cases import Case
from nen_imaging.validation.scores import score_case


def evaluate(case: Case, bundle: Bundle, *, device: str = "cpu") -> dict[str, Any]:
    """Dice of liver (with lesions) and lesions, load found and true in percent, seconds, flags.

    What cannot be told is empty: figures of lesions that are not there or that nobody drew, loads without a liver.
    """
    started = time.perf_counter()
    found = segment_volume(case.image, bundle, device=device)
    seconds = time.perf_counter() - started
    scores = score_case(case.label, found.labels, lesions_labelled=case.lesions_known)
    load = scores["load"] or {}
    return {
        "scan": case.name,
        "liver_dice": round(scores["liver"]["dice"], 3),
        "lesion_dice": round(scores["lesion"]["dice"], 3) if case.lesions_known and case.has_lesions else "",
        "load_percent": round(load["percent"], 2) if load else "",
        "true_load_percent": round(load["true_percent"], 2) if load else "",
        "seconds": round(seconds, 1),
        "flags": " ".join(found.flags),
    }
