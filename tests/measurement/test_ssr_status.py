import pytest

from nen_imaging.measurement.ssr_status import krenning_modified, status_of, totals


@pytest.mark.parametrize(
    ("suv_max", "score"), [(1.0, 0), (1.4, 0), (2.0, 1), (3.9, 1), (4.1, 2), (5.9, 2), (6.1, 3), (19, 3), (21, 4)]
)
def test_modified_krenning_against_liver_5_spleen_20_blood_1_4(suv_max, score):
    assert krenning(suv_max, suv_max) == score


def krenning(hottest, mean, liver=5.0, spleen=20.0, blood_pool=1.4, liver_sd=0.0):
    return krenning_modified(
        hottest, mean, liver=liver, liver_sd=liver_sd, spleen=spleen, blood_pool=blood_pool, iso_percent=20
    )


def test_what_noise_may_make_of_the_liver_is_not_above_it():
    assert krenning(6.2, 5.4) == 3
    assert krenning(6.2, 5.4, liver_sd=0.4) == 2


def test_a_cold_lesion_is_not_about_the_liver_because_the_liver_spills_into_its_edge():
    assert krenning(hottest=4.6, mean=2.2) == 1
    assert krenning(hottest=4.6, mean=4.4) == 2


def test_a_hot_spot_makes_a_cold_lesion_positive():
    assert krenning(hottest=9.0, mean=2.2) == 3


def test_missing_organs_limit_the_score():
    assert krenning(50, 50, spleen=None, blood_pool=None) == 3
    assert krenning(0.5, 0.5, spleen=None, blood_pool=None) == 1
    assert krenning(50, 50, liver=None) is None


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
    [(["positive", "positive"], "positive", 0), (["negative", "iso"], "mixed", 50),
     (["positive", "negative"], "mixed", 50), (["positive", "not evaluable"], "positive", 0),
     (["iso", "iso"], "iso", 0), (["negative", "not evaluable"], "negative", 100),
     (["not evaluable"], "not evaluable", None), ([], "not evaluable", None)],
)  # fmt: skip
def test_the_staging_is_what_its_lesion_volume_is(statuses, overall, negative_share):
    found = totals([(lesion(n, status), 10.0) for n, status in enumerate(statuses, start=1)])
    assert (found["ssr_status"], found["ssr_negative_share_percent"]) == (overall, negative_share)


def test_totals_are_sums_over_evaluable_lesions_that_are_not_negative():
    rows = [
        lesion(1, "positive", 30.0),
        lesion(2, "negative", 2.0),
        lesion(3, "not evaluable", 99.0),
        lesion(4, "iso", 5.0),
    ]
    found = totals([(row, 10.0) for row in rows])
    assert (found["ssr_tv_ml"], found["tl_ssr_ml"]) == (4, 70)
    assert (found["hottest_lesion"], found["coldest_lesion"]) == (1, 2)


def test_sums_are_missing_and_not_0_where_no_lesion_is_evaluable():
    found = totals([(lesion(1, "not evaluable", 30.0), 10.0)])
    assert (found["ssr_tv_ml"], found["tl_ssr_ml"]) == (None, None)
    assert (totals([])["ssr_tv_ml"], totals([])["tl_ssr_ml"]) == (0, 0)
