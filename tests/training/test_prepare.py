"""Public data sets become small cases once, and one command trains on them."""

from __future__ import annotations

import os
import tarfile

import numpy as np
import pytest
import yaml

from nen_imaging.cli.main import main
from nen_imaging.segmentation.bundle import find_bundle, verify
from nen_imaging.training.data import load_cases, scans, training_data, with_data
from nen_imaging.training.prepare import LICENCES, form_of, prepare
from nen_imaging.training.recipes import RecipeError
from nen_imaging.volume import Volume, read_nifti
from tests.validation.layouts import as_lits, as_msd, as_tcia, as_totalsegmentator, body

CT, TRUTH = body()


def silent(_line):
    """Say nothing."""


def learning_from(recipe, *sources, **changes):
    """The tiny recipe with other sources."""
    return type(recipe).model_validate({**recipe.model_dump(mode="json"), "sources": list(sources), **changes})


@pytest.fixture
def msd(tmp_path, recipe):
    """LiTS 6 and 9 (one patient), 11 and 44 in the layout of MSD, and the recipe that learns from them."""
    for number in (6, 9, 11, 44):
        as_msd(tmp_path / "data" / "Task03_Liver", number, CT, TRUTH)
    return learning_from(recipe, {"dataset": "msd", "folder": "Task03_Liver"})


def prepared(recipe, tmp_path, report=silent, **options):
    prepare(recipe, tmp_path / "data", tmp_path / "cases", report=report, **options)
    return with_data(recipe, tmp_path / "data", tmp_path / "cases")


def test_one_command_trains_on_a_data_set_as_it_is_distributed(msd, tmp_path, capsys):
    (tmp_path / "data" / "Task03_Liver" / "labelsTr" / "liver_11.nii.gz").write_bytes(b"cut off")
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**msd.model_dump(mode="json"), "held_out": ["3D-IRCADb-01 #17"]}))
    out = tmp_path / "run"
    command = ["train", str(path), "--data", str(tmp_path / "data"), "--out", str(out), "--device", "cpu"]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "msd: 4 cases, 4 to prepare" in told
    assert "case 11: liver_11.nii.gz cannot be read" in told
    assert "1 of 4 cases cannot be read and are left out" in told
    assert "liver: 2 scans of 1 patients" in told
    bundle = find_bundle(None, out / "models")
    verify(bundle)
    assert bundle.metadata["seen_patients"] == ["lits_p06_10"]
    assert bundle.metadata["results_on_held_out_patients"][0]["scan"] == "msd_44"
    assert LICENCES["msd"] in (bundle.folder / "docs" / "README.md").read_text()
    assert str(tmp_path) not in (bundle.folder / "configs" / "metadata.json").read_text()


def test_what_is_prepared_stays_until_its_files_change(msd, tmp_path):
    told = []
    first = prepared(msd, tmp_path, told.append)
    assert told[0].startswith("msd: 4 cases, 4 to prepare")
    assert [scan.name for scan in scans(first, "liver", tmp_path / "data")] == ["msd_6", "msd_9", "msd_11", "msd_44"]
    image = tmp_path / "cases" / "msd" / "9" / "whole_3mm" / "image.nii.gz"
    made = image.stat().st_mtime_ns
    told.clear()
    assert prepared(msd, tmp_path, told.append) == first
    assert (told, image.stat().st_mtime_ns) == ([], made)
    truth = tmp_path / "data" / "Task03_Liver" / "labelsTr" / "liver_6.nii.gz"
    os.utime(truth, ns=(1, 1))
    prepared(msd, tmp_path, told.append)
    assert told[1:] == ["msd: 1 of 1, case 6: prepared"]


def test_a_case_that_broke_or_left_is_not_learnt_from_its_remains(msd, tmp_path):
    prepared(msd, tmp_path)
    folder = tmp_path / "data" / "Task03_Liver"
    (folder / "imagesTr" / "liver_9.nii.gz").write_bytes(b"broken since")
    for path in folder.rglob("liver_44.nii.gz"):
        path.unlink()
    names = [scan.name for scan in scans(prepared(msd, tmp_path), "lesion", tmp_path / "data")]
    assert names == ["msd_6", "msd_11"]


def test_a_finer_network_gets_finer_cases(msd, tmp_path):
    assert (form_of(msd, "liver"), form_of(msd, "lesion")) == ("whole_3mm", "liver_1p25mm")
    prepared(msd, tmp_path)
    finer = msd.model_copy(update={"lesion": msd.lesion.model_copy(update={"spacing_mm": 0.8})})
    assert form_of(finer, "lesion") == "liver_0p8mm"
    told = []
    prepared(finer, tmp_path, told.append)
    assert "4 to prepare" in told[0]


@pytest.fixture
def thick():
    """A ball of 20 mm with a ball of 8 mm in it; voxels of 0.8 x 0.8 x 5 mm, a checkerboard beside it."""
    affine = np.diag([-0.8, -0.8, 5.0, 1.0])
    index = np.indices((136, 136, 22)).transpose(1, 2, 3, 0)
    distance_mm = np.linalg.norm((index - [67.5, 67.5, 10.5]) * [0.8, 0.8, 5.0], axis=-1)
    truth = np.where(distance_mm < 8, 2, distance_mm < 20).astype(np.uint8)
    hu = np.where(index.sum(-1) % 2, 500, -500)
    hu[truth == 1], hu[truth == 2] = 100, 40
    return Volume(hu.astype(np.int16), affine), Volume(truth, affine)


