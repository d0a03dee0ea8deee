import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.measurement.lesions import find_lesions
from nen_imaging.measurement.load import WIDENING, Load, measure_load
from nen_imaging.volume import Volume
from tests.measurement.shapes import ORIENTATIONS, grid, liver_with, scanned_coronal

SIZE, SPACING = (60, 60, 40), (2.0, 2.0, 2.0)
LESION = ((20, 20, 20), (0, 0, 0))


def load_of(labels, probability=None, members=(), **options) -> Load:
    found = find_lesions(labels, minimum_voxels=1, minimum_diameter_mm=0)
    return measure_load(found.labels, found.instances, probability, members, **options)


def test_volumes_are_counts_times_the_voxel():
    labels = liver_with(SIZE, (2.0, 1.0, 3.0), LESION)
    load = load_of(labels)
    assert load.liver_volume_ml == pytest.approx(58 * 58 * 38 * 6 / 1000)
    assert load.lesion_volume_ml == pytest.approx((labels.array == 2).sum() * 6 / 1000)
    assert load.load_percent == pytest.approx(100 * load.lesion_volume_ml / load.liver_volume_ml)


@given(st.sampled_from(ORIENTATIONS))
@settings(max_examples=12, deadline=None)
def test_load_and_interval_do_not_depend_on_how_the_array_is_laid_out(codes):
    labels = liver_with((20, 18, 12), (1.0, 1.5, 4.0), ((5, 6, 9), (1, 0, 0)))
    first, second = load_of(labels), load_of(labels.oriented(codes))
    assert list(vars(second).values()) == pytest.approx(list(vars(first).values()))


def test_the_interval_of_a_coronal_series_is_that_of_the_same_slices_taken_axially():
    axial = liver_with((90, 80, 14), (0.8, 0.8, 8.0), ((9, 7, 20), (0, 0, 0)))
    first, second = load_of(axial), load_of(scanned_coronal(axial))
    assert list(vars(second).values()) == pytest.approx(list(vars(first).values()))


@given(st.integers(0, 2**20), st.lists(st.floats(0, 100), max_size=4))
@settings(max_examples=40, deadline=None)
def test_the_interval_lies_in_0_to_100_and_holds_the_load(seed, members):
    rng = np.random.default_rng(seed)
    labels = Volume(rng.integers(0, 3, (7, 6, 5)).astype(np.uint8), np.diag([3.0, 2, 5, 1]))
    probability = labels.with_array(rng.integers(0, 256, labels.shape).astype(np.uint8))
    load = load_of(labels, probability, members, flags=list(WIDENING))
    assert 0 <= load.load_percent_low <= load.load_percent <= load.load_percent_high <= 100


def test_a_load_of_0_has_an_upper_bound():
    load = load_of(liver_with(SIZE, SPACING))
    assert (load.load_percent, load.load_percent_low) == (0, 0)
    assert 0 < load.load_percent_high < 1


def test_members_that_disagree_widen_the_interval_on_their_side():
    labels = liver_with(SIZE, SPACING, LESION)
    alone = load_of(labels)
    value = alone.load_percent
    higher = load_of(labels, members=(value, value + 4))
    assert higher.load_percent_low == pytest.approx(alone.load_percent_low)
    assert higher.load_percent_high > value + 4
    lower = load_of(labels, members=(value, value - 2))
    assert lower.load_percent_low < value - 2


@pytest.mark.parametrize("slice_mm", [2.0, 6.0])
def test_a_reread_shifted_by_half_a_voxel_stays_inside(slice_mm):
    spacing = (2.0, 2.0, slice_mm)
    size = (60, 60, round(80 / slice_mm))
    load = load_of(liver_with(size, spacing, LESION))
    larger = load_of(liver_with(size, spacing, ((20.9,) * 3, (0, 0, 0)))).load_percent
    smaller = load_of(liver_with(size, spacing, ((19.1,) * 3, (0, 0, 0)))).load_percent
    assert load.load_percent_low < smaller < larger < load.load_percent_high


def test_thick_slices_widen_the_interval():
    def width(slice_mm):
        load = load_of(liver_with((60, 60, round(80 / slice_mm)), (2.0, 2.0, slice_mm), LESION))
        return load.load_percent_high - load.load_percent_low

    assert width(8.0) > 1.3 * width(2.0)


@pytest.mark.parametrize("flag", WIDENING)
def test_flags_widen_the_interval(flag):
    labels = liver_with(SIZE, SPACING, LESION)
    plain, flagged = load_of(labels), load_of(labels, flags=[flag])
    share = (flagged.load_percent_high - flagged.load_percent) / (plain.load_percent_high - plain.load_percent)
    assert share == pytest.approx(WIDENING[flag])


def test_lesions_left_out_become_liver_also_in_the_expected_volume():
    labels = liver_with(SIZE, SPACING, ((12, 12, 12), (-25, 0, 0)), ((6, 6, 6), (25, 0, 0)))
    probability = labels.with_array(np.where(labels.array == 2, 255, 0).astype(np.uint8))
    both, one = load_of(labels, probability), load_of(labels, probability, left_out={2})
    assert one.liver_volume_ml == both.liver_volume_ml
    assert one.lesion_volume_ml < both.lesion_volume_ml
    assert one.expected_lesion_volume_ml == pytest.approx(one.lesion_volume_ml)


def test_an_unsure_probability_widens_the_interval_and_moves_the_expectation():
    labels = liver_with(SIZE, SPACING, LESION)
    sure, unsure = (labels.with_array(np.where(labels.array == 2, value, 0).astype(np.uint8)) for value in (255, 153))
    first, second = load_of(labels, sure), load_of(labels, unsure)
    assert first.expected_lesion_volume_ml == pytest.approx(first.lesion_volume_ml)
    assert second.expected_lesion_volume_ml == pytest.approx(0.6 * second.lesion_volume_ml)
    assert second.load_percent_high > first.load_percent_high


@pytest.mark.parametrize(
    ("low", "high", "bands"),
    [(0, 10, ["<= 10"]), (9, 10.1, ["<= 10", "> 10-25"]), (26, 50, ["> 25-50"]),
     (8, 51, ["<= 10", "> 10-25", "> 25-50", "> 50"])],
)  # fmt: skip
def test_every_band_that_the_interval_reaches_is_named(low, high, bands):
    assert Load(1, 1, 1, (low + high) / 2, low, high).bands == bands


def test_no_liver_is_no_load():
    with pytest.raises(ValueError, match="no liver"):
        load_of(grid((4, 4, 4), SPACING))
