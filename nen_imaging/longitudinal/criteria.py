"""Response criteria: pure rules over a series of one figure, each answer with its reason.

Sources: RECIST 1.1 (Eisenhauer et al., Eur J Cancer 2009;45:228); the volumetric limits are the sphere's equivalent
of its diameters (-30 / +20 % in diameter: -65 / +73 % in volume). Progression outranks response.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class Response(StrEnum):
    """A class of response."""

    BASELINE = "baseline"
    CR = "CR"
    PR = "PR"
    SD = "SD"
    PD = "PD"
    NE = "NE"


@dataclass(frozen=True)
class Thresholds:
    """The limits of all criteria, named as in the config's section `report`."""

    load_progression_percent: float = 20.0
    load_progression_points: float = 5.0
    load_response_percent: float = 30.0
    recist_progression_percent: float = 20.0
    recist_progression_mm: float = 5.0
    recist_response_percent: float = 30.0
    volumetric_progression_percent: float = 73.0
    volumetric_response_percent: float = 65.0
    maximum_targets: int = 5
    baseline_before_days: int = 90
    baseline_after_days: int = 30

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Thresholds:
        """Pick the limits out of a stage's options."""
        return cls(**{item.name: options[item.name] for item in fields(cls) if item.name in options})


SMALLEST_MEASURABLE_ML = math.pi / 6  # a sphere of 10 mm, RECIST's smallest measurable lesion: 0.52 ml


@dataclass(frozen=True)
class Rule:
    """One criterion on one figure: how far it must rise from the nadir, or fall from the baseline.

    ``progression_at_least`` is the smallest value that ever is progression: no percentage of a nadir of 0 is a limit.
    """

    criterion: str
    figure: str
    unit: str
    progression_percent: float
    progression_absolute: float
    response_percent: float
    progression_at_least: float = 0.0

    def progression_from(self, nadir: float) -> float:
        """The smallest value that is progression."""
        risen = max(nadir * (1 + self.progression_percent / 100), nadir + self.progression_absolute)
        return max(risen, self.progression_at_least)

    def response_from(self, baseline: float) -> float:
        """The largest value that is a partial response."""
        return baseline * (1 - self.response_percent / 100)


def rules(thresholds: Thresholds) -> dict[str, Rule]:
    """The criteria by name."""
    t = thresholds
    found = (
        Rule("load", "load", "%", t.load_progression_percent, t.load_progression_points, t.load_response_percent),
        Rule("hepatic RECIST", "sum of diameters", "mm", t.recist_progression_percent, t.recist_progression_mm,
             t.recist_response_percent),
        Rule("volumetric", "lesion volume", "ml", t.volumetric_progression_percent, 0.0,
             t.volumetric_response_percent, SMALLEST_MEASURABLE_ML),
    )  # fmt: skip
    return {rule.criterion: rule for rule in found}


@dataclass(frozen=True)
class Measured:
    """A figure of one staging with its interval; ``low`` and ``high`` are the value itself where none is known.

    ``value`` is None where the figure could not be measured; ``partial`` is then the sum of what could, and
    ``missing`` says what was not.
    """

    staging: str
    value: float | None
    low: float | None = None
    high: float | None = None
    partial: float = 0.0
    missing: str = ""
    disease_free: bool = False
    """No lesion is left, target or not."""


@dataclass(frozen=True)
class Judgement:
    """A class with everything it rests on; changes in percent, None where they cannot be formed."""

    response: Response
    reason: str
    borderline: bool = False
    baseline: Measured | None = None
    nadir: Measured | None = None
    value: float | None = None
    change_from_baseline_percent: float | None = None
    change_from_nadir_percent: float | None = None


def judge(rule: Rule, earlier: Sequence[Measured], now: Measured, *, new: Sequence[str] = ()) -> Judgement:
    """Judge one staging of a series.

    Parameters
    ----------
    rule
        The criterion.
    earlier
        The stagings before it in order of time, the baseline first.
    now
        The staging that is judged.
    new
        What makes it progression whatever the figure says, in words: ``2 new lesions``.
    """
    baseline = earlier[0] if earlier else None
    if baseline is None or baseline.value is None:
        why = f"the baseline has no {rule.figure}" + (f" ({baseline.missing})" if baseline and baseline.missing else "")
        response = Response.PD if new else Response.NE
        return Judgement(response, "; ".join([*new, why]), value=now.value)
    known = [(item.value, item) for item in earlier if item.value is not None]
    nadir_value, nadir = min(known, key=lambda pair: pair[0])
    if now.value is None:
        return _judge_incomplete(rule, baseline, nadir, now, new)
    if baseline.value == 0 and now.disease_free and not new:
        reason = "no lesion at baseline and none now: there is no response to judge"
        return Judgement(Response.NE, reason, baseline=baseline, nadir=nadir, value=now.value)
    gone = now.disease_free and not new
    judged = Response.CR if gone else _classify(rule, baseline.value, nadir_value, now.value)
    doubt = None if gone else _doubt(rule, baseline.value, nadir_value, now, judged)
    return Judgement(
        response=Response.PD if new else judged,
        reason=_reason(rule, baseline, nadir, now, judged, doubt, new),
        borderline=doubt is not None and not new,
        baseline=baseline,
        nadir=nadir,
        value=now.value,
        change_from_baseline_percent=_change(baseline.value, now.value),
        change_from_nadir_percent=_change(nadir_value, now.value),
    )


