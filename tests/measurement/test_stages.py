"""The edge of the room: folders in, `measure/` and `uptake/` out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nen_imaging.config import Config
from nen_imaging.contract import LESIONS_COLUMNS, READER, UPTAKE_COLUMNS, Refusal, State
from nen_imaging.measurement.stages import MEASURE, UPTAKE
from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.staging import staging
from nen_imaging.stage import Context, Outcome, Stage, StageError, StageRecord, run_stage, sha256_of, write_json
from nen_imaging.tables import read_table
from nen_imaging.volume import Volume, read_nifti, write_nifti


@pytest.fixture(scope="module")
def scan():
    return staging(digital_patient(4, 4.0), 17, 1, with_pet=True)


@pytest.fixture
def folder(tmp_path, scan) -> Path:
    """A staging's folder with ct/, segment/ (the truth), pet/ and an empty reader.json."""
    probability = scan.labels.with_array(np.where(scan.labels.array == 2, 230, 5).astype(np.uint8))
    volumes = {
        "ct": {"ct": scan.ct},
        "segment": {"liver": scan.labels, "probability": probability},
        "pet": {"suv": scan.suv},
    }

    def write(call):
        for name, volume in volumes[call.folder.stem].items():
            write_nifti(call.folder / f"{name}.nii.gz", volume)
        if call.folder.stem == "segment":
            write_json(call.folder / "uncertainty.json", {"member_loads_percent": [17.0, 16.0, 18.5], "flags": []})
        frame = {"frame_of_reference": "FRAME"} if call.folder.stem in ("ct", "pet") else {}
        return Outcome(facts=frame)

    for name in volumes:
        run_stage(Stage(name, 1, write), tmp_path / name, (), {}, Context(tmp_path, tmp_path))
    read_by(tmp_path)
    return tmp_path


def reading(lesion: str, text: str = "benign", *, volume_ml: str = "", as_read: dict | None = None) -> dict:
    return {"lesion": lesion, "reading": text, "volume_ml": volume_ml, "reason": "", "as_read": as_read}


def read_by(folder: Path, mask: Volume | None = None, rows: Sequence[dict] = (), **readings: str) -> None:
    """Write reader.json with readings like ``lesion_1="benign"``, and a mask beside it."""
    lesions = [*rows, *(reading(name.removeprefix("lesion_"), text) for name, text in readings.items())]
    path = folder / "reader_mask.nii.gz"
    if mask:
        write_nifti(path, mask)
    content = {"mask": {"sha256": sha256_of(path)} if mask else None, "lesions": lesions, "voi": []}
    write_json(folder / READER, content)


def measure(folder: Path, **options) -> tuple[StageRecord, dict]:
    inputs = tuple(folder / name for name in ("ct", "segment", READER))
    options = Config().options_of("measure") | options
    record = run_stage(MEASURE, folder / "measure", inputs, options, Context(folder, folder))
    path = folder / "measure" / "load.json"
    return record, json.loads(path.read_text("utf-8")) if path.is_file() else {}


def test_a_staging_is_measured_whole(folder, scan):
    record, load = measure(folder)
    assert record.state == State.OK
    assert load["source"] == "network"
    assert load["load_percent"] == pytest.approx(scan.truth.load_percent, abs=0.05)
    assert load["liver_volume_ml"] == pytest.approx(scan.truth.liver_volume_ml, rel=1e-3)
    assert load["load_percent_low"] < 16.1 < 18.4 < load["load_percent_high"]
    assert load["bands"] == ["> 10-25"]
    assert load["phase"]["measured"] == scan.phase.value
    table = read_table(folder / "measure" / "lesions.csv")
    assert tuple(table[0]) == LESIONS_COLUMNS
    assert len(table) == load["lesions"]
    assert sum(float(row["volume_ml"]) for row in table) == pytest.approx(load["lesion_volume_ml"], abs=0.01)
    instances = read_nifti(folder / "measure" / "instances.nii.gz").array
    assert instances.dtype == np.uint16
    assert sorted(np.unique(instances))[1:] == [int(row["lesion"]) for row in table]


@pytest.mark.parametrize(
    ("named", "codes"), [("arterial", ["phase.unlike_header"]), ("delayed", []), ("portal venous", []), (None, [])]
)
def test_a_header_that_names_another_phase_than_the_image_shows_is_warned_of(folder, named, codes):
    record = json.loads((folder / "ct" / "stage.json").read_text("utf-8"))
    write_json(folder / "ct" / "stage.json", record | {"facts": {"phase_header": named}})
    record, load = measure(folder)
    assert load["phase"]["measured"] == "portal venous"
    assert [reason["code"] for reason in record.reasons] == load["flags"] == codes


def test_measuring_twice_writes_the_same(folder):
    first, second = measure(folder)[0], measure(folder)[0]
    assert first.written == second.written


