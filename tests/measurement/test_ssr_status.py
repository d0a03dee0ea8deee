import pytest

from nen_imaging.measurement.ssr_status import krenning_modified, status_of, totals


@pytest.mark.parametrize(
    ("suv_max", "score"), [(1.0, 0), (1.4, 0), (2.0, 1), (3.9, 1), (4.1, 2), (5.9, 2), (6.1, 3), (19, 3), (21, 4)]
)
def test_modified_krenning_against_liver_5_spleen_20_blood_1_4(suv_max, score):
    assert krenning_modified(suv_max, 5.0, 20.0, 1.4, iso_percent=20) == score


def test_missing_organs_limit_the_score():
    assert krenning_modified(50, 5.0, None, None, iso_percent=20) == 3
    assert krenning_modified(0.5, 5.0, None, None, iso_percent=20) == 1
    assert krenning_modified(50, None, 20.0, 1.4, iso_percent=20) is None


@pytest.mark.parametrize(
    ("score", "partial", "shift_mm", "status", "reason"),
    [(4, False, 0, "positive", ""), (3, True, 0, "positive", ""), (2, False, None, "iso", ""),
     (1, False, 3, "negative", ""),
     (1, True, 0, "not evaluable", "partial volume"), (4, False, 25, "not evaluable", "25 mm apart"),
     (None, False, 0, "not evaluable", "no reference")],
)  # fmt: skip
def test_status_and_its_reason(score, partial, shift_mm, status, reason):
    found = status_of(score, partial_volume=partial, diameter_mm=20.0, shift_mm=shift_mm)
    assert found[0] == status
    assert reason in found[1]


def lesion(number, status, suv=5.0):
    return {"lesion": number, "status": status, "suv_max": suv, "suv_mean": suv, "ssr_tv_ml": 2.0, "tl_ssr_ml": 2 * suv}


@pytest.mark.parametrize(
    ("statuses", "overall", "negative_share"),
    [(["positive", "positive"], "positive", 0), (["negative", "iso"], "negative", 50),
     (["positive", "negative"], "mixed", 50), (["positive", "not evaluable"], "positive", 0),
     (["not evaluable"], "not evaluable", None), ([], "not evaluable", None)],
)  # fmt: skip
def test_the_staging_is_what_its_lesion_volume_is(statuses, overall, negative_share):
    found = totals([(lesion(n, status), 10.0) for n, status in enumerate(statuses, start=1)])
    assert (found["ssr_status"], found["ssr_negative_share_percent"]) == (overall, negative_share)


def test_totals_are_sums_over_evaluable_lesions():
    rows = [lesion(1, "positive", 30.0), lesion(2, "negative", 2.0), lesion(3, "not evaluable", 99.0)]
    found = totals([(row, 10.0) for row in rows])
    assert (found["ssr_tv_ml"], found["tl_ssr_ml"]) == (4, 64)
    assert (found["hottest_lesion"], found["coldest_lesion"]) == (1, 2)
