from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from nen_imaging.contract import EVENTS_COLUMNS, LESIONS_COLUMNS, REGISTRATION_COLUMNS, TRACKS_COLUMNS, Reason, Refusal
from nen_imaging.longitudinal.stages import FOLLOW
from nen_imaging.stage import Context, Outcome, Stage, run_stage, write_json
from nen_imaging.volume import LPS_TO_RAS, Volume, write_nifti

SHAPE = (70, 56, 50)
AFFINE = np.array([[-3.0, 0, 0, 105], [0, -3.0, 0, 84], [0, 0, 3.0, -75], [0, 0, 0, 1]])
OPTIONS = {
    "new_minimum_diameter_mm": 10.0, "trusted_liver_dice": 0.85, "trusted_surface_distance_mm": 8.0,
    "match_overlap": 0.5, "edge_overlap": 0.25, "edge_distance": 0.5,
}  # fmt: skip
COURSE = {
    "2020-01-01": {1: ((40, 0, 0), 30), 2: ((-30, 12, 20), 16)},
    "2020-04-01": {1: ((-30, 12, 20), 18), 2: ((40, 0, 0), 36), 3: ((20, 25, 20), 14)},
    "2020-07-01": {1: ((40, 0, 0), 24), 2: ((20, 25, 20), 12)},
}
SHIFT_MM = {"2020-01-01": (0, 0, 0), "2020-04-01": (6, -4, 9), "2020-07-01": (-5, 6, -6)}


