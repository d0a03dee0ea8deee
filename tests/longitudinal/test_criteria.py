"""The limits of RECIST 1.1 (Eisenhauer 2009), of load and of volume, on their edges."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nen_imaging.longitudinal.criteria import Measured, Response, Thresholds, judge, rules
from nen_imaging.longitudinal.measurements import LesionMeasurement, StagingMeasurement
from nen_imaging.longitudinal.recist import choose_targets, sum_of_diameters

RULES = rules(Thresholds())
NAMES = ("2020-01-01", "2020-04-01", "2020-07-01", "2020-10-01")


def judged(criterion, *values, new=(), **last):
    *earlier, now = [Measured(name, value) for name, value in zip(NAMES, values, strict=False)]
    now = Measured(**{**vars(now), **last})
    return judge(RULES[criterion], earlier, now, new=new)


@pytest.mark.parametrize(
    "criterion, values, expected",
    [
        ("load", (50, 59.9), "SD"),
        ("load", (50, 60), "PD"),
        ("load", (50, 35), "PR"),
        ("load", (50, 35.1), "SD"),
        ("load", (10, 14.9), "SD"),  # +49 %, but below 5 points
        ("load", (10, 15), "PD"),
        ("load", (70, 30, 37), "PD"),  # -47 % from baseline, +23 % from nadir: progression outranks response
        ("load", (70, 43, 42, 41), "PR"),
        ("hepatic RECIST", (100, 120), "PD"),
        ("hepatic RECIST", (100, 119), "SD"),
        ("hepatic RECIST", (20, 24.5), "SD"),  # +22 %, but below 5 mm
        ("hepatic RECIST", (20, 25), "PD"),
        ("hepatic RECIST", (100, 70), "PR"),
        ("hepatic RECIST", (100, 50, 60), "PD"),
        ("hepatic RECIST", (100, 50, 59), "PR"),
        ("volumetric", (100, 172), "SD"),
        ("volumetric", (100, 173), "PD"),
        ("volumetric", (100, 35), "PR"),
        ("volumetric", (100, 0, 0.53), "PD"),  # from a nadir of 0: a measurable lesion, a sphere of 10 mm
        ("volumetric", (100, 0, 0.51), "PR"),
        ("volumetric", (0, 0.53), "PD"),
        ("volumetric", (0, 0.51), "SD"),
        ("load", (10, 0, 5.1), "PD"),
        ("hepatic RECIST", (40, 0, 10), "PD"),
    ],
)
def test_classes_on_both_sides_of_their_limits(criterion, values, expected):
    assert judged(criterion, *values).response == expected


@given(st.sampled_from(sorted(RULES)), st.lists(st.floats(6, 90), min_size=2, max_size=4))
def test_new_lesions_are_progression_whatever_the_figure(criterion, values):
    judgement = judged(criterion, *values, new=["new lesion"])
    assert judgement.response == Response.PD
    assert judgement.reason.startswith("new lesion")
    assert not judgement.borderline


@given(st.lists(st.floats(1, 90), min_size=2, max_size=4), st.floats(0.1, 10))
def test_relative_criteria_do_not_depend_on_the_unit(values, factor):
    thresholds = Thresholds(recist_progression_mm=0.0)
    rule = rules(thresholds)["hepatic RECIST"]
    limits = (rule.progression_from(min(values[:-1])), rule.response_from(values[0]))
    assume(all(abs(values[-1] - limit) > 1e-6 * limit for limit in limits))
    assume(abs(values[-1] - min(values[:-1])) > 1e-6)

    def response(scale):
        *earlier, now = [Measured(name, value * scale) for name, value in zip(NAMES, values, strict=False)]
        return judge(rule, earlier, now).response

    assert response(1.0) == response(factor)


@given(st.floats(10, 80), st.floats(1, 95), st.floats(0, 10))
def test_borderline_exactly_where_the_ends_of_the_interval_disagree(baseline, value, half_width):
    limits = (RULES["load"].progression_from(baseline), RULES["load"].response_from(baseline))
    ends = (max(0, value - half_width), value + half_width)
    assume(all(abs(end - limit) > 1e-3 for end in (*ends, value) for limit in limits))
    judgement = judged("load", baseline, value, low=ends[0], high=ends[1])
    classes = {judged("load", baseline, end).response for end in ends}
    assert judgement.borderline == (len(classes) > 1)
    if judgement.borderline:
        assert "borderline" in judgement.reason
        assert judgement.response.value in judgement.reason


def test_reasons_name_baseline_nadir_and_limits():
    judgement = judged("load", 70, 40, 44)
    assert judgement.reason == "load 44 %, -37 % from baseline 70 % (2020-01-01), response from 49 %"
    stable = judged("load", 50, 45, 48)
    assert stable.reason == (
        "load 48 %, -4 % from baseline 50 % (2020-01-01) and +7 % from nadir 45 (2020-04-01), "
        "progression from 54 %, response from 35 %"
    )
    assert (stable.baseline.staging, stable.nadir.staging) == NAMES[:2]


def lesion(number, diameter, track=None, *, eligible=True):
    return LesionMeasurement(number, diameter, eligible, frozenset({track or f"t{number}"}))


def staging(*lesions, name=NAMES[1]):
    return StagingMeasurement(name, 20.0, 18, 22, 1500, 300, lesions)


def test_targets_are_the_five_largest_that_can_be_measured_reproducibly():
    lesions = [lesion(n, 10.0 + n) for n in range(1, 8)] + [lesion(8, 90.0, eligible=False)]
    assert [target.lesion for target in choose_targets(staging(*lesions), 5)] == [7, 6, 5, 4, 3]


def test_fragments_are_added_and_merged_targets_count_once():
    targets = [lesion(1, 40, "a"), lesion(2, 30, "b")]
    fragments = staging(lesion(1, 15, "a"), lesion(2, 12, "a"), lesion(3, 30, "b"))
    assert sum_of_diameters(targets, fragments, frozenset()).value == 57
    merged = staging(LesionMeasurement(1, 62.0, True, frozenset("ab")))
    assert sum_of_diameters(targets, merged, frozenset()).value == 62


def test_a_target_too_small_counts_five_and_a_resolved_one_nothing():
    targets = [lesion(1, 40, "a"), lesion(2, 30, "b")]
    figure = sum_of_diameters(targets, staging(lesion(1, 4.2, "a")), frozenset("b"))
    assert (figure.value, figure.disease_free) == (5.0, False)


def test_a_missing_target_is_not_evaluable_unless_the_rest_alone_is_progression():
    targets = [lesion(1, 40, "a"), lesion(2, 30, "b")]
    rule = RULES["hepatic RECIST"]
    earlier = [Measured(NAMES[0], 70.0)]
    missing = judge(rule, earlier, sum_of_diameters(targets, staging(lesion(1, 40, "a")), frozenset()))
    assert missing.response == "NE"
    assert "target b could not be found again" in missing.reason
    grown = judge(rule, earlier, sum_of_diameters(targets, staging(lesion(1, 90, "a")), frozenset()))
    assert grown.response == "PD"
    assert "of the rest alone is 90 mm" in grown.reason


def test_targets_gone_but_others_left_is_partial_response_and_nothing_left_complete():
    targets = [lesion(1, 40, "a")]
    rule, earlier = RULES["hepatic RECIST"], [Measured(NAMES[0], 40.0)]
    rest = judge(rule, earlier, sum_of_diameters(targets, staging(lesion(2, 8, "b")), frozenset("a")))
    assert rest.response == "PR"
    none = judge(rule, earlier, sum_of_diameters(targets, staging(), frozenset("a")))
    assert none.response == "CR"


def test_an_interval_that_reaches_the_farther_limit_alone_names_that_limit():
    """44 % lies nearer to response (35 %) than to progression (60 %), but only the latter is reached."""
    judgement = judged("load", 50, 44, low=43, high=61)
    assert judgement.reason.endswith("load borderline, SD or PD: the interval 43-61 % meets the limit of 60 %")


def test_an_interval_that_reaches_both_limits_names_all_classes():
    judgement = judged("load", 50, 45, low=30, high=65)
    assert (judgement.response, judgement.borderline) == ("SD", True)
    assert "SD or PD or PR: the interval 30-65 % meets the limit of 60 % and 35 %" in judgement.reason


@pytest.mark.parametrize("value, classes", [(60, "PD or SD: exactly +20 %"), (35, "PR or SD: exactly -30 %")])
def test_a_value_on_its_limit_is_borderline_and_names_both_classes(value, classes):
    judgement = judged("load", 50, value)
    assert judgement.borderline
    assert judgement.reason.endswith(f"load borderline, {classes}")


@pytest.mark.parametrize("criterion, value", [("load", 5.0), ("hepatic RECIST", 5.0), ("volumetric", math.pi / 6)])
@pytest.mark.parametrize("earlier", [(40, 0), (0,)])
def test_from_a_nadir_of_nothing_no_change_in_percent_is_told(criterion, value, earlier):
    """On the limit itself, where the reason names most figures."""
    judgement = judged(criterion, *earlier, value)
    unit = RULES[criterion].unit
    assert (judgement.response, judgement.change_from_nadir_percent) == ("PD", None)
    assert f"after nadir 0 {unit}" in judgement.reason
    assert f"exactly {value:.1g} {unit}" in judgement.reason


def test_no_disease_at_baseline_and_none_now_is_no_response():
    judgement = judged("load", 0, 0, disease_free=True)
    assert (judgement.response, judgement.borderline) == ("NE", False)
    assert "no lesion at baseline and none now" in judgement.reason
