"""All that is measured of one case: the content of its `scores.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from nen_imaging.validation.burden import is_misleading, response_if_unchanged
from nen_imaging.validation.chaos import chaos_figures, chaos_score
from nen_imaging.validation.detection import Detection, FoundLesion, detect
from nen_imaging.validation.lits import CodalabVolume, codalab_volume, isbi2017
from nen_imaging.validation.metrics import Overlap, lesions_of, liver_of, mask_figures
from nen_imaging.validation.phantom_cases import split_of_error
from nen_imaging.volume import Volume

Scores = dict[str, Any]


def score_case(
    truth: Volume,
    prediction: Volume,
    *,
    load: Mapping[str, Any] | None = None,
    lesions_labelled: bool = True,
    exact: Mapping[str, float] | None = None,
    compat: str | None = None,
) -> Scores:
    """Measure one predicted label map.

    Parameters
    ----------
    truth, prediction
        Label maps (1 liver, 2 lesion) on one grid.
    load
        Content of the prediction's load.json: its load interval; without it the load is that of the label map.
    lesions_labelled
        Whether the truth knows the lesions; if not, nothing that needs them is measured.
    exact
        See `LabelledCt.exact`.
    compat
        An official convention whose figures are added: one of `validation.CONVENTIONS`.
    """
    spacing_mm, true, found = truth.spacing_mm, truth.array, prediction.array
    livers = liver_of(true), liver_of(found)
    scores: Scores = {
        "lesions_labelled": lesions_labelled,
        "liver": mask_figures(livers[0], livers[1], spacing_mm) | _voxels(Overlap.of(*livers)),
        "volumes": _volumes(truth, prediction, lesions_labelled=lesions_labelled),
        "lesion": None,
        "detection": None,
        "load": None,
        "split": None,
        "compat": {},
    }
    if lesions_labelled:
        lesions = lesions_of(true), lesions_of(found)
        scores["lesion"] = mask_figures(lesions[0], lesions[1], spacing_mm) | _voxels(Overlap.of(*lesions))
        scores["detection"] = asdict(detect(lesions[0], lesions[1], truth.affine))
        scores["load"] = _load(scores["volumes"], load)
        if exact and scores["load"]:
            predicted = scores["load"]["percent"]
            scores["split"] = split_of_error(dict(exact), scores["load"]["true_percent"], predicted)
    if compat == "chaos":
        figures = chaos_figures(livers[0], livers[1], spacing_mm)
        scores["compat"] = figures | {"score": chaos_score(figures)}
    elif compat == "isbi2017" and lesions_labelled:
        scores["compat"] = isbi2017(true, found, spacing_mm)
    elif compat == "codalab" and lesions_labelled:
        scores["compat"] = asdict(codalab_volume(true, found, spacing_mm))
    return _finite(scores)


def detection_of(scores: Mapping[str, Any]) -> Detection:
    """The detection in a case's scores, as an object again."""
    sides = (tuple(FoundLesion(**lesion) for lesion in scores["detection"][side]) for side in ("truth", "prediction"))
    return Detection(*sides)


def codalab_of(scores: Mapping[str, Any]) -> CodalabVolume:
    """The `codalab` figures in a case's scores, as an object again."""
    content = dict(scores["compat"])
    content["lesion_overlap"], content["liver_overlap"] = (
        tuple(content[name]) for name in ("lesion_overlap", "liver_overlap")
    )
    return CodalabVolume(**content)


def _finite(content: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """The same with None for what is no number: JSON has no word for it."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _voxels(overlap: Overlap) -> dict[str, int]:
    return {"voxels_true": overlap.truth, "voxels": overlap.prediction, "voxels_common": overlap.both}


def _volumes(truth: Volume, prediction: Volume, *, lesions_labelled: bool) -> dict[str, float | None]:
    ml = truth.voxel_volume_ml
    lesion_ml = np.count_nonzero(lesions_of(truth.array)) * ml if lesions_labelled else None
    return {
        "true_liver_ml": np.count_nonzero(truth.array) * ml,
        "liver_ml": np.count_nonzero(prediction.array) * ml,
        "true_lesion_ml": lesion_ml,
        "lesion_ml": np.count_nonzero(lesions_of(prediction.array)) * ml,
    }


def _load(volumes: Mapping[str, Any], load: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """True and predicted load; None where either has no liver to divide by."""
    if not volumes["liver_ml"] or not volumes["true_liver_ml"]:
        return None
    true = 100 * volumes["true_lesion_ml"] / volumes["true_liver_ml"]
    percent = 100 * volumes["lesion_ml"] / volumes["liver_ml"]
    response = response_if_unchanged(true, percent)
    return {
        "true_percent": true,
        "percent": percent,
        "low": load["load_percent_low"] if load else None,
        "high": load["load_percent_high"] if load else None,
        "response_if_unchanged": str(response),
        "misleading": is_misleading(response),
    }
