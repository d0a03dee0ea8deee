"""Aorta and spleen found on a CT by rules of anatomy, without a network; refused where they cannot be trusted.

All work is done on a coarse RAS copy of the slices at the liver's level: axes are right, anterior, superior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.volume import Volume

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_COARSE_MM = 3.0
_MARGIN_MM = 30.0
_BODY_HU = -300.0


@dataclass(frozen=True)
class Found:
    """An organ's mask on the abdomen's grid, or None with the reason why there is none."""

    mask: Mask | None
    reason: str = ""


@dataclass(frozen=True)
class Abdomen:
    """A coarse RAS copy of the slices at liver level: HU (float32) and the liver with its lesions."""

    hu: Volume
    liver: Mask

    @property
    def spacing_mm(self) -> NDArray[np.floating]:
        return self.hu.spacing_mm

    @property
    def values(self) -> Floats:
        return np.asarray(self.hu.array, np.float32)

    def median_hu(self, organ: Found) -> float | None:
        return None if organ.mask is None else float(np.median(self.values[organ.mask]))


def coarse_abdomen(ct: Volume, liver: Mask) -> Abdomen:
    """Average whole voxels of the CT to about 3 mm, 30 mm above to 30 mm below the liver (same grid as ``ct``).

    Raises ValueError if the mask holds no liver.
    """
    if not liver.any():
        raise ValueError("The mask holds no liver, so nothing says where the upper abdomen lies.")
    start, stop = np.zeros(3, int), np.array(ct.shape)
    axis = int(np.abs(ct.affine[2, :3] / ct.spacing_mm).argmax())
    slices = np.flatnonzero(liver.any(axis=tuple(other for other in range(3) if other != axis)))
    margin = round(_MARGIN_MM / float(ct.spacing_mm[axis]))
    start[axis], stop[axis] = max(0, slices[0] - margin), min(ct.shape[axis], slices[-1] + 1 + margin)
    hu = _block_means(ct.cropped(start, stop).oriented("RAS"))
    share = _block_means(ct.with_array(liver).cropped(start, stop).oriented("RAS"))
    return Abdomen(hu, np.asarray(share.array, np.float32) >= 0.5)


def _block_means(volume: Volume) -> Volume:
    factors = np.clip(np.round(_COARSE_MM / volume.spacing_mm), 1, volume.shape).astype(int)
    shape = np.array(volume.shape) // factors
    blocks = volume.cropped(np.zeros(3, int), shape * factors).array
    split = blocks.reshape([part for pair in zip(shape, factors, strict=True) for part in pair])
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * factors
    affine[:3, 3] += volume.affine[:3, :3] @ ((factors - 1) / 2)
    return Volume(split.mean(axis=(1, 3, 5), dtype=np.float32), affine)


UNENHANCED_AORTA_HU = 75.0
_ENHANCED_LIVER_HU = 85.0


@dataclass(frozen=True)
class Landmarks:
    """Aorta and spleen, each found or refused with its reason."""

    aorta: Found
    spleen: Found


def find_landmarks(abdomen: Abdomen, liver_hu: float | None) -> Landmarks:
    """Find both; the healthy liver's HU show a vessel that cannot be the aorta, and what the spleen must look like."""
    aorta = find_aorta(abdomen)
    aorta_hu = abdomen.median_hu(aorta)
    liver_enhanced = liver_hu is not None and liver_hu > _ENHANCED_LIVER_HU
    if aorta_hu is not None and aorta_hu < UNENHANCED_AORTA_HU and liver_enhanced:
        text = f"the vessel found ({aorta_hu:.0f} HU) does not fit an enhanced liver ({liver_hu:.0f} HU)"
        aorta, aorta_hu = Found(None, text), None
    enhanced = liver_enhanced if aorta_hu is None else aorta_hu >= UNENHANCED_AORTA_HU
    return Landmarks(aorta, find_spleen(abdomen, enhanced=enhanced, aorta_hu=aorta_hu))


