"""Every data set's layout, as small twins and with real cases."""

from __future__ import annotations

import json
import shutil
import tarfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from nibabel import aff2axcodes

from nen_imaging.contract import Refusal
from nen_imaging.segmentation.bundle import find_bundle
from nen_imaging.segmentation.preprocess import prepared
from nen_imaging.shipped import shipped
from nen_imaging.training.export import random_bundle
from nen_imaging.validation.cases import fingerprint, labelled
from nen_imaging.validation.datasets import DATASETS, DatasetError, find_cases
from nen_imaging.validation.orientation import landmark_signs
from nen_imaging.validation.phantom_cases import read_phantom, split_of_error
from nen_imaging.validation.run import Validation, run_cases
from nen_imaging.validation.scores import score_case
from nen_imaging.volume import Volume, write_nifti
from tests.validation.layouts import (
    as_chaos,
    as_ircadb,
    as_lits,
    as_msd,
    as_tcia,
    as_totalsegmentator,
    body,
    pack_whole,
)

CT, TRUTH = body()
LIVER_ONLY = (TRUTH.array > 0).astype(np.uint8)


def the_only_case(name, root):
    (case,) = find_cases(name, root)
    return case


def assert_same(found, truth=TRUTH.array, *, placed=True):
    """The arrays that reach network and score are those of the body, whatever they came in."""
    assert np.array_equal(prepared(found.ct).array, prepared(CT).array)
    assert np.array_equal(found.truth.oriented("LPS").array, truth)
    assert found.ct.oriented("LPS").spacing_mm == pytest.approx(CT.spacing_mm, abs=1e-5)
    if placed:
        assert found.ct.oriented("LPS").affine == pytest.approx(CT.affine, abs=1e-4)


def test_lits_in_several_folders(tmp_path):
    as_lits(tmp_path, 3, CT, TRUTH)
    as_lits(tmp_path, 111, CT, TRUTH, folder="Training Batch 2")
    cases = find_cases("lits", tmp_path)
    assert [case.name for case in cases] == ["3", "111"]
    found = cases[1].read()
    assert_same(found)
    assert found.notes == ("Slices lie 5.9 mm apart.",)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "RPI"])
def test_lits_with_a_lost_affine_is_placed_by_the_body(tmp_path, codes):
    as_lits(tmp_path, 44, CT, TRUTH, identity=True, codes=codes)
    case = the_only_case("lits", tmp_path)
    assert case.known_as == ("LiTS 44", "3D-IRCADb-01 #17")
    found = case.read()
    assert_same(found, placed=False)
    assert f"spacing 7.43 x 7.43 x 5.9 mm from the header, axes {codes} from the body" in found.notes[0]


def test_lits_without_any_spacing_is_refused(tmp_path):
    lost = [Volume(volume.array, np.eye(4)) for volume in (CT, TRUTH)]
    as_lits(tmp_path, 30, *lost, codes="RAS")
    with pytest.raises(Refusal, match="spacing is lost"):
        the_only_case("lits", tmp_path).read()


def test_lits_with_a_segmentation_that_lost_its_affine(tmp_path):
    as_lits(tmp_path, 5, CT, TRUTH, codes="RAS")
    unplaced = Volume(TRUTH.oriented("RAS").array, np.eye(4))
    write_nifti(tmp_path / "Training Batch 1" / "segmentation-5.nii", unplaced)
    found = the_only_case("lits", tmp_path).read()
    assert_same(found)
    assert "voxel by voxel" in found.notes[-1]


@pytest.mark.parametrize(
    ("name", "lay_out", "truth"), [("lits", as_lits, "segmentation-5.nii"), ("msd", as_msd, "labelsTr/liver_5.nii.gz")]
)
def test_an_image_without_labels_is_a_case_that_cannot_be_read(tmp_path, name, lay_out, truth):
    lay_out(tmp_path, 5, CT, TRUTH)
    next(tmp_path.rglob(truth)).unlink()
    with pytest.raises(Refusal, match="The label map is missing"):
        the_only_case(name, tmp_path).read()


def test_the_same_number_in_two_batches_is_said(tmp_path):
    for folder in ("a", "b"):
        as_lits(tmp_path, 3, CT, TRUTH, folder=folder)
    with pytest.raises(DatasetError, match=r"volume-3.nii lies in .*b and in .*a"):
        find_cases("lits", tmp_path)


def test_msd(tmp_path):
    as_msd(tmp_path, 17, CT, TRUTH)
    (tmp_path / "dataset.json").write_text('{"labels": {"0": "background", "1": "liver", "2": "cancer"}}')
    assert_same(the_only_case("msd", tmp_path).read())


