"""A labelled CT of a data set: what every adapter delivers, whatever lies on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from nen_imaging.contract import Refusal
from nen_imaging.validation.metrics import LESION, LIVER
from nen_imaging.validation.orientation import anatomy_objections
from nen_imaging.volume import GridMismatchError, Volume, require_same_grid


class ImportOptions(TypedDict, total=False):
    """The section `import_ct` of the config; see `geometry.arrange`."""

    spacing_tolerance_mm: float
    resample_uneven: bool


@dataclass(frozen=True)
class LabelledCt:
    """A CT (int16 HU) and its truth (uint8: 1 liver, 2 lesion) on one grid.

    ``notes`` are what a person should know of how they were read. ``exact`` holds figures of the truth that the label
    map cannot give, where they are known (see `phantom_cases`). ``lesions_labelled`` is false where this very truth
    turned out to lack them, though those of the data set have them.
    """

    ct: Volume
    truth: Volume
    notes: tuple[str, ...] = ()
    exact: Mapping[str, float] = field(default_factory=dict)
    lesions_labelled: bool = True


@dataclass(frozen=True)
class Case:
    """One case of a data set, not yet read.

    ``name`` is the data set's own number or name; ``read`` takes `ImportOptions`. ``known_as`` are names of the scan
    elsewhere, and as the last one the patient's: by them one finds out whether a network was trained on it. Where
    ``lesions_labelled`` is false the truth has no lesions because nobody drew them, not because there are none.
    ``variant`` is one of `validation.VARIANTS`, or none.
    """

    name: str
    read: Callable[..., LabelledCt]
    files: tuple[Path, ...] = ()
    known_as: tuple[str, ...] = ()
    lesions_labelled: bool = True
    whole_liver: bool = True
    variant: str = ""

    @property
    def patient(self) -> str:
        """Who it is of: the same name in every data set that holds scans of the same person, as far as is known."""
        return self.known_as[-1] if self.known_as else self.name


def grid_in_words(labels: Volume) -> str:
    """Axes, spacing and label codes."""
    spacing = " x ".join(f"{mm:.3g}" for mm in labels.spacing_mm)
    codes = [str(code) for code in (0, LIVER, LESION) if (labels.array == code).any()]
    return f"axes {_codes(labels)}, {spacing} mm, labels {' '.join(codes)}"


def fingerprint(files: Iterable[Path]) -> str:
    """A digest of each file's name, size and time: another truth or image under the same name is another case."""
    found = [(path.name, path.stat()) for path in files if path.exists()]
    text = json.dumps([(name, stat.st_size, stat.st_mtime_ns) for name, stat in found])
    return hashlib.sha256(text.encode()).hexdigest()


def labelled(ct: Volume, truth: Volume, notes: tuple[str, ...] = (), **known: Any) -> LabelledCt:  # noqa: ANN401
    """Join a CT and its labels, after a look at grid, label codes and orientation.

    The affine is rounded to 0.00001 mm: NIfTI keeps 32 bits of it and DICOM decimals, and a network's edge would
    otherwise differ by the format that a case comes in (by 0.0007 in Dice, where it was seen).

    Raises Refusal ``truth.unusable`` where the grids differ, a code is none of 0, 1, 2, or nothing is labelled.
    """
    ct = Volume(ct.array, np.round(ct.affine, 5))
    labels, told = on_grid_of(ct, truth)
    labels = checked_codes(labels)
    if not labels.array.any():
        raise Refusal("truth.unusable", "The label map is empty: it shows no liver.")
    return LabelledCt(ct, labels, (*notes, *told, *anatomy_objections(ct, labels)), **known)


def checked_codes(labels: Volume) -> Volume:
    """The same labels as uint8.

    Raises Refusal ``truth.unusable`` where a code is none of 0, 1, 2.
    """
    last = labels.shape[2]
    codes = np.unique(np.concatenate([np.unique(labels.array[:, :, k]) for k in range(last)]))  # a sort of all is slow
    if not np.isin(codes, (0, LIVER, LESION)).all():
        shown = ", ".join(f"{code:g}" for code in codes[:8])
        raise Refusal("truth.unusable", f"The labels hold the codes {shown}; 0, 1 (liver) and 2 (lesion) are known.")
    return labels.with_array(labels.array.astype(np.uint8))


def on_grid_of(ct: Volume, truth: Volume) -> tuple[Volume, tuple[str, ...]]:
    """The labels in the CT's own axes; where only the affines disagree they are taken voxel by voxel, and that is told.

    Raises Refusal ``truth.unusable`` where the shapes differ as well.
    """
    if _same_grid(ct, truth):
        return ct.with_array(truth.array), ()
    turned = truth.oriented(_codes(ct))
    if _same_grid(ct, turned):
        return ct.with_array(turned.array), ()
    if ct.shape == truth.shape:
        note = "The labels' affine differs from the image's: they were taken voxel by voxel, as the challenge does."
        return ct.with_array(truth.array), (note,)
    raise Refusal("truth.unusable", f"The image has {ct.shape} voxels, the labels {truth.shape}.")


def _same_grid(first: Volume, second: Volume) -> bool:
    try:
        require_same_grid(first, second, tolerance_mm=0.1)
    except GridMismatchError:
        return False
    return True


def _codes(volume: Volume) -> str:
    import nibabel

    return "".join(nibabel.aff2axcodes(volume.affine))
