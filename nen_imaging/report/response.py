"""Which of a staging's responses the table shows, and what a reader says instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nen_imaging.longitudinal.respond import WHOLE_COURSE

_BASELINE = "baseline"


def shown_responses(rows: Iterable[Mapping[str, str]], criterion: str) -> dict[str, Mapping[str, str]]:
    """By staging, the row of response.csv that the table shows: the criterion of the config, within a therapy line.

    A staging that is also the baseline of a new line shows its class under the line before; the class over the
    whole course stands in only where no line has one.
    """
    shown: dict[str, Mapping[str, str]] = {}
    for row in rows:
        if row["criterion"] != criterion:
            continue
        current = shown.get(row["staging"])
        if current is None or _rank(row) < _rank(current):
            shown[row["staging"]] = row
    return shown


def _rank(row: Mapping[str, str]) -> tuple[bool, bool]:
    return row["line"] == WHOLE_COURSE, row["response"] == _BASELINE


def with_reader(
    shown: Mapping[str, Mapping[str, str]], readings: Iterable[Mapping[str, str]]
) -> dict[str, Mapping[str, str]]:
    """Lay a reader's responses (``reading`` is ``response``) over the computed ones, which stay beside them.

    A row that a reader changed has the computed class under ``computed``, and a reason that names both.
    """
    together = dict(shown)
    for reading in readings:
        if reading.get("reading") != "response" or not reading.get("value"):
            continue
        row = together.get(reading["staging"], {})
        computed = row.get("response", "")
        reason = f"by a reader: {reading.get('reason', '')}; computed: {computed or 'none'}, {row.get('reason', '')}"
        together[reading["staging"]] = {
            **row, "response": reading["value"], "computed": computed, "borderline": "", "reason": reason.strip(", ")
        }  # fmt: skip
    return together


def is_by_reader(row: Mapping[str, str] | None) -> bool:
    """Whether `with_reader` laid a reader's response over this row."""
    return "computed" in (row or {})


def is_borderline(row: Mapping[str, str]) -> bool:
    """Whether the interval of a value crosses the threshold, so that another class would do as well."""
    return str(row.get("borderline", "")).lower() in ("yes", "true", "1")
