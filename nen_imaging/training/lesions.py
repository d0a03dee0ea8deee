"""Synthetic lesions in real parenchyma.

Public data stop far below the loads of neuroendocrine metastases (50 % and more), so these are made: warped and
lobulated ellipsoids from 3 to 120 mm, subcapsular, confluent, dark or bright, with rim, necrosis, calcification
and texture, placed until a drawn load is reached. The noise of the real image stays in them. Tumours made in real
livers train a network about as well as real ones: Hu et al., "Label-Free Liver Tumor Segmentation", CVPR 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.training.recipes import LesionRecipe

Floats = NDArray[np.float32]
LIVER, LESION = 1, 2
MASS_WITHIN_MM = 70.0  # of the liver
_RESIDUAL_HU = 30.0  # brighter or darker than the parenchyma by more: a vessel, not noise


@dataclass(frozen=True)
class Appearance:
    """How the lesions of one patient look: metastases of one liver resemble each other."""

    contrast_hu: float
    edge_mm: float
    texture_hu: float
    rim_hu: float
    necrosis: bool
    calcified: bool


def smooth_noise(shape: tuple[int, ...], cells: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Gaussian noise on a coarse grid of ``cells``, interpolated to ``shape``; about unit variance at the nodes."""
    import torch

    coarse = torch.from_numpy(rng.standard_normal((1, 1, *cells)).astype(np.float32))
    fine = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)
    return fine[0, 0].numpy()


def draw_load(recipe: LesionRecipe, rng: np.random.Generator) -> float:
    """The load to reach, in percent: mostly either low (log-uniform) or high (uniform)."""
    if rng.random() < recipe.high_load_share:
        return float(rng.uniform(*recipe.high_load_percent))
    low, high = np.log(recipe.low_load_percent)
    return float(np.exp(rng.uniform(low, high)))


def draw_appearance(recipe: LesionRecipe, rng: np.random.Generator, load_percent: float = 0.0) -> Appearance:
    """One patient's kind of lesion."""
    bright = rng.random() < recipe.hyperdense_share and load_percent <= recipe.bright_below_percent
    contrast_hu = rng.uniform(*(recipe.hyperdense_hu if bright else recipe.hypodense_hu))
    rim_hu = rng.uniform(10.0, 60.0) * (rng.random() < recipe.rim_share)
    return Appearance(
        contrast_hu=float(contrast_hu),
        edge_mm=float(rng.uniform(0.3, 2.5)),
        texture_hu=float(rng.uniform(0.0, 14.0)),
        rim_hu=float(rim_hu if rng.random() < 0.8 else -rim_hu),
        necrosis=bool(rng.random() < recipe.necrosis_share),
        calcified=bool(rng.random() < recipe.calcified_share),
    )


def add_lesions(
    image: Floats,
    label: NDArray[np.uint8],
    spacing_mm: NDArray[np.floating],
    rng: np.random.Generator,
    recipe: LesionRecipe,
    *,
    load_percent: float | None = None,
) -> tuple[Floats, NDArray[np.uint8]]:
    """Image (HU) and label (0, 1 liver, 2 lesion) with lesions added until the load is reached or their number spent.

    Lesions stay inside the liver, existing ones are kept; the inputs are not changed. Without a liver nothing happens.
    """
    from scipy.ndimage import uniform_filter

    image, label = image.astype(np.float32, copy=True), label.copy()
    liver = label > 0
    inside = np.flatnonzero(liver)
    if inside.size == 0:
        return image, label
    load_percent = draw_load(recipe, rng) if load_percent is None else load_percent
    target = load_percent / 100.0 * inside.size
    planned = int(np.exp(rng.uniform(0.0, np.log(recipe.maximum_count + 1))))
    look = draw_appearance(recipe, rng, load_percent)
    healthy = image[label == LIVER]
    base_hu = float(np.median(healthy if healthy.size else image[liver]))
    neighbours = uniform_filter(
        liver.astype(np.float32), size=tuple(np.maximum(3, np.round(18 / spacing_mm)).astype(int))
    )
    found = int((label == LESION).sum())
    for number in range(recipe.maximum_count):
        missing = target - found
        if missing <= 0:
            break
        volume_mm3 = missing / max(1, planned - number) * float(np.prod(spacing_mm))
        diameter_mm = 2 * (3 * volume_mm3 / (4 * np.pi)) ** (1 / 3) * np.exp(rng.normal(0, 0.35))
        diameter_mm = float(np.clip(diameter_mm, *recipe.diameter_mm))
        centre = _draw_centre(inside, label, neighbours, rng, recipe)
        found += _add_one(image, label, liver, spacing_mm, centre, diameter_mm, base_hu, look, rng, recipe)
    return image, label


