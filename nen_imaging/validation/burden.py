"""What an error of the hepatic tumour load alone would do to a response."""

from __future__ import annotations

from nen_imaging.longitudinal.criteria import Measured, Response, Thresholds, judge, rules


def response_if_unchanged(truth_percent: float, predicted_percent: float) -> Response:
    """The class of response that the error alone would make of an unchanged liver: SD, unless it misleads.

    The true load stands for the baseline, the predicted one for the follow-up. Without a true load there is nothing
    to follow: NE, or PD where the prediction invents enough.
    """
    rule = rules(Thresholds())["load"]
    baseline = Measured("baseline", truth_percent)
    now = Measured("follow-up", predicted_percent, disease_free=predicted_percent == 0)
    return judge(rule, [baseline], now).response


def is_misleading(response: Response) -> bool:
    """Whether that class is wrong for an unchanged liver."""
    return response not in (Response.SD, Response.NE)
