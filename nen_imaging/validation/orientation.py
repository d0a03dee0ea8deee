"""Which way a body lies in an array, told by the body: liver on the right, spine at the back, lungs on top.

Public copies lose orientations: the volumes 28 to 47 of LiTS carry an identity affine in some of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.contract import Refusal
from nen_imaging.volume import FloatArray, Volume

_BODY_HU = -300
_BONE_HU = 250
_LUNG_HU = (-950, -500)
_FEWEST_VOXELS = 20
_SPARSE = 4
_LANDMARKS = (("liver", 1, "left"), ("spine", -1, "front"), ("lungs", 1, "lower"))
"""By axis of RAS: what tells it, towards which end of the axis that lies, and the side where it must not lie."""


def anatomy_objections(ct: Volume, truth: Volume) -> tuple[str, ...]:
    """What contradicts the affine in where liver, spine and lungs lie, as sentences; none where all agrees."""
    hu, labels = (Volume(_sparse(volume.array), volume.affine).oriented("RAS").array for volume in (ct, truth))
    return tuple(
        f"The {name} lies on the {wrong} side: check the orientation of this image."
        for (name, expected, wrong), sign in zip(_LANDMARKS, landmark_signs(hu, labels), strict=True)
        if sign == -expected
    )


def placed_by_anatomy(array: NDArray[Any], truth: NDArray[Any], spacing_mm: FloatArray) -> FloatArray:
    """An affine for an image that lost its own: axes left-right, front-back, foot-head, directions by the body.

    The origin is lost for good: it becomes that of the first voxel.

    Raises
    ------
    Refusal
        ``geometry.missing`` where liver, spine or lungs are not in view.
    """
    signs = np.array(landmark_signs(_sparse(array), _sparse(truth))) * [expected for _, expected, _ in _LANDMARKS]
    if not signs.all():
        missing = ", ".join(name for (name, *_), sign in zip(_LANDMARKS, signs, strict=True) if not sign)
        raise Refusal(
            "geometry.missing", f"The image lost its orientation, and the body does not tell it: no {missing}."
        )
    return np.diag([*(signs * np.asarray(spacing_mm, float)), 1.0])


def landmark_signs(hu: NDArray[Any], truth: NDArray[Any]) -> tuple[int, int, int]:
    """On which side of the body's middle lie the liver (axis 0), the bones (axis 1), the lungs (axis 2): 1 or -1.

    Towards higher or lower indices; 0 where the image does not show it.
    """
    liver, body = truth > 0, hu > _BODY_HU
    lung = (hu > _LUNG_HU[0]) & (hu < _LUNG_HU[1]) & _between(body)
    marks = (liver, _spine(hu > _BONE_HU), lung)
    return tuple(_sign(mark, body, axis) for axis, mark in enumerate(marks))  # type: ignore[return-value]


def _sparse(array: NDArray[Any]) -> NDArray[Any]:
    """Every fourth voxel of each axis, more of a short one: enough to see a lung."""
    return array[tuple(slice(None, None, min(_SPARSE, max(1, n // 16))) for n in array.shape)]


def _spine(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bright voxels in columns that are bright from end to end: not ribs, nor contrast in the bowel."""
    share = bone.mean(axis=2, keepdims=True)
    return bone & (share > 0.6 * share.max())


def _between(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels with body on both sides along axis 0 and axis 1: inside the chest, not beside it."""
    inside = np.ones_like(body)
    for axis in (0, 1):
        inside &= np.logical_or.accumulate(body, axis)
        inside &= np.flip(np.logical_or.accumulate(np.flip(body, axis), axis), axis)
    return inside


def _sign(mark: NDArray[np.bool_], body: NDArray[np.bool_], axis: int) -> int:
    if mark.sum() < _FEWEST_VOXELS or body.sum() < _FEWEST_VOXELS:
        return 0
    place = [float(np.argwhere(mask)[:, axis].mean()) for mask in (mark, body)]
    return int(np.sign(place[0] - place[1]))
