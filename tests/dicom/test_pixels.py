"""Stored pixels to Hounsfield units and activity."""

from __future__ import annotations

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from nen_imaging.contract import Refusal
from nen_imaging.dicom.pixels import activity, hounsfield, hounsfield_reasons, is_lossy, stored_values
from nen_imaging.dicom.series import read_dataset
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.volume import Volume
from tests.dicom.datasets import changed


def make_image(stored, **changes):
    """A single image as a reader gets it; `stored` is indexed (row, column)."""
    image = pydicom.Dataset()
    image.file_meta = pydicom.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.Rows, image.Columns = stored.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 8 * stored.dtype.itemsize
    image.HighBit, image.PixelRepresentation = image.BitsStored - 1, int(stored.dtype.kind == "i")
    image.PixelData = stored.tobytes()
    image.RescaleSlope, image.RescaleIntercept = 1, -1024
    return changed(image, changes)


def refusal_code(function, image):
    with pytest.raises(Refusal) as caught:
        function(image)
    return caught.value.reason.code


def test_columns_come_first_and_slope_and_intercept_are_used():
    stored = np.array([[0, 100, 200], [300, 400, 500]], np.int16)
    values = hounsfield(make_image(stored, RescaleSlope=2, RescaleIntercept=-1000))
    assert values.shape == (3, 2)
    assert values[2, 1] == 0
    assert values[1, 0] == -800


def test_padding_and_what_lies_below_air_become_air():
    stored = np.array([[-2000, 1500, 24, 5]], np.int16)
    values = hounsfield(make_image(stored, PixelPaddingValue=1500))
    assert values[:, 0].tolist() == [-1024, -1024, -1000, -1019]
    ranged = hounsfield(make_image(stored, PixelPaddingValue=1400, PixelPaddingRangeLimit=1600))
    assert ranged[1, 0] == -1024


def test_12_bits_with_a_sign_that_was_not_carried_up():
    stored = np.array([[0x0FFF, 0x0001, 0x0800]], np.int16)  # -1, 1 and -2048 in 12 bits
    image = make_image(stored, BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert stored_values(image)[:, 0].tolist() == [-1, 1, -2048]


def test_overlay_bits_above_the_stored_ones_are_cleared():
    image = make_image(np.array([[0x1000 | 40]], np.uint16), BitsStored=12, HighBit=11)
    assert stored_values(image)[0, 0] == 40


def test_padding_of_a_pet_becomes_no_activity():
    values = activity(
        make_image(np.array([[7, -1]], np.int16), RescaleSlope=0.5, RescaleIntercept=0, PixelPaddingValue=-1)
    )
    assert values[:, 0].tolist() == [3.5, 0.0]


@pytest.mark.parametrize(
    "image",
    [
        make_image(np.zeros((2, 2), np.uint8), RescaleSlope=None, RescaleIntercept=None),
        make_image(np.zeros((2, 2), np.int16), RescaleType="US_FLOW"),
    ],
    ids=["a mask", "a flow map"],
)
def test_images_that_hold_no_hounsfield_units_are_refused(image):
    assert refusal_code(hounsfield, image) == "ct.not_hu"


def test_several_frames_and_colours_are_refused():
    assert refusal_code(stored_values, make_image(np.zeros((2, 2), np.int16), NumberOfFrames=2)) == "image.multiframe"
    assert refusal_code(stored_values, make_image(np.zeros((2, 2), np.int16), SamplesPerPixel=3)) == "ct.not_hu"


def test_pixels_cut_short_and_an_unknown_coding_are_refused_without_uids():
    short = make_image(np.zeros((4, 4), np.int16), PixelData=b"\0" * 6)
    assert refusal_code(stored_values, short) == "pixels.undecodable"
    unknown = make_image(np.zeros((4, 4), np.int16))
    unknown.file_meta.TransferSyntaxUID = "1.2.826.0.1.3680043.8.498.77"
    with pytest.raises(Refusal) as caught:
        stored_values(unknown)
    assert caught.value.reason.code == "pixels.undecodable"
    assert "3680043" not in caught.value.reason.text


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGLSLossless], ids=lambda uid: uid.name
)
def test_every_lossless_coding_gives_the_same_values(syntax, tmp_path):
    array = np.random.default_rng(5).integers(-1024, 1500, (17, 12, 3)).astype(np.int16)
    files = write_ct_series(tmp_path, Volume(array, np.diag([1.0, 1, 3, 1])), transfer_syntax=syntax)
    for k, file in enumerate(files):
        with file.open("rb") as stream:
            image = read_dataset(stream)
        np.testing.assert_array_equal(hounsfield(image), array[:, :, k])
        assert not is_lossy(image)


