"""The course as one figure: therapies above, hepatic tumour load with interval, markers on a log axis.

SVG, the same bytes for the same numbers: no date, fixed ids, glyphs as paths.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nen_imaging.dates import PartialDate
from nen_imaging.report.staging import StagingResult
from nen_imaging.report.therapy import Therapy, therapies_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BANDS_PERCENT = (10, 25, 50)
_COLOURS = ("#b3541e", "#2a6f4f", "#6a4c93", "#7a7a00")
_LOAD_COLOUR = "#1f4e79"
_BAR_COLOUR, _PROCEDURE_COLOUR = "#c8d8e8", "#8c1c13"
_RC = {"svg.hashsalt": "nen_imaging", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9}
_WIDTH_INCHES = 9.5


@dataclass(frozen=True)
class MarkerValue:
    """One value of a marker; illustrative ones are drawn hollow, limits (``<5``, ``>100``) as triangles."""

    when: PartialDate
    value: float
    illustrative: bool
    shape: str = "o"


def course_figure(stagings: Sequence[StagingResult], timeline: Mapping[str, Any]) -> str:
    """The figure as SVG text; parts without data are left out.

    Parameters
    ----------
    stagings
        All stagings; those without a date or load are not drawn.
    timeline
        Content of timeline.json: therapies and markers. Markers whose source is ``illustrative`` are drawn hollow;
        a partial date is drawn at its middle with a line over the time in which it may lie.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    therapies = therapies_of(timeline)
    markers = markers_by_name(timeline)
    heights = [0.35 + 0.24 * len(therapies)] * bool(therapies) + [2.6] + [1.9] * bool(markers)
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(_WIDTH_INCHES, sum(heights) + 0.6), layout="constrained")
        grid = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
        end = _end_of_course(stagings, timeline)
        if therapies:
            _draw_therapies(grid[0], therapies, end)
        _draw_load(grid[1 if therapies else 0], stagings)
        if markers:
            _draw_markers(grid[-1], markers, timeline)
        _draw_time(grid, stagings, timeline, end)
        output = io.StringIO()
        FigureCanvasSVG(figure).print_svg(output, metadata={"Date": None, "Creator": None})
    return output.getvalue()


def markers_by_name(timeline: Mapping[str, Any]) -> dict[str, list[MarkerValue]]:
    """Values of each marker in order of time, by name and unit; only positive ones have a place on a log axis."""
    found: dict[str, list[MarkerValue]] = {}
    for row in timeline.get("markers", ()):
        when, value = PartialDate.parse(row.get("date", "")), _number(row.get("value", ""))
        if when and value is not None and value > 0:
            shape = {"<": "v", ">": "^"}.get(row["value"].strip()[:1], "o")
            point = MarkerValue(when, value, row.get("source") == "illustrative", shape)
            found.setdefault(_marker_name(row), []).append(point)
    return {name: sorted(points, key=lambda point: point.when) for name, points in sorted(found.items())}


