"""The decision table of SUV, row by row, on synthetic headers; then on real ones with known factors."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from nen_imaging.contract import Refusal
from nen_imaging.dicom.pet_header import PetHeader, SliceTiming, pet_header
from nen_imaging.dicom.scan_start import average_count_time_s
from nen_imaging.dicom.suv import describe, normalisation, suv_factor

SCAN = datetime(2020, 1, 15, 10, 15)
HALF_LIFE_S = 4062.6
DECAY_PER_S = math.log(2) / HALF_LIFE_S
UNDECAYED = 70_000 / 150e6  # weight in g over dose in Bq
AFTER_AN_HOUR = UNDECAYED * 2 ** (3600 / HALF_LIFE_S)
TIMING = SliceTiming(acquisition=SCAN, frame_reference_ms=90_000.0, frame_duration_ms=180_000.0)
HEADER = PetHeader(
    units="BQML",
    decay_correction="START",
    corrections_done=frozenset({"ATTN", "DECY"}),
    manufacturer="SIEMENS",
    weight_kg=70.0,
    height_m=1.70,
    sex="F",
    dose_bq=150e6,
    half_life_s=HALF_LIFE_S,
    series_start=SCAN,
    administration=SCAN - timedelta(hours=1),
    nuclide_code="C-131A3",
    tracer_text="Ga-68 DOTATOC",
    slices=(TIMING, TIMING),
)
LATE_SERIES = SCAN + timedelta(hours=2)


def changed(**changes: object) -> PetHeader:
    return dataclasses.replace(HEADER, **changes)


def refusal_code(header: PetHeader) -> str:
    with pytest.raises(Refusal) as caught:
        suv_factor(header)
    return caught.value.reason.code


def codes(header: PetHeader) -> list[str]:
    return [reason.code for reason in suv_factor(header).reasons]


def test_row_1_activity_decayed_to_the_start_of_the_series():
    factor = suv_factor(HEADER)
    assert factor.per_slice == pytest.approx([AFTER_AN_HOUR] * 2, rel=1e-12)
    assert factor.reasons == ()
    assert (factor.nuclide, factor.tracer) == ("68Ga", "DOTATOC")
    used = {value.name: value for value in factor.used}
    assert used["PatientWeight"].tag == "(0010,1030) PatientWeight"
    assert used["PatientWeight"].source == "header"
    assert used["SeriesTime"].value == "10:15:00"


def test_row_3_the_series_time_counts_although_each_bed_was_acquired_later():
    beds = tuple(dataclasses.replace(TIMING, acquisition=SCAN + timedelta(seconds=180 * n)) for n in range(4))
    assert suv_factor(changed(slices=beds)).per_slice == pytest.approx([AFTER_AN_HOUR] * 4, rel=1e-12)


@pytest.mark.parametrize("vendor", ["ge_scan_start", "siemens_scan_start"])
def test_row_4_a_late_series_time_gives_way_to_the_vendors_scan_time(vendor):
    header = changed(series_start=LATE_SERIES, **{vendor: SCAN})
    factor = suv_factor(header)
    assert factor.per_slice == pytest.approx([AFTER_AN_HOUR] * 2, rel=1e-12)
    assert "private" in factor.rule


def test_row_4_a_vendors_scan_time_on_another_date_is_not_used():
    header = changed(series_start=LATE_SERIES, ge_scan_start=SCAN - timedelta(days=45))
    assert "frame reference" in suv_factor(header).rule


def test_row_4_the_start_is_taken_back_from_each_acquisition():
    """Beds whose average count time lies at their reference time all lead to one start."""
    to_average_s = average_count_time_s(180.0, HALF_LIFE_S)
    beds = tuple(
        SliceTiming(SCAN + timedelta(seconds=180 * n), (180 * n + to_average_s) * 1000, 180_000.0) for n in range(3)
    )
    factor = suv_factor(changed(series_start=LATE_SERIES, slices=beds))
    assert factor.per_slice == pytest.approx([AFTER_AN_HOUR] * 3, rel=1e-8)


def test_row_4_ge_writes_the_start_of_the_bed_as_reference():
    beds = tuple(SliceTiming(SCAN + timedelta(seconds=240 * n), 240_000.0 * n, 240_000.0) for n in (1, 2))
    factor = suv_factor(changed(manufacturer="GE MEDICAL SYSTEMS", series_start=LATE_SERIES, slices=beds))
    assert factor.per_slice == pytest.approx([AFTER_AN_HOUR] * 2, rel=1e-12)


def test_row_4_without_a_reference_time_the_earliest_acquisition_counts_and_warns():
    beds = tuple(SliceTiming(SCAN + timedelta(seconds=180 * n), 0.0, 180_000.0) for n in (1, 0))
    header = changed(series_start=LATE_SERIES, slices=beds)
    assert suv_factor(header).per_slice == pytest.approx([AFTER_AN_HOUR] * 2, rel=1e-12)
    assert codes(header) == ["pet.scan_start_uncertain"]


def test_row_5_beds_of_one_acquisition_time_are_not_taken_back():
    """All beds carry the first one's acquisition time: their reference times would give each another start."""
    beds = tuple(SliceTiming(SCAN, 90_000.0 + 243_000 * n, 240_000.0) for n in range(3))
    assert suv_factor(changed(slices=beds)).per_slice == pytest.approx([AFTER_AN_HOUR] * 3, rel=1e-12)
    late = changed(series_start=LATE_SERIES, slices=beds)
    assert suv_factor(late).per_slice == pytest.approx([AFTER_AN_HOUR] * 3, rel=1e-12)
    assert codes(late) == ["pet.scan_start_uncertain"]


