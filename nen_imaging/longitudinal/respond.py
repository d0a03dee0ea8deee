"""Every response of a patient: each staging by each criterion, within its therapy line and over the whole course."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nen_imaging.dates import PartialDate
from nen_imaging.longitudinal.criteria import Judgement, Measured, Response, Rule, Thresholds, judge, rules
from nen_imaging.longitudinal.measurements import StagingMeasurement, differences, tracks_of
from nen_imaging.longitudinal.recist import choose_targets, sum_of_diameters
from nen_imaging.longitudinal.timeline import (
    BaselineWindow,
    TherapyLine,
    line_baseline,
    line_judged,
    therapy_lines,
)

WHOLE_COURSE = "whole course"
DEFAULT_THRESHOLDS = Thresholds()


@dataclass(frozen=True)
class StagingResponse:
    """The class of one staging by one criterion; ``line`` is a line's number or `WHOLE_COURSE`."""

    staging: str
    line: str
    rule: Rule
    judgement: Judgement
    new_lesions: int = 0

    def row(self) -> dict[str, str]:
        """The row of response.csv."""
        judgement, baseline, nadir = self.judgement, self.judgement.baseline, self.judgement.nadir
        return {
            "staging": self.staging,
            "date": self.staging if PartialDate.parse(self.staging) else "",
            "line": self.line,
            "criterion": self.rule.criterion,
            "response": judgement.response.value,
            "borderline": "yes" if judgement.borderline else "no",
            "baseline_staging": baseline.staging if baseline else "",
            "baseline_value": _cell(baseline.value if baseline else None),
            "nadir_staging": nadir.staging if nadir else "",
            "nadir_value": _cell(nadir.value if nadir else None),
            "value": _cell(judgement.value),
            "unit": self.rule.unit,
            "change_from_baseline_percent": _cell(judgement.change_from_baseline_percent),
            "change_from_nadir_percent": _cell(judgement.change_from_nadir_percent),
            "new_lesions": str(self.new_lesions),
            "reason": judgement.reason,
        }