def test_cases_are_small_not_aliased_and_keep_their_volumes(thick, recipe, tmp_path):
    truth = thick[1]
    as_lits(tmp_path / "data" / "LiTS", 111, *thick)
    prepared(learning_from(recipe, {"dataset": "lits", "folder": "LiTS"}), tmp_path)
    case = tmp_path / "cases" / "lits" / "111"
    for form, spacing_mm in (("whole_3mm", (3, 3, 5)), ("liver_1p25mm", (1.25, 1.25, 5))):
        image, label = (read_nifti(case / form / f"{name}.nii.gz") for name in ("image", "label"))
        assert image.spacing_mm == pytest.approx(spacing_mm)
        assert (image.array.dtype, label.array.dtype) == (np.int16, np.uint8)
        for code in (1, 2):
            true_ml = (truth.array >= code).sum() * truth.voxel_volume_ml
            assert (label.array >= code).sum() * label.voxel_volume_ml == pytest.approx(true_ml, rel=0.04 * code)
        assert np.median(image.array[label.array == 2]) == 40
        middle_mm = image.affine[:3, :3] @ np.argwhere(label.array == 2).mean(0) + image.affine[:3, 3]
        assert middle_mm == pytest.approx([-54, -54, 52.5], abs=0.4)
    assert np.abs(read_nifti(case / "whole_3mm" / "image.nii.gz").array[2:8, 2:8]).max() < 150
    box = read_nifti(case / "liver_1p25mm" / "label.nii.gz")
    assert np.array(box.shape) * box.spacing_mm == pytest.approx((90, 90, 90), abs=5)


@pytest.mark.shared
@pytest.mark.slow
def test_a_real_case_keeps_its_volumes(shared_data, recipe, tmp_path):
    with tarfile.open(shared_data / "ct_ircad17" / "ct_ircad17.tar.xz") as archive:
        archive.extractall(tmp_path / "data" / "ircadb" / "3Dircadb1.17", filter="data")
    recipe = prepared(learning_from(recipe, {"dataset": "ircadb", "folder": "ircadb"}), tmp_path)
    (scan,) = scans(recipe, "lesion", tmp_path / "data")
    assert (scan.name, scan.patient) == ("ircadb_17", "3D-IRCADb-01 #17")
    for network in ("liver", "lesion"):
        (case,) = load_cases(recipe, network, tmp_path / "data")
        volumes_ml = [(case.label.array >= code).sum() * case.label.voxel_volume_ml for code in (1, 2)]
        assert volumes_ml == pytest.approx([1860.6, 164.3], rel=0.015)
        assert case.label.array.size < 6e6  # of 31e6


def test_several_processes_prepare_the_same(msd, tmp_path):
    data, told = tmp_path / "data", []
    found = []
    for workers in (1, 2):
        cases = tmp_path / f"cases{workers}"
        prepare(msd, data, cases, workers=workers, report=told.append)
        found.append(load_cases(with_data(msd, data, cases), "lesion", data))
    for first, second in zip(*found, strict=True):
        assert first.name == second.name
        np.testing.assert_array_equal(first.image.array, second.image.array)
        np.testing.assert_array_equal(first.label.array, second.label.array)
    assert sum(line.endswith(": prepared") for line in told) == 8


def test_a_liver_without_labelled_lesions_is_none_without_lesions(recipe, tmp_path):
    as_totalsegmentator(tmp_path / "data" / "total", 11, CT, TRUTH)
    as_tcia(tmp_path / "data" / "hcc", "HCC_009", CT, TRUTH)
    as_tcia(tmp_path / "data" / "hcc", "HCC_010", CT, TRUTH, segments=("Liver", "Portal vein"))
    sources = [
        {"dataset": "totalsegmentator", "folder": "total", "weight": 0.5},
        {
            "dataset": "tcia",
            "folder": "hcc",
            "name": "hcc",
            "licence": "CC BY 4.0",
            "leave_out": {"liver": ["HCC_009"]},
        },
    ]
    recipe = prepared(learning_from(recipe, *sources), tmp_path)
    found = {scan.name: scan for scan in scans(recipe, "lesion", tmp_path / "data")}
    known = {name: scan.lesions_known for name, scan in found.items()}
    assert known == {"totalsegmentator_s0011": False, "hcc_HCC_009": True, "hcc_HCC_010": False}
    assert (found["totalsegmentator_s0011"].weight, found["hcc_HCC_009"].licence) == (0.5, "CC BY 4.0")
    assert "hcc_HCC_009" not in {scan.name for scan in scans(recipe, "liver", tmp_path / "data")}
    assert {row["case"]: row["networks"] for row in training_data(recipe, tmp_path / "data")}["hcc_HCC_009"] == "lesion"


def test_a_data_set_that_is_not_there_is_named(msd, tmp_path):
    with pytest.raises(RecipeError, match=r"Task03_Liver is missing.*--data"):
        prepare(msd, tmp_path, tmp_path / "cases", report=silent)
    with pytest.raises(RecipeError, match="not prepared"):
        scans(msd, "liver", tmp_path / "data")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            [{"dataset": "amos", "folder": "A"}],
            "'amos' is none of lits, msd, ircadb, chaos, totalsegmentator, tcia, csv",
        ),
        ([{"dataset": "phantom", "folder": "A"}], "'phantom' is none of"),
        ([{"folder": "A"}], "either `forms`, or a `dataset`"),
        ([{"dataset": "csv", "folder": "A"}, {"dataset": "csv", "folder": "B"}], "several sources are called csv"),
    ],
)
def test_a_wrong_source_is_explained(recipe, sources, message):
    with pytest.raises(ValueError, match=message):
        learning_from(recipe, *sources)