def test_row_6_corrected_to_the_administration_the_dose_counts_as_written():
    header = changed(decay_correction="ADMIN", administration=None, series_start=None, half_life_s=None)
    assert suv_factor(header).per_slice == pytest.approx([UNDECAYED] * 2, rel=1e-12)


def test_row_7_uncorrected_slices_decay_until_their_own_time_and_during_their_frame():
    beds = tuple(dataclasses.replace(TIMING, acquisition=SCAN + timedelta(seconds=180 * n)) for n in range(2))
    header = changed(decay_correction="NONE", corrections_done=frozenset({"ATTN"}), slices=beds)
    decays = DECAY_PER_S * 180
    in_frame = decays / (1 - math.exp(-decays))
    expected = [UNDECAYED * math.exp(DECAY_PER_S * (3600 + 180 * n)) * in_frame for n in range(2)]
    assert suv_factor(header).per_slice == pytest.approx(expected, rel=1e-12)


def test_row_7_without_a_frame_duration_or_against_its_own_header_it_is_refused():
    uncorrected = changed(decay_correction="NONE", corrections_done=frozenset({"ATTN"}))
    no_frame = dataclasses.replace(uncorrected, slices=(dataclasses.replace(TIMING, frame_duration_ms=None),))
    assert refusal_code(no_frame) == "pet.frame_duration_missing"
    assert refusal_code(changed(decay_correction="NONE")) == "pet.decay_contradiction"


def test_row_8_a_time_without_a_date_belongs_to_the_day_of_the_scan():
    header = changed(administration=None, administration_time=timedelta(hours=9, minutes=15))
    assert suv_factor(header).per_slice == pytest.approx([AFTER_AN_HOUR] * 2, rel=1e-12)


def test_row_8_over_midnight_it_belongs_to_the_day_before_and_warns():
    start = datetime(2020, 1, 15, 0, 30)
    header = changed(
        administration=None,
        administration_time=timedelta(hours=23, minutes=30),
        series_start=start,
        slices=(dataclasses.replace(TIMING, acquisition=start),),
    )
    assert suv_factor(header).per_slice == pytest.approx([AFTER_AN_HOUR], rel=1e-12)
    assert codes(header) == ["pet.day_before"]
    administration = next(value for value in suv_factor(header).used if value.name == "RadiopharmaceuticalStartTime")
    assert administration.value == "23:30:00 (day -1)"


@pytest.mark.parametrize(
    "changes",
    [
        {"administration": SCAN + timedelta(minutes=1)},
        {"administration": SCAN - timedelta(days=40)},
        {"administration": None, "administration_time": timedelta(hours=10, minutes=30)},
    ],
    ids=["after the scan", "another date", "time just after the scan"],
)
def test_row_8_an_implausible_administration_is_refused(changes):
    assert refusal_code(changed(**changes)) == "pet.time_implausible"


