"""One picture per case by which a figure is understood: truth and prediction where they differ most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.validation.metrics import lesions_of, liver_of
from nen_imaging.validation.surface import union_box
from nen_imaging.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = 4
WINDOW_HU = (-125.0, 225.0)
_MARGIN_MM = 20.0
_COLOURS = {"liver": ("#7ee787", "#ff7ab6"), "lesion": ("#ffd33d", "#ff5c38")}  # truth, prediction
_INCHES, _DPI = 3.0, 80


def draw_overlay(path: Path, ct: Volume | None, truth: Volume, prediction: Volume) -> None:
    """Write a PNG of four axial slices with both contours: two where the lesions, two where the livers differ most.

    Seen from the feet, the patient's right on the left; without a CT the contours stand on grey.

    Parameters
    ----------
    path
        The PNG to write.
    ct, truth, prediction
        One grid; HU, and label maps (1 liver, 2 lesion).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    true, found = (truth.with_array(volume.array).oriented("LPS") for volume in (truth, prediction))
    image = truth.with_array(ct.array).oriented("LPS").array if ct is not None else None
    box = _shown(true, found)
    maps = true.array[box], found.array[box]
    levels = _levels(*maps)
    x, y, _ = true.spacing_mm
    width, height = maps[0].shape[0] * x, maps[0].shape[1] * y
    figure = Figure(figsize=(_INCHES * len(levels), _INCHES * height / width + 0.3), dpi=_DPI, facecolor="black")
    for number, level in enumerate(levels):
        axes = figure.add_axes((number / len(levels), 0.0, 1 / len(levels), 1 - 0.3 / figure.get_figheight()))
        axes.set_axis_off()
        grey = np.full(maps[0].shape[:2], 0.0) if image is None else image[box][:, :, level]
        low, high = WINDOW_HU
        axes.imshow(grey.T, cmap="gray", vmin=low, vmax=high, extent=(0, width, height, 0), aspect="equal")
        for structure, of in (("liver", liver_of), ("lesion", lesions_of)):
            for labels, colour in zip(maps, _COLOURS[structure], strict=True):
                _contour(axes, of(labels[:, :, level]), (x, y), colour)
    _legend(figure)
    FigureCanvasAgg(figure).print_png(str(path))


def _shown(truth: Volume, prediction: Volume) -> tuple[slice, ...]:
    """The box around both livers; of an axis where there is none all of it."""
    box = union_box(liver_of(truth.array), liver_of(prediction.array))
    if box is None:
        return (slice(None),) * 3
    margins = np.ceil(_MARGIN_MM / truth.spacing_mm).astype(int)
    margins[2] = 0
    return tuple(slice(max(0, side.start - int(m)), side.stop + int(m)) for side, m in zip(box, margins, strict=True))


def _levels(truth: NDArray[Any], prediction: NDArray[Any]) -> list[int]:
    """The slices where lesions, then livers, differ in most voxels; neighbours of a chosen one are left out.

    Where livers differ alike, the largest one counts.
    """
    depth = truth.shape[2]
    apart = max(1, depth // 12)
    chosen: list[int] = []
    for of, count in ((lesions_of, PANELS // 2), (liver_of, PANELS)):
        differing = np.count_nonzero(of(truth) != of(prediction), axis=(0, 1))
        area = np.count_nonzero(truth, axis=(0, 1))
        for level in np.lexsort((-area, -differing)).tolist():
            if len(chosen) >= count or (differing[level] == 0 and of is lesions_of):
                break
            if all(abs(level - other) >= apart for other in chosen):
                chosen.append(level)
    return sorted(chosen, reverse=True) or [depth // 2]


def _contour(axes: Axes, mask: NDArray[np.bool_], pixel_mm: tuple[float, float], colour: str) -> None:
    if not mask.any():
        return
    padded = np.pad(mask, 1).T.astype(np.float32)
    places = [(np.arange(n) - 0.5) * mm for n, mm in zip(padded.shape[::-1], pixel_mm, strict=True)]
    axes.contour(*places, padded, levels=[0.5], colors=[colour], linewidths=[0.9])


def _legend(figure: Any) -> None:  # noqa: ANN401 - matplotlib's figure
    x = 0.01
    for structure, colours in _COLOURS.items():
        for side, colour in zip(("true", "found"), colours, strict=True):
            figure.text(x, 0.985, f"{side} {structure}", color=colour, fontsize=8, va="top", fontfamily="DejaVu Sans")
            x += 0.09
