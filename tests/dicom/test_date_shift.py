"""With `date_shift_days` no true date is written, and intervals stay."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from nen_imaging.config import Config
from nen_imaging.dicom.stages import IMPORT_PET
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.stage import Context, run_stage, write_json

OPTIONS = Config().options_of("staging") | Config().options_of("selection")
SHIFTED = OPTIONS | {"date_shift_days": 3000}
TRUE = ("2020-01-15", "2020-02-14", "2021-01-15")
ANN, BOB = PatientTags("1", "Jones^Ann", "19510203"), PatientTags("2", "Smith^Bob", "19520304")


def days(texts: list[str]) -> list[int]:
    ordered = [dt.date.fromisoformat(text) for text in texts]
    return [(day - ordered[0]).days for day in ordered]


def test_stagings_and_windows_are_those_of_the_true_dates(study):
    for number, day in enumerate(TRUE):
        study.ct(f"ct{number}", day, patient=ANN, seed=number)
    study.pet("pet", "2020-01-20", patient=ANN)
    study.index(options=SHIFTED)
    names = study.stagings()
    assert days(names) == days([TRUE[0], TRUE[2]])  # the second CT lies within the window of the first
    assert not set(names) & set(TRUE)
    assert max(names) < TRUE[0]


def test_no_true_date_is_written_not_even_into_the_database(study):
    for number, day in enumerate(TRUE):
        study.ct(f"ct{number}", day, patient=(ANN, BOB)[number % 2], seed=number)
    study.index(options=SHIFTED)
    forms = [form.encode() for day in TRUE for form in (day, day.replace("-", ""))]
    for path in study.results.root.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [form for form in forms if form in content + str(path.relative_to(study.results.root)).encode()], (
            path
        )


def test_patients_move_apart_and_every_run_moves_alike(study):
    study.ct("ann", TRUE[0], patient=ANN)
    study.ct("bob", TRUE[0], patient=BOB, seed=2)
    study.index(options=SHIFTED)
    first = study.written()
    assert len(set(study.stagings())) == 2
    study.index(options=SHIFTED)
    assert study.written() == first


def test_a_date_that_a_person_gives_is_moved_as_well(study):
    study.ct("dated", TRUE[0], patient=ANN)
    study.ct("undated", patient=ANN, seed=2, tags=dict.fromkeys(DATE_TAGS, ""))
    study.index(options=SHIFTED)
    (undated,) = (name for name in study.stagings() if name.startswith("undated-"))
    summary = study.index(options=SHIFTED, dates={undated: TRUE[2]})
    assert days(study.stagings()) == days([TRUE[0], TRUE[2]])
    assert set(summary.moved_days.values()) == {days([TRUE[0], study.stagings()[0]])[1]}


DATE_TAGS = ("AcquisitionDate", "SeriesDate", "StudyDate", "AcquisitionDateTime", "ContentDate")


@pytest.mark.parametrize("options", [OPTIONS, SHIFTED])
def test_a_corrected_injection_gives_the_same_suv_shifted_or_not(study, options):
    study.ct(date=TRUE[0], patient=ANN)
    study.pet(date=TRUE[0], patient=ANN)
    summary = study.index(options=options)
    (staging,) = study.results.root.glob("patients/*/stagings/*")
    moved = next(iter(summary.moved_days.values()))
    shown = dt.date.fromisoformat(TRUE[0]) + dt.timedelta(days=moved)
    row = {
        "tag": "RadiopharmaceuticalStartDateTime",
        "value": f"{shown:%Y%m%d}080000",
        "reason": "read off the sheet",
    }
    write_json(staging / "corrections.json", {"corrections": [row]})
    inputs = staging / "pet_selection.json", staging / "corrections.json"
    context = Context(study.results.root, study.results.root)
    record = run_stage(IMPORT_PET, staging / "pet", inputs, Config().options_of("import_pet"), context)
    assert not record.refused, record.reasons
    used = json.loads((staging / "pet" / "pet.json").read_text("utf-8"))["values"]
    (moment,) = (one for one in used if "RadiopharmaceuticalStartDateTime" in one["tag"])
    assert moment["value"] == "08:00:00"  # on the day of the scan
    assert moment["source"].startswith("corrections.csv")


def test_a_corrected_date_of_a_pet_is_moved_back_with_its_injection(study):
    study.ct(date=TRUE[0], patient=ANN)
    blank = {"SeriesDate": "", "AcquisitionDate": "", "ContentDate": ""}  # StudyDate stays
    study.pet(date=TRUE[0], patient=ANN, tags=blank)
    summary = study.index(options=SHIFTED)
    (staging,) = study.results.root.glob("patients/*/stagings/*")
    shown = dt.date.fromisoformat(TRUE[0]) + dt.timedelta(days=next(iter(summary.moved_days.values())))
    values = {"AcquisitionDate": f"{shown}", "RadiopharmaceuticalStartDateTime": f"{shown:%Y%m%d}080000"}
    rows = [{"tag": tag, "value": value, "reason": "read off the sheet"} for tag, value in values.items()]
    write_json(staging / "corrections.json", {"corrections": rows})
    inputs = staging / "pet_selection.json", staging / "corrections.json"
    context = Context(study.results.root, study.results.root)
    record = run_stage(IMPORT_PET, staging / "pet", inputs, Config().options_of("import_pet"), context)
    assert not record.refused, record.reasons
    used = json.loads((staging / "pet" / "pet.json").read_text("utf-8"))["values"]
    assert {one["name"]: one["value"] for one in used}["RadiopharmaceuticalStartDateTime"] == "08:00:00"
