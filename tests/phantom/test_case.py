import shutil
import subprocess
from dataclasses import fields

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.case import Protocol, read_course, write_case
from nen_imaging.phantom.case_lesions import plan_lesions
from nen_imaging.phantom.ranges import ALIKE, CASE, GENERAL
from nen_imaging.tables import read_table
from nen_imaging.timeline import read_timeline
from nen_imaging.volume import LPS_TO_RAS, read_nifti

COARSE = Protocol(painted_mm=(3.0, 3.0, 2.0))
COURSE = read_course()
LOADS = [planned.load_percent for planned in COURSE]
PROGRESSIONS = (1, 2)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Baseline with PET, the first progression and a staging in remission."""
    return write_case(tmp_path_factory.mktemp("case"), 3, course=[COURSE[n] for n in (0, 1, 7)], protocol=COARSE)


@pytest.fixture(scope="module", params=[1, 2])
def lesions(request):
    """The lesions of the whole course in two patients, and their anatomy."""
    anatomy = digital_patient(request.param, 3.0, ranges=CASE)
    return anatomy, [plan.lesion_map(anatomy) for plan in plan_lesions(anatomy, LOADS)]


def conglomerates(lesion_map):
    return ndimage.label(lesion_map.instances > 0, np.ones((3, 3, 3)))


def identities(lesion_map):
    return {lesion.identity for lesion in lesion_map.lesions}


def test_the_course_is_the_published_one():
    assert [(f"{p.date:%Y-%m}", p.load_percent) for p in COURSE if p.is_published] == [
        ("2016-07", 50), ("2016-11", 60), ("2017-05", 70), ("2018-09", 40), ("2019-03", 30),
    ]  # fmt: skip
    assert [p.date.year for p in COURSE if p.has_pet] == [2016]
    assert [p.date for p in COURSE] == sorted(p.date for p in COURSE)


def test_the_facts_of_sample_data_are_those_handed_in(shared_data):
    given = read_table(shared_data.parent / "case" / "expected_staging.csv")
    assert [(row["date"], float(row["load_percent"]), row["load_source"] == "published", row["published_text"])
            for row in given] == [
        (f"{p.date:%Y-%m}", p.load_percent, p.is_published, p.published_text) for p in COURSE
    ]  # fmt: skip


def test_training_draws_no_patient_from_the_range_of_the_case():
    for field in fields(CASE):
        if field.name in ALIKE:
            continue
        (low, high), (general_low, general_high) = (getattr(ranges, field.name) for ranges in (CASE, GENERAL))
        assert high < general_low or general_high < low, field.name


def test_loads_are_met_at_every_staging(lesions):
    anatomy, maps = lesions
    loads = [100 * np.count_nonzero(m.instances) / anatomy.liver.array.sum() for m in maps]
    assert loads == pytest.approx(LOADS, abs=0.01)


def test_new_lesions_of_15_to_25_mm_stand_alone_in_free_parenchyma_at_each_progression(lesions):
    anatomy, maps = lesions
    for staging in PROGRESSIONS:
        before, now = maps[staging - 1], maps[staging]
        parts, _ = conglomerates(now)
        new = identities(now) - identities(before)
        assert len(new) >= 3
        for identity in new:
            inside = now.instances == identity
            part = parts == np.bincount(parts[inside]).argmax()
            assert set(np.unique(now.instances[part])) == {identity}  # touches no other
            corners = np.argwhere(inside)
            extent_mm = (corners.max(axis=0) - corners.min(axis=0) + 1) * anatomy.liver.spacing_mm
            assert 12 <= extent_mm.max() <= 27, extent_mm  # to a voxel of 3 mm
            nearby = ndimage.binary_dilation(part, iterations=2) & ~part & anatomy.liver.array
            assert not before.instances[part].any()
            assert (now.instances[nearby] == 0).all()


def test_conglomerates_break_up_in_remission_and_lesions_keep_their_identity(lesions):
    _, maps = lesions
    peak, last = maps[2], maps[7]
    assert conglomerates(last)[1] > conglomerates(peak)[1]
    assert identities(last) < identities(peak)  # some vanished, none appeared


def test_all_metastases_are_colder_than_the_liver(lesions):
    assert max(lesion.uptake for lesion_map in lesions[1] for lesion in lesion_map.lesions) < 0.6


def test_another_seed_gives_another_patient_with_the_same_course():
    first, other = (digital_patient(seed, 6.0, ranges=CASE) for seed in (1, 2))
    assert (first.organs.array != other.organs.array).mean() > 0.05


def test_the_study_holds_images_and_no_truth(case):
    modalities = {}
    for file in sorted(case.study.rglob("*.dcm")):
        header = pydicom.dcmread(file, stop_before_pixels=True)
        modalities.setdefault(header.StudyDate, set()).add(header.Modality)
    assert modalities == {"20160714": {"CT", "PT"}, "20161110": {"CT"}, "20190312": {"CT"}}
    assert {file.suffix for file in case.study.rglob("*") if file.is_file()} == {".dcm"}
    assert case.is_complete(3)
    assert not case.is_complete(4)


def test_the_truth_beside_it_has_the_loads_of_the_course(case):
    for planned in (COURSE[n] for n in (0, 1, 7)):
        labels = read_nifti(case.truth / f"{planned.date}" / "labels.nii.gz").array
        load = 100 * np.count_nonzero(labels == 2) / np.count_nonzero(labels)
        assert load == pytest.approx(planned.load_percent, abs=0.1)
        assert not any((labels > 0).take(edge, axis=axis).any() for axis in range(3) for edge in (0, -1))  # whole
        rows = read_table(case.truth / f"{planned.date}" / "lesions.csv")
        assert sum(float(row["volume_ml"]) for row in rows) > 300
        assert all(bool(row["suv"]) == planned.has_pet for row in rows)


def test_the_timeline_is_accepted_and_names_the_voi(case):
    timeline = read_timeline(case.timeline)
    sources = [row.cells["source"] for row in timeline.rows("markers")]
    assert sources.count("published") == 2
    assert set(sources) == {"published", "illustrative"}
    assert [row.cells["staging"] for row in timeline.rows("voi")] == [f"{COURSE[0].date}"]
    assert len(timeline.rows("therapies")) == 4


def test_the_rtstruct_outlines_the_voi_on_the_images_it_names(case):
    structure = pydicom.dcmread(case.timeline / "voi" / "ileal_primary.dcm")
    images = {pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in case.study.rglob("CT/*.dcm")}
    voi = read_nifti(case.truth / "primary.nii.gz")
    points = []
    for contour in structure.ROIContourSequence[0].ContourSequence:
        assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID in images
        points.append(np.reshape([float(x) for x in contour.ContourData], (-1, 3)))
    lps = np.concatenate(points)
    inside = np.argwhere(voi.array) @ voi.affine[:3, :3].T + voi.affine[:3, 3]
    in_lps = inside @ LPS_TO_RAS[:3, :3]
    np.testing.assert_allclose(lps.min(axis=0), in_lps.min(axis=0), atol=2)
    np.testing.assert_allclose(lps.max(axis=0), in_lps.max(axis=0), atol=2)


def test_the_primary_is_hot_at_baseline_and_gone_after_the_operation(case):
    voi = read_nifti(case.truth / "primary.nii.gz")
    assert 2 < voi.array.sum() * voi.voxel_volume_ml < 20
    pet = [pydicom.dcmread(file) for file in case.study.rglob("PET/*.dcm")]
    pet.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    first = pet[0]
    stack = np.stack([image.pixel_array.T * float(image.RescaleSlope) for image in pet], axis=2)
    index = np.argwhere(voi.array).mean(axis=0)
    lps = LPS_TO_RAS[:3, :3] @ (voi.affine[:3, :3] @ index + voi.affine[:3, 3])
    origin, spacing = np.array(first.ImagePositionPatient, float), np.array([*first.PixelSpacing[::-1], 4.0], float)
    i, j, k = np.rint((lps - origin) / spacing).astype(int)
    assert stack[i, j, k] > 8 * np.median(stack[stack > np.quantile(stack, 0.5)])


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed (Debian: dicom3tools)")
def test_the_dicom_validator_finds_no_error_in_any_kind_of_object(case):
    for folder, kind in (("CT", "CTImage"), ("PET", "PETImage"), ("voi", "RTStructureSet")):
        file = sorted(case.folder.rglob(f"{folder}/*.dcm"))[-1]
        said = subprocess.run(["dciodvfy", "-new", file], capture_output=True, text=True, check=False).stderr
        assert kind in said
        assert "Error" not in said, said
