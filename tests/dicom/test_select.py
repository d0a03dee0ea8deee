"""Which of the competing series is chosen, and the points that say why."""

from dataclasses import replace

import pytest

from nen_imaging.dicom.group import Series, SeriesKind
from nen_imaging.dicom.select import SelectionRules, choose, score_ct, score_pet
from nen_imaging.dicom.stagings import Staging

RULES = SelectionRules()
CT = Series(
    key="CT", patient="P", study="S", modality="CT", kind=SeriesKind.CT, date="2020-01-15", files=80, bytes=0,
    slices=80, digest="", image_type=("ORIGINAL", "PRIMARY", "AXIAL"), phase="portal venous", kernel="B30f",
    slice_thickness_mm=3.0, spacing_mm=3.0, extent_mm=240.0, is_axial=True, weak_identity=False,
)  # fmt: skip
PET = replace(CT, key="PET", modality="PT", kind=SeriesKind.PET, phase="unknown", kernel="")


def staging(name, *series):
    return Staging("P", name, ct=list(series))


@pytest.mark.parametrize(
    "worse",
    [
        {"phase": "arterial"},
        {"phase": "unknown"},
        {"spacing_mm": 0.75},
        {"spacing_mm": 5.0},
        {"spacing_mm": None, "slice_thickness_mm": None},
        {"extent_mm": 60.0},
        {"extent_mm": None},
        {"image_type": ("DERIVED", "PRIMARY")},
        {"is_axial": False},
        {"kernel": "B70f"},
        {"slices": 3},
    ],
)
def test_what_makes_a_ct_worse(worse):
    best, other = score_ct(CT, RULES), score_ct(replace(CT, **worse), RULES)
    assert best.points == 105
    assert other.points < best.points
    assert other.reason != best.reason


def test_the_preferred_phase_and_spacing_are_those_of_the_rules():
    arterial = SelectionRules(preferred_phase="arterial", preferred_thickness_mm=1.0)
    thin = replace(CT, phase="arterial", spacing_mm=1.0)
    assert score_ct(thin, arterial).points == score_ct(CT, RULES).points
    assert score_ct(thin, arterial).points > score_ct(CT, arterial).points


def test_a_better_known_phase_never_loses_to_an_unwanted_one():
    order = ["portal venous", "unknown", "delayed", "arterial", "native"]
    points = [score_ct(replace(CT, phase=phase), RULES).points for phase in order]
    assert points == sorted(points, reverse=True)


def test_what_most_stagings_offer_wins_over_a_slightly_better_series():
    """Loads are compared over time: the phase that is there each time is preferred."""
    delayed = replace(CT, key="delayed", phase="delayed")
    unknown = replace(CT, key="unknown", phase="unknown")
    others = [staging(f"2020-0{month}-01", replace(CT, key=str(month), phase="delayed")) for month in (5, 6, 7)]
    here = staging("2020-01-15", delayed, unknown)
    alone = {one.key: score_ct(one, RULES, [here]) for one in here.ct}
    among = {one.key: score_ct(one, RULES, [here, *others]) for one in here.ct}
    assert choose(here.ct, alone, {}, None).series == unknown
    assert choose(here.ct, among, {}, None).series == delayed
    assert "phase at 3 of 3 other stagings" in among["delayed"].reason


@pytest.mark.parametrize(
    "worse", [{"kind": SeriesKind.PET_UNCORRECTED}, {"date": "2020-01-25"}, {"extent_mm": 50.0}, {"slices": 2}]
)
def test_what_makes_a_pet_worse(worse):
    assert score_pet(replace(PET, **worse), "2020-01-15").points < score_pet(PET, "2020-01-15").points


def test_a_corrected_pet_far_off_beats_an_uncorrected_one_of_the_day():
    far = score_pet(replace(PET, date="2020-02-14"), "2020-01-15")
    assert far.points > score_pet(replace(PET, kind=SeriesKind.PET_UNCORRECTED), "2020-01-15").points


ONE, TWO = replace(CT, key="ONE"), replace(CT, key="TWO", phase="arterial")
SCORES = {series.key: score_ct(series, RULES) for series in (ONE, TWO)}


class TestChoose:
    def choose(self, pins=None, previous=None, candidates=(ONE, TWO)):
        return choose(candidates, SCORES, pins or {}, previous)

    def test_most_points_win_whatever_the_order(self):
        assert self.choose().series == self.choose(candidates=(TWO, ONE)).series == ONE

    def test_the_earlier_choice_stays_and_the_better_one_is_named(self):
        choice = self.choose(previous="TWO")
        assert (choice.series, choice.better) == (TWO, ONE)

    def test_an_earlier_choice_that_is_best_still_names_no_other(self):
        assert self.choose(previous="ONE").better is None

    def test_an_earlier_choice_that_left_is_forgotten(self):
        assert self.choose(previous="GONE").series == ONE

    def test_pins_come_before_points_and_earlier_choices(self):
        assert self.choose({"TWO": True}, previous="ONE").series == TWO
        assert self.choose({"ONE": False}, previous="ONE").series == TWO

    def test_nothing_is_chosen_where_all_are_banned_or_none_is_there(self):
        assert self.choose({"ONE": False, "TWO": False}).reason == "every candidate is banned"
        assert self.choose(candidates=()).reason == "there is no candidate"
        assert self.choose(candidates=()).series is None

    def test_equal_series_are_told_apart_by_slices_then_key(self):
        more, same = replace(ONE, key="ZZZ", slices=90), replace(ONE, key="AAA")
        scores = {series.key: SCORES["ONE"] for series in (ONE, more, same)}
        assert choose([ONE, same, more], scores, {}, None).series == more
        assert choose([ONE, same], scores, {}, None).series == same
