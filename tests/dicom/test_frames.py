"""A multi-frame image is read as the classic images that it holds."""

from __future__ import annotations

import io
from datetime import datetime, timedelta

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from nen_imaging.contract import Refusal
from nen_imaging.dicom.frames import frame_headers, frames, is_multiframe
from nen_imaging.dicom.image import list_series, read_image
from nen_imaging.dicom.series import read_ct, read_pet, read_pet_header
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.volume import LPS_TO_RAS, Volume
from tests.dicom.enhanced import write_enhanced
from tests.dicom.oddities import opened, unpacked

AFFINE = LPS_TO_RAS @ np.array([[0.8, 0, 0, -10], [0, 0.8, 0, -12], [0, 0, 3.0, 40], [0, 0, 0, 1.0]])


def make_volume(kind: type = np.int16) -> Volume:
    return Volume(np.random.default_rng(3).integers(-900, 900, (9, 7, 6)).astype(kind), AFFINE)


def make_suv() -> Volume:
    return Volume(np.random.default_rng(4).uniform(0.1, 12, (9, 7, 6)).astype(np.float32), AFFINE)


def test_an_enhanced_ct_is_the_classic_series_and_its_rescale_is_each_frames(tmp_path):
    files = write_ct_series(
        tmp_path / "classic", make_volume(), tags={"RescaleIntercept": lambda k: -1024 + 5 * k}, slice_order="shuffled"
    )
    enhanced = write_enhanced(tmp_path / "enhanced" / "one.dcm", files[::-1])
    expected, found = read_ct(opened(tmp_path / "classic")), read_ct(opened(enhanced))
    np.testing.assert_array_equal(found.volume.array, expected.volume.array)
    np.testing.assert_allclose(found.volume.affine, expected.volume.affine, atol=1e-9)
    assert found.reasons == expected.reasons


def test_an_enhanced_pet_with_its_own_names_of_units_and_times_is_the_classic_series(tmp_path):
    files = write_pet_series(tmp_path / "classic", make_suv(), slices_per_bed=2)
    enhanced = write_enhanced(tmp_path / "enhanced" / "one.dcm", files)
    expected, found = read_pet(opened(tmp_path / "classic")), read_pet(opened(enhanced))
    np.testing.assert_array_equal(found.volume.array, expected.volume.array)
    np.testing.assert_allclose(found.volume.affine, expected.volume.affine, atol=1e-9)
    assert found.provenance["factor"] == expected.provenance["factor"]
    _, factor = read_pet_header(opened(enhanced))
    assert len(factor.per_slice) == 6


def mapping_to(unit: str, slope: float, intercept: float = 0.0) -> Dataset:
    code, mapping = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, "UCUM", unit
    mapping.MeasurementUnitsCodeSequence = [code]
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = slope, intercept
    return mapping


def test_the_rescale_of_an_enhanced_pet_is_that_of_its_unit(tmp_path):
    files = write_pet_series(tmp_path / "classic", make_suv())
    file = write_enhanced(tmp_path / "enhanced" / "one.dcm", files)
    dataset = pydicom.dcmread(file)
    del dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    for group in dataset.PerFrameFunctionalGroupsSequence:
        rescale = group.PixelValueTransformationSequence[0]
        slope = float(rescale.RescaleSlope)
        rescale.RescaleSlope, rescale.RescaleType = "1", "US"
        group.RealWorldValueMappingSequence = [
            mapping_to("{SUVbw}g/ml", slope * 4.2e-4), mapping_to("Bq/ml", slope), mapping_to("%", 3.0),
        ]  # fmt: skip
    dataset.save_as(file)
    expected, found = read_pet(opened(tmp_path / "classic")), read_pet(opened(file))
    np.testing.assert_allclose(found.volume.array, expected.volume.array, rtol=1e-6)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.RealWorldValueMappingSequence = [mapping_to("{SUVbw}g/ml", 0.25, 0.5)]
    dataset.save_as(file)
    stored = dataset.pixel_array.transpose(2, 1, 0)
    found = read_pet(opened(file)).volume
    np.testing.assert_allclose(np.sort(found.array, axis=None), np.sort(stored * 0.25 + 0.5, axis=None), rtol=1e-6)


def test_stored_values_that_a_table_maps_have_no_unit(tmp_path):
    file = write_enhanced(tmp_path / "one.dcm", write_pet_series(tmp_path / "classic", make_suv()))
    dataset = pydicom.dcmread(file)
    mapping = dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    mapping.RealWorldValueLUTData = [0.0, 1.0]
    dataset.save_as(file)
    with pytest.raises(Refusal) as caught:
        read_pet(opened(file))
    assert caught.value.reason.code == "pet.units"


def of_offset(moment: str, own: str, written: int) -> str:
    there = datetime.strptime(str(moment)[:14], "%Y%m%d%H%M%S") + timedelta(hours=written)
    return f"{there:%Y%m%d%H%M%S}{str(moment)[14:]}{own}"


