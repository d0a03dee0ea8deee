"""A case -> a synthetic variant of it -> a randomly placed, deformed and degraded patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.segmentation.preprocess import (
    AIR_HU,
    InputScaling,
    box_around,
    lesion_channels,
    reference_hu,
    windowed,
)
from nen_imaging.training.cases import LESION, Case, parenchyma_hu
from nen_imaging.training.lesions import add_lesions, add_masses, smooth_noise
from nen_imaging.training.recipes import LesionRecipe, NetworkRecipe
from nen_imaging.training.transplant import Donated, transplant

if TYPE_CHECKING:
    import torch

LIVER_WEIGHT = 3.0  # added to the weight of the lesion target inside the liver
UNLABELLED_WEIGHT = 0.3  # share of it that is left in a liver whose lesions were never labelled; of synthetic ones too
_VESSEL_HU = 18.0  # brighter than the parenchyma by more, in an image smoothed by a voxel: a vessel


@dataclass(frozen=True)
class Variant:
    """A case with synthetic lesions and another contrast phase; patches are drawn from it."""

    hu: NDArray[np.float32]
    label: NDArray[np.uint8]
    spacing_mm: NDArray[np.floating]
    reference_hu: float
    lesions_known: bool
    lesion_voxels: NDArray[np.intp]
    liver_voxels: NDArray[np.intp]


def make_variant(
    case: Case, recipe: LesionRecipe, rng: np.random.Generator, donors: Sequence[Sequence[Donated]] = ()
) -> Variant:
    """Lesions are added to a share of the real ones and to more of the livers without: synthetic or transplanted."""
    hu, label = case.image.array.astype(np.float32), case.label.array.astype(np.uint8)
    share = recipe.share if case.has_lesions else min(1.0, recipe.share + 0.2)
    if donors and rng.random() < recipe.transplanted_share:
        hu, label = transplant(hu, label, case.image.spacing_mm, donors, rng)
    elif rng.random() < share:
        hu, label = add_lesions(hu, label, case.image.spacing_mm, rng, recipe)
    if rng.random() < recipe.mass_share:
        hu = add_masses(hu, label, case.image.spacing_mm, rng, recipe)
    if rng.random() < recipe.phase_share:
        hu = change_phase(hu, label, rng, recipe)
    return Variant(
        hu,
        label,
        case.image.spacing_mm,
        _reference_of(hu, label, case.image.spacing_mm),
        case.lesions_known,
        np.flatnonzero(label == LESION),
        np.flatnonzero(label > 0),
    )


def _reference_of(hu: NDArray[np.float32], label: NDArray[np.uint8], spacing_mm: NDArray[np.floating]) -> float:
    """As inference takes it: from HU averaged over about 4 mm, lesions included."""
    from scipy.ndimage import uniform_filter

    if not label.any():
        return parenchyma_hu(hu, label)
    box = _liver_box(label)
    smooth = uniform_filter(hu[box], np.maximum(1, np.round(4.0 / spacing_mm)).astype(int))
    return reference_hu(smooth, label[box] > 0)


def _liver_box(label: NDArray[np.uint8]) -> tuple[slice, ...]:
    """The liver and what lies within a few voxels: a filter of the whole image would cost several times as much."""
    start, stop = box_around(label > 0, np.full(3, 4))
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))


def change_phase(
    hu: NDArray[np.float32], label: NDArray[np.uint8], rng: np.random.Generator, recipe: LesionRecipe
) -> NDArray[np.float32]:
    """Another contrast phase or a fatty liver: liver, its vessels and its lesions shift against all else.

    Vessels (what stands out of the parenchyma) are damped to nothing or turned dark, as in arterial or native images.
    In a fatty liver they stay as they are, and lesions partly so: both hold no fat, and stand out.
    """
    if not label.any():
        return hu
    box = _liver_box(label)
    changed = hu.copy()
    changed[box] = _phase_changed(hu[box], label[box], rng, recipe)
    return changed


def _phase_changed(
    hu: NDArray[np.float32], label: NDArray[np.uint8], rng: np.random.Generator, recipe: LesionRecipe
) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    liver = gaussian_filter((label > 0).astype(np.float32), 0.7)
    lesion = gaussian_filter((label == LESION).astype(np.float32), 0.7)
    vessels = np.maximum(gaussian_filter(hu, 0.7) - parenchyma_hu(hu, label) - _VESSEL_HU, 0.0)
    vessels *= (liver - lesion).clip(0, 1)
    few = 0 < (label == LESION).sum() <= recipe.bright_below_percent / 100 * (label > 0).sum()
    if rng.random() < recipe.fatty_share:
        kept = (vessels / _VESSEL_HU).clip(0, 1) + (rng.uniform(0.0, 1.0) if few else 0.0) * lesion
        hu = hu - rng.uniform(15.0, 60.0) * liver * (1 - kept.clip(0, 1))
    else:
        if rng.random() < 0.5:
            hu = hu - rng.uniform(0.3, 1.6) * vessels
        hu = hu + rng.uniform(-50.0, 30.0) * liver
    if few and rng.random() < recipe.wash_in_share:
        contrast = float(np.median(hu[label == LESION])) - parenchyma_hu(hu, label)
        hu = hu + (rng.uniform(15.0, 80.0) - contrast) * lesion
    return hu


def draw_patch(
    variant: Variant, recipe: NetworkRecipe, scaling: InputScaling, rng: np.random.Generator, *, with_prior: bool
) -> dict[str, Any]:
    """One training sample: dictionary of `input`, `target`, `weight` (torch tensors)."""
    import torch

    centre = _draw_centre(variant, rng, with_prior=with_prior)
    hu, liver, lesion = _deformed(variant, centre, recipe, rng)
    if not with_prior:
        hu, liver, lesion = _cut(hu, liver, lesion, rng)
    hu, reference = _degraded(hu, variant.reference_hu, recipe.spacing_mm, rng)
    target = torch.stack([liver > 0.5, lesion > 0.5]).float()
    weight = torch.ones_like(target)
    weight[0] += 2.0 * target[1]  # tumour at the surface is liver: what a liver network misses first
    weight[1] += LIVER_WEIGHT * target[0]  # a patch is mostly not liver, and there lesions are soon ruled out
    if not variant.lesions_known:
        weight[1] *= torch.where(target[0] > 0, UNLABELLED_WEIGHT, 1.0)
    if with_prior:
        prior = _imperfect_liver(target[0], target[1], rng)
        reference += float(rng.normal(0, 6)) + float(rng.uniform(-35, 35)) * (rng.random() < 0.1)
        image = lesion_channels(hu, prior, reference, scaling)
    else:
        image = windowed(hu, scaling)[None]
    return {"input": image, "target": target, "weight": weight}


def _draw_centre(variant: Variant, rng: np.random.Generator, *, with_prior: bool) -> NDArray[np.float64]:
    """A voxel index: in a lesion, in the liver, or (more often for the liver network) anywhere."""
    chance = rng.random()
    if variant.lesion_voxels.size and chance < (0.55 if with_prior else 0.3):
        flat = rng.choice(variant.lesion_voxels)
    elif variant.liver_voxels.size and chance < (0.9 if with_prior else 0.75):
        flat = rng.choice(variant.liver_voxels)
    else:
        flat = rng.integers(variant.label.size)
    centre = np.array(np.unravel_index(flat, variant.label.shape), dtype=float)
    return centre + rng.normal(0, 15.0, 3) / variant.spacing_mm


def _deformed(
    variant: Variant, centre: NDArray[np.float64], recipe: NetworkRecipe, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """HU, liver and lesion (0 to 1) on the patch's grid: rotated, scaled, warped; air outside the image."""
    import torch

    shape = np.array(recipe.patch)
    angles = np.radians(rng.normal(0, 1, 3) * (5, 5, 9)).clip(-0.5, 0.5)
    zoom = np.exp(rng.uniform(np.log(0.8), np.log(1.25))) * np.exp(rng.normal(0, 0.04, 3))
    matrix = _rotation(angles) * zoom * recipe.spacing_mm  # patch index from its middle -> mm
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in shape]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    offset_mm = index @ torch.from_numpy(matrix.T.astype(np.float32))
    if rng.random() < 0.6:
        cells = (int(rng.integers(4, 7)),) * 3
        for axis in range(3):
            offset_mm[..., axis] += float(rng.uniform(1, 5)) * torch.from_numpy(smooth_noise(tuple(shape), cells, rng))
    source = torch.from_numpy(centre.astype(np.float32)) + offset_mm / torch.from_numpy(
        variant.spacing_mm.astype(np.float32)
    )
    box, source = _needed_part(source, variant.label.shape)
    hu = torch.from_numpy(variant.hu[box])
    label = torch.from_numpy(variant.label[box])
    stack = torch.stack([hu - AIR_HU, (label > 0).float(), (label == LESION).float()])[None]
    size = torch.tensor(stack.shape[2:], dtype=torch.float32)
    grid = ((2 * source + 1) / size - 1).flip(-1)[None]  # grid_sample's order is (k, j, i)
    sampled = torch.nn.functional.grid_sample(stack, grid, padding_mode="zeros", align_corners=False)[0]
    return sampled[0] + AIR_HU, sampled[1], sampled[2]


