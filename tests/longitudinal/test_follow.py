"""Lesions of a real patient through three scans, against links drawn by hand (LiTS 6-8, one patient)."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy import ndimage

from nen_imaging.longitudinal.follow import ScannedStaging, follow_patient
from nen_imaging.longitudinal.graph import FollowLimits
from nen_imaging.longitudinal.registration import RegistrationLimits
from nen_imaging.volume import LPS_TO_RAS, read_nifti

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