@pytest.mark.parametrize(
    ("local", "own", "hours"), [("-0500", "+0000", 5), ("+0200", "+0000", -2), ("", "+0000", 0), ("+0200", "+0200", 0)]
)
def test_all_moments_of_an_enhanced_pet_are_brought_to_its_local_time(tmp_path, local, own, hours):
    files = write_pet_series(tmp_path / "classic", make_suv(), slices_per_bed=2)
    dataset = pydicom.dcmread(write_enhanced(tmp_path / "enhanced" / "one.dcm", files))
    if local:
        dataset.TimezoneOffsetFromUTC = local
    for item, keyword in (
        (dataset.RadiopharmaceuticalInformationSequence[0], "RadiopharmaceuticalStartDateTime"),
        (dataset, "DecayCorrectionDateTime"),
        *(
            (group.FrameContentSequence[0], "FrameAcquisitionDateTime")
            for group in dataset.PerFrameFunctionalGroupsSequence
        ),
    ):
        setattr(item, keyword, of_offset(item[keyword].value, own, hours))
    del dataset.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime
    dataset.save_as(tmp_path / "enhanced" / "one.dcm")
    expected, found = read_pet(opened(tmp_path / "classic")), read_pet(opened(tmp_path / "enhanced"))
    np.testing.assert_array_equal(found.volume.array, expected.volume.array)
    assert found.reasons == expected.reasons


def test_without_any_local_offset_that_of_the_frames_counts(tmp_path):
    dataset = pydicom.dcmread(write_enhanced(tmp_path / "one.dcm", write_pet_series(tmp_path / "c", make_suv())))
    del dataset.DecayCorrectionDateTime
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.FrameContentSequence[0].FrameAcquisitionDateTime = "20200115101500+0100"
    frame = frame_headers(dataset)[0]
    assert (frame.TimezoneOffsetFromUTC, frame.AcquisitionTime) == ("+0100", "101500.000000")


def test_the_index_knows_an_enhanced_image_as_a_series_of_its_slices(tmp_path):
    write_enhanced(tmp_path / "one.dcm", write_ct_series(tmp_path.parent / "classic", make_volume()))
    (found,) = list_series(tmp_path)
    assert (found.series.kind, found.series.slices, found.series.spacing_mm) == ("CT", 6, 3.0)
    np.testing.assert_array_equal(read_image(tmp_path).volume.array, make_volume().array)


def test_frames_share_no_attribute_that_one_of_them_changes(tmp_path):
    dataset = pydicom.dcmread(
        write_enhanced(tmp_path / "one.dcm", write_pet_series(tmp_path / "classic", make_suv(), slices_per_bed=2))
    )
    times = [frame.AcquisitionTime for frame in frames(dataset)]
    assert len(set(times)) == 3
    assert "PixelData" not in frame_headers(dataset)[0]
    assert dataset.NumberOfFrames == 6
    assert is_multiframe(dataset)


def test_frames_that_do_not_say_where_they_lie_are_refused(tmp_path):
    dataset = pydicom.dcmread(write_enhanced(tmp_path / "one.dcm", write_ct_series(tmp_path / "c", make_volume())))
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:4]
    stream = io.BytesIO()
    dataset.save_as(stream)
    stream.seek(0)
    with pytest.raises(Refusal, match="6 frames, but 4") as caught:
        read_ct([("one", stream)])
    assert caught.value.reason.code == "image.multiframe"


def test_a_map_computed_from_a_ct_is_no_ct(tmp_path):
    files = write_ct_series(tmp_path / "c", make_volume(), tags={"ImageType": ["DERIVED", "PRIMARY", "PERFUSION"]})
    with pytest.raises(Refusal, match="PERFUSION") as caught:
        read_ct(opened(write_enhanced(tmp_path / "e" / "one.dcm", files)))
    assert caught.value.reason.code == "ct.not_hu"
    (found,) = list_series(tmp_path / "e")
    assert found.series.kind == "not HU"


# --- real images ------------------------------------------------------------------------------------------------------


def test_real_enhanced_pet_is_the_series_that_it_was_made_of(shared_data, tmp_path):
    folder = unpacked(shared_data, "dicom_oddities/enhanced_multiframe", tmp_path)
    classic = unpacked(shared_data, "petct_ge_acrin042/petct_ge_acrin042", tmp_path) / "pet_ac"
    found = read_pet(opened(folder / "legacy_converted_enhanced_pet_8frames_derived.dcm"))
    whole = read_pet(opened(classic))
    factor = found.provenance["factor"]["minimum"]
    assert factor == pytest.approx(4.211100701e-4, rel=1e-9)
    peaks = found.volume.array.max(axis=(0, 1)) / factor
    assert float(peaks.max()) == pytest.approx(66453.44202, rel=1e-6)
    assert float(peaks.min()) == pytest.approx(53166.42352, rel=1e-6)
    place = np.linalg.inv(whole.volume.affine) @ found.volume.affine @ [0, 0, 0, 1]
    assert place[:3] == pytest.approx([0, 0, 67], abs=1e-3)
    np.testing.assert_array_equal(found.volume.array, whole.volume.array[:, :, 67:75])


def test_real_perfusion_maps_are_refused_also_in_12_bit_jpeg(shared_data, tmp_path):
    folder = unpacked(shared_data, "dicom_oddities/enhanced_multiframe", tmp_path)
    for name in ("enhanced_ct_supplemental_palette_2frames", "enhanced_ct_2frames_jpeg_extended_fragmented"):
        with pytest.raises(Refusal) as caught:
            read_ct(opened(folder / f"{name}.dcm"))
        assert caught.value.reason.code == "ct.not_hu", name


def test_real_legacy_converted_ct_is_the_series_that_it_was_made_of(shared_data, tmp_path):
    folder = unpacked(shared_data, "dicom_oddities/seg_dcmqi", tmp_path)
    classic = read_ct((file.name, file.open("rb")) for file in sorted(folder.glob("*_image_*")))
    found = read_ct(opened(next(folder.glob("*_mf.dcm"))))
    np.testing.assert_array_equal(found.volume.array, classic.volume.array)
    np.testing.assert_allclose(found.volume.affine, classic.volume.affine, atol=1e-9)