def test_benign_lesions_leave_the_load_and_both_loads_are_shown(folder):
    everything = measure(folder)[1]
    read_by(folder, lesion_1="benign", lesion_2="treated")
    load = measure(folder)[1]
    assert load["left_out_lesions"] == [1]
    assert load["lesions"] == everything["lesions"] - 1
    assert load["load_percent"] < everything["load_percent"] == load["load_with_left_out_percent"]
    assert load["liver_volume_ml"] == everything["liver_volume_ml"]


def test_a_reading_of_a_lesion_that_is_not_there_is_told(folder):
    everything = measure(folder)[1]
    read_by(folder, lesion_1="benign", lesion_99="benign")
    record, load = measure(folder)
    assert load["left_out_lesions"] == [1]
    (reason,) = record.reasons
    assert reason["code"] == "reader.lesion_unknown"
    assert reason["text"] == f"Read as benign: 99; this staging has {everything['lesions']} lesions."


def lesion_rows(folder: Path) -> list[dict[str, str]]:
    return read_table(folder / "measure" / "lesions.csv")


def as_measured(row: dict[str, str]) -> dict:
    return {"volume_ml": float(row["volume_ml"]), "centroid_mm": [float(row[f"centroid_{axis}_mm"]) for axis in "xyz"]}


@pytest.mark.parametrize(("factor", "codes"), [(1.4, []), (1 / 1.4, []), (1.6, ["changed"]), (1 / 1.6, ["changed"])])
@pytest.mark.parametrize("text", ["benign", "treated"])
def test_a_reading_of_a_lesion_of_another_volume_is_not_applied_and_that_is_said(folder, factor, codes, text):
    everything = measure(folder)[1]
    volume_ml = float(lesion_rows(folder)[0]["volume_ml"])
    read_by(folder, rows=[reading("1", text, volume_ml=f"{volume_ml * factor:.3f}")])
    record, load = measure(folder)
    assert [reason["code"] for reason in record.reasons] == [f"reader.lesion_{code}" for code in codes]
    assert load["left_out_lesions"] == ([1] if text == "benign" and not codes else [])
    if codes:
        assert load["load_percent"] == everything["load_percent"]
        assert record.reasons[0]["text"].startswith(f"Lesion 1, read as {text}, had {volume_ml * factor:.3g} ml, the")


def test_a_number_that_went_to_another_place_since_the_reading_is_noticed(folder):
    """Numbers go by volume: one lesion more moves all behind it to a neighbour of nearly the same volume."""
    measure(folder)
    first, second, *_ = lesion_rows(folder)
    alike = as_measured(second) | {"volume_ml": float(first["volume_ml"])}
    read_by(folder, rows=[reading("1", as_read=alike), reading("2", as_read=as_measured(second))])
    record, load = measure(folder)
    (reason,) = record.reasons
    assert (reason["code"], load["left_out_lesions"]) == ("reader.lesion_changed", [2])
    assert "mm from the lesion that has this number now" in reason["text"]


