"""The one object for geometry: a 3-D array and the affine that places it in the patient.

Axes and handedness are decided here once. Arrays are indexed ``(i, j, k)``; a volume read from a DICOM
series has ``i`` along the image columns (x of the slice), ``j`` along the rows, ``k`` along the slices.
The affine maps an index to millimetres in RAS+ (the NIfTI convention); DICOM's LPS differs by the sign of
the first two rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_STANDS_OUT = 1.5  # a spacing that many times the others is that of slices
_PLANES = ("sagittal", "coronal", "axial")  # across x, y, z

Array = NDArray[np.generic]
FloatArray = NDArray[np.floating]


class GridMismatchError(ValueError):
    """Two volumes that must share a grid do not."""


@dataclass(frozen=True)
class Volume:
    """A 3-D array, indexed ``(i, j, k)``, with its 4 x 4 affine from index to RAS+ millimetres."""

    array: Array
    affine: FloatArray

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            raise ValueError(f"A Volume needs a 3-D array, got one of shape {self.array.shape}.")
        if self.affine.shape != (4, 4):
            raise ValueError(f"A Volume needs a 4 x 4 affine, got one of shape {self.affine.shape}.")
        if abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise ValueError("The affine is singular: it gives the voxels no volume.")

    @property
    def shape(self) -> tuple[int, int, int]:
        i, j, k = self.array.shape
        return i, j, k

    @property
    def spacing_mm(self) -> FloatArray:
        """Distance between neighbouring voxels along each array axis, shape (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def voxel_volume_ml(self) -> float:
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def with_array(self, array: Array) -> Volume:
        """The same grid with another array; its shape must be the same."""
        if array.shape != self.array.shape:
            raise GridMismatchError(f"The grid is {self.array.shape}, the new array {array.shape}.")
        return Volume(array, self.affine)

    def oriented(self, codes: str = "RAS") -> Volume:
        """Flip and permute the axes (nothing is interpolated) until they point along ``codes``."""
        now = io_orientation(self.affine)
        change = ornt_transform(now, axcodes2ornt(tuple(codes)))
        array = apply_orientation(self.array, change)
        return Volume(np.ascontiguousarray(array), self.affine @ inv_ornt_aff(change, self.array.shape))

    def cropped(self, start: NDArray[np.integer], stop: NDArray[np.integer]) -> Volume:
        """The box of indices ``start <= index < stop``, at its true place in the patient."""
        affine = self.affine.copy()
        affine[:3, 3] = self.affine[:3, :3] @ start + self.affine[:3, 3]
        box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return Volume(self.array[box], affine)


def slice_axis(affine: FloatArray) -> int:
    """The array axis that runs across the slices.

    It is the one whose spacing is clearly the largest; of nearly even spacings, where any cut is as good as another,
    the one nearest to the patient's head-foot direction.
    """
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    widest = int(spacing_mm.argmax())
    if spacing_mm[widest] > _STANDS_OUT * np.delete(spacing_mm, widest).max():
        return widest
    return int(np.abs(affine[2, :3] / spacing_mm).argmax())


def slice_plane(affine: FloatArray) -> str:
    """The plane of the slices (`slice_axis`) in the patient: ``axial``, ``coronal`` or ``sagittal``."""
    return _PLANES[int(np.abs(affine[:3, slice_axis(affine)]).argmax())]


def require_same_grid(first: Volume, second: Volume, *, tolerance_mm: float = 0.01) -> None:
    """Raise GridMismatchError, saying what differs and by how much, unless both share one grid."""
    if first.shape != second.shape:
        raise GridMismatchError(f"Shapes differ: {first.shape} and {second.shape}.")
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in first.shape], [1])).reshape(4, -1)
    shift_mm = float(np.abs((first.affine - second.affine) @ corners).max())
    if shift_mm > tolerance_mm:
        raise GridMismatchError(f"The grids lie up to {shift_mm:.3g} mm apart (tolerance {tolerance_mm} mm).")


def grid_with_spacing(volume: Volume, spacing_mm: FloatArray) -> tuple[tuple[int, int, int], FloatArray]:
    """Shape and affine of the grid with another spacing that covers the same box of the patient.

    The outer faces of the voxels coincide at the first corner; the last voxels may reach past the far one.
    """
    scale = np.asarray(spacing_mm, float) / volume.spacing_mm
    shape = np.maximum(1, np.ceil(np.array(volume.shape) / scale - 1e-6)).astype(int)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * scale
    affine[:3, 3] += volume.affine[:3, :3] @ ((scale - 1) / 2)
    i, j, k = (int(n) for n in shape)
    return (i, j, k), affine


def resample(
    volume: Volume, shape: tuple[int, int, int], affine: FloatArray, *, nearest: bool = False, outside: float = 0.0
) -> Volume:
    """Bring a volume to another grid, linearly or by nearest neighbour; ``outside`` fills what it never saw.

    Linear interpolation alone aliases when the new grid is coarser: smooth first where that matters.
    """
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape])
    spacing, direction, origin = _itk_geometry(affine)
    resampler.SetOutputSpacing(spacing)
    resampler.SetOutputDirection(direction)
    resampler.SetOutputOrigin(origin)
    resampler.SetInterpolator(SimpleITK.sitkNearestNeighbor if nearest else SimpleITK.sitkLinear)
    resampler.SetDefaultPixelValue(outside)
    return Volume(_array_of(resampler.Execute(to_itk(volume))), affine)


def to_itk(volume: Volume) -> SimpleITK.Image:
    """The SimpleITK image (LPS) of a volume; its memory is copied."""
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))  # ITK's order is (k, j, i)
    spacing, direction, origin = _itk_geometry(volume.affine)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    image.SetOrigin(origin)
    return image


def read_nifti(path: Path) -> Volume:
    """Read a NIfTI file of one 3-D image; scaled data come as float32, others in their stored type.

    Raises
    ------
    ValueError
        The file holds no 3-D image, or neither its sform nor its qform places it in space.
    """
    image = nibabel.load(path)
    if not isinstance(image, nibabel.nifti1.Nifti1Image):
        raise ValueError(f"{path} is no NIfTI image.")
    if image.header["sform_code"] == 0 and image.header["qform_code"] == 0:
        raise ValueError(f"{path} has neither sform nor qform: its place and orientation in the patient are unknown.")
    scaled = image.header.get_slope_inter() not in ((None, None), (1.0, 0.0))
    array = image.get_fdata(dtype=np.float32) if scaled else np.asanyarray(image.dataobj)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    return Volume(array, np.asarray(image.affine, float))


def write_nifti(path: Path, volume: Volume) -> None:
    """Write a NIfTI file whose sform and qform are the volume's affine."""
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = nibabel.nifti1.Nifti1Image(array, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=1)
    nibabel.save(image, path)


def _itk_geometry(affine: FloatArray) -> tuple[list[float], list[float], list[float]]:
    lps = LPS_TO_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return spacing.tolist(), (lps[:3, :3] / spacing).ravel().tolist(), lps[:3, 3].tolist()


def _array_of(image: SimpleITK.Image) -> Array:
    return SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)  # (k, j, i) -> (i, j, k)