def _draw_therapies(axes: Axes, therapies: Sequence[Therapy], end: date) -> None:
    for level, therapy in enumerate(therapies):
        left = _day(therapy.start.first)
        until = _day(therapy.end.last if therapy.end else end)
        if therapy.is_procedure:
            axes.plot([_day(therapy.start.middle)], [level], marker="v", color=_PROCEDURE_COLOUR, markersize=6)
        else:
            axes.barh(level, until - left, left=left, height=0.8, color=_BAR_COLOUR)
        if not therapy.is_procedure and therapy.end is None:
            axes.plot([until], [level], marker=">", color=_LOAD_COLOUR, markersize=4, clip_on=False)
        indent = "     " if therapy.is_procedure else " "
        axes.text(left, level, indent + _shortened(therapy.label), va="center", fontsize=8, parse_math=False)
    axes.set_ylim(len(therapies) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_ylabel("therapy")
    axes.tick_params(axis="x", length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _draw_load(axes: Axes, stagings: Sequence[StagingResult]) -> None:
    points = [(staging.date, staging.load) for staging in stagings if staging.date and staging.load]
    points = [(when, load) for when, load in points if load.get("load_percent") is not None]
    x = [_day(when.middle) for when, _ in points]
    y = [float(load["load_percent"]) for _, load in points]
    low, high = (_bounds(points, end) for end in ("low", "high"))
    axes.plot(x, y, color=_LOAD_COLOUR, linewidth=1, zorder=2)
    axes.vlines(x, low, high, color=_LOAD_COLOUR, linewidth=1.6, zorder=2)
    for source, shape in (("network", "o"), ("reader", "s")):
        chosen = [n for n, (_, load) in enumerate(points) if load.get("source", "network") == source]
        label = f"by {'the network' if source == 'network' else 'a reader'}, 90 % interval"
        if chosen:
            axes.plot([x[n] for n in chosen], [y[n] for n in chosen], shape, color=_LOAD_COLOUR, label=label, zorder=3)
    for day, value, top in zip(x, y, high, strict=True):
        axes.annotate(f"{value:.0f}" if value >= 10 else f"{value:.1f}", (day, top), (0, 3),
                      textcoords="offset points", ha="center", fontsize=8, color=_LOAD_COLOUR)  # fmt: skip
    unmeasured = [_day(staging.date.middle) for staging in stagings if staging.date and staging.load is None]
    if unmeasured:
        axes.plot(unmeasured, [0] * len(unmeasured), "x", color=_PROCEDURE_COLOUR, label="not evaluable", clip_on=False)
    for band in _BANDS_PERCENT:
        axes.axhline(band, color="#bbbbbb", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    axes.set_ylim(0, min(100, max([10.0, *high]) * 1.2))
    axes.set_ylabel("hepatic tumour load [%]")
    if points or unmeasured:
        axes.legend(loc="upper right", fontsize=7, frameon=False)


def _bounds(points: Sequence[tuple[PartialDate, Mapping[str, Any]]], end: str) -> list[float]:
    """One end of each load's interval; the load itself where there is none."""
    bounds = [load.get(f"load_percent_{end}") for _, load in points]
    return [
        float(load["load_percent"] if bound is None else bound) for bound, (_, load) in zip(bounds, points, strict=True)
    ]


def _draw_markers(axes: Axes, markers: Mapping[str, Sequence[MarkerValue]], timeline: Mapping[str, Any]) -> None:
    limits = {
        _marker_name(row): limit
        for row in timeline.get("markers", ())
        if (limit := _number(row.get("upper_limit_of_normal", "")))
    }
    for number, (name, points) in enumerate(markers.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot([_day(p.when.middle) for p in points], [p.value for p in points], color=colour, linewidth=0.8)
        for point in points:
            axes.hlines(point.value, _day(point.when.first), _day(point.when.last), color=colour, linewidth=0.8)
            fill = "white" if point.illustrative else colour
            axes.plot(
                [_day(point.when.middle)], [point.value], point.shape, color=colour, markerfacecolor=fill, markersize=5
            )
        label = f"{name}{' (hollow: illustrative)' if any(p.illustrative for p in points) else ''}"
        axes.plot([], [], "o-", color=colour, linewidth=0.8, markersize=5, label=_without_mathematics(label))
        limit = limits.get(name)
        if limit and limit > 0:
            axes.axhline(limit, color=colour, linewidth=0.7, linestyle=":")
    axes.set_yscale("log")
    axes.set_ylabel("markers (log)\ndotted: upper limit")
    axes.legend(loc="best", fontsize=7, frameon=False)
    values = [point.value for points in markers.values() for point in points]
    axes.set_ylim(min(values) / 3, max(values) * 3)


def _draw_time(grid: Sequence[Axes], stagings: Sequence[StagingResult], timeline: Mapping[str, Any], end: date) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    dates = _dates_of(stagings, timeline)
    first = min(dates, default=end)
    margin = max(20, 0.02 * (end - first).days)
    locator = AutoDateLocator(minticks=4, maxticks=10)
    grid[-1].xaxis.set_major_locator(locator)
    grid[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    grid[-1].set_xlim(_day(first) - margin, _day(end) + margin)
    for axes in grid:
        for when in [staging.date for staging in stagings if staging.date]:
            axes.axvline(_day(when.middle), color="#dddddd", linewidth=0.6, zorder=0)
    for axes in grid[-2:]:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)


def _dates_of(stagings: Sequence[StagingResult], timeline: Mapping[str, Any]) -> list[date]:
    texts = [row.get(key, "") for row in timeline.get("therapies", ()) for key in ("start", "end")]
    texts += [row.get("date", "") for row in timeline.get("markers", ())]
    known = [PartialDate.parse(text) for text in texts] + [staging.date for staging in stagings]
    return [day for when in known if when for day in (when.first, when.last)]


def _end_of_course(stagings: Sequence[StagingResult], timeline: Mapping[str, Any]) -> date:
    return max(_dates_of(stagings, timeline), default=date(2000, 1, 1)) + timedelta(days=10)


def _day(when: date) -> float:
    """Matplotlib's time axis: days since 1970-01-01."""
    return float((when - date(1970, 1, 1)).days)


def _marker_name(row: Mapping[str, str]) -> str:
    return f"{row.get('marker', '')} [{row.get('unit', '')}]"


def _number(text: str) -> float | None:
    """A laboratory's value; of ``<5`` and ``>100`` the limit."""
    try:
        value = float(text.strip().lstrip("<>"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _without_mathematics(text: str) -> str:
    """Legends read ``$...$`` as formulas: take the sign literally."""
    return text.replace("$", r"\$")


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
