"""Which of a staging's responses the table shows, and what a reader says instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nen_imaging.longitudinal.respond import WHOLE_COURSE

_BASELINE, _NOT_EVALUABLE = "baseline", "NE"


def shown_responses(rows: Iterable[Mapping[str, str]], criterion: str) -> dict[str, Mapping[str, str]]:
    """By staging, the row of response.csv that the table shows: the criterion of the config, within a therapy line.

    A staging that is also the baseline of a new line shows its class under the line before; the class over the
    whole course stands in only where no line has one, and says why.
    """
    by_staging: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        if row["criterion"] == criterion:
            by_staging.setdefault(row["staging"], []).append(row)
    return {staging: _shown(together) for staging, together in by_staging.items()}


def _shown(rows: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    row = min(rows, key=_rank)
    in_line = next((other for other in rows if other["line"] != WHOLE_COURSE), None)
    if row["line"] != WHOLE_COURSE or in_line is None:
        return row
    return {**row, "reason": f"{row['reason']}; over the whole course, as {in_line['reason']}"}


def _rank(row: Mapping[str, str]) -> tuple[bool, bool, bool]:
    return row["response"] == _NOT_EVALUABLE, row["line"] == WHOLE_COURSE, row["response"] == _BASELINE


def with_reader(
    shown: Mapping[str, Mapping[str, str]], readings: Iterable[Mapping[str, str]]
) -> dict[str, Mapping[str, str]]:
    """Lay a reader's responses (``reading`` is ``response``) over the computed ones, which stay beside them.

    A row that a reader changed has the computed class under ``computed``, and a reason that names both; readers who
    agree are one, with the reasons of all.
    """
    by_reader: dict[str, list[Mapping[str, str]]] = {}
    for reading in readings:
        if reading.get("reading") == "response" and reading.get("value"):
            by_reader.setdefault(reading["staging"], []).append(reading)
    return {**shown, **{name: _as_read(shown.get(name, {}), agreed) for name, agreed in by_reader.items()}}


def _as_read(row: Mapping[str, str], readings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    computed = row.get("response", "")
    said = "; ".join(dict.fromkeys(reading.get("reason", "") for reading in readings))
    reason = f"by a reader: {said}; computed: {computed or 'none'}, {row.get('reason', '')}".strip(", ")
    return {**row, "response": readings[-1]["value"], "computed": computed, "borderline": "", "reason": reason}


def is_by_reader(row: Mapping[str, str] | None) -> bool:
    """Whether `with_reader` laid a reader's response over this row."""
    return "computed" in (row or {})


def is_borderline(row: Mapping[str, str]) -> bool:
    """Whether the interval of a value crosses the threshold, so that another class would do as well."""
    return str(row.get("borderline", "")).lower() in ("yes", "true", "1")
