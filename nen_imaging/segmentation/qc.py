"""One picture per staging by which a bad mask is rejected at a glance: CT with contours at several levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.volume import Volume, require_same_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LESION = 2  # label
WINDOW_HU = (-125.0, 225.0)  # soft tissue: level 50, width 350
AXIAL_LEVELS = 8
_MARGIN_MM = 30.0  # what is shown around the liver, so that a missed part of it is seen
_LIVER_COLOUR, _LESION_COLOUR = "#38c6f4", "#ffb000"
_DPI = 100
_TEXT: dict[str, Any] = {"color": "white", "fontsize": 8, "fontfamily": "DejaVu Sans"}


@dataclass(frozen=True)
class _Plane:
    """A slice as it is shown: ``image[row, column]``, size of a pixel, and the two letters of its sides."""

    image: NDArray[np.generic]
    labels: NDArray[Any]
    row_mm: float
    column_mm: float
    left: str
    title: str
    upwards: bool  # rows count from the bottom

    @property
    def extent_mm(self) -> tuple[float, float, float, float]:
        rows, columns = self.image.shape
        width, height = columns * self.column_mm, rows * self.row_mm
        return (0, width, 0, height) if self.upwards else (0, width, height, 0)


def draw_qc(path: Path, ct: Volume, labels: Volume, *, lines: Sequence[str]) -> None:
    """Write a PNG mosaic of a CT with the contours of liver and lesions.

    Eight axial levels spread over the liver (over the whole image where there is none), one coronal and one
    sagittal slice where the liver's cut is largest. Radiological convention: the patient's right is on the image's
    left, anterior is up (left in the sagittal slice); pixels are drawn in their true proportions.

    Parameters
    ----------
    path
        The PNG to write.
    ct
        Hounsfield units.
    labels
        On the grid of ``ct``: 0 elsewhere, 1 liver, 2 lesion.
    lines
        Text above the picture, e.g. loads and flags.

    Raises
    ------
    GridMismatchError
        The labels do not share the grid of the CT.
    """
    require_same_grid(ct, labels)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    ct, labels = ct.oriented("LPS"), labels.oriented("LPS")  # i to the left, j backwards, k upwards
    start, stop = _box_to_show(labels)
    ct, labels = ct.cropped(start, stop), labels.cropped(start, stop)
    levels = _axial_levels(labels.array)
    axial = [_axial_plane(ct, labels, level, number) for number, level in enumerate(levels, start=1)]
    figure = _mosaic(axial, _coronal_plane(ct, labels), _sagittal_plane(ct, labels), lines)
    _mark_levels(figure.axes[-2:], levels, ct.spacing_mm[2])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    _write_png(path, np.asarray(canvas.buffer_rgba())[..., :3])


def _box_to_show(labels: Volume) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    shape = np.array(labels.shape)
    if not labels.array.any():
        return np.zeros(3, int), shape
    margin = np.ceil(_MARGIN_MM / labels.spacing_mm).astype(int)
    inside = [np.flatnonzero(labels.array.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    first = np.array([indices[0] for indices in inside])
    last = np.array([indices[-1] for indices in inside])
    return np.maximum(first - margin, 0), np.minimum(last + margin + 1, shape)


def _axial_levels(labels: NDArray[np.generic]) -> list[int]:
    """Levels from the top of the liver down, evenly spread; fewer where it has fewer slices."""
    found = np.flatnonzero(labels.any(axis=(0, 1)))
    low, high = (found[0], found[-1] + 1) if found.size else (0, labels.shape[2])
    share = (np.arange(AXIAL_LEVELS) + 0.5) / AXIAL_LEVELS
    return [int(level) for level in np.unique(np.floor(low + share * (high - low)))[::-1]]


def _fullest(labels: NDArray[np.generic], axis: int) -> int:
    """The slice across ``axis`` with the largest cut of the liver; the middle one where there is none."""
    others = tuple(other for other in range(3) if other != axis)
    counts = np.count_nonzero(labels, axis=others)
    return int(counts.argmax()) if counts.any() else labels.shape[axis] // 2


def _axial_plane(ct: Volume, labels: Volume, level: int, number: int) -> _Plane:
    x, y, _ = ct.spacing_mm
    z_mm = ct.affine[2, :3] @ [ct.shape[0] / 2, ct.shape[1] / 2, level] + ct.affine[2, 3]
    image, mask = ct.array[:, :, level].T, labels.array[:, :, level].T  # (i, j) -> rows backwards, columns leftwards
    return _Plane(image, mask, y, x, "R", f"{number}   z {z_mm:.0f} mm", upwards=False)


def _coronal_plane(ct: Volume, labels: Volume) -> _Plane:
    x, _, z = ct.spacing_mm
    j = _fullest(labels.array, axis=1)
    return _Plane(ct.array[:, j, :].T, labels.array[:, j, :].T, z, x, "R", "coronal", upwards=True)


def _sagittal_plane(ct: Volume, labels: Volume) -> _Plane:
    _, y, z = ct.spacing_mm
    i = _fullest(labels.array, axis=0)
    return _Plane(ct.array[i, :, :].T, labels.array[i, :, :].T, z, y, "A", "sagittal", upwards=True)


def _mosaic(axial: Sequence[_Plane], coronal: _Plane, sagittal: _Plane, lines: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    columns = -(-len(axial) // 2)
    header = 0.25 + 0.2 * (len(lines) + 1)  # inches
    panel_height = 3.4
    widths = [3.4 * _proportion(axial)] * columns + [3.4 * max(_proportion([coronal, sagittal]), 0.8)]
    height = 2 * panel_height + header
    figure = Figure(figsize=(sum(widths), height), dpi=_DPI, facecolor="black")
    grid = figure.add_gridspec(
        2, columns + 1, left=0, right=1, bottom=0, top=1 - header / height, wspace=0.01, hspace=0.01,
        width_ratios=widths,
    )  # fmt: skip
    for number, plane in enumerate(axial):
        _draw_plane(figure.add_subplot(grid[divmod(number, columns)]), plane)
    _draw_plane(figure.add_subplot(grid[0, columns]), coronal)
    _draw_plane(figure.add_subplot(grid[1, columns]), sagittal)
    for number, line in enumerate(lines):
        y = 1 - (0.2 + 0.2 * number) / height
        figure.text(0.006, y, line, va="top", parse_math=False, **{**_TEXT, "fontsize": 10})
    found = any(plane.labels.any() for plane in (*axial, coronal, sagittal))
    _draw_legend(figure, 1 - (0.2 + 0.2 * len(lines)) / height, found=found)
    return figure


def _proportion(planes: Sequence[_Plane]) -> float:
    """Width over height of the widest plane, within what a mosaic can bear."""
    shares = [plane.image.shape[1] * plane.column_mm / (plane.image.shape[0] * plane.row_mm) for plane in planes]
    return float(np.clip(max(shares), 0.5, 1.6))


def _draw_plane(axes: Axes, plane: _Plane) -> None:
    axes.set_axis_off()
    low, high = WINDOW_HU
    axes.imshow(
        plane.image, cmap="gray", vmin=low, vmax=high, extent=plane.extent_mm, aspect="equal",
        origin="lower" if plane.upwards else "upper",
    )  # fmt: skip
    _draw_contour(axes, plane, plane.labels > 0, _LIVER_COLOUR, 0.8)
    _draw_contour(axes, plane, plane.labels == _LESION, _LESION_COLOUR, 1.0)
    _write_in(axes, 0.02, 0.98, plane.title, va="top")
    _write_in(axes, 0.01, 0.5, plane.left, va="center", fontweight="bold")
    _draw_scale(axes)


def _draw_contour(axes: Axes, plane: _Plane, mask: NDArray[np.bool_], colour: str, width: float) -> None:
    if not mask.any():
        return
    padded = np.pad(mask, 1).astype(np.float32)  # so that a mask at the border has a closed contour
    x_mm = (np.arange(padded.shape[1]) - 0.5) * plane.column_mm
    y_mm = (np.arange(padded.shape[0]) - 0.5) * plane.row_mm
    axes.contour(x_mm, y_mm, padded, levels=[0.5], colors=[colour], linewidths=[width])


def _draw_scale(axes: Axes) -> None:
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    x = right - 0.04 * (right - left)
    y = bottom + 0.04 * (top - bottom)
    axes.plot([x - 50, x], [y, y], color="white", linewidth=1.5, solid_capstyle="butt")
    axes.text(x - 25, y + 0.01 * (top - bottom), "5 cm", ha="center", va="bottom", **{**_TEXT, "fontsize": 7})


def _write_in(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:  # noqa: ANN401 - text properties
    axes.text(x, y, text, transform=axes.transAxes, ha="left", **(_TEXT | style))


def _mark_levels(axes_of_overviews: Sequence[Axes], levels: Sequence[int], slice_mm: float) -> None:
    for axes in axes_of_overviews:
        right = axes.get_xlim()[1]
        for number, level in enumerate(levels, start=1):
            y = (level + 0.5) * slice_mm
            axes.plot([0.96 * right, right], [y, y], color="white", linewidth=0.7)
            axes.text(0.95 * right, y, str(number), ha="right", va="center", **{**_TEXT, "fontsize": 6})


def _draw_legend(figure: Figure, y: float, *, found: bool) -> None:
    for x, colour, text in ((0.006, _LIVER_COLOUR, "liver"), (0.04, _LESION_COLOUR, "lesion")):
        figure.text(x, y, text, va="top", **{**_TEXT, "color": colour, "fontsize": 9})
    low, high = WINDOW_HU
    note = f"window {low:.0f} to {high:.0f} HU; R: the patient's right; A: anterior"
    note = note if found else f"NO LIVER FOUND: the whole image is shown; {note}"
    figure.text(0.08, y, note, va="top", **{**_TEXT, "color": "#bbbbbb", "fontsize": 9})


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a PNG of 256 colours, a third of the size: greys, and the two contours' colours mixed with greys."""
    from PIL import Image

    greys = [(grey, grey, grey) for grey in np.linspace(0, 255, 128).astype(int).tolist()]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in greys + _mixed(_LIVER_COLOUR) + _mixed(_LESION_COLOUR) for value in colour])
    Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


def _mixed(colour: str) -> list[tuple[int, ...]]:
    """64 mixtures of a colour with eight greys, as anti-aliased lines need them."""
    full = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)])
    shares = [(share, grey) for share in np.linspace(0.25, 1, 8) for grey in np.linspace(0, 255, 8)]
    return [tuple(np.round(share * full + (1 - share) * grey).astype(int).tolist()) for share, grey in shares]