def test_lossy_coding_is_seen():
    assert is_lossy(pydicom.dcmread(get_testdata_file("JPGExtended.dcm")))
    assert is_lossy(make_image(np.zeros((2, 2), np.int16), LossyImageCompression="01"))


def make_abdomen(shift_hu: int = 0, *, slope: float = 1.0):
    rng = np.random.default_rng(1)
    array = np.full((40, 40, 10), -1000.0)
    array[8:32, 8:32] = rng.normal(60, 15, (24, 24, 10))
    array[8:32, 8:12] = -100
    array += rng.normal(0, 5, array.shape)
    return np.clip(array * slope + shift_hu, -1024, 3000).astype(np.int16)


def test_a_body_in_air_is_plausible():
    assert hounsfield_reasons(make_abdomen()) == []


@pytest.mark.parametrize(
    "array",
    [
        make_abdomen(1024),
        make_abdomen(-1000),
        make_abdomen(400),
        make_abdomen(65),
        make_abdomen(-60),
        np.zeros((5, 5, 5), np.int16) - 1024,
    ],
    ids=["intercept missing", "intercept used twice", "shifted", "a little high", "a little low", "empty"],
)
def test_values_off_their_place_are_warned(array):
    assert [reason.code for reason in hounsfield_reasons(array)] == ["hu.implausible"]


def test_fat_is_looked_for_only_where_it_peaks():
    lean = make_abdomen()
    lean[8:32, 8:12] = lean[8:32, 12:16]
    assert hounsfield_reasons(lean) == []
    for low in (-160, -125):  # clipped: what piles up at the lowest value is no fat
        clipped = np.clip(make_abdomen(), low, 240).astype(np.int16)
        assert hounsfield_reasons(clipped) == []


@pytest.mark.shared
def test_no_real_scan_is_called_implausible_and_most_that_are_shifted_are(shared_data):
    """Native and enhanced, whole and cut to the liver, some clipped at -160 or -125 HU; one is too lean to tell."""
    files = [file for part in ("ct_labelled", "ct_organs", "ct_unlabelled")
             for file in sorted((shared_data / part).glob("*/[ws]*_3mm/image.nii.gz"))]  # fmt: skip
    assert len(files) > 50
    told = []
    for file in files:
        array = np.rint(np.asanyarray(nibabel.load(file).dataobj)).astype(np.int16)
        assert hounsfield_reasons(array) == [], file.parts[-3]
        if array.min() < -900:
            told += [bool(hounsfield_reasons(np.maximum(array + shift, -1024))) for shift in (-80, 60)]
    assert np.mean(told) > 0.9


@pytest.mark.shared
def test_real_codings_of_one_slice_agree(shared_data, tmp_path):
    import tarfile

    for archive, reference in (("ct_codings_ge_chest", "ct_implicit_le"), ("ct_codings_wg04", "CT1_UNC")):
        with tarfile.open(shared_data / "dicom_oddities" / f"{archive}.tar.xz") as tar:
            tar.extractall(tmp_path, filter="data")
        images = {}
        for file in sorted((tmp_path / archive).iterdir()):
            with file.open("rb") as stream:
                images[file.stem] = read_dataset(stream)
        expected = hounsfield(images[reference])
        assert len(images) >= 7
        for name, image in images.items():
            if not is_lossy(image):
                np.testing.assert_array_equal(hounsfield(image), expected, err_msg=name)
        assert 1 <= sum(map(is_lossy, images.values())) <= 4