def _classify(rule: Rule, baseline: float, nadir: float, value: float) -> Response:
    """PR, SD or PD by the figure alone; disease where there was none is progression beyond the absolute limit."""
    progression, response = rule.progression_from(nadir), rule.response_from(baseline)
    if value > nadir and (value > progression or _equal(value, progression)):
        return Response.PD
    if baseline > 0 and (value < response or _equal(value, response)):
        return Response.PR
    return Response.SD


def _equal(value: float, limit: float) -> bool:
    return math.isclose(value, limit, rel_tol=1e-9, abs_tol=1e-9)  # 1.2 x 50 need not be 60 to the last bit


@dataclass(frozen=True)
class _Doubt:
    """That other classes would do as well: which, and why."""

    classes: str
    exactly: str
    met: str


def _doubt(rule: Rule, baseline: float, nadir: float, now: Measured, judged: Response) -> _Doubt | None:
    """Whether the value lies on a limit, or its interval meets one."""
    value, (low, high) = now.value or 0.0, _interval(now)
    limits = [(rule.progression_from(nadir), nadir)]
    if baseline > 0:
        limits.append((rule.response_from(baseline), baseline))
    on = [(limit, reference) for limit, reference in limits if _equal(value, limit)]
    ends = [_classify(rule, baseline, nadir, end) for end in (high, low)]
    others = list(dict.fromkeys(response for response in ends if response != judged))
    if not on and not others:
        return None
    between = [limit for limit, _ in limits if low <= limit <= high] or [limit for limit, _ in on]
    span = f"interval {_number(low)}-{_number(high)}" if high > low else f"value {_number(low)}"
    return _Doubt(
        classes=" or ".join([judged, *(others or [Response.SD])]),
        exactly=" and ".join(
            f"exactly {_percent(_change(reference, limit)) or f'{_number(limit)} {rule.unit}'}"
            for limit, reference in on
        ),
        met=f"the {span} {rule.unit} meets the limit of "
        + " and ".join(f"{_number(limit)} {rule.unit}" for limit in between),
    )


def _interval(now: Measured) -> tuple[float, float]:
    value = now.value or 0.0
    return min(value, value if now.low is None else now.low), max(value, value if now.high is None else now.high)


def _change(reference: float, value: float) -> float | None:
    return 100 * (value - reference) / reference if reference > 0 else None


def _judge_incomplete(rule: Rule, baseline: Measured, nadir: Measured, now: Measured, new: Sequence[str]) -> Judgement:
    """A figure with missing parts: progression if new lesions, or what is there, already prove it."""
    proven = nadir.value is not None and now.partial >= rule.progression_from(nadir.value) and now.partial > nadir.value
    response = Response.PD if new or proven else Response.NE
    parts = list(new)
    if proven:
        parts.append(f"{rule.figure} of the rest alone is {_number(now.partial)} {rule.unit}, progression")
    parts.append(now.missing or f"no {rule.figure} was measured")
    return Judgement(response, "; ".join(parts), baseline=baseline, nadir=nadir)


def _reason(
    rule: Rule,
    baseline: Measured,
    nadir: Measured,
    now: Measured,
    judged: Response,
    doubt: _Doubt | None,
    new: Sequence[str],
) -> str:
    """The basis of the class, then the figures behind it."""
    figures = _figures(rule, baseline, nadir, now, judged)
    if new:
        unsure = f" ({rule.figure} borderline: {doubt.exactly or doubt.classes})" if doubt else ""
        return f"{' and '.join(new)}{unsure}; {figures}"
    if judged == Response.CR:
        return f"no lesion is left; {figures}"
    return figures + (f"; {rule.figure} borderline, {doubt.classes}: {doubt.exactly or doubt.met}" if doubt else "")


def _figures(rule: Rule, baseline: Measured, nadir: Measured, now: Measured, judged: Response) -> str:
    value, base, lowest = now.value or 0.0, baseline.value or 0.0, nadir.value or 0.0
    from_baseline = _against(rule, value, baseline, "baseline")
    from_nadir = _against(rule, value, nadir, "nadir")
    rise = f"progression from {_number(rule.progression_from(lowest))} {rule.unit}"
    fall = f"response from {_number(rule.response_from(base))} {rule.unit}"
    if judged == Response.PD:
        return f"{rule.figure} {from_nadir}, {rise}"
    if judged in (Response.PR, Response.CR):
        return f"{rule.figure} {from_baseline}, {fall}"
    if nadir.staging == baseline.staging:
        return f"{rule.figure} {from_baseline}, {rise}, {fall}"
    return f"{rule.figure} {from_baseline} and {_short(value, nadir)}, {rise}, {fall}"


def _against(rule: Rule, value: float, reference: Measured, name: str) -> str:
    change = _change(reference.value or 0.0, value)
    shown = f"{_number(value)} {rule.unit}, " + (f"{_percent(change)} from" if change is not None else "after")
    return f"{shown} {name} {_number(reference.value or 0.0)} {rule.unit} ({reference.staging})"


def _short(value: float, nadir: Measured) -> str:
    change = _change(nadir.value or 0.0, value)
    against = f"nadir {_number(nadir.value or 0.0)} ({nadir.staging})"
    return f"{_percent(change)} from {against}" if change is not None else f"after {against}"


def _percent(change: float | None) -> str:
    return "" if change is None else f"{change:+.0f} %"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or abs(value - round(value)) < 0.05 else f"{value:.1f}"