def write_staging(folder, name, lesions, left_out=()):
    x, y, z = (AFFINE[:3, :3] @ np.indices(SHAPE).reshape(3, -1) + AFFINE[:3, 3:]).reshape(3, *SHAPE)
    x, y, z = (axis - shift for axis, shift in zip((x, y, z), SHIFT_MM.get(name, (0, 0, 0)), strict=True))
    right = ((x - 25) / 58) ** 2 + (y / 46) ** 2 + (z / 50) ** 2 < 1
    inside = right | (((x + 30) / 52) ** 2 + ((y - 10) / 28) ** 2 + ((z - 14) / 26) ** 2 < 1)
    instances = np.zeros(SHAPE, np.uint16)
    rows = []
    for number, (centre, diameter) in lesions.items():
        ball = np.linalg.norm(np.stack([x, y, z], -1) - centre, axis=-1) <= diameter / 2
        instances[ball] = number
        place = LPS_TO_RAS @ AFFINE @ np.append(np.argwhere(ball).mean(axis=0), 1)
        rows.append(
            dict.fromkeys(LESIONS_COLUMNS, "no")
            | {"lesion": number, "volume_ml": ball.sum() * 0.027, "longest_diameter_mm": diameter}
            | {f"centroid_{axis}_mm": place[n] for n, axis in enumerate("xyz")}
        )
    labels = np.where(instances > 0, 2, inside).astype(np.uint8)

    def import_ct(call):
        write_nifti(call.folder / "ct.nii.gz", Volume(np.where(inside, 105, 20).astype(np.int16), AFFINE))
        return Outcome(facts={"slice_spacing_mm": 3.0})

    def measure(call):
        write_nifti(call.folder / "liver.nii.gz", Volume(labels, AFFINE))
        write_nifti(call.folder / "instances.nii.gz", Volume(instances, AFFINE))
        write_json(call.folder / "load.json", {"left_out_lesions": list(left_out)})
        with (call.folder / "lesions.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, LESIONS_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        return Outcome()

    return [run(folder / name / "ct", "import_ct", import_ct), run(folder / name / "measure", "measure", measure)]


def run(target, name, work):
    run_stage(Stage(name, 1, work), target, (), {}, Context(target.parent, target.parent))
    return target


def refuse_staging(folder, name):
    def refuse(_):
        raise Refusal("slices.missing", "Slices 12 to 19 are missing.")

    return [run(folder / name / "ct", "import_ct", refuse), run(folder / name / "measure", "measure", refuse)]


def follow(folder, inputs, links=()):
    write_json(folder / "links.json", {"links": list(links)})
    context = Context(folder, folder)
    record = run_stage(FOLLOW, folder / "follow", (*inputs, folder / "links.json"), OPTIONS, context)
    tables = {}
    for name, columns in (
        ("registration", REGISTRATION_COLUMNS), ("tracks", TRACKS_COLUMNS), ("events", EVENTS_COLUMNS)
    ):  # fmt: skip
        with (folder / "follow" / f"{name}.csv").open(newline="") as file:
            reader = csv.DictReader(file)
            assert tuple(reader.fieldnames) == columns
            tables[name] = list(reader)
    return record, tables


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patient")
    inputs = [path for name, lesions in COURSE.items() for path in write_staging(folder, name, lesions)]
    return folder, inputs


def test_lesions_keep_their_tracks_through_a_shift_of_the_patient(course):
    record, tables = follow(*course)
    assert record.state == "ok"
    assert record.facts == {"followed": list(COURSE), "reference": "2020-01-01"}
    tracks = {(row["staging"], row["lesion"]): row["track"] for row in tables["tracks"]}
    assert tracks == {
        ("2020-01-01", "1"): "2020-01-01-1", ("2020-01-01", "2"): "2020-01-01-2",
        ("2020-04-01", "1"): "2020-01-01-2", ("2020-04-01", "2"): "2020-01-01-1",
        ("2020-04-01", "3"): "2020-04-01-3",
        ("2020-07-01", "1"): "2020-01-01-1", ("2020-07-01", "2"): "2020-04-01-3",
    }  # fmt: skip
    events = {(row["staging"], row["event"], row["tracks"], row["counted"]) for row in tables["events"]}
    assert ("2020-04-01", "new", "2020-04-01-3", "yes") in events
    assert ("2020-07-01", "resolved", "2020-01-01-2", "no") in events
    assert len(events) == 6


def test_the_matrix_maps_the_reference_to_the_staging(course):
    _, tables = follow(*course)
    row = tables["registration"][1]
    assert (row["staging"], row["reference"], row["trusted"]) == ("2020-04-01", "2020-01-01", "yes")
    matrix = np.array(json.loads(row["matrix"]))
    assert (matrix @ [25, 5, 5, 1])[:3] == pytest.approx(np.add((25, 5, 5), SHIFT_MM["2020-04-01"]), abs=1.0)


def test_a_refused_or_undated_staging_is_left_out_and_said_so(course):
    folder, inputs = course
    refused = refuse_staging(folder, "2020-05-05")
    undated = write_staging(folder, "undated-ABCDEF", COURSE["2020-01-01"])
    record, tables = follow(folder, [*refused, *undated, *inputs])
    assert record.state == "warned"
    assert {reason["code"] for reason in record.reasons} == {"staging.not_measured", "staging.undated"}
    assert "Slices 12 to 19 are missing." in record.reasons[0]["text"]
    assert [row["staging"] for row in tables["registration"]] == list(COURSE)


def test_a_readers_link_is_obeyed(course):
    link = {
        "earlier_staging": "2020-01-01", "earlier_lesion": "1", "later_staging": "2020-04-01", "later_lesion": "2",
        "relation": "different",
    }  # fmt: skip
    turned = {
        "earlier_staging": "2020-04-01", "earlier_lesion": "2", "later_staging": "2020-01-01", "later_lesion": "1",
        "relation": "different",
    }  # fmt: skip
    for given in (link, turned):
        _, tables = follow(*course, links=[given])
        tracks = {(row["staging"], row["lesion"]): row["track"] for row in tables["tracks"]}
        assert tracks["2020-04-01", "2"] == "2020-04-01-2"


def test_a_lesion_that_a_reader_left_out_at_one_staging_is_not_new_at_the_next(tmp_path):
    lesions = {1: ((40, 0, 0), 30), 2: ((-30, 12, 20), 16)}
    inputs = write_staging(tmp_path, "2020-01-01", lesions, left_out=(2,))
    inputs += write_staging(tmp_path, "2020-04-01", lesions)
    _, tables = follow(tmp_path, inputs)
    assert [row["track"] for row in tables["tracks"]] == ["2020-01-01-1", "2020-01-01-2"] * 2
    assert {row["event"] for row in tables["events"]} == {"same"}


def test_no_staging_at_all_leaves_empty_tables(tmp_path):
    record, tables = follow(tmp_path, refuse_staging(tmp_path, "2020-01-01"))
    assert record.state == "warned"
    assert not any(tables.values())
    assert Reason("staging.not_measured", "x").remedy


def test_a_link_to_a_lesion_that_is_not_there_is_told(course):
    link = {"earlier_staging": "2020-01-01", "earlier_lesion": "1", "later_staging": "2020-04-01", "later_lesion": "9"}
    record, _ = follow(*course, links=[link | {"relation": "same"}])
    (reason,) = record.reasons
    assert reason["code"] == "reader.lesion_unknown"
    assert reason["text"].startswith("A link names lesion 9 of 2020-04-01")
