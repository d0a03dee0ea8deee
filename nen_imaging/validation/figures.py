"""The figures of the report, as SVG that is the same for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nen_imaging.validation.detection import SIZE_BINS_MM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RC = {"svg.hashsalt": "nen_imaging", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9}
_BLUE, _RED, _GREY = "#1f4e79", "#8c1c13", "#9aa4ae"
Scores = Sequence[Mapping[str, Any]]


def bland_altman(scores: Scores, agreement: Mapping[str, float]) -> str:
    """Load: predicted minus true against their mean; empty without a load.

    ``agreement`` holds the summary's `bias_points`, `limit_low_points`, `limit_high_points`.
    """
    loads = _loads(scores)
    if not loads:
        return ""

    def draw(axes: Axes) -> None:
        true, found = np.array([[load["true_percent"], load["percent"]] for load in loads]).T
        bias, *limits = (agreement[f"{name}_points"] for name in ("bias", "limit_low", "limit_high"))
        axes.axhline(0, color=_GREY, linewidth=0.7)
        axes.axhline(bias, color=_BLUE, linewidth=1, label=f"bias {bias:+.2f}")
        for limit in limits:
            if np.isfinite(limit):
                axes.axhline(limit, color=_BLUE, linewidth=1, linestyle=(0, (4, 3)), label=f"limit {limit:+.2f}")
        axes.plot((true + found) / 2, found - true, "o", color=_BLUE, markersize=4, alpha=0.8)
        axes.set_xlabel("mean of true and predicted load [%]")
        axes.set_ylabel("predicted - true [points]")
        axes.legend(fontsize=7, frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))

    return _svg(draw)


def load_against_load(scores: Scores) -> str:
    """Predicted against true load with intervals; those that miss the truth stand out. Empty without a load."""
    loads = _loads(scores)
    if not loads:
        return ""

    def draw(axes: Axes) -> None:
        for load in loads:
            missed = load["low"] is not None and not load["low"] <= load["true_percent"] <= load["high"]
            colour = _RED if missed else _BLUE
            if load["low"] is not None:
                axes.vlines(load["true_percent"], load["low"], load["high"], color=colour, linewidth=1)
            axes.plot(load["true_percent"], load["percent"], "o", color=colour, markersize=4)
        top = 1.05 * max(1.0, *(max(load["true_percent"], load["percent"], load["high"] or 0) for load in loads))
        axes.plot([0, top], [0, top], color=_GREY, linewidth=0.7)
        axes.set(xlim=(0, top), ylim=(0, top), xlabel="true load [%]", ylabel="predicted load [%], 90 % interval")

    return _svg(draw)


def dice_by_size(scores: Scores) -> str:
    """Dice of each true lesion with its match (0: missed) against its longest diameter; empty without a lesion."""
    lesions = [lesion for case in scores if case["detection"] for lesion in case["detection"]["truth"]]
    if not lesions:
        return ""

    def draw(axes: Axes) -> None:
        iou = np.array([lesion["match_iou"]["0"] for lesion in lesions])
        dice, diameter_mm = 2 * iou / (1 + iou), [lesion["longest_diameter_mm"] for lesion in lesions]
        axes.plot(diameter_mm, dice, "o", color=_BLUE, markersize=4, alpha=0.6)
        axes.set(ylim=(-0.03, 1.03), xlabel="longest diameter of the true lesion [mm]", ylabel="Dice with its match")
        axes.set_xlim(left=0)

    return _svg(draw)


def found_by_size(scores: Scores) -> str:
    """True lesions by longest diameter: how many were found, at both thresholds; empty without a true lesion."""
    lesions = [lesion for case in scores if case["detection"] for lesion in case["detection"]["truth"]]
    if not lesions:
        return ""

    def draw(axes: Axes) -> None:
        for place, (low, high) in enumerate(SIZE_BINS_MM.values()):
            inside = [lesion for lesion in lesions if low <= lesion["longest_diameter_mm"] < high]
            found = [sum(lesion["match_iou"][key] > 0 for lesion in inside) for key in ("0", "0.5")]
            bars = zip((len(inside), *found), ("#d5dae0", "#7ba3c9", _BLUE), strict=True)
            for step, (height, colour) in enumerate(bars):
                axes.bar(place + 0.27 * (step - 1), height, 0.25, color=colour)
                axes.text(place + 0.27 * (step - 1), height, str(height), ha="center", va="bottom", fontsize=7)
        axes.set_xticks(range(len(SIZE_BINS_MM)), list(SIZE_BINS_MM))
        axes.set_ylabel("true lesions: all, touched, IoU > 0.5")

    return _svg(draw)


def _loads(scores: Scores) -> list[Mapping[str, Any]]:
    return [case["load"] for case in scores if case["load"] and case["whole_liver"]]


def _svg(draw: Callable[[Axes], None]) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_RC):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        output = io.StringIO()
        FigureCanvasSVG(figure).print_svg(output, metadata={"Date": None, "Creator": None})
    return output.getvalue().partition("<svg")[1] + output.getvalue().partition("<svg")[2]