def respond(
    measurements: Iterable[StagingMeasurement],
    events: Iterable[Mapping[str, str]],
    timeline: Mapping[str, Any],
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> list[StagingResponse]:
    """Judge every staging of a patient by every criterion.

    Parameters
    ----------
    measurements
        All stagings, measured or not, in any order.
    events
        Rows of events.csv.
    timeline
        Content of timeline.json; its therapies are the lines.
    thresholds
        The limits of the config.

    Returns
    -------
    list of StagingResponse
        By criterion, then in order of time. A staging has one entry for the line it tells of, one as the baseline of
        each line that begins there, and one for the whole course. Stagings without a date or a load are NE.
    """
    course = _Course(measurements, events, timeline, thresholds)
    return [response for rule in rules(thresholds).values() for response in course.judged_by(rule)]


class _Course:
    """The stagings of one patient in order of time, with what happened at each."""

    def __init__(
        self,
        measurements: Iterable[StagingMeasurement],
        events: Iterable[Mapping[str, str]],
        timeline: Mapping[str, Any],
        thresholds: Thresholds,
    ) -> None:
        self._maximum_targets = thresholds.maximum_targets
        every = sorted(measurements, key=lambda item: item.staging)
        self._undated = [item for item in every if item.date is None]
        self._new, self._unsure, self._again, resolved = _happened(events)
        dated = [item for item in sorted(every, key=_order) if item.date is not None]
        self._gone = _gone(dated, resolved)
        self._dated = {item.date: item for item in _without_unseen_lesions(dated, self._gone) if item.date is not None}
        usable = [day for day, item in self._dated.items() if item.load_percent is not None]
        window = BaselineWindow(thresholds.baseline_before_days, thresholds.baseline_after_days)
        self._lines = therapy_lines(timeline)
        self._baselines = {line.number: line_baseline(line, usable, window) for line in self._lines}
        self._first = usable[0] if usable else None
        self._window = window

    def judged_by(self, rule: Rule) -> Iterator[StagingResponse]:
        """All responses by one criterion."""
        for when, staging in self._dated.items():
            line = line_judged(when, self._lines, self._baselines)
            if line is not None:
                yield self._in_line(rule, line, when)
            for begun in self._lines:
                if self._baselines[begun.number] == when:
                    yield _baseline_of(str(begun.number), rule, self._series(rule, when, when)[-1])
            if when == self._first:
                yield _baseline_of(WHOLE_COURSE, rule, self._series(rule, when, when)[-1])
            elif self._first is None or when < self._first:
                yield _not_evaluable(staging.staging, WHOLE_COURSE, rule, staging.not_measured)
            else:
                yield self._judge(rule, WHOLE_COURSE, self._first, when)
        for staging in self._undated:
            yield _not_evaluable(staging.staging, WHOLE_COURSE, rule, "the staging has no date")

    def _in_line(self, rule: Rule, line: TherapyLine, when: PartialDate) -> StagingResponse:
        baseline = self._baselines[line.number]
        if baseline is not None:
            return self._judge(rule, str(line.number), baseline, when)
        reason = (
            f"line {line.number} ({line.agents}) has no baseline: no staging within {self._window.before_days} days "
            f"before its start {line.start.text} or {self._window.after_days} days after it"
        )
        return _not_evaluable(self._dated[when].staging, str(line.number), rule, reason)

    def _judge(self, rule: Rule, line: str, baseline: PartialDate, when: PartialDate) -> StagingResponse:
        now = self._dated[when]
        if now.load_percent is None:
            return _not_evaluable(now.staging, line, rule, now.not_measured)
        series = self._series(rule, baseline, when)
        new = self._new_since(baseline, when)
        judgement = judge(rule, series[:-1], series[-1], new=self._in_words(new, baseline, when))
        remarks = [judgement.reason]
        if unsure := self._unsure.get(now.staging):
            remarks.append(f"{len(unsure)} possibly new, not counted")
        if warnings := self._hard_to_compare(baseline, judgement.nadir, now):
            remarks.append(f"compare with care: {', '.join(warnings)}")
        judgement = replace(judgement, reason="; ".join(remarks))
        return StagingResponse(now.staging, line, rule, judgement, len(new))

    def _hard_to_compare(self, baseline: PartialDate, nadir: Measured | None, now: StagingMeasurement) -> list[str]:
        """How a staging differs from the baseline, and from the nadir where that is another and differs otherwise."""
        first = self._dated[baseline]
        found = differences(first, now)
        lowest = next((item for item in self._dated.values() if nadir and item.staging == nadir.staging), first)
        as_at_baseline = differences(first, now, "nadir")
        return found + [text for text in differences(lowest, now, "nadir") if text not in as_at_baseline]

    def _series(self, rule: Rule, baseline: PartialDate, last: PartialDate) -> list[Measured]:
        """The rule's figure from the baseline to a staging, both included."""
        stagings = [item for day, item in self._dated.items() if baseline <= day <= last]
        if rule.criterion == "load":
            figures = [_load(item) for item in stagings]
        elif rule.criterion == "volumetric":
            figures = [_volume(item) for item in stagings]
        else:
            targets = choose_targets(stagings[0], self._maximum_targets)
            figures = [sum_of_diameters(targets, item, self._gone[item.staging]) for item in stagings]
        counted = tracks_of(lesion for item in stagings for lesion in item.lesions)
        return [  # a lesion that once counted and is left out now has not gone away
            replace(figure, disease_free=figure.disease_free and not counted & tracks_of(item.left_out))
            for figure, item in zip(figures, stagings, strict=True)
        ]

    def _new_since(self, baseline: PartialDate, when: PartialDate) -> frozenset[str]:
        """Counted new lesions since the baseline that are still there, and were not there before it."""
        begin, now = self._dated[baseline].staging, self._dated[when]
        since = {track for at, tracks in self._new.items() if begin < at <= now.staging for track in tracks}
        before = [item for day, item in self._dated.items() if day <= baseline]
        known = frozenset[str]().union(*(tracks_of(item.lesions) for item in before)) - self._gone[begin]
        return (frozenset(since) & tracks_of(now.lesions)) - known

    def _in_words(self, new: frozenset[str], baseline: PartialDate, when: PartialDate) -> list[str]:
        now = self._dated[when]
        now_new = new & self._new.get(now.staging, frozenset())
        words = []
        if now_new:
            words.append("new lesions" if len(now_new) > 1 else "new lesion")
        elif new:
            since = sorted(staging for staging, tracks in self._new.items() if tracks & new)
            words.append(f"lesions that were new on {', '.join(since)} are still there")
        elif free := self._free_before_lesions(baseline, when):
            words.append(f"lesions in a liver that was free of them on {free}")
        return words

    def _free_before_lesions(self, baseline: PartialDate, when: PartialDate) -> str:
        """The last staging since the baseline without any lesion, if now there are some: measurable, or seen before.

        What was left out at an earlier staging had been there, and counts for none.
        """
        now, earlier = self._dated[when], [item for day, item in self._dated.items() if baseline <= day < when]
        free = max((item.staging for item in earlier if item.load_percent is not None and not item.lesions), default="")
        seen = {track for at, tracks in self._again.items() if free < at <= now.staging for track in tracks}
        left_out = tracks_of(lesion for item in earlier for lesion in item.left_out)
        lesions = [lesion for lesion in now.lesions if not lesion.tracks & left_out]
        return free if any(lesion.measurable or lesion.tracks & seen for lesion in lesions) else ""


def _order(item: StagingMeasurement) -> tuple[str, str]:
    return (item.date.first.isoformat() if item.date else "", item.staging)


_ByStaging = Mapping[str, frozenset[str]]


def _happened(events: Iterable[Mapping[str, str]]) -> tuple[_ByStaging, _ByStaging, _ByStaging, _ByStaging]:
    """By staging, the tracks that are new (counted), possibly new, seen again, and resolved."""
    found: dict[str, dict[str, set[str]]] = {"new": {}, "new?": {}, "reappeared": {}, "resolved": {}}
    for event in events:
        kind = event["event"]
        if kind in found and (kind != "new" or event["counted"] == "yes"):
            found[kind].setdefault(event["staging"], set()).update(event["tracks"].split())
    new, unsure, again, resolved = (
        {staging: frozenset(tracks) for staging, tracks in by_staging.items()} for by_staging in found.values()
    )
    return new, unsure, again, resolved


def _gone(stagings: Iterable[StagingMeasurement], resolved: _ByStaging) -> _ByStaging:
    """By staging, the tracks known to be gone: resolved there or before, and not seen again since."""
    gone: frozenset[str] = frozenset()
    found = {}
    for item in stagings:
        gone = (gone | resolved.get(item.staging, frozenset())) - tracks_of(item.lesions)
        found[item.staging] = gone
    return found


def _without_unseen_lesions(stagings: Iterable[StagingMeasurement], gone: _ByStaging) -> Iterator[StagingMeasurement]:
    """Stagings without the figures of those that show no lesion only because the liver is cut by the image.

    A cut liver without lesions is free of them only where every lesion seen before is known to be gone.
    """
    seen: frozenset[str] = frozenset()
    for item in stagings:
        known = gone[item.staging] | tracks_of(item.left_out)
        if item.load_percent is None or not item.truncated or item.lesions or (seen and seen <= known):
            yield item
        else:
            why = "lesions seen before may lie outside of it" if seen else "no lesion was seen before"
            yield replace(item, load_percent=None, not_measured=f"the liver is cut by the image, and {why}")
        seen |= tracks_of(item.lesions)


def _load(item: StagingMeasurement) -> Measured:
    return Measured(
        item.staging,
        item.load_percent,
        item.load_percent_low,
        item.load_percent_high,
        missing=item.not_measured,
        disease_free=not item.lesions and item.load_percent == 0,
    )


def _volume(item: StagingMeasurement) -> Measured:
    """The lesions' volume (ml); its interval is that of the load, taken of the liver's volume."""
    if item.load_percent is None:
        return Measured(item.staging, None, missing=item.not_measured)
    low, high = (
        None if end is None else end * item.liver_volume_ml / 100
        for end in (item.load_percent_low, item.load_percent_high)
    )
    free = not item.lesions and item.lesion_volume_ml == 0
    return Measured(item.staging, item.lesion_volume_ml, low, high, disease_free=free)


def _baseline_of(line: str, rule: Rule, figure: Measured) -> StagingResponse:
    what = "the whole course" if line == WHOLE_COURSE else f"line {line}"
    reason = f"baseline of {what}" + (f"; {figure.missing}" if figure.missing else "")
    judgement = Judgement(Response.BASELINE, reason, baseline=figure, value=figure.value)
    return StagingResponse(figure.staging, line, rule, judgement)


def _not_evaluable(staging: str, line: str, rule: Rule, reason: str) -> StagingResponse:
    return StagingResponse(staging, line, rule, Judgement(Response.NE, reason))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
