"""The IBSI CT phantom, configuration A, in the figures that this project measures too."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pydicom
import pytest

from nen_imaging.dicom.contours import mask_on, read_contours
from nen_imaging.dicom.series import read_ct
from nen_imaging.measurement.diameters import longest_3d_mm
from nen_imaging.measurement.peak import suv_peaks


def test_ct_phantom_has_its_published_figures(shared_data, tmp_path):
    """IBSI 1, config A: intensities limited to -500..400 HU, volume and diameter of the whole mask."""
    with zipfile.ZipFile(shared_data / "ibsi_phantoms" / "ibsi_1_ct_radiomics_phantom.zip") as archive:
        archive.extractall(tmp_path)
    files = [
        file for file in tmp_path.rglob("*.dcm") if pydicom.dcmread(file, stop_before_pixels=True).Modality == "CT"
    ]
    (drawn,) = set(tmp_path.rglob("*.dcm")) - set(files)
    ct = read_ct((file.name, io.BytesIO(file.read_bytes())) for file in files).volume
    region = next(one for one in read_contours(pydicom.dcmread(drawn)) if one.name == "GTV-1")
    mask = mask_on(region, ct)
    assert int(mask.sum()) == 125256
    assert float(mask.sum()) * ct.voxel_volume_ml == pytest.approx(359, abs=5)
    kept = mask & (ct.array >= -500) & (ct.array <= 400)
    assert int(kept.sum()) == 114596
    values = ct.array[kept].astype(float)
    assert values.mean() == pytest.approx(13.4, abs=1.1)
    assert np.percentile(values, [10, 90]) == pytest.approx([-129, 95], abs=8)
    local, best = suv_peaks(ct, kept)
    assert local == pytest.approx(-277, abs=10)
    assert best == pytest.approx(189, abs=5)
    assert longest_3d_mm(mask, ct.affine) == pytest.approx(125, abs=1)