def test_row_8_a_long_lived_nuclide_may_be_imaged_days_later_where_a_date_says_so():
    header = changed(half_life_s=282_240.0, nuclide_code="C-168A4", administration=SCAN - timedelta(days=5))
    assert suv_factor(header).per_slice[0] == pytest.approx(UNDECAYED * 2 ** (5 * 86_400 / 282_240), rel=1e-12)


def test_row_8_no_administration_at_all_is_refused():
    assert refusal_code(changed(administration=None)) == "pet.time_missing"


def test_row_9_philips_counts():
    counts = changed(units="CNTS", philips_suv_factor=0.000551, philips_activity_factor=1.6)
    assert suv_factor(counts).per_slice == (0.000551, 0.000551)
    not_convertible = dataclasses.replace(counts, philips_suv_factor=0.0)
    assert suv_factor(not_convertible).per_slice == pytest.approx([1.6 * AFTER_AN_HOUR] * 2, rel=1e-12)
    assert refusal_code(changed(units="CNTS")) == "pet.factor_missing"


@pytest.mark.parametrize(
    ("suv_type", "sex", "expected"),
    [
        ("", "F", 1.0),
        ("BW", "F", 1.0),
        ("LBM", "M", 70 / (1.10 * 70 - 120 * (70 / 170) ** 2)),
        ("LBMJAMES128", "M", 70 / (1.10 * 70 - 128 * (70 / 170) ** 2)),
        ("LBMJAMES128", "F", 70 / (1.07 * 70 - 148 * (70 / 170) ** 2)),
        ("LBMJANMA", "F", (8780 + 244 * 70 / 1.7**2) / 9270),
        ("IBW", "F", 70 / (45.5 + 0.91 * 18)),
    ],
)
def test_row_10_suv_is_not_converted_twice_and_other_kinds_go_back_to_body_weight(suv_type, sex, expected):
    header = changed(units="GML", suv_type=suv_type, sex=sex, decay_correction="ADMIN")
    assert suv_factor(header).per_slice == pytest.approx([expected] * 2, rel=1e-12)


def test_row_10_an_unknown_kind_is_refused():
    assert refusal_code(changed(units="GML", suv_type="OTHER")) == "pet.units"


def test_row_11_suv_by_body_surface_goes_back_to_body_weight():
    surface_m2 = 0.007184 * 70**0.425 * 170**0.725
    assert suv_factor(changed(units="CM2ML")).per_slice[0] == pytest.approx(7.0 / surface_m2, rel=1e-12)


@pytest.mark.parametrize("units", ["PROPCNTS", "PROPCPS", "CPS", "1CM", "", "JONES^ANN"])
def test_row_12_other_units_are_refused_and_free_text_is_not_repeated(units):
    with pytest.raises(Refusal) as caught:
        suv_factor(changed(units=units))
    assert caught.value.reason.code == "pet.units"
    assert "JONES" not in caught.value.reason.text


@pytest.mark.parametrize("done", [{"DECY"}, {"ATTN"}, set()])
def test_row_13_without_its_corrections_it_is_refused(done):
    assert refusal_code(changed(corrections_done=frozenset(done))) == "pet.uncorrected"


def test_row_13_an_unknown_decay_correction_is_refused():
    assert refusal_code(changed(decay_correction="")) == "pet.uncorrected"


@pytest.mark.parametrize(
    ("weight", "code"), [(None, "missing"), (0.0, "missing"), (-3.0, "missing"), (0.066, "implausible")]
)
def test_row_14_a_missing_or_impossible_weight_is_refused(weight, code):
    assert refusal_code(changed(weight_kg=weight)) == f"pet.weight_{code}"


def test_row_14_a_weight_in_grams_is_converted_and_said():
    header = changed(weight_kg=70_000.0)
    assert suv_factor(header).per_slice == pytest.approx([AFTER_AN_HOUR] * 2, rel=1e-12)
    assert codes(header) == ["pet.value_converted"]


