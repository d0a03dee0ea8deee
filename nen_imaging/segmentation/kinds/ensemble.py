"""Bundles of any kind, run one after the other and merged: the liver by majority, lesions by their mean probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nen_imaging.contract import Reason
from nen_imaging.segmentation.bundle import Bundle, verify
from nen_imaging.segmentation.drawn import UNCALIBRATED
from nen_imaging.segmentation.infer import used_together
from nen_imaging.segmentation.postprocess import LESION, LIVER
from nen_imaging.segmentation.result import Segmentation, no_liver, percent
from nen_imaging.segmentation.two_stage import SMALLEST_LIVER_ML
from nen_imaging.volume import Volume

Bytes = NDArray[np.uint8]

_LESION_FROM = 255 / 2  # probability x 255, the mean of the members


def check(_: Bundle) -> str:
    """See `Kind`; the registry has found the members already, and each of them is checked for itself."""
    return ""


def segment(ct: Volume, bundle: Bundle, *, device: str, threads: int | None) -> Segmentation:
    """See `segment_volume`; of the members' volumes only the sums are kept."""
    from nen_imaging.segmentation.segment import segment_volume

    verify(bundle)
    votes, chance = np.zeros(ct.shape, np.uint8), np.zeros(ct.shape, np.uint16)
    found = []
    with used_together(bundle.members):
        for member in bundle.members:
            one = segment_volume(ct, member, device=device, threads=threads)
            votes += np.greater(one.labels.array, 0)
            chance += np.asarray(one.probability.array, np.uint16)
            found.append((member.name, one.member_loads_percent, one.reasons, one.device_used, one.device_note))
            del one  # its volumes, before the next member needs the room
    names, loads, reasons, devices, notes = zip(*found, strict=True)
    used, note = ", ".join(dict.fromkeys(devices)), "; ".join(dict.fromkeys(filter(None, notes)))
    labels, probability = _merged(votes, chance, len(names))
    liver = labels > 0
    voxels = int(liver.sum())
    if voxels * ct.voxel_volume_ml < SMALLEST_LIVER_ML:
        return no_liver(ct, used, note)
    own = (
        percent(int((labels == LESION).sum()) / voxels),
        percent(float(probability[liver].sum(dtype=float)) / 255 / voxels),
    )
    members = tuple(load for one in loads for load in one)
    return Segmentation(
        ct.with_array(labels), ct.with_array(probability), (*own, *members), _united(names, reasons), used, note
    )


def _merged(votes: Bytes, chance: NDArray[np.uint16], members: int) -> tuple[Bytes, Bytes]:
    """Labels and probability x 255. Where half of the members see liver, it is liver: a tie counts.

    ``votes``: members that see liver; ``chance``: the sum of their probabilities x 255. Both are used up.
    """
    liver = 2 * votes.astype(np.uint16) >= members
    lesion = liver & (chance >= members * _LESION_FROM)
    labels = np.where(lesion, LESION, np.where(liver, LIVER, 0)).astype(np.uint8)
    chance += members // 2  # so that the division rounds
    chance //= members
    return labels, np.where(liver, chance, 0).astype(np.uint8)


def _united(names: Sequence[str], reasons: Sequence[tuple[Reason, ...]]) -> tuple[Reason, ...]:
    """One reason per code, telling which member says what where they differ.

    A member without liver contradicts the others, and that counts as an image unlike its training data. The interval
    reaches over all the members' own, so that it is as wide as it should be if one of them knows its own.
    """
    said: dict[str, list[tuple[str, str]]] = {}
    for name, member in zip(names, reasons, strict=True):
        for reason in member:
            code = "image.unlike_training" if reason.code == "liver.absent" else reason.code
            said.setdefault(code, []).append((name, reason.text))
    if any(not {UNCALIBRATED.code, "liver.absent"} & {reason.code for reason in member} for member in reasons):
        said.pop(UNCALIBRATED.code, None)
    return tuple(Reason(code, _text(told, len(names))) for code, told in said.items())


def _text(told: Sequence[tuple[str, str]], members: int) -> str:
    texts = {text for _, text in told}
    if len(told) == members and len(texts) == 1:
        return texts.pop()
    return " ".join(f"{name}: {text}" for name, text in told)
