"""Tables, page, comparison, and the command."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from nen_imaging.cli.main import main
from nen_imaging.stage import StageError
from nen_imaging.tables import write_table
from nen_imaging.validation.compare import compare, comparison_text
from nen_imaging.validation.datasets import DATASETS, find_cases
from nen_imaging.validation.run import Validation, run_cases
from nen_imaging.validation.write import CASES_COLUMNS, write_report
from nen_imaging.volume import write_nifti
from nen_imaging.workflow import validation_arguments
from tests.validation.fakes import fake_bundle, patch_network
from tests.validation.layouts import as_msd, body

CT, TRUTH = body()


def silent(_line):
    """Say nothing."""


def worse(step):
    """The truth with a lesion drawn too large: what a reader of another school would have drawn."""
    labels = TRUTH.array.copy()
    i, j, k = np.indices(labels.shape)
    labels[((i - 13) ** 2 + (j - 15) ** 2 + (k - 10) ** 2 < 9 + 4 * step) & (labels > 0)] = 2
    return TRUTH.with_array(labels)


@pytest.fixture(scope="module")
def msd(tmp_path_factory):
    """Five cases; one has lost its image."""
    root = tmp_path_factory.mktemp("msd")
    for number in range(5):
        as_msd(root, 44 + number, CT, worse(number))
    (root / "imagesTr" / "liver_48.nii.gz").unlink()
    return root


@pytest.fixture(scope="module")
def run(msd, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    validation = Validation(folder / "results", "msd", (fake_bundle(folder),))
    with pytest.MonkeyPatch.context() as patch:
        patch_network(patch)
        done = run_cases(validation, find_cases("msd", msd), silent)
    write_report(validation, done)
    return validation


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables(run):
    rows = {row["case"]: row for row in rows_of(run.results / "cases.csv")}
    assert list(rows) == ["44", "45", "46", "47", "48"]
    assert tuple(rows["44"]) == CASES_COLUMNS
    assert float(rows["44"]["lesion_dice"]) == 1
    assert float(rows["47"]["lesion_dice"]) < float(rows["45"]["lesion_dice"]) < 1
    assert rows["44"]["seen_in_training"] == "3D-IRCADb-01 #17 LiTS 44"
    assert "The image is missing" in rows["48"]["problem"]
    summary = {(row["structure"], row["figure"]): row for row in rows_of(run.results / "summary.csv")}
    dice = summary["lesion", "dice"]
    assert float(dice["value"]) == pytest.approx(np.mean([float(rows[str(n)]["lesion_dice"]) for n in range(44, 48)]))
    assert float(dice["low"]) < float(dice["value"]) < float(dice["high"])
    assert dice["cases"] == "4"


def test_manifest(run):
    manifest = json.loads((run.results / "run.json").read_text())
    assert (manifest["model"], manifest["model_sha256"], manifest["cases"]) == ("fake", "0" * 64, 5)
    assert manifest["not_measured"][0]["case"] == "48"
    assert manifest["software"]["torch"]


def test_the_page_needs_nothing_else(run):
    page = (run.results / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    assert page.count("<svg") == 4
    assert page.count("data:image/jpeg;base64,") == 4
    assert "The model has learnt from 1 of these cases" in page
    assert "The image is missing" in page
    assert "Bilic et al." in page


def test_worst_cases_come_first(run):
    page = (run.results / "report.html").read_text()
    assert re.findall(r"<h3>Case (\d+):", page) == ["47", "46", "45", "44"]


def test_two_bundles_side_by_side(run, msd, tmp_path, network):
    other = replace(run, results=tmp_path / "other")
    write_report(other, run_cases(other, find_cases("msd", msd)[:4], silent))
    assert len(network) == 4
    path = other.results / "cases.csv"
    halved = [row | {"lesion_dice": float(row["lesion_dice"]) / 2} for row in rows_of(path)]
    write_table(path, CASES_COLUMNS, halved)
    found = compare(run.results, other.results)
    dice = next(one for one in found.figures if one.figure == "lesion_dice")
    first = [float(row["lesion_dice"]) for row in rows_of(run.results / "cases.csv") if row["lesion_dice"]]
    assert dice.cases == 4
    assert dice.difference == pytest.approx(-np.mean(first) / 2, abs=1e-6)
    assert dice.low < dice.difference < dice.high < 0
    assert dice.p_value == pytest.approx(2 / 2**4)  # of all signs that four differences can have, these two extremes
    liver = next(one for one in found.figures if one.figure == "liver_dice")
    assert (liver.difference, liver.p_value) == (0, 1)
    assert found.left_out == ()  # neither measured 48
    assert (found.first, found.second) == ("results", "other")  # since both bundles have one name
    assert "lesion_dice" in comparison_text(found)


def test_a_case_that_one_of_both_could_not_measure_is_told(run, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(run.results, folder)
    rows = rows_of(second / "cases.csv")
    rows[1] = dict.fromkeys(CASES_COLUMNS, "") | {"case": "45", "problem": "not enough memory"}
    write_table(second / "cases.csv", CASES_COLUMNS, rows)
    found = compare(first, second)
    assert {one.cases for one in found.figures} == {3}
    assert found.left_out == ("45",)
    assert "Measured in one of them only, left out: 45." in comparison_text(found)


def test_a_folder_without_a_validation_cannot_be_compared(run, tmp_path):
    with pytest.raises(StageError, match="holds no validation"):
        compare(run.results, tmp_path)


def test_the_command_scores_masks(tmp_path, capsys):
    for name, labels in (("truth", TRUTH), ("pred", worse(2))):
        (tmp_path / name).mkdir()
        write_nifti(tmp_path / name / "segmentation-1.nii.gz", labels)
    command = ["validate", "score", "--results", str(tmp_path / "r"), "--compat", "isbi2017"]
    code = main([*command, "--truth", str(tmp_path / "truth"), "--pred", str(tmp_path / "pred")])
    assert code == 0
    told = capsys.readouterr().out
    assert "lesion dice" in told
    assert "isbi2017 mssd" in told
    rows = rows_of(tmp_path / "r" / "summary.csv")
    assert [row["figure"] for row in rows if row["convention"] == "isbi2017"] == ["dice", "voe", "rvd", "assd", "mssd"]
    assert "<svg" in (tmp_path / "r" / "report.html").read_text()
    (case,) = rows_of(tmp_path / "r" / "cases.csv")
    assert case["grid"] == "axes LPS, 7.43 x 7.43 x 5.9 mm, labels 0 1 2"


def test_the_command_explains_what_is_wrong(tmp_path, capsys):
    code = main(["validate", "lits", "--root", str(tmp_path), "--results", str(tmp_path / "r")])
    assert code == 2
    assert "No case of LiTS" in capsys.readouterr().err


def test_the_command_knows_every_data_set(capsys):
    with pytest.raises(SystemExit):
        main(["validate", "--help"])
    told = capsys.readouterr().out
    assert all(name in told and dataset.title in told for name, dataset in DATASETS.items())


def test_the_rule_hands_its_config_to_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"dataset": "lits", "root": "my data", "segment": {"model": "nen_liver"}, "compat": "codalab"}
    expected = f"lits --root '{tmp_path}/my data' --model nen_liver --compat codalab"
    assert validation_arguments(config) == expected
    assert validation_arguments({}) == "--help"