@pytest.mark.parametrize("height_m", [None, 0.0, 12.0])
def test_row_15_without_a_height_only_the_figures_that_need_it_are_refused(height_m):
    header = changed(height_m=height_m)
    assert suv_factor(header).per_slice == pytest.approx([AFTER_AN_HOUR] * 2, rel=1e-12)
    with pytest.raises(Refusal) as caught:
        normalisation("sul_janmahasatian", header)
    assert caught.value.reason.code == "pet.height_missing"


def test_row_15_a_height_in_centimetres_is_converted():
    assert normalisation("suv_bsa", changed(height_m=170.0)) == pytest.approx(
        normalisation("suv_bsa", HEADER), rel=1e-12
    )


@pytest.mark.parametrize(
    ("dose", "code"), [(None, "missing"), (-1.0, "missing"), (0.0, "missing"), (2e5, "implausible")]
)
def test_row_16_a_missing_or_impossible_dose_is_refused(dose, code):
    assert refusal_code(changed(dose_bq=dose)) == f"pet.dose_{code}"


def test_row_16_a_dose_in_megabecquerel_is_converted_and_said():
    header = changed(dose_bq=150.0)
    assert suv_factor(header).per_slice == pytest.approx([AFTER_AN_HOUR] * 2, rel=1e-12)
    assert codes(header) == ["pet.value_converted"]


def test_row_17_a_missing_half_life_is_refused_and_an_odd_one_warned():
    assert refusal_code(changed(half_life_s=None)) == "pet.half_life_missing"
    assert codes(changed(half_life_s=6586.2)) == ["pet.half_life_unusual"]
    assert codes(changed(half_life_s=4080.0)) == []  # 0.4 % off


def test_row_18_for_another_sex_the_mean_of_both_body_sizes_is_taken():
    both = [normalisation("sul_james", changed(sex=sex)) for sex in "MF"]
    assert normalisation("sul_james", changed(sex="O")) == pytest.approx(sum(both) / 2, rel=1e-12)
    assert codes(changed(units="GML", suv_type="IBW", sex="O")) == ["pet.sex_averaged"]


def test_corrected_values_are_named_with_their_source():
    header = changed(corrected=frozenset({"PatientWeight"}))
    used = {value.name: value.source for value in suv_factor(header).used}
    assert used["PatientWeight"] == "corrections.csv"
    assert codes(header) == ["pet.corrected"]


def corrected(header: PetHeader, **changes: object) -> PetHeader:
    keywords = {
        "weight_kg": "PatientWeight",
        "height_m": "PatientSize",
        "dose_bq": "RadionuclideTotalDose",
        "half_life_s": "RadionuclideHalfLife",
        "administration": "RadiopharmaceuticalStartDateTime",
    }
    names = frozenset(keywords[name] for name in changes)
    return dataclasses.replace(header, **changes, corrected=names, as_written=header)


STORED_AS_SUV = [
    changed(units="GML"),
    changed(units="CNTS", philips_suv_factor=0.000551),
    changed(units="GML", suv_type="LBMJANMA"),
    changed(units="CM2ML"),
]


@pytest.mark.parametrize("header", STORED_AS_SUV, ids=["SUVbw", "counts", "SUL", "SUVbsa"])
def test_a_stored_suv_follows_a_corrected_weight_and_dose_by_their_ratio_to_the_headers(header):
    before = suv_factor(header).per_slice[0]
    assert suv_factor(corrected(header, weight_kg=35.0)).per_slice == pytest.approx([before / 2] * 2, rel=1e-12)
    assert suv_factor(corrected(header, dose_bq=300e6)).per_slice == pytest.approx([before / 2] * 2, rel=1e-12)
    assert codes(corrected(header, dose_bq=300e6)) == ["pet.corrected"]


@pytest.mark.parametrize("header", STORED_AS_SUV, ids=["SUVbw", "counts", "SUL", "SUVbsa"])
def test_what_cannot_be_corrected_in_a_stored_suv_is_refused(header):
    assert refusal_code(corrected(header, administration=SCAN - timedelta(hours=2))) == "pet.not_correctable"
    assert refusal_code(corrected(header, half_life_s=6586.2)) == "pet.not_correctable"
    assert refusal_code(corrected(dataclasses.replace(header, dose_bq=None), dose_bq=300e6)) == "pet.not_correctable"
    assert suv_factor(corrected(header, half_life_s=HALF_LIFE_S)).reasons == ()