def test_msd_of_another_task_is_refused(tmp_path):
    as_msd(tmp_path, 17, CT, TRUTH)
    (tmp_path / "dataset.json").write_text('{"labels": {"0": "background", "1": "spleen"}}')
    with pytest.raises(DatasetError, match="spleen"):
        find_cases("msd", tmp_path)


def test_one_patient_has_one_name_in_every_data_set(tmp_path):
    """As in the index of the labelled cases that the shipped bundle learnt from."""
    for number in (0, 1, 5, 6, 10, 27, 28, 47, 48, 130):
        as_msd(tmp_path / "msd", number, CT, TRUTH)
    as_ircadb(tmp_path / "ircadb", 1, CT, TRUTH)
    patients = {case.name: case.patient for case in find_cases("msd", tmp_path / "msd")}
    assert patients["0"] == patients["1"] == "lits_p01"
    assert patients["6"] == patients["10"] == "lits_p06_10"
    assert patients["28"] == the_only_case("ircadb", tmp_path / "ircadb").patient == "3D-IRCADb-01 #1"
    assert patients["47"] == "3D-IRCADb-01 #20"
    assert [patients[name] for name in ("5", "27", "48", "130")] == ["lits_p05", "lits_p27", "lits_p48", "lits_p130"]


@pytest.mark.parametrize("packed", [False, True])
def test_ircadb(tmp_path, packed):
    as_ircadb(tmp_path, 17, CT, TRUTH, packed=packed)
    case = the_only_case("ircadb", tmp_path)
    assert (case.name, case.known_as) == ("17", ("LiTS 44", "3D-IRCADb-01 #17"))
    assert_same(case.read())


def test_ircadb_in_one_archive(tmp_path):
    for number, truth in ((1, TRUTH), (2, TRUTH.with_array(LIVER_ONLY))):
        as_ircadb(tmp_path, number, CT, truth, packed=True)
    pack_whole(tmp_path, "3Dircadb1")
    cases = find_cases("ircadb", tmp_path)
    assert [case.name for case in cases] == ["1", "2"]
    assert_same(cases[0].read())
    assert_same(cases[1].read(), LIVER_ONLY)


def test_chaos(tmp_path):
    as_chaos(tmp_path, 5, CT, TRUTH)
    case = the_only_case("chaos", tmp_path)
    assert (case.name, case.lesions_labelled) == ("5", True)
    assert_same(case.read(), LIVER_ONLY)


def test_totalsegmentator_never_counts_as_free_of_tumour(tmp_path):
    as_totalsegmentator(tmp_path, 11, CT, TRUTH)
    case = the_only_case("totalsegmentator", tmp_path)
    assert (case.name, case.lesions_labelled, case.whole_liver) == ("s0011", False, False)
    assert_same(case.read(), LIVER_ONLY)


def test_tcia(tmp_path):
    as_tcia(tmp_path, "HCC_009", CT, TRUTH)
    found = the_only_case("tcia", tmp_path).read()
    assert_same(found)
    assert found.lesions_labelled
    assert "Segments used: Liver, Mass." in found.notes


def test_tcia_without_the_series_that_was_segmented_is_refused(tmp_path):
    as_tcia(tmp_path, "HCC_011", CT, TRUTH)
    shutil.rmtree(next(tmp_path.rglob("1-CT")))
    with pytest.raises(Refusal, match="1 SEG and 1 CT series, but no SEG of a liver that belongs"):
        the_only_case("tcia", tmp_path).read()


def test_tcia_without_a_segment_of_lesions_never_counts_as_free_of_tumour(tmp_path):
    as_tcia(tmp_path, "HCC_010", CT, TRUTH, segments=("Liver", "Portal vein"))
    found = the_only_case("tcia", tmp_path).read()
    assert not found.lesions_labelled
    assert_same(found, LIVER_ONLY)


def test_csv(tmp_path):
    as_msd(tmp_path, 1, CT, TRUTH)
    write_nifti(tmp_path / "own.nii.gz", CT)
    rows = ["case,image,label,whole_liver,lesions_labelled", "a,own.nii.gz,labelsTr/liver_1.nii.gz,no,", ""]
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    case = the_only_case("csv", tmp_path)
    assert (case.name, case.whole_liver, case.lesions_labelled) == ("a", False, True)
    assert_same(case.read())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,image\na,b\n", "has no column label"),
        ("case,image,label,whole_liver\na,b,c,perhaps\n", "row 2: whole_liver is 'perhaps'"),
        ("case,image,label\na,b,c\na,d,e\n", "holds these cases twice: a"),
        ("case,image,label\n../a,b,c\n", r"cannot name a folder: '../a'"),
        ("case,image,label\n,b,c\n", "cannot name a folder: ''"),
    ],
)
def test_a_wrong_csv_is_explained(tmp_path, text, message):
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        find_cases("csv", tmp_path)