def add_masses(
    image: Floats,
    label: NDArray[np.uint8],
    spacing_mm: NDArray[np.floating],
    rng: np.random.Generator,
    recipe: LesionRecipe,
) -> Floats:
    """Image with one to three masses beside the liver, which look like lesions and are none; the inputs stay.

    Cysts, tumours of the kidney or adrenal, a full stomach: a network that knows lesions in the liver alone takes them
    along.
    """
    from scipy.ndimage import distance_transform_edt

    image = image.astype(np.float32, copy=True)
    coarse = tuple(slice(None, None, max(1, round(6.0 / float(mm)))) for mm in spacing_mm)
    liver = label[coarse] > 0
    if not liver.any():
        return image
    steps = np.array([part.step for part in coarse])
    beside_mm = distance_transform_edt(~liver, sampling=spacing_mm * steps)
    soft = (image[coarse] > -50.0) & (image[coarse] < 250.0)
    places = np.argwhere(soft & (beside_mm > 3.0) & (beside_mm < MASS_WITHIN_MM))
    if not len(places):
        return image
    tissue = image[label > 0]
    around = (label == 0) & (image > -115.0) & (image < 300.0)
    nothing = np.zeros_like(label)
    for _ in range(int(rng.integers(1, 4))):
        look = draw_appearance(recipe, rng)
        centre = places[int(rng.integers(len(places)))] * steps
        diameter_mm = float(np.exp(rng.uniform(np.log(15.0), np.log(recipe.diameter_mm[1]))))
        _add_one(image, nothing, around, spacing_mm, centre, diameter_mm, float(np.median(tissue)), look, rng, recipe)
    return image


def _draw_centre(
    inside: NDArray[np.intp],
    label: NDArray[np.uint8],
    neighbours: Floats,
    rng: np.random.Generator,
    recipe: LesionRecipe,
) -> NDArray[np.intp]:
    """An index in the liver, outside lesions where that is found soon; subcapsular in some share."""
    drawn = rng.choice(inside, 12)
    healthy = drawn[label.ravel()[drawn] == LIVER]
    drawn = healthy if healthy.size else drawn
    if rng.random() < recipe.subcapsular_share:
        drawn = drawn[np.argmin(neighbours.ravel()[drawn])][None]
    return np.array(np.unravel_index(drawn[0], label.shape))


def _add_one(
    image: Floats,
    label: NDArray[np.uint8],
    liver: NDArray[np.bool_],
    spacing_mm: NDArray[np.floating],
    centre: NDArray[np.intp],
    diameter_mm: float,
    base_hu: float,
    look: Appearance,
    rng: np.random.Generator,
    recipe: LesionRecipe,
) -> int:
    """Draw one lesion into image and label, in place; returns how many voxels became lesion."""
    reach = np.ceil(0.8 * diameter_mm / spacing_mm).astype(int) + 2
    start = np.maximum(centre - reach, 0)
    stop = np.minimum(centre + reach + 1, label.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    grid = np.ogrid[box]
    offsets = [((axis - c) * s).astype(np.float32) for axis, c, s in zip(grid, centre, spacing_mm, strict=True)]
    depth = _shape(offsets, diameter_mm, rng, lobulated=rng.random() < recipe.lobulated_share)  # 0 centre, 1 edge
    edge_mm = max(look.edge_mm, 0.3)
    opacity = 1.0 / (1.0 + np.exp(np.clip((depth - 1.0) * (diameter_mm / 2 / edge_mm), -30, 30)))
    opacity *= liver[box]
    tissue = _tissue(image[box], depth, diameter_mm, base_hu, look, rng)
    image[box] += opacity * (tissue - image[box])
    new = (depth < 1.0) & liver[box] & (label[box] != LESION)
    label[box][new] = LESION
    return int(new.sum())


def _shape(offsets: list[Any], diameter_mm: float, rng: np.random.Generator, *, lobulated: bool) -> Floats:
    """Distance from the centre in units of the (warped) radius, on the open grid of ``offsets`` in mm."""
    depth: Any = None
    for lobe in range(int(rng.integers(2, 5)) if lobulated else 1):
        radii = diameter_mm / 2 * np.exp(rng.normal(0, 0.18, 3)) * (0.75 if lobe else 1.0)
        shift = rng.normal(0, 0.22 * diameter_mm, 3) * (lobe > 0)
        rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        centred = [offset - s for offset, s in zip(offsets, shift, strict=True)]
        squared = sum(
            ((row[0] * centred[0] + row[1] * centred[1] + row[2] * centred[2]) / radius) ** 2
            for row, radius in zip(rotation.astype(np.float32), radii.astype(np.float32), strict=True)
        )
        distance = np.sqrt(squared)
        depth = distance if depth is None else np.minimum(depth, distance)
    cells = int(np.clip(diameter_mm / 8, 3, 9))
    warp = smooth_noise(depth.shape, (cells, cells, cells), rng)
    return (depth + rng.uniform(0.05, 0.22) * warp).astype(np.float32)


def _tissue(
    image: Floats, depth: Floats, diameter_mm: float, base_hu: float, look: Appearance, rng: np.random.Generator
) -> Floats:
    """HU of the lesion: its contrast, rim, necrosis, texture, over the real image's noise with vessels damped."""
    cells = int(np.clip(diameter_mm / 4, 3, 12))
    texture = smooth_noise(image.shape, (cells, cells, cells), rng)
    residual = np.clip(image - base_hu, -_RESIDUAL_HU, _RESIDUAL_HU) * rng.uniform(0.4, 1.0)
    hu = base_hu + look.contrast_hu * np.exp(rng.normal(0, 0.2)) + look.texture_hu * texture + residual
    if look.rim_hu:
        hu += look.rim_hu * np.exp(-(((depth - 0.92) / 0.1) ** 2))
    if look.necrosis and diameter_mm > 12:
        core = 1.0 / (1.0 + np.exp(np.clip((depth - rng.uniform(0.3, 0.75)) * 20, -30, 30)))
        hu += core * (rng.uniform(0.0, 25.0) - hu + residual)
    if look.calcified:
        hu += np.where((texture > 1.8) & (depth < 0.8), rng.uniform(100.0, 400.0), 0.0)
    return hu.astype(np.float32)
