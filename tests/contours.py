"""Contours of RTSTRUCT as voxels, for tests on real data."""

from __future__ import annotations

import numpy as np
import pydicom
from matplotlib.path import Path as Polygon

from nen_imaging.volume import LPS_TO_RAS, Volume


def voxels_inside(volume: Volume, structures: pydicom.Dataset, name: str) -> np.ndarray:
    """Voxels whose centre lies in a contour of the named ROI, even-odd; the contours lie in the volume's slices."""
    number = next(roi.ROINumber for roi in structures.StructureSetROISequence if roi.ROIName == name)
    roi = next(one for one in structures.ROIContourSequence if one.ReferencedROINumber == number)
    to_index = np.linalg.inv(volume.affine) @ LPS_TO_RAS
    inside = np.zeros(volume.shape, bool)
    centres = np.stack(np.meshgrid(*map(np.arange, volume.shape[:2]), indexing="ij"), -1).reshape(-1, 2)
    for contour in roi.ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        index = (to_index @ np.column_stack([points, np.ones(len(points))]).T)[:3].T
        k = round(float(index[:, 2].mean()))
        inside[:, :, k] ^= Polygon(index[:, :2]).contains_points(centres).reshape(volume.shape[:2])
    return inside
