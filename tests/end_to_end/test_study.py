"""The builder of the small study keeps its promises, so that the tests that stand on it can be believed."""

from collections import Counter

import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from tests.end_to_end.study import PLANS, write_small_study


@pytest.fixture(scope="module")
def small_study(tmp_path_factory):
    return write_small_study(tmp_path_factory.mktemp("small"))


def dicom_files(study):
    for file in sorted(path for path in study.rglob("*") if path.is_file()):
        try:
            yield file, pydicom.dcmread(file, stop_before_pixels=True)
        except InvalidDicomError:
            continue


def test_the_study_holds_the_planned_stagings(small_study):
    slices = Counter((d.PatientID, d.StudyDate, d.Modality) for _, d in dicom_files(small_study.study))
    expected = {(p.tags.patient_id, f"{date:%Y%m%d}", "CT") for p in PLANS for date in p.loads_percent}
    expected |= {(p.tags.patient_id, f"{date:%Y%m%d}", "PT") for p in PLANS for date in p.pet_on}
    assert set(slices) == expected
    assert set(slices.values()) == {62}


def test_loads_are_those_of_the_plan(small_study):
    for plan in PLANS:
        for date, load in plan.loads_percent.items():
            truth = small_study.stagings[plan.tags.patient_id, date].truth
            assert truth.load_percent == pytest.approx(load, abs=1.5)


def test_the_liver_is_whole(small_study):
    for scanned in small_study.stagings.values():
        liver = scanned.labels.array > 0
        assert not any(liver.take(edge, axis=axis).any() for axis in range(3) for edge in (0, -1))


def test_every_word_that_may_not_leak_was_planted(small_study):
    written = "\n".join(str(header) + str(file) for file, header in dicom_files(small_study.study))
    assert [word for word in small_study.planted if word not in written] == []
    assert len(small_study.planted) > 500