def _cut(
    hu: torch.Tensor, liver: torch.Tensor, lesion: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Air beyond a part of the patch: a chest, a pelvis or a part of the liver alone in view, as many scans show it."""
    kept = hu.new_zeros(hu.shape)
    box = []
    for length, chance, shortest in zip(hu.shape, (0.1, 0.1, 0.35), (0.5, 0.5, 0.2), strict=True):
        size = length if rng.random() > chance else int(length * rng.uniform(shortest, 1.0))
        first = int(rng.integers(length - size + 1))
        box.append(slice(first, first + size))
    kept[tuple(box)] = 1.0
    return (hu - AIR_HU) * kept + AIR_HU, liver * kept, lesion * kept


def _needed_part(source: torch.Tensor, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], torch.Tensor]:
    """The box of the image that a grid of indices reaches, and the grid relative to that box."""
    import torch

    flat = source.reshape(-1, 3)
    low = (flat.min(0).values.floor().long() - 1).clamp(min=0).minimum(torch.tensor(shape) - 1)
    high = (flat.max(0).values.ceil().long() + 2).minimum(torch.tensor(shape)).maximum(low + 1)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return box, source - low


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", angles).as_matrix())


def _degraded(
    hu: torch.Tensor, reference_hu: float, spacing_mm: float, rng: np.random.Generator
) -> tuple[torch.Tensor, float]:
    """Contrast, shift, thick slices, kernel and noise; the reference follows contrast and shift."""
    import torch
    from scipy.ndimage import gaussian_filter

    gain, shift = rng.uniform(0.85, 1.15), rng.normal(0, 8)
    hu = (hu - 50.0) * gain + 50.0 + shift
    reference_hu = (reference_hu - 50.0) * gain + 50.0 + shift
    if rng.random() < 0.3:  # thick slices: mean of neighbours along z
        width = int(rng.integers(1, max(2, round(6 / spacing_mm / 2)) + 1)) * 2 + 1
        hu = _blurred(hu, (1, 1, width))
    if rng.random() < 0.25:  # a smooth kernel, or an image of coarser voxels
        hu = torch.from_numpy(gaussian_filter(hu.numpy(), float(rng.uniform(0.4, 1.1))))
    if rng.random() < 0.5:
        noise = torch.from_numpy(rng.standard_normal(tuple(hu.shape), dtype=np.float32))
        if rng.random() < 0.6:  # correlated, as after a smooth kernel
            noise = _blurred(noise, (3, 3, 3)) * 3.0
        hu = hu + noise * float(rng.uniform(2, 30))
    return hu, reference_hu


def _imperfect_liver(liver: torch.Tensor, lesion: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A liver probability as a coarse network would give, so that the fine one does not lean on it.

    Blurred, its edge moved by millimetres, parts missing (lesions, and as often parenchyma), neighbours taken along.
    """
    import torch

    shape = tuple(liver.shape)
    mask = liver = _halved(liver)  # a coarse network's answer is smooth, and so costs an eighth of the work
    lesion = _halved(lesion)
    if rng.random() < 0.3:
        kept = torch.from_numpy(smooth_noise(tuple(liver.shape), (4, 4, 4), rng)) > rng.uniform(-0.5, 1.5)
        mask = liver * (1 - lesion * (1 - kept.float()))
    if rng.random() < 0.6:
        cells = (int(rng.integers(4, 9)),) * 3
        blobs = torch.from_numpy(smooth_noise(tuple(liver.shape), cells, rng))
        beside = _blurred(liver, (int(rng.integers(5, 14)),) * 3) > 0.02
        mask = torch.where(beside & (blobs > rng.uniform(0.3, 1.2)), 1.0, mask)
        mask = torch.where(blobs < -rng.uniform(1.0, 1.8), 0.0, mask)
    edge = torch.from_numpy(smooth_noise(tuple(liver.shape), (6, 6, 6), rng)) * float(rng.uniform(0, 0.25))
    soft = _blurred(mask, (int(rng.integers(1, 4)),) * 3) + edge * (_blurred(liver, (5, 5, 5)) > 0.02)
    prior = torch.sigmoid((soft - 0.5 + float(rng.normal(0, 0.08))) * float(rng.uniform(6, 14)))
    return torch.nn.functional.interpolate(prior[None, None], size=shape, mode="trilinear")[0, 0]


def _halved(mask: torch.Tensor) -> torch.Tensor:
    """The mean over blocks of 2 x 2 x 2 voxels; the last of an odd axis may be smaller."""
    import torch

    return torch.nn.functional.avg_pool3d(mask[None], 2, ceil_mode=True, count_include_pad=False)[0]


def _blurred(image: torch.Tensor, width: tuple[int, int, int]) -> torch.Tensor:
    """Mean over a box; far faster on a CPU than torch's pooling, as it goes axis by axis."""
    import torch
    from scipy.ndimage import uniform_filter

    return torch.from_numpy(uniform_filter(image.numpy(), size=width, mode="nearest"))