# --- aorta: the round, even vessel in front and to the left of the spine -----------------------------------------

_RADII_MM = (7.0, 9.5, 12.5)
_WINDOW_MM = {"left": 42.0, "right": 12.0, "front": 60.0, "behind": 10.0}  # around the front edge of the spine
_LONG_ENOUGH_MM = 40.0
_SPINE_BONE = 0.35  # share of bone around the middle of the vertebrae; ribs, limbs and organs stay below
_ASIDE_PER_MM = 0.004
_TRUSTED_SCORE = 0.35
_TRUSTED_SPREAD_HU = 40.0


def find_aorta(abdomen: Abdomen) -> Found:
    """The lumen of the aorta: on every slice the disc of even HU, darker all around, on the smoothest way along z."""
    hu = np.clip(abdomen.values, -200, 450)
    if hu.shape[2] * abdomen.spacing_mm[2] < _LONG_ENOUGH_MM:
        return Found(None, "fewer than 40 mm of the abdomen are in view")
    spine = find_spine(abdomen)
    if spine is None:
        return Found(None, "no spine was found")
    window = _window(spine, abdomen)
    if window is None:
        return Found(None, "the space in front of the spine is cut by the edge of the image")
    score, radius = _disc_score(hu, window, abdomen.spacing_mm)
    way = _smoothest_way(score)
    scores = score[way[:, 0], way[:, 1], np.arange(len(way))]
    discs = _discs(
        hu.shape, way + [part.start for part in window], 0.6 * radius[way[:, 0], way[:, 1], range(len(way))], abdomen
    )
    of_slice = np.array([np.median(hu[:, :, z][discs[:, :, z]]) for z in range(len(way))])
    run = _steadiest_run(of_slice, scores, round(_LONG_ENOUGH_MM / float(abdomen.spacing_mm[2])))
    spread = float(np.ptp(of_slice[run]))
    if spread > _TRUSTED_SPREAD_HU or float(np.mean(scores[run])) < _TRUSTED_SCORE:
        return Found(None, f"no 40 mm of an even vessel stand in front of the spine (its HU vary by {spread:.0f})")
    same = np.abs(of_slice - np.median(of_slice[run])) <= _TRUSTED_SPREAD_HU / 2
    return Found(discs & (same & (scores >= _TRUSTED_SCORE)))


def _discs(shape: tuple[int, ...], centres: NDArray[np.intp], radii_mm: Floats, abdomen: Abdomen) -> Mask:
    x, y = np.ogrid[: shape[0], : shape[1]]
    dx, dy, _ = abdomen.spacing_mm
    discs = [np.hypot((x - i) * dx, (y - j) * dy) <= r for (i, j), r in zip(centres, radii_mm, strict=True)]
    return np.stack(discs, axis=2)


def _steadiest_run(of_slice: NDArray[np.floating], scores: Floats, count: int) -> slice:
    """The run of that many slices with the least spread of HU, weighed against the score."""
    runs = [slice(z, z + count) for z in range(len(of_slice) - count + 1)]
    return min(runs, key=lambda run: float(np.ptp(of_slice[run])) - 40 * float(np.mean(scores[run])))


def find_spine(abdomen: Abdomen) -> tuple[int, int] | None:
    """The front edge (i, j) of the vertebral bodies: where bone stands on most slices, as nowhere else in the body.

    The body's middle, which a small field of view moves, has a say but no more: enhanced kidneys, as bright as bone,
    stand farther from it.
    """
    hu = abdomen.values
    body = ndimage.binary_opening((hu > _BODY_HU).mean(axis=2) > 0.5, iterations=3)
    if not body.any():
        return None
    width = 12.0 / abdomen.spacing_mm[:2]
    bone = ndimage.gaussian_filter((hu > 150).mean(axis=2, dtype=np.float32), width, mode="constant")
    aside_mm = np.abs(np.arange(len(body)) - np.argwhere(body)[:, 0].mean())[:, None] * abdomen.spacing_mm[0]
    likely = np.where(body, bone - _ASIDE_PER_MM * aside_mm, -np.inf)
    i, j = (int(n) for n in np.unravel_index(int(likely.argmax()), bone.shape))
    if bone[i, j] < _SPINE_BONE:
        return None
    right_half = (hu[i : i + round(15.0 / abdomen.spacing_mm[0])] > 200).mean(axis=(0, 2))  # the aorta runs on the left
    front = j
    while front + 1 < len(right_half) and right_half[front + 1] > 0.25:
        front += 1
    return i, front