def test_a_stored_suv_of_a_header_without_weight_cannot_be_corrected_but_a_lean_one_is_turned_back():
    without = changed(units="GML", weight_kg=None)
    assert refusal_code(corrected(without, weight_kg=70.0)) == "pet.not_correctable"
    lean = dataclasses.replace(without, suv_type="LBMJANMA")
    expected = suv_factor(changed(units="GML", suv_type="LBMJANMA")).per_slice
    assert suv_factor(corrected(lean, weight_kg=70.0)).per_slice == pytest.approx(expected, rel=1e-12)


def test_corrected_counts_go_by_activity_where_its_factor_is_there():
    counts = changed(units="CNTS", philips_suv_factor=0.000551, philips_activity_factor=1.6)
    factor = suv_factor(corrected(counts, administration=SCAN - timedelta(hours=2)))
    assert factor.per_slice == pytest.approx([1.6 * AFTER_AN_HOUR * 2 ** (3600 / HALF_LIFE_S)] * 2, rel=1e-12)
    assert [reason.code for reason in factor.reasons] == ["pet.corrected"]


def test_only_corrections_that_entered_the_suv_are_named():
    (reason,) = suv_factor(corrected(HEADER, weight_kg=72.0, height_m=1.8)).reasons
    assert reason.text == "corrections.csv supplied (0010,1030) PatientWeight."
    assert codes(corrected(changed(units="GML"), height_m=1.8)) == []


def test_the_description_holds_no_date():
    text = json.dumps(describe(HEADER, suv_factor(HEADER)))
    assert "2020" not in text
    assert "09:15:00" in text


# --- real headers -----------------------------------------------------------------------------------------------------

_PRIVATE_NAMES = {
    "(7053,1000)": "PhilipsSUVScaleFactor",
    "(7053,1009)": "PhilipsActivityConcentrationScaleFactor",
    "(0009,100d)": "GEScanDateTime",
    "(0071,1022)": "SiemensScanDateTime",
}


def header_of(entry: dict) -> PetHeader:
    """A typed header from one entry of `headers.json`, of as many slices as it lists."""
    flat = {key: value for key, value in entry["tags"].items() if value is not None}
    item = flat.pop("RadiopharmaceuticalInformationSequence", {})
    code = item.pop("RadionuclideCodeSequence", None)
    flat |= item | ({"RadionuclideValue": code[0], "RadionuclideMeaning": code[2]} if code else {})
    private = {key.split(" ")[0]: value for key, value in entry.get("private", {}).items()}
    flat |= {name: private[tag] for tag, name in _PRIVATE_NAMES.items() if tag in private}
    texts = {key: "\\".join(value) if isinstance(value, list) else str(value).strip() for key, value in flat.items()}
    varying = entry.get("tags_per_instance", {})
    count = len(next(iter(varying.values()), [0]))
    slices = [texts | {key: str(values[n]) for key, values in varying.items()} for n in range(count)]
    return pet_header(slices)


def real_entries(shared_data: Path) -> list[dict]:
    return json.loads((shared_data / "pet_headers" / "headers.json").read_text("utf-8"))


def test_every_real_header_with_a_known_factor_gives_it(shared_data):
    checked = 0
    for entry in real_entries(shared_data):
        expected = entry.get("computed_suvbw_factor")
        if not isinstance(expected, float) or entry["id"].startswith("IBSI_SUV"):
            continue
        factor = suv_factor(header_of(entry))
        assert factor.per_slice[0] == pytest.approx(expected, rel=1e-6), entry["id"]
        published = entry.get("expected_suvbw_factor")
        if published:
            assert factor.per_slice[0] == pytest.approx(published, rel=1e-6), entry["id"]
        checked += 1
    assert checked == 11


def test_the_real_header_that_must_be_refused_is(shared_data):
    entry = next(one for one in real_entries(shared_data) if one.get("expected") == "REFUSE")
    assert refusal_code(header_of(entry)) == "pet.units"