def test_what_a_reader_wrote_of_the_volume_outranks_what_was_recorded_of_another_lesion(folder):
    """As where a mask and readings of its lesions come at once: the network's lesions were recorded."""
    measure(folder)
    first, *_, last = lesion_rows(folder)
    read_by(folder, rows=[reading("1", volume_ml=first["volume_ml"], as_read=as_measured(last))])
    record, load = measure(folder)
    assert (record.reasons, load["left_out_lesions"]) == ([], [1])


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAL"])
def test_a_readers_mask_replaces_the_networks_on_any_grid(folder, scan, codes):
    halved = scan.labels.array.copy()
    halved[: halved.shape[0] // 2][halved[: halved.shape[0] // 2] == 2] = 1
    read_by(folder, scan.labels.with_array(halved).oriented(codes))
    record, load = measure(folder)
    assert [reason["code"] for reason in record.reasons] == ["reader.mask"]
    assert load["source"] == "reader"
    assert load["load_percent"] == pytest.approx(100 * (halved == 2).sum() / (halved > 0).sum(), abs=0.05)
    assert load["network"]["load_percent"] == pytest.approx(scan.truth.load_percent, abs=0.05)
    assert load["network"]["bands"] == ["> 10-25"]


def test_a_readers_mask_that_changed_since_the_index_is_an_error(folder, scan):
    read_by(folder, scan.labels)
    write_nifti(folder / "reader_mask.nii.gz", scan.labels.with_array(np.zeros_like(scan.labels.array)))
    with pytest.raises(StageError, match="changed since"):
        measure(folder)


def test_a_readers_mask_of_another_grid_is_brought_to_the_ct_and_that_is_said(folder, scan):
    affine = scan.labels.affine.copy()
    affine[:3, 3] += 0.3 * affine[:3, :3].sum(axis=1)
    read_by(folder, Volume(scan.labels.array, affine))
    record, load = measure(folder)
    assert [reason["code"] for reason in record.reasons] == ["reader.mask", "reader.mask_regridded"]
    assert "mm apart" in record.reasons[1]["text"]
    assert load["load_percent"] == pytest.approx(scan.truth.load_percent, abs=0.1)


def test_a_readers_mask_of_another_place_is_refused(folder, scan):
    affine = scan.labels.affine.copy()
    affine[2, 3] += 250
    read_by(folder, Volume(scan.labels.array, affine))
    record, load = measure(folder)
    assert [reason["code"] for reason in record.reasons] == ["reader.mask_elsewhere"]
    assert load == {}


def test_a_readers_mask_with_other_labels_is_an_error(folder, scan):
    read_by(folder, scan.labels.with_array(scan.labels.array * 3))
    with pytest.raises(StageError, match="labels"):
        measure(folder)


def test_an_empty_mask_is_refused(folder, scan):
    read_by(folder, scan.labels.with_array(np.zeros_like(scan.labels.array)))
    record, load = measure(folder)
    assert [reason["code"] for reason in record.reasons] == ["liver.absent"]
    assert load == {}


def test_an_implausible_volume_is_flagged(folder):
    record, load = measure(folder, plausible_liver_ml=[10.0, 20.0])
    assert [reason["code"] for reason in record.reasons] == ["liver.volume_implausible"]
    assert load["flags"] == ["liver.volume_implausible"]


def test_a_cut_liver_is_flagged(folder, scan):
    whole = measure(folder)[1]
    mask = scan.labels.array.copy()
    mask[:, :, 0] = np.where(scan.ct.array[:, :, 0] > -200, 1, 0)
    read_by(folder, scan.labels.with_array(mask))
    record, load = measure(folder)
    assert "liver.truncated" in [reason["code"] for reason in record.reasons]
    assert load["truncated"]
    assert not whole["truncated"]


def test_uptake_follows_from_what_was_measured(folder):
    measure(folder)
    read_by(folder, lesion_1="benign")
    inputs = tuple(folder / name for name in ("ct", "pet", "measure", READER))
    options = Config().options_of("uptake")
    record = run_stage(UPTAKE, folder / "uptake", inputs, options, Context(folder, folder))
    assert record.state == State.OK
    table = read_table(folder / "uptake" / "uptake.csv")
    assert tuple(table[0]) == UPTAKE_COLUMNS
    assert len(table) == len(read_table(folder / "measure" / "lesions.csv"))
    organs = json.loads((folder / "uptake" / "organs.json").read_text("utf-8"))
    assert organs["totals"]["hottest_lesion"] != 1
    assert organs["spleen"]["suv_mean"] > organs["liver"]["suv_mean"]


def test_uptake_leaves_out_the_benign_lesions_that_measure_left_out(folder, monkeypatch):
    from nen_imaging.measurement import uptake

    called = {}

    def measure_uptake(**arguments):
        called.update(arguments)
        return uptake.MeasuredUptake({}, [], [], [], [])

    monkeypatch.setattr(uptake, "measure_uptake", measure_uptake)
    read_by(folder, rows=[reading("1", volume_ml="9999"), reading("2")])
    left_out = measure(folder)[1]["left_out_lesions"]
    inputs = tuple(folder / name for name in ("ct", "pet", "measure", READER))
    run_stage(UPTAKE, folder / "uptake", inputs, Config().options_of("uptake"), Context(folder, folder))
    assert sorted(called["benign"]) == left_out == [2]


@pytest.mark.parametrize(
    ("of_ct", "of_pet", "same"), [("A", "A", True), ("A", "B", False), ("A", "none", False), ("none", "none", False)]
)
def test_only_one_frame_of_reference_is_trusted(folder, monkeypatch, of_ct, of_pet, same):
    """And a low-dose CT that was refused is as if there were none."""
    from nen_imaging.measurement import uptake

    called = {}

    def measure_uptake(**arguments):
        called.update(arguments)
        return uptake.MeasuredUptake({}, [], [], [], [])

    monkeypatch.setattr(uptake, "measure_uptake", measure_uptake)
    measure(folder)
    for name, frame in (("ct", of_ct), ("pet", of_pet)):
        record = json.loads((folder / name / "stage.json").read_text("utf-8"))
        write_json(folder / name / "stage.json", record | {"facts": {"frame_of_reference": frame}})

    def refuse(_):
        raise Refusal("slices.missing", "One is missing.")

    context = Context(folder, folder)
    run_stage(Stage("import_low_dose_ct", 1, refuse), folder / "low_dose_ct", (), {}, context)
    inputs = tuple(folder / name for name in ("low_dose_ct", "ct", "pet", "measure", READER))
    record = run_stage(UPTAKE, folder / "uptake", inputs, Config().options_of("uptake"), context)
    assert record.state == State.OK
    assert called["same_frame"] is same
    assert called["low_dose_ct"] is None
