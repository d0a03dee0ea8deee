"""`nen-imaging suv`: the factor with its grounds, or the refusal with its remedy."""

from __future__ import annotations

import json
import tarfile

import numpy as np
import pytest

from nen_imaging.cli.main import main
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.volume import Volume

AFFINE = np.diag([-0.8, -0.8, 3.0, 1.0])


def write_pet(folder, weight_kg: float | None = 70.0):
    suv = np.random.default_rng(0).uniform(0.1, 9, (10, 8, 6)).astype(np.float32)
    write_pet_series(folder, Volume(suv, AFFINE), patient=PatientTags(weight_kg=weight_kg))


def test_the_factor_and_every_value_with_its_tag_and_source(tmp_path, capsys):
    write_pet(tmp_path)
    assert main(["suv", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "PET series of 6 slices" in printed
    assert "(0010,1030) PatientWeight" in printed
    assert "70 kg  [header]" in printed
    assert "Nuclide: 68Ga, tracer: DOTATOC" in printed
    assert "Phantom" not in printed


def test_json_holds_the_same_as_pet_json(tmp_path, capsys):
    write_pet(tmp_path)
    assert main(["suv", str(tmp_path), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["kind"] == "SUVbw"
    expected = 70_000 / (150e6 * 2 ** (-3600 / 4062.6))
    assert entry["factor"]["minimum"] == pytest.approx(expected, rel=1e-9)


def test_a_refusal_names_code_tag_and_remedy(tmp_path, capsys):
    write_pet(tmp_path, weight_kg=None)
    assert main(["suv", str(tmp_path)]) == 3
    printed = capsys.readouterr().out
    assert "Refused (pet.weight_missing): (0010,1030) PatientWeight is missing" in printed
    assert "corrections.csv" in printed


def test_no_pet_at_all_is_said(tmp_path, capsys):
    write_ct_series(tmp_path, Volume(np.zeros((8, 8, 4), np.int16), AFFINE))
    assert main(["suv", str(tmp_path)]) == 1
    assert "pet.none" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["suv"], ["segment", "--out", "OUT"]], ids=["suv", "segment"])
def test_a_damaged_archive_is_told_as_such(tmp_path, capsys, verb):
    write_pet(tmp_path / "pet")
    with tarfile.open(tmp_path / "whole.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "pet", "pet")
    content = (tmp_path / "whole.tar.xz").read_bytes()
    (tmp_path / "broken.tar.xz").write_bytes(content[: len(content) // 2])
    arguments = [str(tmp_path / "out") if argument == "OUT" else argument for argument in verb]
    assert main([*arguments, str(tmp_path / "broken.tar.xz")]) == 1
    said = capsys.readouterr().err
    assert "Refused (file.truncated)" in said and "broken.tar.xz could be read" in said
    assert "the archive cannot be read to its end (EOFError)" in said and "Copy the file again" in said


@pytest.mark.slow
def test_real_mappings_beside_the_pet_are_held_against_its_factor(shared_data, capsys):
    archive = shared_data / "petct_ge_acrin042" / "petct_ge_acrin042.tar.xz"
    assert main(["suv", str(archive)]) == 0
    printed = capsys.readouterr().out
    assert "confirms the factor" in printed
    assert "is 1000 times too small; it is not used" in printed
