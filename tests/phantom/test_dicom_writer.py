import datetime as dt

import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.phantom.radiotracer import Injection
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.volume import Volume
from tests.itk import from_itk


def make_volume(shape=(7, 5, 4), affine=None, seed=0):
    array = np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.int16)
    if affine is None:
        affine = np.array([[-0.7, 0, 0, 120], [0, -0.9, 0, 80], [0, 0, 2.5, -300], [0, 0, 0, 1.0]])
    return Volume(array, affine)


def read_by_itk(files):
    reader = SimpleITK.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(files[0].parent))
    assert len(names) == len(files)
    reader.SetFileNames(names)
    return from_itk(reader.Execute())


def at_world(volume, points_mm):
    """Values at the voxels whose centres lie at the given RAS points."""
    index = np.linalg.inv(volume.affine) @ np.vstack([points_mm, np.ones(points_mm.shape[1])])
    rounded = np.rint(index[:3]).astype(int)
    assert np.allclose(index[:3], rounded, atol=1e-3)
    return volume.array[tuple(rounded)]


def assert_same_in_world(found, expected, atol=0.0):
    index = np.indices(expected.shape).reshape(3, -1)
    points_mm = expected.affine[:3, :3] @ index + expected.affine[:3, 3:]
    np.testing.assert_allclose(at_world(found, points_mm), expected.array.ravel(), atol=atol)


@settings(max_examples=15, deadline=None)
@given(
    axes=st.permutations("xyz"),
    signs=st.tuples(*[st.booleans()] * 3),
    spacing=st.tuples(*[st.floats(0.5, 4)] * 3),
)
def test_a_volume_of_any_orientation_lies_where_it_lay(axes, signs, spacing, tmp_path_factory):
    names = {"x": "RL", "y": "AP", "z": "SI"}
    orientation = axcodes2ornt(tuple(names[axis][sign] for axis, sign in zip(axes, signs, strict=True)))
    straight = make_volume(affine=np.diag([*spacing, 1.0]))
    array = apply_orientation(straight.array, orientation)
    volume = Volume(array, straight.affine @ inv_ornt_aff(orientation, straight.shape))
    files = write_ct_series(tmp_path_factory.mktemp("ct"), volume)
    assert_same_in_world(read_by_itk(files), volume)


def test_row_and_column_spacing_are_not_swapped(tmp_path):
    image = pydicom.dcmread(write_ct_series(tmp_path, make_volume())[0])
    assert [float(x) for x in image.PixelSpacing] == [0.9, 0.7]  # between rows, then between columns
    assert (image.Rows, image.Columns) == (5, 7)
    assert [float(x) for x in image.ImagePositionPatient] == [-120, -80, -300]


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
    ],
    ids=lambda uid: uid.name,
)
def test_every_transfer_syntax_keeps_the_hounsfield_units(syntax, tmp_path):
    volume = make_volume()
    files = write_ct_series(tmp_path, volume, transfer_syntax=syntax)
    image = pydicom.dcmread(files[2])
    assert image.file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(image.pixel_array.T + float(image.RescaleIntercept), volume.array[:, :, 2])


def test_tilt_leans_the_slices_and_is_named(tmp_path):
    affine = make_volume().affine.copy()
    affine[1, 2] = 2.5 * np.tan(np.radians(15))
    image = pydicom.dcmread(write_ct_series(tmp_path, make_volume(affine=affine))[1])
    assert float(image.GantryDetectorTilt) == pytest.approx(15)
    assert float(image.SliceThickness) == pytest.approx(2.5)


def test_slice_order_gap_and_extension(tmp_path):
    files = write_ct_series(tmp_path, make_volume(), slice_order="descending", skip_slices=(1,), extension=".dcm")
    assert [file.name for file in files] == ["S02I0004.dcm", "S02I0002.dcm", "S02I0001.dcm"]
    heights = [float(pydicom.dcmread(file).ImagePositionPatient[2]) for file in files]
    assert heights == [-300, -295, -292.5]


def test_tags_are_overridden_deleted_and_set_per_slice(tmp_path):
    changes = {"Manufacturer": "ACME", "SliceThickness": None, "SeriesTime": lambda k: f"10000{k}", "StudyDate": ""}
    files = write_ct_series(tmp_path, make_volume(), tags=changes, private={(0x0009, "ACME"): {0x10: ("LO", "x")}})
    image = pydicom.dcmread(files[3])
    assert image.Manufacturer == "ACME"
    assert "SliceThickness" not in image
    assert image.SeriesTime == "100003"
    assert image.StudyDate == ""
    assert image.private_block(0x0009, "ACME")[0x10].value == "x"


