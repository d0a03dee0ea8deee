"""One file's header: what is kept of it, and what makes a file unusable."""

from __future__ import annotations

import io
import json
import warnings

import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, MediaStorageDirectoryStorage, RLELossless

from nen_imaging.dicom.attributes import quiet_reading
from nen_imaging.dicom.headers import (
    Header,
    UnusableFileError,
    date_of,
    read_header,
)
from nen_imaging.dicom.privacy import Pseudonymiser

PSEUDONYMISER = Pseudonymiser(b"key")


def read(content: bytes) -> Header:
    with quiet_reading():
        return read_header(io.BytesIO(content), len(content), PSEUDONYMISER)


@pytest.fixture
def slice_of(study):
    """The bytes of one slice of a CT written with some options."""
    return lambda **options: study.ct(**options)[0].read_bytes()


def code_of(content: bytes) -> str:
    with pytest.raises(UnusableFileError) as error:
        read(content)
    return error.value.code


def test_facts_of_a_slice(slice_of):
    header = read(slice_of(series_description="Abdomen arterial"))
    assert (header.modality, header.rows, header.columns, header.bits_allocated) == ("CT", 4, 4, 16)
    assert (header.date, header.phase, header.kernel) == ("2020-01-15", "arterial", "B30f")
    assert header.pixel_spacing == (0.8, 0.8)
    assert header.slice_thickness == 3.0
    assert header.has_rescale
    assert header.identity.startswith("id:")


@pytest.mark.parametrize(
    ("description", "bolus", "scan", "phase"),
    [
        ("Abdomen", "101500", "101610.5", "portal venous"),
        ("Abdomen", "235950", "000025", "arterial"),
        ("Abdomen", "101700", "101610", "unknown"),
        ("Abdomen", "", "101610", "unknown"),
        ("Abdomen arterial", "101500", "101610", "arterial"),
    ],
)
def test_a_phase_that_no_description_names_follows_from_the_bolus(slice_of, description, bolus, scan, phase):
    times = {"ContrastBolusStartTime": bolus, "AcquisitionTime": scan}
    assert read(slice_of(series_description=description, study_description="", tags=times)).phase == phase


def test_a_protocol_that_begins_with_a_scout_makes_no_scout_of_its_other_series(slice_of):
    protocol = {"ProtocolName": "ABDOMEN SCOUT AND HELIX"}
    assert not read(slice_of(series_description="AXIAL 5MM", tags=protocol)).names_localizer
    assert read(slice_of(series_description="", tags=protocol)).names_localizer


def test_survives_the_way_through_json(slice_of):
    header = read(slice_of())
    assert Header.from_list(json.loads(json.dumps(header.to_list()))) == header


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_cut_pixels_are_found_in_every_syntax(slice_of, syntax):
    content = slice_of(transfer_syntax=syntax)
    assert read(content).rows == 4
    at = content.rindex(b"\x7f\xe0\x00\x10" if syntax == ExplicitVRBigEndian else b"\xe0\x7f\x10\x00")
    assert code_of(content[: at + 12]) == "file.truncated"


def test_a_file_cut_anywhere_is_unusable(slice_of):
    content = slice_of()
    series_is_known = content.index(b"\x20\x00\x11\x00")
    for cut in range(series_is_known, len(content)):
        assert code_of(content[:cut]) == "file.truncated", cut
    for cut in range(0, series_is_known, 7):
        assert code_of(content[:cut]) in ("file.not_dicom", "file.unsupported", "file.truncated"), cut


def test_without_preamble(slice_of):
    content = slice_of()
    assert read(content[132:]).digest != ""
    assert read(content[132:]).series == read(content).series


@pytest.mark.parametrize("content", [b"", b"Dear colleague", b"\x89PNG\r\n" + bytes(300), bytes(200)])
def test_what_is_no_dicom(content):
    assert code_of(content) == "file.not_dicom"


def test_a_header_beyond_the_first_read(slice_of):
    content = slice_of(private={(0x0009, "LONG"): {0x10: ("OB", bytes(100_000))}})
    assert read(content).rows == 4


def test_without_series_is_unsupported(slice_of):
    assert code_of(slice_of(tags={"SeriesInstanceUID": None})) == "file.unsupported"


def test_a_directory_under_another_name(slice_of):
    dataset = pydicom.dcmread(io.BytesIO(slice_of()))
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MediaStorageDirectoryStorage
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset)
    assert code_of(buffer.getvalue()) == "file.directory"


def test_a_change_of_any_tag_changes_the_digest_and_of_pixels_does_not(slice_of):
    content = slice_of()
    assert read(content).digest != read(slice_of(tags={"PatientWeight": "71"})).digest
    assert read(content).digest == read(content[:-1] + b"\x07").digest


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"AcquisitionDate": "20200203", "SeriesDate": "20200202", "StudyDate": "20200201"}, "2020-02-03"),
        ({"AcquisitionDate": "", "AcquisitionDateTime": "20200204101500", "StudyDate": "20200201"}, "2020-02-04"),
        ({"SeriesDate": "20200202", "StudyDate": "20200201"}, "2020-02-02"),
        ({"StudyDate": "2020.02.01"}, "2020-02-01"),
        ({"StudyDate": "20201345"}, ""),
        ({"StudyDate": "19000101"}, ""),
        ({}, ""),
    ],
)
def test_date(tags, expected):
    dataset = pydicom.Dataset()
    with quiet_reading():
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        assert date_of(dataset) == expected


def test_reading_warns_of_nothing_and_leaves_pydicom_as_it_was(slice_of):
    content = slice_of(tags={"SliceThickness": "3.0"}).replace(b"20200115", b"Jones^A ")
    before = pydicom.config.settings.reading_validation_mode
    with warnings.catch_warnings(record=True) as caught:
        read(content)
    assert not caught
    assert pydicom.config.settings.reading_validation_mode == before
