"""What a labelled CT might look like elsewhere: with tumours, in another contrast phase, with fat or noise.

A variant is a function of the case alone: it draws from a seed that is made of the case's name. Its lesions and phases
are drawn from wider or other ranges than those of training.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Unpack

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nen_imaging.contract import Refusal
from nen_imaging.validation import VARIANTS
from nen_imaging.validation.cases import Case, ImportOptions, LabelledCt
from nen_imaging.validation.metrics import LESION, LIVER

Floats = NDArray[np.float32]

LOADS_PERCENT = (10.0, 60.0)  # of the livers that get synthetic lesions
NOISE_HU = 25.0
SLICE_MM = 5.0
ARTERIAL_HU, FATTY_HU = -30.0, -45.0  # of the parenchyma against the portal venous phase
WASHED_IN_HU = (25.0, 55.0)  # arterial lesions above the parenchyma
_VESSEL_HU = 18.0  # brighter than the parenchyma by more, in an image smoothed by a millimetre: a vessel


def varied(case: Case, name: str) -> Case:
    """The same case, which when read is made one of `VARIANTS`; KeyError for another name."""
    change = dict(zip(VARIANTS, (_with_lesions, _arterial, _fatty, _noisy), strict=True))[name]
    return replace(case, variant=name, read=partial(_read, case, change, zlib.crc32(f"{case.name} {name}".encode())))


def _read(
    case: Case,
    change: Callable[[LabelledCt, np.random.Generator], LabelledCt],
    seed: int,
    **import_ct: Unpack[ImportOptions],
) -> LabelledCt:
    return change(case.read(**import_ct), np.random.default_rng(seed))


def _with_lesions(content: LabelledCt, rng: np.random.Generator) -> LabelledCt:
    """Synthetic lesions beside its own, up to a load that is drawn evenly."""
    from nen_imaging.training.lesions import add_lesions
    from nen_imaging.training.recipes import LesionRecipe

    if not content.lesions_labelled:
        raise Refusal("truth.unusable", "Its own lesions are not labelled: with others the load would be unknown.")
    recipe = LesionRecipe(
        diameter_mm=(5.0, 100.0),
        maximum_count=60,
        hypodense_hu=(-70.0, -20.0),
        hyperdense_share=0.0,
        subcapsular_share=0.5,
        lobulated_share=0.5,
    )
    hu, label = add_lesions(
        content.ct.array.astype(np.float32),
        content.truth.array.astype(np.uint8),
        content.ct.spacing_mm,
        rng,
        recipe,
        load_percent=float(rng.uniform(*LOADS_PERCENT)),
    )
    return _changed(replace(content, truth=content.truth.with_array(label), exact={}), hu)


def _arterial(content: LabelledCt, rng: np.random.Generator) -> LabelledCt:
    """Pale parenchyma, its veins not yet filled; every other patient's lesions are bright."""
    hu, liver, lesion, vessels = _tissues(content)
    hu = hu + ARTERIAL_HU * liver - vessels
    if rng.random() < 0.5 and (content.truth.array == LESION).any():
        contrast = float(np.median(hu[content.truth.array == LESION])) - _parenchyma(hu, content)
        hu = hu + (rng.uniform(*WASHED_IN_HU) - contrast) * lesion
    return _changed(content, hu)


def _fatty(content: LabelledCt, rng: np.random.Generator) -> LabelledCt:
    """Parenchyma and lesions darker against all else; vessels keep their HU, and stand out."""
    del rng
    hu, liver, _, vessels = _tissues(content)
    return _changed(content, hu + FATTY_HU * liver * (vessels <= 0))


def _noisy(content: LabelledCt, rng: np.random.Generator) -> LabelledCt:
    """A low dose on thick slices: the mean over `SLICE_MM`, and correlated noise."""
    spacing_mm = content.ct.spacing_mm
    axis = int(np.argmax(np.abs(content.ct.affine[2, :3])))
    thick = ndimage.uniform_filter1d(
        content.ct.array.astype(np.float32), max(1, round(SLICE_MM / float(spacing_mm[axis]))), axis=axis
    )
    noise = ndimage.gaussian_filter(rng.standard_normal(thick.shape, np.float32), 0.8 / spacing_mm)
    return _changed(content, thick + noise * np.float32(NOISE_HU / noise.std()))


def _tissues(content: LabelledCt) -> tuple[Floats, Floats, Floats, Floats]:
    """HU, softened masks of liver and lesion (0 to 1), and by how many HU vessels stand out of the parenchyma."""
    hu = content.ct.array.astype(np.float32)
    sigma = 0.8 / content.ct.spacing_mm
    liver, lesion = (
        ndimage.gaussian_filter(np.greater_equal(content.truth.array, lowest).astype(np.float32), sigma)
        for lowest in (LIVER, LESION)
    )
    above = ndimage.gaussian_filter(hu, sigma) - _parenchyma(hu, content) - _VESSEL_HU
    return hu, liver, lesion, np.maximum(above, 0) * np.clip(liver - lesion, 0, 1)


def _parenchyma(hu: Floats, content: LabelledCt) -> float:
    return float(np.median(hu[np.greater(content.truth.array, 0)]))


def _changed(content: LabelledCt, hu: Floats) -> LabelledCt:
    limits = np.iinfo(np.int16)
    return replace(content, ct=content.ct.with_array(np.clip(np.rint(hu), limits.min, limits.max).astype(np.int16)))
