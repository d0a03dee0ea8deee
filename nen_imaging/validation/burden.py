"""Agreement of hepatic tumour loads with the true ones: errors in points, limits, intervals, classes of response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nen_imaging.longitudinal.criteria import Measured, Response, Thresholds, judge, rules

Floats = NDArray[np.float64]
_NAN = float("nan")
_WITHIN_95 = 1.96


@dataclass(frozen=True)
class LoadAgreement:
    """Predicted minus true load, in points of percent, over a set of cases."""

    bias: float
    """Mean signed error: positive where too much is called tumour."""
    rmse: float
    largest: float
    """The error of largest size, with its sign."""
    limit_low: float
    limit_high: float
    """Limits of agreement, bias -+ 1.96 SD (Bland and Altman, Lancet 1986;327:307); none below two cases."""


def load_agreement(
    truth_percent: Sequence[float] | Floats, predicted_percent: Sequence[float] | Floats
) -> LoadAgreement:
    """Compare loads pair by pair; every figure is not-a-number without a case."""
    errors = np.asarray(predicted_percent, float) - np.asarray(truth_percent, float)
    if not errors.size:
        return LoadAgreement(_NAN, _NAN, _NAN, _NAN, _NAN)
    bias = float(errors.mean())
    reach = _WITHIN_95 * float(errors.std(ddof=1)) if errors.size > 1 else _NAN
    largest = float(errors[np.abs(errors).argmax()])
    return LoadAgreement(bias, float(np.sqrt(np.mean(errors**2))), largest, bias - reach, bias + reach)


def coverage(
    truth_percent: Sequence[float] | Floats, low: Sequence[float] | Floats, high: Sequence[float] | Floats
) -> float:
    """The share of true loads within their intervals; not-a-number without a case."""
    truth, low, high = (np.asarray(values, float) for values in (truth_percent, low, high))
    return float(((low <= truth) & (truth <= high)).mean()) if truth.size else _NAN


def response_if_unchanged(
    truth_percent: float, predicted_percent: float, thresholds: Thresholds | None = None
) -> Response:
    """The class of response that the error alone would make of an unchanged liver: SD, unless it misleads.

    The true load stands for the baseline, the predicted one for the follow-up. Without a true load there is nothing
    to follow: NE, or PD where the prediction invents enough.
    """
    rule = rules(thresholds or Thresholds())["load"]
    baseline = Measured("baseline", truth_percent)
    now = Measured("follow-up", predicted_percent, disease_free=predicted_percent == 0)
    return judge(rule, [baseline], now).response


def is_misleading(truth_percent: float, response: Response) -> bool:
    """Whether that class is wrong for an unchanged liver."""
    return response not in ((Response.NE, Response.SD) if truth_percent == 0 else (Response.SD,))