def test_the_same_call_writes_the_same_bytes_and_another_seed_other_uids(tmp_path):
    first, again, other = (
        write_ct_series(tmp_path / name, make_volume(), seed=seed)[0] for name, seed in [("a", 1), ("b", 1), ("c", 2)]
    )
    assert first.read_bytes() == again.read_bytes()
    assert pydicom.dcmread(first).SeriesInstanceUID != pydicom.dcmread(other).SeriesInstanceUID


def test_ct_and_pet_of_a_day_share_study_and_frame_of_reference_only(tmp_path):
    ct = pydicom.dcmread(write_ct_series(tmp_path, make_volume())[0])
    pet = pydicom.dcmread(write_pet_series(tmp_path, make_volume())[0])
    assert ct.StudyInstanceUID == pet.StudyInstanceUID
    assert ct.FrameOfReferenceUID == pet.FrameOfReferenceUID
    assert ct.SeriesInstanceUID != pet.SeriesInstanceUID


def suv_by_hand(image, weight_kg):
    """SUVbw of one slice from its header alone, by the rules of QIBA and IBSI-SUV."""
    values = image.pixel_array.T * float(image.RescaleSlope) + float(image.RescaleIntercept)
    if image.Units == "GML":
        return values
    if image.Units == "CNTS":
        return values * float(image.private_block(0x7053, "Philips PET Private Group")[0x00].value)
    injected = image.RadiopharmaceuticalInformationSequence[0]
    decay = np.log(2) / float(injected.RadionuclideHalfLife)
    start = dt.datetime.strptime(injected.RadiopharmaceuticalStartDateTime, "%Y%m%d%H%M%S.%f")
    scan_time = image.AcquisitionTime if image.DecayCorrection == "NONE" else image.SeriesTime
    scan = dt.datetime.strptime(image.SeriesDate + scan_time, "%Y%m%d%H%M%S.%f")
    elapsed_s = (scan - start).total_seconds()
    if image.DecayCorrection == "NONE":
        duration_s = image.ActualFrameDuration / 1000
        values = values * decay * duration_s / (1 - np.exp(-decay * duration_s))
    if image.DecayCorrection == "ADMIN":
        elapsed_s = 0
    return values * weight_kg * 1000 / (float(injected.RadionuclideTotalDose) * np.exp(-decay * elapsed_s))


@pytest.mark.parametrize(
    ("units", "decay_correction"),
    [("CNTS", "START"), *[(units, decay) for units in ("BQML", "GML") for decay in ("START", "ADMIN", "NONE")]],
)
def test_the_header_leads_back_to_the_suv(units, decay_correction, tmp_path):
    suv = Volume(np.random.default_rng(1).uniform(0.5, 20, (6, 5, 4)), make_volume().affine)
    files = write_pet_series(
        tmp_path,
        suv,
        patient=PatientTags(weight_kg=82.0),
        injection=Injection(dose_bq=133e6, uptake_s=3333.0),
        units=units,
        decay_correction=decay_correction,
        slices_per_bed=2,
    )
    for k, file in enumerate(files):
        np.testing.assert_allclose(suv_by_hand(pydicom.dcmread(file), 82.0), suv.array[:, :, k], rtol=1e-3)


def test_each_slice_has_its_own_slope_unless_told(tmp_path):
    suv = Volume(np.ones((4, 4, 3)) * [1.0, 2.0, 4.0], np.eye(4))
    slopes = [float(pydicom.dcmread(file).RescaleSlope) for file in write_pet_series(tmp_path / "own", suv)]
    assert slopes[2] == pytest.approx(4 * slopes[0], rel=1e-6)
    files = write_pet_series(tmp_path / "one", suv, one_slope_per_slice=False)
    assert len({float(pydicom.dcmread(file).RescaleSlope) for file in files}) == 1


def test_a_tag_inside_a_sequence_can_be_deleted(tmp_path):
    path = "RadiopharmaceuticalInformationSequence.RadionuclideTotalDose"
    image = pydicom.dcmread(write_pet_series(tmp_path, make_volume(), tags={path: None})[0])
    assert "RadionuclideTotalDose" not in image.RadiopharmaceuticalInformationSequence[0]
