"""Lesions through scans: of a real patient against links drawn by hand (LiTS 6-8, one patient), and of balls."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy import ndimage

from nen_imaging.longitudinal import follow
from nen_imaging.longitudinal.follow import ScannedStaging, follow_patient
from nen_imaging.longitudinal.graph import FollowLimits
from nen_imaging.longitudinal.registration import RegistrationLimits, assess
from nen_imaging.volume import LPS_TO_RAS, Volume, read_nifti

SCANS = {"2020-01-01": "lits6", "2020-02-01": "lits7", "2020-03-01": "lits8"}  # dates are made up


def scanned(staging, folder):
    """The expert's label map as a staging, and the volume (ml) of each lesion."""
    ct, labels = (read_nifti(folder / "liver_1p25mm" / f"{name}.nii.gz") for name in ("image", "label"))
    instances, count = ndimage.label(labels.array == 2, np.ones((3, 3, 3)))
    rows = []
    for number in range(1, count + 1):
        voxels = np.argwhere(instances == number)
        volume_ml = len(voxels) * labels.voxel_volume_ml
        diameter_mm = (6000 * volume_ml / np.pi) ** (1 / 3)
        if diameter_mm >= 4:
            place = LPS_TO_RAS @ labels.affine @ np.append(voxels.mean(axis=0), 1)
            rows.append(
                {"lesion": number, "volume_ml": volume_ml, "longest_diameter_mm": diameter_mm, "probable_cyst": "no"}
                | {f"centroid_{axis}_mm": place[n] for n, axis in enumerate("xyz")}
            )
    return ScannedStaging(staging, ct, labels, labels.with_array(instances.astype(np.uint16)), rows)


@pytest.fixture(scope="module")
def scans(shared_data):
    return [scanned(staging, shared_data / "ct_labelled" / name) for staging, name in SCANS.items()]


def test_every_lesion_is_found_again_as_a_reader_linked_them(scans, shared_data):
    patient = follow_patient(scans, RegistrationLimits(), FollowLimits())
    assert all(found.trusted and found.liver_dice > 0.93 for found in patient.registrations.values())
    with (shared_data / "ct_labelled" / "followup_links.csv").open(encoding="utf-8") as file:
        links = [row for row in csv.DictReader(file) if row["scan"] in SCANS.values()]
    track_of: dict[str, set[tuple[str, ...]]] = {}
    for scan in scans:
        for row in scan.lesions:
            linked = min(
                (link for link in links if link["scan"] == SCANS[scan.staging]),
                key=lambda link: abs(float(link["volume_ml"]) - row["volume_ml"]),
            )
            assert float(linked["volume_ml"]) == pytest.approx(row["volume_ml"], rel=0.1)
            track_of.setdefault(linked["lesion"], set()).add(patient.history.tracks_of[scan.staging, row["lesion"]])
    assert sorted(track_of) == list("abcdefg")
    assert all(len(tracks) == 1 for tracks in track_of.values()), track_of
    assert len(set.union(*track_of.values())) == len(track_of)
    events = {(event.staging, event.kind) for event in patient.history.events} - {(day, "same") for day in SCANS}
    assert events == {("2020-02-01", "resolved"), ("2020-03-01", "reappeared"), ("2020-03-01", "resolved")}


SPACING_MM = 4.0
_PLACES_MM = np.stack(np.meshgrid(*(np.arange(n) * SPACING_MM for n in (60, 50, 60)), indexing="ij"), -1)


def balls_in_a_liver(staging, *balls, first_slice=0):
    """A liver of 160 mm with ball lesions (centre, diameter), imaged from a slice on."""
    liver = (((_PLACES_MM - [120, 100, 120]) / [80, 60, 80]) ** 2).sum(axis=-1) <= 1
    instances, rows = np.zeros(liver.shape, np.uint16), []
    for number, (centre, diameter_mm) in enumerate(balls, 1):
        inside = np.linalg.norm(_PLACES_MM - centre, axis=-1) <= diameter_mm / 2
        instances[inside] = number
        place = LPS_TO_RAS @ np.append(np.argwhere(inside).mean(axis=0) * SPACING_MM, 1)
        rows.append(
            {"lesion": number, "volume_ml": inside.sum() * SPACING_MM**3 / 1000, "longest_diameter_mm": diameter_mm}
            | {f"centroid_{axis}_mm": place[n] for n, axis in enumerate("xyz")} | {"probable_cyst": "no"}
        )  # fmt: skip
    labels = np.where(instances > 0, 2, liver).astype(np.uint8)
    hu = np.where(labels == 1, 100, np.where(labels == 2, 50, -50)).astype(np.int16)
    start, stop = np.array([0, 0, first_slice]), np.array(liver.shape)
    parts = (Volume(array, np.diag([SPACING_MM] * 3 + [1.0])).cropped(start, stop) for array in (hu, labels, instances))
    return ScannedStaging(staging, *parts, rows)


def test_a_first_ct_that_cuts_the_liver_does_not_hide_what_comes_below_it(monkeypatch):
    """Its lower part is imaged from the second CT on: what is new or gone there is so at the third."""
    monkeypatch.setattr(follow, "register", lambda first, then, limits: assess(first, then, np.eye(4), limits))
    top, low, other = ((120, 100, 170), 24), ((120, 100, 70), 24), ((150, 100, 85), 20)
    patient = follow_patient(
        [
            balls_in_a_liver("2020-01-01", top, first_slice=34),
            balls_in_a_liver("2020-04-01", top, low),
            balls_in_a_liver("2020-07-01", top, other),
        ],
        RegistrationLimits(),
        FollowLimits(),
    )
    events = {(event.staging, event.kind, event.tracks) for event in patient.history.events if event.kind != "same"}
    assert events == {
        ("2020-04-01", "new?", ("2020-04-01-2",)),
        ("2020-07-01", "new", ("2020-07-01-2",)),
        ("2020-07-01", "resolved", ("2020-04-01-2",)),
    }


def test_the_reference_grid_reaches_further_only_where_the_liver_is_cut():
    whole, cut = (balls_in_a_liver("2020-01-01", first_slice=first).liver for first in (0, 34))
    grids = [follow.reference_grid(liver) for liver in (whole, cut)]
    assert grids[0].shape == (122, 102, 122)  # 40 mm beyond the liver on every side
    heights_mm = [grid.shape[2] * grid.spacing_mm[2] for grid in grids]
    assert heights_mm == pytest.approx([164 + 2 * 40, 68 + 40 + 250], abs=4)
