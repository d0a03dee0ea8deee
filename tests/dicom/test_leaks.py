"""No identifier leaves the headers: neither into the index nor into images, records, messages or printed tables."""

from __future__ import annotations

import logging

import pydicom
import pytest

from nen_imaging.cli.main import main
from nen_imaging.config import Config
from nen_imaging.contract import Results
from nen_imaging.dicom.privacy import KEY_FILE_VARIABLE
from nen_imaging.dicom.stages import IMPORT_CT, IMPORT_PET
from nen_imaging.stage import Context, run_stage
from nen_imaging.tables import read_table
from tests.leaks import leaks
from tests.planted import MEANT, PLANTED, WORD, plant


def imported(results: Results) -> dict[str, str]:
    """Run both imports of every staging; stage -> the state it ended in."""
    states = {}
    for staging in results.root.glob("patients/*/stagings/*"):
        for stage, names in (
            (IMPORT_CT, ("ct_selection.json",)),
            (IMPORT_PET, ("pet_selection.json", "corrections.json")),
        ):
            inputs = tuple(staging / name for name in names)
            folder = staging / stage.name.removeprefix("import_")
            record = run_stage(
                stage, folder, inputs, Config().options_of(stage.name), Context(results.root, results.root)
            )
            states[stage.name] = record.state
    return states


@pytest.fixture
def planted(study, tmp_path, monkeypatch):
    """A CT and a PET with an identifier in every attribute, and in the names of files and folders."""
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "home" / "key"))
    paths = study.ct(f"{WORD} family/ct") + study.pet(f"{WORD} family/pet")
    plant(paths[:4])
    plant(paths[4:])
    for path in paths:
        path.rename(path.with_name(f"{WORD}{path.name}"))
    (study.folder / f"{WORD}.txt").write_text(f"for {WORD}")
    return study


def run_all(study, capsys) -> tuple[dict[str, str], str]:
    """Index by the verb, import, ask for the SUV; states and everything printed."""
    main(["index", str(study.folder), "--results", str(study.results.root)])
    states = imported(study.results)
    main(["suv", str(study.folder)])
    printed = capsys.readouterr()
    return states, printed.out.replace(str(study.folder), "") + printed.err.replace(str(study.folder), "")


def test_an_identifier_in_every_attribute_is_found_in_no_output(planted, capsys, caplog):
    with caplog.at_level(logging.DEBUG):
        states, printed = run_all(planted, capsys)
    assert set(states.values()) <= {"ok", "warned"}
    assert leaks(planted.results.root, PLANTED, leave_out=["files.sqlite"]) == []
    assert WORD not in printed.upper()
    assert WORD not in caplog.text.upper()
    (row, _) = read_table(planted.results.series_table)
    assert row["description_phase"] == "portal venous"  # so the texts were understood
    # the database holds paths, and nothing else of it
    content = planted.results.files_database.read_bytes()
    paths = {path.relative_to(planted.folder).as_posix().encode() for path in planted.folder.rglob("*")}
    for path in sorted(paths, key=len, reverse=True):
        content = content.replace(path, b"")
    assert WORD.encode() not in content.upper()
    assert b"777123777" not in content


@pytest.mark.parametrize("keyword", [*MEANT, "SliceThickness", "InstanceNumber", "PatientWeight"])
def test_an_identifier_in_place_of_what_is_meant_is_not_quoted(keyword, study, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "home" / "key"))
    for path in study.ct("ct") + study.pet("pet"):
        dataset = pydicom.dcmread(path)
        dataset[keyword] = pydicom.DataElement(keyword, "LO", WORD)
        with pydicom.config.disable_value_validation():
            dataset.save_as(path)
    _, printed = run_all(study, capsys)
    assert leaks(study.results.root, [WORD]) == []
    assert WORD not in printed.upper()
