"""Candidates with nearly the same points are told apart by what their slices show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nen_imaging.dicom import glance
from nen_imaging.dicom.glance import Glance
from nen_imaging.dicom.group import SeriesKind
from nen_imaging.dicom.near_ties import NEAR, break_near_ties, score_glance
from nen_imaging.dicom.select import Score, SelectionRules
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.volume import Volume
from tests.dicom.conftest import AFFINE
from tests.dicom.test_glance import activity_of_a_body, body
from tests.dicom.test_select import CT, PET, RULES

A, B, C = (replace(CT, key=key) for key in "ABC")
GOOD, POOR, FAULTY = Glance(noise=5.0, enhanced=0.5), Glance(noise=30.0, enhanced=0.5), Glance("show nothing")


def winner(points, glances, pins=None):
    """The key with most points, and which series were looked at."""
    seen = []

    def look(series):
        seen.append(series.key)
        return glances[series.key]

    scores = {key: Score(value, "headers") for key, value in points.items()}
    found = break_near_ties([A, B, C], scores, pins or {}, RULES, look)
    return max(found, key=lambda key: found[key].points), "".join(seen)


@pytest.mark.parametrize(
    ("points", "glances", "pins", "expected"),
    [
        ((100, 99.5, 60), (POOR, GOOD, GOOD), {}, ("B", "AB")),
        ((100, 99.5, 60), (GOOD, POOR, GOOD), {}, ("A", "AB")),
        ((100, 97.9, 60), (POOR, GOOD, GOOD), {}, ("A", "")),  # beyond reach: nothing is read
        ((100, 100, 95), (FAULTY, FAULTY, GOOD), {}, ("C", "ABC")),
        ((100, 100, 95), (FAULTY, FAULTY, FAULTY), {}, ("A", "ABC")),
        ((100, 99, 98.9), (POOR, GOOD, GOOD), {"A": True}, ("A", "")),
        ((100, 99, 98.9), (POOR, POOR, GOOD), {"A": False}, ("C", "BC")),
    ],
)  # fmt: skip
def test_pixels_decide_within_reach_and_nowhere_else(points, glances, pins, expected):
    assert winner(dict(zip("ABC", points, strict=True)), dict(zip("ABC", glances, strict=True)), pins) == expected


def test_pixels_give_no_more_than_they_may_turn():
    """So that what most stagings of a patient have in common is not overruled by a little noise."""
    for kind in (SeriesKind.CT, SeriesKind.PET):
        assert score_glance(Glance(noise=0.0, enhanced=1.0), kind, RULES).points <= NEAR
        assert score_glance(Glance(noise=1e4), kind, RULES).points == 0
        assert score_glance(Glance(), kind, RULES).points == 0
        assert score_glance(FAULTY, kind, RULES).points < -20


def test_contrast_medium_counts_only_where_it_is_wanted():
    enhanced = Glance(noise=20.0, enhanced=0.6)
    for phase, more in (("portal venous", True), ("native", False)):
        points = [score_glance(one, SeriesKind.CT, SelectionRules(phase)).points
                  for one in (enhanced, replace(enhanced, enhanced=0.1))]  # fmt: skip
        assert (points[0] > points[1]) is more
    assert "enhanced" not in score_glance(enhanced, PET.kind, RULES).reason


@pytest.mark.usefixtures("read")
class TestStudy:
    """Two CTs and two PETs of one day whose headers say the same."""

    @pytest.fixture
    def read(self, study, monkeypatch):
        ct = {"series_description": "Abdomen", "slice_order": "shuffled"}
        for number, slices in ((4, body(35)), (5, body(8))):
            volume = np.full((80, 80, 8), 40, np.int16)  # slices that show nothing, but for those that are read
            volume[:, :, [2, 4, 6]] = slices
            write_ct_series(study.folder / str(number), Volume(volume, AFFINE), series_number=number, **ct)
        for number, noise in ((6, 0.1), (7, 0.4)):
            write_pet_series(
                study.folder / str(number), Volume(activity_of_a_body(noise), AFFINE), series_number=number
            )
        read: list[str] = []
        open_files = glance.open_files

        def listed(folder, paths):
            read.extend(path.partition("/")[0] for path in paths)
            return open_files(folder, paths)

        monkeypatch.setattr(glance, "open_files", listed)
        return read

    def test_the_quieter_one_is_chosen_and_three_slices_of_each_are_read_once(self, study, read):
        study.index()
        assert sorted(read) == [number for number in "4567" for _ in range(3)]
        chosen = {row["modality"]: row for row in study.table("series") if row["chosen_for"]}
        assert set(chosen) == {"CT", "PT"}
        for row, noise in ((chosen["CT"], "noise 8 HU +0.9"), (chosen["PT"], "noise 10 % +0.9")):
            assert row["reason"].startswith("most points: ")
            assert noise in row["reason"]
        before = study.written()
        study.index(reselect=True)
        assert len(read) == 12
        assert study.written() == before

    def test_the_earlier_choice_stays(self, study):
        (study.folder / "5").rename(study.folder.parent / "5")
        study.index()
        first = study.ct_selection()["series"]
        (study.folder.parent / "5").rename(study.folder / "5")
        summary = study.index()
        assert study.ct_selection()["series"] == first
        assert "another CT" in summary.stagings[0]["notes"]

    def test_a_series_that_cannot_be_read_does_not_win(self, study):
        for file in (study.folder / "5").iterdir():
            file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
        study.index()
        (chosen,) = [row for row in study.table("series") if row["modality"] == "CT" and row["chosen_for"]]
        (other,) = [row for row in study.table("series") if row["modality"] == "CT" and not row["chosen_for"]]
        assert "noise" in chosen["reason"]
        assert "slices cannot be read" in other["reason"]
        assert other["reason"].endswith("-30")
