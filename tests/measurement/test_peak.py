import io
import zipfile

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.measurement.lesion_uptake import suv_statistics, tumour_volume
from nen_imaging.measurement.peak import RADIUS_MM, suv_peaks
from nen_imaging.measurement.reference import Uptake
from nen_imaging.volume import Volume
from tests.contours import voxels_inside
from tests.measurement.shapes import ORIENTATIONS


def test_the_sphere_has_1_ml():
    assert 4 / 3 * np.pi * RADIUS_MM**3 == pytest.approx(1000)


def test_neighbours_outside_the_lesion_count_and_those_outside_the_image_do_not():
    array = np.full((9, 9, 9), 2.0)
    array[0, 4, 4] = 10
    inside = array == 10
    local, best = suv_peaks(Volume(array, np.diag([5.0, 5, 5, 1])), inside)
    assert local == best == pytest.approx((10 + 5 * 2) / 6)  # itself and 5 of its 6 neighbours


def test_ties_take_the_highest_mean_and_global_is_the_best_of_all():
    array = np.zeros((15, 5, 5))
    array[2, 2, 2] = array[7, 2, 2] = 6
    array[8, 2, 2] = 3
    array[11:14, 1:4, 1:4] = 5
    volume = Volume(array, np.diag([5.0, 5, 5, 1]))
    local, best = suv_peaks(volume, array > 0)
    assert local == pytest.approx((6 + 3) / 7)
    assert best == pytest.approx(5)


def test_nothing_inside_has_no_peak():
    peaks = suv_peaks(Volume(np.ones((3, 3, 3)), np.eye(4)), np.zeros((3, 3, 3), bool))
    assert np.isnan(peaks).all()


@given(st.sampled_from(ORIENTATIONS))
@settings(max_examples=10, deadline=None)
def test_peaks_do_not_depend_on_how_the_array_is_laid_out(codes):
    rng = np.random.default_rng(3)
    volume = Volume(rng.random((8, 7, 6)), np.diag([4.0, 4, 3, 1]))
    inside = volume.with_array(volume.array > 0.3)
    expected = suv_peaks(volume, inside.array)
    assert suv_peaks(volume.oriented(codes), inside.oriented(codes).array) == pytest.approx(expected)


def test_ibsi_digital_phantom_has_its_published_peaks(shared_data, tmp_path):
    """IBSI 1: local 2.6, global 3.1, mean 2.15."""
    with zipfile.ZipFile(shared_data / "ibsi_phantoms" / "ibsi_1_digital_phantom.zip") as archive:
        archive.extractall(tmp_path)
    image, mask = (
        np.asanyarray(nibabel.load(tmp_path / "nifti" / name).dataobj)
        for name in ("image/phantom.nii.gz", "mask/mask.nii.gz")
    )
    found = suv_statistics(Volume(image.astype(float), np.diag([2.0, 2, 2, 1])), (mask > 0).astype(np.float32))
    assert found["suv_peak_local"] == pytest.approx(2.6, abs=1e-6)
    assert found["suv_peak_global"] == pytest.approx(3.103448, abs=1e-6)
    assert found["suv_mean"] == pytest.approx(2.148649, abs=1e-6)


def test_real_tumour_has_its_known_peaks(shared_data, tmp_path):
    """pet_ge_sts001, GTV_Mass: local 5.313030, global 6.078436; >= 41 % of the maximum 113.021 ml."""
    from nen_imaging.dicom.series import read_pet

    with zipfile.ZipFile(shared_data / "pet_ge_sts001" / "pet_ge_sts001.zip") as archive:
        archive.extractall(tmp_path)
    files = sorted((tmp_path / "image").iterdir())
    suv = read_pet((file.name, io.BytesIO(file.read_bytes())) for file in files).volume
    inside = voxels_inside(suv, pydicom.dcmread(next((tmp_path / "mask").iterdir())), "GTV_Mass")
    found = suv_statistics(suv, inside.astype(np.float32))
    assert found["suv_max"] == pytest.approx(7.910675, rel=1e-6)
    assert found["suv_peak_local"] == pytest.approx(5.313030, rel=1e-5)
    assert found["suv_peak_global"] == pytest.approx(6.078436, rel=1e-5)
    for rule, volume_ml in (
        ({"threshold_rule": "relative", "relative_percent": 41.0}, 113.021),
        ({"threshold_rule": "relative", "relative_percent": 50.0}, 59.492),
        ({"threshold_rule": "fixed", "fixed_suv": 4.0}, 55.900),
    ):
        volume = tumour_volume(suv, inside.astype(np.float32), found["suv_max"], Uptake(refused="none"), rule)
        assert volume["ssr_tv_ml"] == pytest.approx(volume_ml, abs=0.08)  # within one voxel
