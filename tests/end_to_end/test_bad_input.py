"""What bad input gets: a reason code or the name of what is wrong, a remedy, an exit code, nothing half-written."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from nen_imaging.cli.main import main
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.volume import Volume


@pytest.fixture(autouse=True)
def own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEN_IMAGING_KEY_FILE", str(tmp_path / "key" / "file"))


def write_ct(folder: Path, patient: str) -> list[Path]:
    array = np.random.default_rng(0).integers(-100, 200, (12, 10, 6)).astype(np.int16)
    affine = np.diag([-4.0, -4.0, 5.0, 1.0])
    tags = PatientTags(patient, f"{patient}^X", "19600101", "F", None, 1.7, 70.0)
    return write_ct_series(folder, Volume(array, affine), patient=tags, date=dt.date(2020, 1, 2), seed=len(patient))


def test_a_study_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path / "none"), "--results", str(tmp_path / "results")]) == 1
    assert "study.empty" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "content", [{}, {"letter.txt": b"Dear colleague"}, {"a.dcm": b"\x00" * 300, "b.png": b"\x89PNG"}]
)
def test_a_study_without_dicom(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: dict[str, bytes]) -> None:
    study = tmp_path / "Jones Ann"
    study.mkdir()
    for name, data in content.items():
        (study / name).write_bytes(data)
    assert main(["run", str(study), "--results", str(tmp_path / "results")]) == 1
    said = capsys.readouterr().err
    assert "study.empty" in said
    assert "Check the path" in said
    assert "Jones" not in said
    assert not (tmp_path / "results" / "index" / "stagings.csv").exists()


def test_a_truncated_file_is_quarantined_and_its_series_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = write_ct(tmp_path / "study", "one")[2]
    broken.write_bytes(broken.read_bytes()[:-50])
    assert main(["index", str(tmp_path / "study"), "--results", str(tmp_path / "results")]) == 0
    assert "file.truncated" in capsys.readouterr().out
    assert "file.truncated" in (tmp_path / "results" / "index" / "quarantine.csv").read_text("utf-8")


def test_two_patients_given_to_segment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ct(tmp_path / "study" / "a", "one")
    write_ct(tmp_path / "study" / "b", "other")
    assert main(["segment", str(tmp_path / "study"), "--out", str(tmp_path / "out")]) == 1
    assert "image.several_patients" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "key") == ["study"]


@pytest.mark.parametrize("name", ["missing.nii.gz", "half.nii.gz", "text.nii"])
def test_an_image_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"\x1f\x8b\x08\x00half")
    assert main(["segment", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 1
    assert "image.unreadable" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_segment_does_not_replace_a_folder_of_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("all of it", "utf-8")
    assert main(["segment", str(tmp_path / "x.nii.gz"), "--out", str(tmp_path / "out")]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert (tmp_path / "out" / "thesis.txt").read_text("utf-8") == "all of it"


def test_a_timeline_without_patient_column_for_two_patients(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ct(tmp_path / "study" / "a", "one")
    write_ct(tmp_path / "study" / "b", "other")
    timeline = tmp_path / "timeline"
    timeline.mkdir()
    header = "line,kind,agent,dose,schedule,start,end,note\n"
    (timeline / "therapies.csv").write_text(header + "1,systemic,everolimus,10 mg,daily,2020-01,,\n", "utf-8")
    arguments = [str(tmp_path / "study"), "--results", str(tmp_path / "results"), "--timeline", str(timeline)]
    assert main(["run", *arguments]) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in ("therapies.csv", "row 2", "patient", "PatientID"))
    assert not list((tmp_path / "results").rglob("stage.json"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("measure: {cyst_below: 3}\n", "cyst_below_hu"),
        ("uptake: {fixed_suv: -1}\n", "uptake.fixed_suv"),
        ("- 1\n", "keys and values"),
    ],
)
def test_a_wrong_config(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str) -> None:
    write_ct(tmp_path / "study", "one")
    (tmp_path / "mine.yaml").write_text(content, "utf-8")
    arguments = [
        str(tmp_path / "study"),
        "--results",
        str(tmp_path / "results"),
        "--config",
        str(tmp_path / "mine.yaml"),
    ]
    assert main(["run", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_an_unknown_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ct(tmp_path / "study", "one")
    arguments = [str(tmp_path / "study"), "--results", str(tmp_path / "results"), "--model", "nobody"]
    assert main(["run", *arguments]) == 2
    assert "known: nen_liver" in capsys.readouterr().err


def test_help_is_quick_to_import() -> None:
    """`--help` imports no library that takes its time."""
    import subprocess
    import sys

    script = "import sys; from nen_imaging.cli.main import build_parser; build_parser(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "monai", "matplotlib", "SimpleITK", "snakemake", "scipy"} & set(modules)