def test_a_table_may_lie_elsewhere_than_its_images(tmp_path):
    table = tmp_path / "tables" / "mine.csv"
    table.parent.mkdir()
    table.write_text("case,image,label,patient\na,b/image.nii,b/label.nii,P1\n")
    (case,) = find_cases("csv", tmp_path, table=table)
    assert (case.files[0], case.known_as) == (tmp_path / "b" / "image.nii", ("a", "P1"))


def test_another_slice_in_a_folder_that_a_table_names_is_another_case(tmp_path):
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "1.dcm").write_bytes(b"one")
    (tmp_path / "cases.csv").write_text("case,image,label\na,image,label.nii\n")
    before = fingerprint(the_only_case("csv", tmp_path).files)
    (folder / "1.dcm").write_bytes(b"another")
    assert fingerprint(the_only_case("csv", tmp_path).files) != before


@pytest.mark.parametrize("name", [name for name in DATASETS if not name.startswith("phantom")])
def test_a_folder_without_the_data_set_is_explained(tmp_path, name):
    with pytest.raises(DatasetError):
        find_cases(name, tmp_path)
    with pytest.raises(DatasetError, match="There is no"):
        find_cases(name, tmp_path / "nowhere")


def test_missing_and_broken_files_concern_their_case_alone(tmp_path):
    for number in (1, 2, 3):
        as_msd(tmp_path, number, CT, TRUTH)
    (tmp_path / "imagesTr" / "liver_1.nii.gz").unlink()
    (tmp_path / "labelsTr" / "liver_2.nii.gz").write_bytes(b"no NIfTI")
    first, second, third = find_cases("msd", tmp_path)
    with pytest.raises(Refusal, match="The image is missing"):
        first.read()
    with pytest.raises(Refusal, match=r"liver_2.nii.gz cannot be read"):
        second.read()
    assert_same(third.read())


def test_label_codes_are_checked():
    wrong = TRUTH.with_array(np.where(TRUTH.array == 2, 7, TRUTH.array).astype(np.uint8))
    with pytest.raises(Refusal, match="hold the codes 0, 1, 7"):
        labelled(CT, wrong)
    with pytest.raises(Refusal, match="shows no liver"):
        labelled(CT, TRUTH.with_array(np.zeros_like(TRUTH.array)))
    with pytest.raises(Refusal, match="labels"):
        labelled(CT, Volume(TRUTH.array[1:], TRUTH.affine))


def test_a_body_the_wrong_way_round_is_told():
    mirrored = CT.affine.copy()
    mirrored[0, :3] *= -1
    (note,) = labelled(Volume(CT.array, mirrored), Volume(TRUTH.array, mirrored)).notes
    assert note.startswith("The liver lies on the left side")


@pytest.mark.parametrize("codes", ["".join(codes) for codes in product("RL", "AP", "SI")])
def test_landmarks_turn_with_the_array(codes):
    turned = [volume.oriented(codes).array for volume in (CT, TRUTH)]
    assert list(landmark_signs(*turned)) == [1 if code in "RPS" else -1 for code in codes]


def test_phantom_splits_its_error():
    cases = find_cases("phantom", Path())
    high = find_cases("phantom_high", Path())
    assert len(high) == 10
    assert not {case.name for case in high} & {case.name for case in cases}
    assert len(cases) == 10
    found = read_phantom(1, 20.0, (6.0, 6.0, 3.0), 6.0)
    true = 100 * (found.truth.array == 2).sum() / (found.truth.array > 0).sum()
    parts = split_of_error(dict(found.exact), true, 25.0)
    assert sum(parts.values()) == pytest.approx(25.0 - found.exact["exact_load_percent"])
    assert found.exact["exact_load_percent"] == pytest.approx(20, abs=0.5)
    assert abs(parts["discretisation"]) + abs(parts["partial_volume"]) < 0.5