def _window(spine: tuple[int, int], abdomen: Abdomen) -> tuple[slice, slice] | None:
    """Where the centre of the aorta may lie; None where the image ends before most of that place."""
    dx, dy, _ = abdomen.spacing_mm
    edge = int(np.ceil((max(_RADII_MM) + 8) / min(dx, dy)))  # room for the ring around a disc
    i, j = spine
    low = (i - round(_WINDOW_MM["left"] / dx), j - round(_WINDOW_MM["behind"] / dy))
    high = (i + round(_WINDOW_MM["right"] / dx), j + round(_WINDOW_MM["front"] / dy))
    parts = [slice(max(edge, a), min(n - edge, b)) for a, b, n in zip(low, high, abdomen.hu.shape[:2], strict=True)]
    if any(2 * (part.stop - part.start) < b - a for part, a, b in zip(parts, low, high, strict=True)):
        return None
    return parts[0], parts[1]


def _disc_score(hu: Floats, window: tuple[slice, slice], spacing_mm: Any) -> tuple[Floats, Floats]:  # noqa: ANN401
    """How much each place of the window looks like the centre of a vessel, and with which radius; axes (x, y, z)."""
    best: Floats | None = None
    smooth = ndimage.uniform_filter1d(hu, max(1, round(9.0 / float(spacing_mm[2]))), axis=2)
    for radius_mm in _RADII_MM:
        disc = _offsets(0, radius_mm - 1.5, spacing_mm)
        ring = _offsets(radius_mm + 2.5, radius_mm + 6.5, spacing_mm)
        values = np.stack([_moved(smooth, window, offset) for offset in disc])
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        darker = np.mean([_moved(smooth, window, offset) < mean - 15 for offset in ring], axis=0)
        plausible = (mean > 20) & (mean < min(420.0, 0.95 * float(hu.max())))  # bone alone reaches a clipped maximum
        score = np.where(plausible, darker - deviation / 60, -1).astype(np.float32)
        if best is None:
            best, radius = score, np.full_like(score, radius_mm)
        else:
            radius = np.where(score > best, radius_mm, radius).astype(np.float32)
            best = np.maximum(best, score)
    assert best is not None
    return best, radius


def _offsets(low_mm: float, high_mm: float, spacing_mm: Any) -> list[tuple[int, int]]:  # noqa: ANN401
    reach = [int(high_mm / spacing) for spacing in spacing_mm[:2]]
    return [
        (i, j)
        for i in range(-reach[0], reach[0] + 1)
        for j in range(-reach[1], reach[1] + 1)
        if low_mm <= np.hypot(i * spacing_mm[0], j * spacing_mm[1]) <= high_mm
    ]


def _moved(hu: Floats, window: tuple[slice, slice], offset: tuple[int, int]) -> Floats:
    x, y = (slice(part.start + by, part.stop + by) for part, by in zip(window, offset, strict=True))
    return hu[x, y]


def _smoothest_way(score: Floats) -> NDArray[np.intp]:
    """The way (x, y) through all slices with the greatest sum of scores, one voxel per slice at most; shape (z, 2)."""
    sums = [score[:, :, 0]]
    for z in range(1, score.shape[2]):
        sums.append(score[:, :, z] + ndimage.maximum_filter(sums[-1], 3, mode="nearest"))
    last = np.unravel_index(int(sums[-1].argmax()), sums[-1].shape)
    way = [(int(last[0]), int(last[1]))]
    for here in reversed(sums[:-1]):
        i, j = way[-1]
        start = max(0, i - 1), max(0, j - 1)
        near = here[start[0] : i + 2, start[1] : j + 2]
        a, b = (int(n) for n in np.unravel_index(int(near.argmax()), near.shape))
        way.append((start[0] + a, start[1] + b))
    return np.array(way[::-1])


