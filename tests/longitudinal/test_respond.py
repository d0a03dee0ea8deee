"""The founding case: Özdirik et al., Medicine 2020;99:25(e20820), CC BY 4.0, Table 1; loads of 2017-11, 2018-02,
2018-04 and 2019-09 and all days are illustrative."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nen_imaging.contract import RESPONSE_COLUMNS
from nen_imaging.longitudinal.measurements import LesionMeasurement, StagingMeasurement, staging_measurement
from nen_imaging.longitudinal.respond import WHOLE_COURSE, respond

LOADS = {
    "2016-07-14": 50, "2016-11-10": 60, "2017-05-16": 70, "2017-11-14": 43, "2018-02-13": 42,
    "2018-04-17": 41, "2018-09-11": 40, "2019-03-12": 30, "2019-09-10": 30,
}  # fmt: skip
THERAPIES = [
    {"line": "1", "kind": "systemic", "agent": "octreotide LAR", "start": "2016-08", "end": "2016-11"},
    {"line": "", "kind": "surgery", "agent": "hemicolectomy", "start": "2016-11", "end": "2016-11"},
    {"line": "2", "kind": "systemic", "agent": "octreotide LAR", "start": "2016-12", "end": ""},
    {"line": "3", "kind": "systemic", "agent": "peginterferon alfa-2a", "start": "2017-05", "end": ""},
]
NEW = {"2016-11-10": "2016-11-10-4 2016-11-10-5", "2017-05-16": "2017-05-16-6 2017-05-16-7"}
TIMELINE = {"therapies": THERAPIES}

EXPECTED = [  # staging, class, what the reason rests on, line
    ("2016-07-14", "baseline", "baseline", "1"),
    ("2016-11-10", "PD", "new lesions (load borderline: exactly +20 %);", "1"),
    ("2017-05-16", "PD", "new lesions;", "2"),
    ("2017-11-14", "PR", "load", "3"),
    ("2018-02-13", "PR", "load", "3"),
    ("2018-04-17", "PR", "load", "3"),
    ("2018-09-11", "PR", "load", "3"),
    ("2019-03-12", "PR", "load", "3"),
    ("2019-09-10", "PR", "load", "3"),
]


def case(loads=LOADS, **intervals):
    """The nine stagings; every lesion that ever was new is there from then on."""
    stagings = []
    for staging, load in loads.items():
        tracks = ["2016-07-14-1", *(track for at in NEW if at <= staging for track in NEW[at].split())]
        lesions = tuple(LesionMeasurement(n, 30.0, True, frozenset({track})) for n, track in enumerate(tracks, 1))
        low, high = intervals.get("of", lambda _: (None, None))(load)
        stagings.append(StagingMeasurement(staging, load, low, high, 2000, 20.0 * load, lesions, 3.0, "portal venous"))
    return stagings


def new_events():
    return [
        {"staging": staging, "event": "new", "tracks": tracks, "lesions": "", "counted": "yes", "text": ""}
        for staging, tracks in NEW.items()
    ]


def rows(measurements, events=(), timeline=TIMELINE, criterion="load"):
    found = [response.row() for response in respond(measurements, events, timeline)]
    return [row for row in found if row["criterion"] == criterion]


def shown(of):
    """By staging, the row the table shows: within a line, the class before the baseline of the next."""
    by_staging = {}
    for row in of:
        rank = (row["line"] == WHOLE_COURSE, row["response"] == "baseline")
        if row["staging"] not in by_staging or rank < by_staging[row["staging"]][0]:
            by_staging[row["staging"]] = (rank, row)
    return {staging: row for staging, (_, row) in by_staging.items()}


def test_the_founding_case_gets_its_classes_reasons_and_lines():
    table = shown(rows(case(), new_events()))
    assert list(table) == list(LOADS)
    for staging, response, basis, line in EXPECTED:
        row = table[staging]
        assert (row["response"], row["line"]) == (response, line), staging
        assert row["reason"].startswith(basis), row["reason"]
        assert set(row) == set(RESPONSE_COLUMNS)


def test_interferon_is_measured_from_its_own_baseline():
    row = shown(rows(case(), new_events()))["2017-11-14"]
    assert (row["baseline_staging"], row["baseline_value"]) == ("2017-05-16", "70.00")
    assert row["change_from_baseline_percent"] == "-38.57"
    assert row["reason"] == ("load 43 %, -39 % from baseline 70 % (2017-05-16), response from 49 %")


def test_the_whole_course_stands_beside_the_line():
    whole = {row["staging"]: row for row in rows(case(), new_events()) if row["line"] == WHOLE_COURSE}
    assert list(whole) == list(LOADS)
    assert whole["2016-07-14"]["response"] == "baseline"
    assert whole["2019-03-12"]["baseline_staging"] == "2016-07-14"
    assert whole["2019-03-12"]["response"] == "PD"
    assert "lesions that were new on 2016-11-10, 2017-05-16 are still there" in whole["2019-03-12"]["reason"]
    without_new = {row["staging"]: row["response"] for row in rows(case()) if row["line"] == WHOLE_COURSE}
    assert (without_new["2017-11-14"], without_new["2019-03-12"]) == ("SD", "PR")


def test_without_new_lesions_a_rise_of_17_percent_is_stable_disease():
    table = shown(rows(case()))
    assert table["2017-05-16"]["response"] == "SD"
    assert table["2016-11-10"]["response"] == "PD"
    assert table["2016-11-10"]["borderline"] == "yes"


def test_both_classes_stand_in_the_reason_where_the_interval_meets_the_limit():
    row = shown(rows(case({"2016-07-14": 50, "2016-11-10": 58}, of=lambda load: (load - 3, load + 3))))["2016-11-10"]
    assert (row["response"], row["borderline"]) == ("SD", "yes")
    assert "SD or PD" in row["reason"]
    assert "the interval 55-61 % meets the limit of 60 %" in row["reason"]


def test_a_staging_that_was_not_measured_is_not_evaluable_and_says_why():
    measurements = [*case()[:2], StagingMeasurement("2017-01-10", not_measured="Slices are missing."), *case()[2:]]
    table = shown(rows(measurements, new_events()))
    assert table["2017-01-10"]["response"] == "NE"
    assert table["2017-01-10"]["reason"] == "Slices are missing."
    assert table["2017-11-14"]["response"] == "PR"


def test_order_of_input_does_not_matter():
    assert rows(case(), new_events()) == rows(case()[::-1], new_events()[::-1])


def test_a_line_without_a_staging_near_its_start_has_no_baseline():
    timeline = {"therapies": [{"line": "1", "kind": "systemic", "agent": "everolimus", "start": "2017-01-20"}]}
    row = next(row for row in rows(case(), timeline=timeline, criterion="load") if row["line"] == "1" and
               row["staging"] == "2017-05-16")  # fmt: skip
    assert row["response"] == "SD"
    late = {"therapies": [{"line": "1", "kind": "systemic", "agent": "everolimus", "start": "2017-03-20"}]}
    row = next(row for row in rows(case(), timeline=late) if row["line"] == "1")
    assert row["response"] == "NE"
    assert "no staging within 90 days before its start 2017-03-20" in row["reason"]


def test_no_therapy_at_all_leaves_the_whole_course():
    assert {row["line"] for row in rows(case(), timeline={})} == {WHOLE_COURSE}


def test_a_difference_of_contrast_phase_is_a_warning_beside_the_class():
    first, second = case({"2016-07-14": 50, "2016-11-10": 52})
    arterial = StagingMeasurement(**{**vars(second), "phase": "arterial", "slice_spacing_mm": 8.0})
    reason = shown(rows([first, arterial]))["2016-11-10"]["reason"]
    assert "compare with care: contrast phase arterial, at baseline portal venous, slices of 8 mm" in reason


def test_slices_of_another_plane_are_a_warning_beside_the_class():
    stagings = zip(case({"2016-07-14": 50, "2016-11-10": 52}), ("axial", "coronal"), strict=True)
    in_planes = [StagingMeasurement(**{**vars(one), "plane": plane}) for one, plane in stagings]
    reason = shown(rows(in_planes))["2016-11-10"]["reason"]
    assert "compare with care: coronal slices, at baseline axial ones" in reason
    load = {"load_percent": 5.0, "liver_volume_ml": 1500.0, "lesion_volume_ml": 75.0}
    assert staging_measurement("2016-07-14", load, (), (), {"plane": "coronal"}).plane == "coronal"


@pytest.mark.parametrize("diameter", [22.0, 8.0])
def test_no_lesion_left_is_complete_remission_and_a_lesion_again_is_progression(diameter):
    lesion = LesionMeasurement(1, diameter, True, frozenset({"a"}), measurable=diameter >= 10)
    before = LesionMeasurement(1, 22.0, True, frozenset({"a"}))
    stagings = [
        StagingMeasurement("2020-01-01", 5.0, 4, 6, 2000, 100, (before,)),
        StagingMeasurement("2020-04-01", 0.0, 0, 0.2, 2000, 0.0, ()),
        StagingMeasurement("2020-07-01", 1.0, 0.9, 1.1, 2000, 20.0, (lesion,)),
    ]
    events = [
        {"staging": "2020-04-01", "event": "resolved", "tracks": "a", "counted": "no"},
        {"staging": "2020-07-01", "event": "reappeared", "tracks": "a", "counted": "no"},
    ]
    stagings.append(replace(stagings[-1], staging="2020-10-01"))
    for criterion in ("load", "hepatic RECIST", "volumetric"):
        found = rows(stagings, events, {}, criterion)
        assert [row["response"] for row in found] == ["baseline", "CR", "PD", "PD"], criterion
        for row in found[2:]:
            assert row["reason"].startswith("lesions in a liver that was free of them on 2020-04-01; "), criterion
            assert (row["nadir_value"], row["change_from_nadir_percent"]) == ("0.00", "")


def test_from_a_liver_without_lesions_only_what_can_be_measured_is_progression():
    """Of unsure alignment it is possibly new by its place, but there was no lesion anywhere; a speck stays unsure."""
    speck = LesionMeasurement(1, 6.0, False, frozenset({"b"}), measurable=False)
    large = LesionMeasurement(1, 30.0, False, frozenset({"b"}))
    events = [{"staging": "2020-07-01", "event": "new?", "tracks": "b", "counted": "no"}]
    for lesion, volume_ml, expected in ((speck, 0.1, "SD"), (large, 14.0, "PD")):
        stagings = [
            StagingMeasurement("2020-04-01", 0.0, 0, 0.2, 2000, 0.0, ()),
            StagingMeasurement("2020-07-01", volume_ml / 20, None, None, 2000, volume_ml, (lesion,)),
        ]
        for criterion in ("load", "volumetric"):
            row = rows(stagings, events, {}, criterion)[-1]
            assert (row["response"], row["change_from_nadir_percent"]) == (expected, ""), criterion
            assert row["reason"].endswith("; 1 possibly new, not counted")


@pytest.mark.parametrize("start, expected", [("2016-07", "1"), ("2016-07-14", "1"), ("2016-06-20", "1")])
def test_the_first_staging_may_lie_on_the_start_of_the_line(start, expected):
    timeline = {"therapies": [{"line": "1", "agent": "x", "start": start}]}
    table = shown(rows(case(), timeline=timeline))
    assert (table["2016-07-14"]["response"], table["2016-11-10"]["line"]) == ("baseline", expected)


def test_a_target_that_came_back_and_then_lies_outside_the_image_is_missing_not_gone():
    target, other = (LesionMeasurement(n, 30.0, True, frozenset({name})) for n, name in enumerate("ab", 1))
    stagings = [
        StagingMeasurement(name, 5.0, 4, 6, 2000, 100, lesions)
        for name, lesions in (
            ("2020-01-01", (target, other)), ("2020-04-01", (other,)), ("2020-07-01", (target, other)),
            ("2020-10-01", (other,)),
        )
    ]  # fmt: skip
    events = [
        {"staging": "2020-04-01", "event": "resolved", "tracks": "a", "counted": "no"},
        {"staging": "2020-07-01", "event": "reappeared", "tracks": "a", "counted": "no"},
    ]
    found = rows(stagings, events, {}, "hepatic RECIST")
    assert [(row["response"], row["value"]) for row in found] == [
        ("baseline", "60.00"), ("PR", "30.00"), ("PD", "60.00"), ("NE", "")
    ]  # fmt: skip
    assert "target a could not be found again" in found[-1]["reason"]


def test_possibly_new_lesions_are_named_but_do_not_count():
    events = [{"staging": "2018-02-13", "event": "new?", "tracks": "x y", "counted": "no"}]
    row = shown(rows(case(), events))["2018-02-13"]
    assert (row["response"], row["new_lesions"]) == ("PR", "0")
    assert row["reason"].endswith("; 2 possibly new, not counted")


def test_another_scanner_or_kernel_is_a_warning_beside_the_class():
    first, second = case({"2016-07-14": 50, "2016-11-10": 52})
    first, second = replace(first, scanner="A", kernel="B30f"), replace(second, scanner="B", kernel="B50f")
    reason = shown(rows([first, second]))["2016-11-10"]["reason"]
    assert "compare with care: scanner B, at baseline A, kernel B50f, at baseline B30f" in reason


def cut_course():
    """A liver with two lesions, then only its dome without lesions, then all of it as before."""
    first, second = (LesionMeasurement(n, 40.0, True, frozenset({name})) for n, name in enumerate("ab", 1))
    whole = StagingMeasurement("2020-01-01", 10.0, 9, 11, 1800, 180, (first, second))
    dome = StagingMeasurement("2020-04-01", 0.0, 0, 0.3, 400, 0.0, (), truncated=True)
    return [whole, dome, replace(whole, staging="2020-07-01")]


@pytest.mark.parametrize("criterion", ["load", "hepatic RECIST", "volumetric"])
def test_the_dome_of_a_liver_without_lesions_is_no_liver_free_of_them(criterion):
    found = rows(cut_course(), (), {}, criterion)
    assert [row["response"] for row in found] == ["baseline", "NE", "SD"]
    assert found[1]["reason"] == "the liver is cut by the image, and lesions seen before may lie outside of it"
    assert found[2]["nadir_staging"] == "2020-01-01"
    one_gone = [{"staging": "2020-04-01", "event": "resolved", "tracks": "a", "counted": "no"}]
    assert rows(cut_course(), one_gone, {}, criterion)[1]["response"] == "NE"
    all_gone = [{"staging": "2020-04-01", "event": "resolved", "tracks": "a b", "counted": "no"}]
    assert [row["response"] for row in rows(cut_course(), all_gone, {}, criterion)] == ["baseline", "CR", "PD"]


def test_a_cut_liver_without_lesions_is_no_baseline():
    _, dome, whole = cut_course()
    found = rows([dome, whole], (), {})
    assert [row["response"] for row in found] == ["NE", "baseline"]
    assert found[0]["reason"] == "the liver is cut by the image, and no lesion was seen before"


def test_a_nadir_that_is_hard_to_compare_is_told():
    lesion = LesionMeasurement(1, 40.0, True, frozenset({"a"}))
    first = StagingMeasurement("2020-01-01", 20.0, 18, 22, 1800, 360, (lesion,), 1.0, "portal venous")
    low = replace(first, staging="2020-04-01", load_percent=8.0, phase="native", slice_spacing_mm=10.0)
    found = rows([first, low, replace(first, staging="2020-07-01")], (), {})
    assert "compare with care: contrast phase native, at baseline portal venous" in found[1]["reason"]
    assert "nadir" not in found[1]["reason"].split("compare with care")[1]
    assert found[2]["reason"].endswith(
        "; compare with care: contrast phase portal venous, at nadir native, slices of 1 mm, at nadir 10 mm"
    )
    again = rows([first, low, replace(low, staging="2020-07-01"), replace(low, staging="2020-10-01")], (), {})
    assert "at nadir" not in again[-1]["reason"].split("compare with care")[1]


def test_what_is_new_for_the_course_is_not_new_for_a_line_whose_baseline_showed_it():
    """Possibly new at 9 mm, when the line began, and counted as new once it had grown."""
    stable = LesionMeasurement(1, 30.0, True, frozenset({"a"}))
    small, large = (LesionMeasurement(2, size, size > 10, frozenset({"b"}), size > 10) for size in (9.0, 24.0))
    first = StagingMeasurement("2020-01-01", 10.0, None, None, 1500, 150, (stable,))
    stagings = [
        first,
        replace(first, staging="2020-04-01", lesions=(stable, small)),
        replace(first, staging="2020-05-01"),  # not seen, but not known to be gone either
        replace(first, staging="2020-07-01", lesions=(stable, large)),
    ]
    events = [{"staging": "2020-04-01", "event": "new?", "tracks": "b", "counted": "no"},
              {"staging": "2020-07-01", "event": "new", "tracks": "b", "counted": "yes"}]  # fmt: skip
    for start in ("2020-04-02", "2020-05-02"):
        timeline = {"therapies": [{"line": "1", "agent": "x", "start": start}]}
        last = {row["line"]: row["response"] for row in rows(stagings, events, timeline) if row["staging"] > "2020-06"}
        assert last == {"1": "SD", WHOLE_COURSE: "PD"}, start


def read_as_benign(first, second, of=("2020-01-01", "2020-04-01")):
    """Two stagings with the same lesions a and b; which of them are left out at the first, and at the second."""
    lesions = {name: LesionMeasurement(n, 26.0, True, frozenset({name})) for n, name in enumerate("ab", 1)}
    return [
        StagingMeasurement(
            when, 2.0 - len(out), None, None, 1500, 30.0 - 15 * len(out),
            tuple(lesion for name, lesion in lesions.items() if name not in out),
            left_out=tuple(lesions[name] for name in out),
        )
        for when, out in zip(of, (first, second), strict=True)
    ]  # fmt: skip


@pytest.mark.parametrize("criterion", ["load", "hepatic RECIST", "volumetric"])
def test_a_lesion_that_counts_at_one_of_two_stagings_is_told(criterion):
    gone, back = (rows(read_as_benign(*out), (), {}, criterion)[1]["reason"] for out in (("", "b"), ("b", "")))
    if criterion == "hepatic RECIST":
        assert "target b is left out as benign" in gone
    assert gone.endswith("; compare with care: lesion 2 left out as benign now, not at baseline")
    assert back.endswith("; compare with care: lesion 2 left out as benign at baseline, not now")
    assert "left out" not in rows(read_as_benign("b", "b"), (), {}, criterion)[1]["reason"]


@pytest.mark.parametrize("criterion", ["load", "hepatic RECIST", "volumetric"])
def test_a_liver_whose_lesions_are_left_out_is_not_free_of_disease(criterion):
    found = rows(read_as_benign("", "ab"), (), {}, criterion)
    assert found[1]["response"] == ("NE" if criterion == "hepatic RECIST" else "PR")
    later = read_as_benign("ab", "", of=("2020-04-01", "2020-07-01"))
    assert not any("free of them" in row["reason"] for row in rows(later, (), {}, criterion))


def test_lesions_left_out_are_measured_but_do_not_count():
    row = {"measurable": "yes", "confluent": "no", "cut_by_border": "no", "probable_cyst": "no"}
    table = [row | {"lesion": str(n), "longest_diameter_mm": "26.0"} for n in (1, 2)]
    load = {"load_percent": 1.0, "liver_volume_ml": 1500, "lesion_volume_ml": 15, "left_out_lesions": [2]}
    tracks = [{"staging": "2020-04-01", "lesion": str(n), "track": name} for n, name in ((1, "a"), (2, "b"))]
    found = staging_measurement("2020-04-01", load, table, tracks, {})
    assert [lesion.tracks for lesion in (*found.lesions, *found.left_out)] == [{"a"}, {"b"}]
    assert [lesion.lesion for lesion in found.left_out] == [2]
