"""Cases are segmented and scored once, wherever the run was stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nen_imaging.config import load_config
from nen_imaging.contract import Refusal
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.segmentation import segment
from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.stage import StageError, exclusive_lock, read_record
from nen_imaging.training.export import random_bundle
from nen_imaging.validation.datasets import find_cases
from nen_imaging.validation.pairs import score_pairs
from nen_imaging.validation.run import Validation, run_cases, seen_names
from nen_imaging.validation.variants import varied
from nen_imaging.volume import read_nifti, require_same_grid, write_nifti
from tests.validation.layouts import as_chaos, as_ircadb, as_lits, as_msd, as_tcia, body

CT, TRUTH = body()


def silent(_line):
    """Say nothing."""


def lay_out(root, *numbers):
    for number in numbers:
        as_msd(root, number, CT, TRUTH)
    return root


def scores_of(validation, case):
    return json.loads((validation.scored(case) / "scores.json").read_text())


def test_the_label_map_lies_on_the_images_own_grid(tmp_path, validation):
    as_msd(tmp_path / "msd", 7, CT, TRUTH, codes="PIR")
    told = []
    (result,) = run_cases(validation, find_cases("msd", tmp_path / "msd"), told.append)
    assert result.problem == ""
    grid = "axes PIR, 7.43 x 5.9 x 7.43 mm, labels 0 1 2"
    assert told == [f"1 of 1, case 7: done; {grid}; liver Dice 1.000; lesion Dice 1.000; Slices lie 5.9 mm apart."]
    labels = read_nifti(validation.results / "cases" / "7" / "liver.nii.gz")
    require_same_grid(labels, read_nifti(tmp_path / "msd" / "imagesTr" / "liver_7.nii.gz"))
    scores = scores_of(validation, "7")
    assert scores["liver"]["dice"] == 1
    assert scores["lesion"]["dice"] == 1
    load = json.loads((validation.predicted("7") / "load.json").read_text())
    assert scores["load"]["low"] == load["load_percent_low"] < scores["load"]["percent"] < scores["load"]["high"]


def test_nothing_is_done_twice(tmp_path, validation, network):
    cases = find_cases("msd", lay_out(tmp_path / "msd", 1, 2))
    assert [one.was_done for one in run_cases(validation, cases, silent)] == [False, False]
    assert [one.was_done for one in run_cases(validation, cases, silent)] == [True, True]
    assert len(network) == 2


def test_another_convention_scores_again_without_the_network(tmp_path, validation, network):
    cases = find_cases("msd", lay_out(tmp_path / "msd", 1))
    run_cases(validation, cases, silent)
    run_cases(replace(validation, compat="codalab"), cases, silent)
    assert len(network) == 1
    assert scores_of(validation, "1")["compat"]["detected"] == {"0": 1, "0.5": 1}


def test_another_bundle_or_image_is_another_case(tmp_path, validation, network, bundle):
    root = lay_out(tmp_path / "msd", 1)
    run_cases(validation, find_cases("msd", root), silent)
    run_cases(replace(validation, bundles=(replace(bundle, sha256="1" * 64),)), find_cases("msd", root), silent)
    assert len(network) == 2
    os.utime(root / "labelsTr" / "liver_1.nii.gz", ns=(1, 1))
    run_cases(replace(validation, bundles=(replace(bundle, sha256="1" * 64),)), find_cases("msd", root), silent)
    assert len(network) == 3


def test_scores_of_an_earlier_prediction_are_not_kept_where_a_run_was_stopped_before_it_scored(
    tmp_path, validation, bundle, monkeypatch
):
    cases = find_cases("msd", lay_out(tmp_path / "msd", 1))
    run_cases(validation, cases, silent)
    other = replace(validation, bundles=(replace(bundle, sha256="1" * 64),))

    def found_nothing(ct, _bundle, **_options):
        nothing = ct.with_array(np.zeros(ct.shape, np.uint8))
        return segment.Segmentation(nothing, nothing, (0.0,), (), "cpu")

    def stopped(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(segment, "segment_volume", found_nothing)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("nen_imaging.validation.run.score_case", stopped)
        run_cases(other, cases, silent)
    assert [one.was_done for one in run_cases(other, cases, silent)] == [False]
    assert scores_of(validation, "1")["liver"]["dice"] == 0


def test_a_damaged_result_is_made_again(tmp_path, validation, network):
    cases = find_cases("msd", lay_out(tmp_path / "msd", 1))
    run_cases(validation, cases, silent)
    (validation.predicted("1") / "liver.nii.gz").write_bytes(b"cut")
    assert [one.was_done for one in run_cases(validation, cases, silent)] == [False]
    assert len(network) == 2


def test_a_missing_case_is_told_and_tried_again_when_it_came(tmp_path, validation):
    root = lay_out(tmp_path / "msd", 1, 2)
    image = root / "imagesTr" / "liver_1.nii.gz"
    image.rename(root / "aside")
    told = []
    first, second = run_cases(validation, find_cases("msd", root), told.append)
    assert "The image is missing" in first.problem
    assert (second.problem, told[0][:17]) == ("", "1 of 2, case 1: T")
    (root / "aside").rename(image)
    first, second = run_cases(validation, find_cases("msd", root), silent)
    assert (first.problem, second.was_done) == ("", True)


def test_a_case_without_any_liver_found_is_a_miss_not_a_failure(tmp_path, validation):
    as_msd(tmp_path / "msd", 1, CT.with_array(np.full_like(CT.array, 20)), TRUTH)
    (result,) = run_cases(validation, find_cases("msd", tmp_path / "msd"), silent)
    assert result.problem == ""
    scores = scores_of(validation, "1")
    assert (scores["liver"]["dice"], scores["liver"]["assd_mm"], scores["load"]) == (0, None, None)


def test_lesions_that_a_segmentation_lacks_are_not_measured(tmp_path, validation):
    as_tcia(tmp_path / "tcia", "HCC_010", CT, TRUTH, segments=("Liver", "Portal vein"))
    run_cases(validation, find_cases("tcia", tmp_path / "tcia"), silent)
    scores = scores_of(validation, "HCC_010")
    assert (scores["lesions_labelled"], scores["lesion"], scores["load"]) == (False, None, None)


def test_what_the_bundle_learnt_from_is_recorded(tmp_path, validation):
    run_cases(validation, find_cases("msd", lay_out(tmp_path / "msd", 44, 45)), silent)
    seen = {case: read_record(validation.predicted(case)).facts["seen_in_training"] for case in ("44", "45")}
    assert seen == {"44": ["3D-IRCADb-01 #17", "LiTS 44"], "45": []}


def test_each_case_goes_to_the_bundle_that_held_its_patient_out(tmp_path, validation, bundle):
    def learnt(name, patients, held_out):
        rows = [{"case": f"lits{number}", "patient": f"LiTS {number}"} for number in patients]
        metadata = {"training_data": rows, "held_out_patients": [f"LiTS {number}" for number in held_out]}
        return replace(bundle, name=name, sha256=name * 64, metadata=metadata)

    folds = learnt("a", [1, 3], [2]), learnt("b", [2, 3], [1])
    cases = find_cases("msd", lay_out(tmp_path / "msd", 1, 2, 3, 4))
    results = run_cases(replace(validation, bundles=folds), cases, silent)
    models = {
        one.name: read_record(validation.predicted(one.name)).facts["model"] for one in results if not one.problem
    }
    assert models.keys() == {"1", "2", "4"}
    assert (models["1"], models["2"]) == ("b", "a")
    assert results[2].problem == "Every one of the bundles has learnt from this patient. (case.seen)"


def test_a_bundle_that_learnt_one_scan_of_a_patient_has_seen_the_others(tmp_path, validation, bundle):
    rows = [{"case": "lits6", "patient": "lits_p06_10"}]
    learnt = replace(bundle, name="learnt", metadata={"training_data": rows})
    held_out = replace(bundle, name="held out", metadata={"held_out_patients": ["lits_p06_10"]})
    other = replace(bundle, name="other", metadata={})
    chosen = replace(validation, bundles=(learnt, other, held_out))
    first, ninth, eleventh = find_cases("msd", lay_out(tmp_path / "msd", 6, 9, 11))
    assert [bool(seen_names(learnt) & set(case.known_as)) for case in (first, ninth, eleventh)] == [True, True, False]
    assert chosen.bundle_of(ninth).name == "held out"


def test_another_variant_is_segmented_again(tmp_path, validation, network):
    cases = find_cases("msd", lay_out(tmp_path / "msd", 1))
    run_cases(validation, cases, silent)
    run_cases(validation, [varied(case, "noisy") for case in cases], silent)
    assert len(network) == 2


def test_an_uneven_ct_is_read_as_the_config_says_and_segmented_again_when_that_changes(tmp_path, validation, network):
    write_ct_series(tmp_path / "csv" / "image", CT)[12].unlink()
    write_nifti(tmp_path / "csv" / "label.nii.gz", TRUTH)
    (tmp_path / "csv" / "cases.csv").write_text("case,image,label\na,image,label.nii.gz\n")
    (case,) = find_cases("csv", tmp_path / "csv")
    uneven = replace(validation, config=load_config(overrides={"import_ct": {"resample_uneven": True}}))
    (refused,) = run_cases(validation, [case], silent)
    assert "slice 13 missing" in refused.problem
    (read,) = run_cases(uneven, [case], silent)
    assert (read.problem, len(network)) == ("", 1)
    assert network[0].shape == CT.shape
    assert run_cases(uneven, [case], silent)[0].was_done
    (refused,) = run_cases(validation, [case], silent)
    assert "slice 13 missing" in refused.problem


@pytest.mark.parametrize(("name", "lay_out_case"), [("ircadb", as_ircadb), ("chaos", as_chaos), ("tcia", as_tcia)])
def test_truth_drawn_on_slices_has_none_for_an_interpolated_one(tmp_path, validation, name, lay_out_case):
    lay_out_case(tmp_path / name, "7", CT, TRUTH)
    for part in ("PATIENT_DICOM", "DICOM_anon", "1-CT"):
        for folder in tmp_path.rglob(part):
            sorted(folder.iterdir())[12].unlink()
    for part in ("Ground", "MASKS_DICOM/*"):
        for folder in tmp_path.glob(f"**/{part}"):
            sorted(folder.iterdir())[12].unlink()
    uneven = replace(validation, config=load_config(overrides={"import_ct": {"resample_uneven": True}}))
    (refused,) = run_cases(uneven, find_cases(name, tmp_path / name), silent)
    assert "slice 13 missing" in refused.problem


def test_only_one_process_works_on_a_folder(tmp_path, validation):
    cases = find_cases("msd", lay_out(tmp_path / "msd", 1))
    with (
        exclusive_lock(validation.results / ".validate.lock", wait_s=0),
        pytest.raises(StageError, match="is held by process"),
    ):
        run_cases(validation, cases, silent)


SLOW_RUN = """
import time
from pathlib import Path
from tests.validation.test_run import slow_run
slow_run(Path({root!r}), Path({results!r}))
"""


def slow_run(root, results):
    """What the killed process runs: ten cases with a network that hangs at the fourth."""

    def segment_volume(ct, _bundle, **_options):
        if len(list(results.glob("scores/*/stage.json"))) == 3:
            time.sleep(3600)
        labels = np.where(ct.array > 90, 1, 0).astype(np.uint8)
        nothing = ct.with_array(np.zeros_like(labels))
        return segment.Segmentation(ct.with_array(labels), nothing, (0.0,), (), "cpu")

    segment.segment_volume = segment_volume
    bundle = Bundle("slow", results, "0" * 64, "none", {}, {})
    return run_cases(Validation(results, "msd", (bundle,)), find_cases("msd", root), silent)


def test_a_killed_run_goes_on_where_it_was(tmp_path, monkeypatch):
    root, results = lay_out(tmp_path / "msd", *range(10)), tmp_path / "results"
    script = SLOW_RUN.format(root=str(root), results=str(results))
    repository = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", script], cwd=repository)
    while not list(results.glob("cases/3.tmp")):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path.parent.name: path.stat().st_mtime_ns for path in results.glob("scores/*/stage.json")}
    assert set(finished) == {"0", "1", "2"}
    monkeypatch.setattr(time, "sleep", silent)
    monkeypatch.setattr(segment, "segment_volume", segment.segment_volume)  # what slow_run puts there goes again
    again = slow_run(root, results)
    assert {one.name for one in again if one.was_done} == set(finished)
    assert len(list(results.glob("cases/*/liver.nii.gz"))) == 10
    assert not list(results.glob("*/*.tmp"))
    for case, written in finished.items():
        assert (results / "scores" / case / "stage.json").stat().st_mtime_ns == written


def test_three_layouts_of_one_case_give_the_same_figures(tmp_path):
    """An untrained network: where its liver lies means nothing, but it must be the same everywhere."""
    bundle = random_bundle(tmp_path / "models", seed=3)
    as_lits(tmp_path / "lits", 44, CT, TRUTH, identity=True)
    as_msd(tmp_path / "msd", 44, CT, TRUTH)
    as_ircadb(tmp_path / "ircadb", 17, CT, TRUTH)
    found = []
    for name in ("lits", "msd", "ircadb"):
        validation = Validation(tmp_path / "results" / name, name, (bundle,), threads=1)
        (result,) = run_cases(validation, find_cases(name, tmp_path / name), silent)
        assert result.problem == ""
        found.append(scores_of(validation, result.name))
    assert 0 < found[0]["liver"]["dice"] < 1
    for other in found[1:]:
        assert other["liver"] == pytest.approx(found[0]["liver"], abs=1e-6)
        assert other["load"]["percent"] == pytest.approx(found[0]["load"]["percent"], abs=1e-6)


def test_score_pairs_masks_by_name_and_by_number(tmp_path):
    (tmp_path / "truth").mkdir()
    (tmp_path / "pred").mkdir()
    for number in (1, 2, 3):
        write_nifti(tmp_path / "truth" / f"segmentation-{number}.nii", TRUTH)
    write_nifti(tmp_path / "pred" / "segmentation-1.nii", TRUTH)
    write_nifti(tmp_path / "pred" / "case_0002.nii.gz", TRUTH.oriented("RSA"))
    validation = Validation(tmp_path / "results", "score", compat="isbi2017")
    results = score_pairs(validation, tmp_path / "truth", tmp_path / "pred", silent)
    assert [one.problem for one in results] == ["", "", "there is no prediction for it"]
    again = score_pairs(validation, tmp_path / "truth", tmp_path / "pred", silent)
    assert [one.was_done for one in again] == [True, True, False]
    for name in ("segmentation-1", "segmentation-2"):
        scores = scores_of(validation, name)
        assert (scores["liver"]["dice"], scores["compat"]["assd"]) == (1, 0)


def test_score_takes_the_cases_of_a_validation(tmp_path, validation):
    root = lay_out(tmp_path / "msd", 1)
    run_cases(validation, find_cases("msd", root), silent)
    scoring = Validation(tmp_path / "scored", "score")
    (result,) = score_pairs(scoring, root / "labelsTr", validation.results / "cases", silent)
    assert (result.name, result.problem) == ("liver_1", "")
    assert scores_of(scoring, "liver_1")["lesion"] == pytest.approx(scores_of(validation, "1")["lesion"], abs=1e-6)


def test_score_says_what_is_wrong_with_a_mask(tmp_path):
    for name in ("truth", "pred"):
        (tmp_path / name).mkdir()
    write_nifti(tmp_path / "truth" / "a.nii", TRUTH)
    write_nifti(tmp_path / "pred" / "a.nii", TRUTH.with_array(TRUTH.array * 3))
    validation = Validation(tmp_path / "results", "score")
    (result,) = score_pairs(validation, tmp_path / "truth", tmp_path / "pred", silent)
    assert "hold the codes 0, 3, 6" in result.problem
    with pytest.raises(StageError, match="There is no NIfTI file"):
        score_pairs(validation, tmp_path / "results", tmp_path / "pred", silent)


def test_score_goes_on_after_a_file_that_is_no_image_and_never_guesses_a_pair(tmp_path):
    for name in ("truth", "pred"):
        (tmp_path / name).mkdir()
        write_nifti(tmp_path / name / "c.nii", TRUTH)
    (tmp_path / "truth" / "b.nii").write_bytes(b"no NIfTI")
    for path in ("pred/b.nii", "truth/first_7.nii", "pred/fold1_7.nii", "pred/fold2_7.nii"):
        write_nifti(tmp_path / path, TRUTH)
    validation = Validation(tmp_path / "results", "score")
    results = score_pairs(validation, tmp_path / "truth", tmp_path / "pred", silent)
    assert [one.name for one in results] == ["b", "c", "first_7"]
    assert "b.nii cannot be read" in results[0].problem
    assert results[1].problem == ""
    assert "several files have the number 7" in results[2].problem


def test_what_was_refused_is_tried_again(tmp_path, validation):
    (case,) = find_cases("msd", lay_out(tmp_path / "msd", 1))

    def refuse(**_import_ct):
        raise Refusal("image.unreadable", "The disk was away.")

    (first,) = run_cases(validation, [replace(case, read=refuse)], silent)
    (second,) = run_cases(validation, [case], silent)
    assert (first.problem, second.problem) == ("The disk was away. (image.unreadable)", "")


def test_a_bug_in_one_case_leaves_the_others_alone(tmp_path, validation):
    cases = find_cases("msd", lay_out(tmp_path / "msd", 1, 2))

    def broken(**_import_ct):
        raise KeyError("what no one thought of")

    first, second = run_cases(validation, [replace(cases[0], read=broken), cases[1]], silent)
    assert first.problem == "KeyError: 'what no one thought of'"
    assert second.problem == ""