@pytest.fixture(scope="module")
def ircad17(shared_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("ircad")
    with tarfile.open(shared_data / "ct_ircad17" / "ct_ircad17.tar.xz") as archive:
        archive.extractall(root / "3Dircadb1.17", filter="data")
    return root


def three_layouts(root, ct, truth):
    """The cases that 3D-IRCADb-01, LiTS (without its affine) and MSD make of one CT."""
    as_ircadb(root / "ircadb", 17, ct, truth)
    as_lits(root / "lits", 44, ct, truth, identity=True)
    as_msd(root / "msd", 44, ct, truth, ending=".nii")
    return [the_only_case(name, root / name) for name in ("ircadb", "lits", "msd")]


def numbers(scores):
    """Figures of liver, lesions and load."""
    parts = {name: scores[name] or {} for name in ("liver", "lesion", "load")}
    return {
        f"{part}.{name}": value
        for part, figures in parts.items()
        for name, value in figures.items()
        if isinstance(value, float)
    }


@pytest.mark.slow
def test_a_real_case_is_read_and_scored_alike_in_three_layouts(ircad17, tmp_path):
    found = the_only_case("ircadb", ircad17).read()
    assert np.count_nonzero(found.truth.array) * found.truth.voxel_volume_ml == pytest.approx(1860.6, abs=0.1)
    assert (found.truth.array == 2).sum() * found.truth.voxel_volume_ml == pytest.approx(164.3, abs=0.1)
    scores = []
    for case in three_layouts(tmp_path, found.ct, found.truth):
        other = case.read()
        assert np.array_equal(prepared(other.ct).array, prepared(found.ct).array)
        truth = other.truth.oriented("LPS")
        assert np.array_equal(truth.array, found.truth.oriented("LPS").array)
        assert other.ct.spacing_mm == pytest.approx(found.ct.spacing_mm, abs=1e-5)
        moved = truth.with_array(np.roll(truth.array, 3, axis=0)).oriented("".join(aff2axcodes(other.truth.affine)))
        scores.append(numbers(score_case(other.truth, moved)))
    assert scores[1] == pytest.approx(scores[0], abs=1e-6)
    assert scores[2] == pytest.approx(scores[0], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["untrained", "shipped"])
def test_a_real_case_is_segmented_alike_in_three_layouts(ircad17, tmp_path, bundle):
    """The untrained network sees every third voxel along each axis: what it makes of noise takes long to measure."""
    found = the_only_case("ircadb", ircad17).read()
    network = find_bundle(None, shipped("models"))
    volumes = found.ct, found.truth
    if bundle == "untrained":
        network = random_bundle(tmp_path / "models", seed=3)
        thinner = np.diag([3.0, 3.0, 3.0, 1.0])
        volumes = [Volume(volume.array[::3, ::3, ::3], volume.affine @ thinner) for volume in volumes]
    scores = []
    for number, case in enumerate(three_layouts(tmp_path, *volumes)):
        validation = Validation(tmp_path / f"results{number}", "any", (network,), threads=2)
        (result,) = run_cases(validation, [case], lambda _line: None)
        assert result.problem == ""
        scores.append(numbers(json.loads((validation.scored(case.name) / "scores.json").read_text())))
    assert 0 < scores[0]["liver.dice"] < 1
    assert scores[1] == pytest.approx(scores[0], abs=1e-3)
    assert scores[2] == pytest.approx(scores[0], abs=1e-3)


def test_a_real_case_of_chaos(shared_data, tmp_path):
    with tarfile.open(shared_data / "ct_chaos3" / "ct_chaos3.tar.xz") as archive:
        archive.extractall(tmp_path / "3", filter="data")
    found = the_only_case("chaos", tmp_path).read()
    assert np.count_nonzero(found.truth.array) * found.truth.voxel_volume_ml == pytest.approx(1417.5, abs=0.1)
    assert found.ct.spacing_mm == pytest.approx((0.7266, 0.7266, 2.0), abs=1e-3)
    assert not found.notes or "left side" not in " ".join(found.notes)


def test_a_real_seg_of_a_liver(shared_data, tmp_path):
    with tarfile.open(shared_data / "dicom_oddities" / "ct_liver_3slices_seg.tar.xz") as archive:
        archive.extractall(tmp_path / "patient", filter="data")
    for path in (tmp_path / "patient").rglob("*.dcm"):
        if path.name.startswith(("liver_", "partial")):
            path.unlink()  # the same segment in other codings
    found = the_only_case("tcia", tmp_path).read()
    liver = found.truth.array > 0
    assert liver.sum() == 107098
    assert found.ct.array[liver].mean() == pytest.approx(37.3289, abs=1e-3)
