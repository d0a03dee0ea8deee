"""From a CT to what the networks see: orientation, grids, intensity channels.

The networks see arrays whose axes point to the patient's left, back and head (LPS), isotropic.
Training and inference share these functions, so that both see the same input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.volume import Volume, grid_with_spacing, resample

if TYPE_CHECKING:
    import torch

AIR_HU = -1024.0
ORIENTATION = "LPS"
_HISTOGRAM_HU = (-150.0, 350.0)
_SMOOTHED_HU = 7.0
_PEAK_SHARE = 0.35  # of the histogram's highest point; vessels and most bright lesions make a lower one
_BEND_SHARE = 0.1  # of its strongest bend
_ABOVE_PEAK_HU = 5.0  # of the reference: where networks learnt against another one, the 80th percentile, expect it
NEAR_LIVER_VOXELS = 6  # what the coarse network may miss of the liver's edge


@dataclass(frozen=True)
class InputScaling:
    """How HU become network input.

    The window is the narrowest that all training sources have in common: none of them can be told by its clipping.
    """

    window_hu: tuple[float, float] = (-125.0, 240.0)
    relative_hu: float = 80.0
    relative_clip: float = 2.0


def windowed(hu: torch.Tensor, scaling: InputScaling) -> torch.Tensor:
    """HU mapped so that the window becomes -1 to 1, clipped there."""
    low, high = scaling.window_hu
    return (hu.clamp(low, high) - low) * (2.0 / (high - low)) - 1.0


def lesion_channels(
    hu: torch.Tensor, liver_probability: torch.Tensor, reference_hu: float, scaling: InputScaling
) -> torch.Tensor:
    """Input of the lesion network, shape (3, i, j, k): windowed HU, HU relative to the parenchyma, liver probability.

    ``reference_hu``, the parenchyma's in the whole liver (see the function of that name), tells the network what is
    normal here even where the patch shows nothing but tumour. Away from the liver the second channel is 0, that is
    parenchyma: a network that normalises over the patch would lose the difference to a constant otherwise.
    """
    import torch

    relative = ((hu - reference_hu) / scaling.relative_hu).clamp(-scaling.relative_clip, scaling.relative_clip)
    return torch.stack([windowed(hu, scaling), relative * _near_liver(liver_probability), liver_probability])


def _near_liver(probability: torch.Tensor) -> torch.Tensor:
    """1 within `NEAR_LIVER_VOXELS` of where the liver is likely, else 0."""
    import torch
    from scipy.ndimage import maximum_filter

    near = maximum_filter((probability >= 0.3).numpy(), size=2 * NEAR_LIVER_VOXELS + 1)
    return torch.from_numpy(near).to(probability.dtype)


def reference_hu(hu: NDArray[Any], liver: NDArray[np.bool_]) -> float:
    """HU of the parenchyma, and a little more, in a liver (not empty) with lesions, from HU averaged over millimetres.

    The brightest peak or shoulder of the histogram: lesions are mostly darker, and where they fill more than half of
    the liver its median and its highest peak are theirs. In 122 livers with loads up to 70 % it lies within 6 HU of the
    parenchyma's own peak, but for one (12 too high), where the 80th percentile is up to 16 HU too low (high loads) or
    15 too high (fat beside bright vessels).
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    low, high = _HISTOGRAM_HU
    counts, edges = np.histogram(np.clip(hu[liver], low, high), bins=int(high - low), range=(low, high))
    counts = np.pad(counts.astype(float), 1)
    density, bend = (gaussian_filter1d(counts, _SMOOTHED_HU, order=order, mode="constant") for order in (0, 2))
    peaks, _ = find_peaks(-bend, height=_BEND_SHARE * -bend.min())
    high_enough = peaks[density[peaks] >= _PEAK_SHARE * density[peaks].max()]
    return float(edges[high_enough[-1] - 1]) + 0.5 + _ABOVE_PEAK_HU


def prepared(ct: Volume) -> Volume:
    """The CT as the networks want it: axes LPS, int16 HU, voxels that are not a number as air."""
    oriented = ct.oriented(ORIENTATION)
    array = oriented.array
    if np.issubdtype(array.dtype, np.floating):
        array = np.nan_to_num(array, nan=AIR_HU, posinf=AIR_HU, neginf=AIR_HU)
    array = np.clip(array, AIR_HU, 3071).astype(np.int16)
    return Volume(array, oriented.affine)


def at_spacing(volume: Volume, spacing_mm: float | NDArray[np.floating]) -> Volume:
    """A CT on the grid of that spacing, one or one per axis, over the same box; float32, smoothed where it is coarser.

    Whole voxels are averaged first (cheap, and enough against aliasing), then interpolated linearly.
    """
    spacing_mm = np.broadcast_to(np.asarray(spacing_mm, float), 3)
    shape, affine = grid_with_spacing(volume, spacing_mm)
    factors = np.maximum(1, np.floor(spacing_mm / volume.spacing_mm + 0.05)).astype(int)
    return resample(_block_mean(volume, factors), shape, affine, outside=AIR_HU)


def _block_mean(volume: Volume, factors: NDArray[np.intp]) -> Volume:
    """Mean over blocks of voxels; the last block of an axis may be smaller. Slabs keep the memory low."""
    starts = [np.arange(0, n, f) for n, f in zip(volume.shape, factors, strict=True)]
    counts = [np.diff(np.append(first, n)) for first, n in zip(starts, volume.shape, strict=True)]
    mean = np.empty([len(first) for first in starts], np.float32)
    for index, first in enumerate(starts[2]):
        slab = volume.array[:, :, first : first + factors[2]].sum(axis=2, dtype=np.float32)
        plane = np.add.reduceat(np.add.reduceat(slab, starts[0], axis=0), starts[1], axis=1)
        mean[:, :, index] = plane / (counts[0][:, None] * counts[1][None] * counts[2][index])
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * factors
    affine[:3, 3] += volume.affine[:3, :3] @ ((factors - 1) / 2)
    return Volume(mean, affine)


def padded(volume: Volume, patch: tuple[int, int, int], outside: float) -> Volume:
    """The volume at least as large as a patch, filled at its far ends: indices stay what they were."""
    missing = [(0, max(0, wanted - n)) for wanted, n in zip(patch, volume.shape, strict=True)]
    return Volume(np.pad(volume.array, missing, constant_values=outside), volume.affine)


def box_around(mask: NDArray[np.bool_], margin: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and one-past-last index of the box around a mask (not empty), grown by a margin and kept on the grid."""
    where = [np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    start = np.array([found[0] for found in where]) - margin
    stop = np.array([found[-1] + 1 for found in where]) + margin
    return np.maximum(start, 0), np.minimum(stop, mask.shape)