# --- spleen: the largest even body of soft tissue on the left, behind ---------------------------------------------

_SPLEEN_HU = (25.0, 230.0)
_ENHANCED_HU = 75.0  # with contrast medium in the aorta the spleen is brighter than this, muscle and stomach are not
_EVEN_SD_HU = 18.0
_BESIDE_SPINE_MM = 38.0
_UNDER_SKIN_MM = 18.0
_CORE_MM = 6.0
_SPLEEN_ML = (25.0, 3000.0)


def find_spleen(abdomen: Abdomen, *, enhanced: bool, aorta_hu: float | None = None) -> Found:
    """The core of the spleen: soft tissue of even HU, left of the spine and behind, the largest such body there.

    ``enhanced`` says whether contrast medium was given. The spleen is never brighter than the blood in the aorta; a
    kidney, which concentrates the medium, is.
    """
    spine = find_spine(abdomen)
    if spine is None:
        return Found(None, "no spine was found")
    dx, dy, dz = abdomen.spacing_mm
    hu = abdomen.values
    smooth = ndimage.uniform_filter(np.clip(hu, -200, 450), 3)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(np.clip(hu, -200, 450) ** 2, 3) - smooth**2, 0))
    x, y, _ = np.ogrid[tuple(slice(n) for n in hu.shape)]
    brightest = _SPLEEN_HU[1] if aorta_hu is None or not enhanced else min(_SPLEEN_HU[1], aorta_hu)
    place = ((spine[0] - x) * dx > _BESIDE_SPINE_MM) & ((y - spine[1]) * dy < 45.0)
    tissue = (
        (smooth > (_ENHANCED_HU if enhanced else _SPLEEN_HU[0])) & (smooth < brightest) & (spread < _EVEN_SD_HU) & place
    )
    tissue &= ~ndimage.binary_dilation(abdomen.liver, iterations=max(1, round(6.0 / float(dx))))
    tissue &= _depth_under_skin_mm(hu, (float(dx), float(dy))) > _UNDER_SKIN_MM
    core = ndimage.distance_transform_edt(tissue, sampling=abdomen.spacing_mm) > _CORE_MM
    parts, count = ndimage.label(core)
    if count == 0:
        return Found(None, "no even body of soft tissue on the left")
    sizes = np.bincount(parts.ravel())[1:]
    largest = int(sizes.argmax())
    mask = parts == largest + 1
    volume = (
        float(ndimage.binary_dilation(mask, iterations=max(1, round(_CORE_MM / float(dx)))).sum() * dx * dy * dz) / 1000
    )
    if not _SPLEEN_ML[0] <= volume <= _SPLEEN_ML[1]:
        return Found(None, f"the largest even body on the left has {volume:.0f} ml")
    return Found(mask)


def _depth_under_skin_mm(hu: Floats, spacing_mm: tuple[float, float]) -> Floats:
    body = body_mask(hu)
    depth = [ndimage.distance_transform_edt(body[:, :, z], sampling=spacing_mm) for z in range(hu.shape[2])]
    return np.stack(depth, axis=2).astype(np.float32)


def body_mask(hu: Floats) -> Mask:
    """Everything inside the skin, slice by slice, without what is thin, as a table is; HU (x, y, z) of about 3 mm."""
    body = ndimage.binary_opening(hu > _BODY_HU, np.ones((3, 3, 1), bool), iterations=2)
    return np.stack([ndimage.binary_fill_holes(body[:, :, z]) for z in range(hu.shape[2])], axis=2)
