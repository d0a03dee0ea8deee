import numpy as np
import pytest

from nen_imaging.phantom import shape_model
from nen_imaging.phantom.fit_shapes import fit
from nen_imaging.phantom.ranges import CASE, GENERAL
from nen_imaging.phantom.shape_model import STEP_MM, UNIT_ML, LiverShape
from nen_imaging.volume import Volume


@pytest.mark.parametrize("ranges", [GENERAL, CASE])
@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_liver_has_the_size_of_a_liver(seed, ranges):
    shape = LiverShape.drawn(np.random.default_rng(seed), ranges)
    volume_ml = np.count_nonzero(shape.field > 0) * shape.step_mm**3 / 1000
    assert volume_ml == pytest.approx(UNIT_ML, rel=0.25)
    lowest, highest = shape.extent_mm
    width, depth, height = highest - lowest
    assert 150 < width < 270
    assert 120 < depth < 225
    assert 110 < height < 225


def test_livers_differ_and_the_same_seed_gives_the_same():
    first, again, other = (LiverShape.drawn(np.random.default_rng(seed), GENERAL).field for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert ((first > 0) != (other > 0)).sum() > 0.05 * (first > 0).sum()


def test_depth_scales_with_the_liver():
    shape = LiverShape.drawn(np.random.default_rng(1), GENERAL)
    place = np.zeros((3, 1, 1, 1), np.float32)
    assert shape.depth_mm(2 * place, 2.0) == pytest.approx(2 * shape.depth_mm(place, 1.0))


def test_a_model_fitted_to_ellipsoids_draws_ellipsoids(tmp_path, monkeypatch):
    x, y, z = np.mgrid[-40:41, -30:31, -30:31] * 4.0
    masks = [
        Volume(((x / a) ** 2 + (y / 60) ** 2 + (z / 60) ** 2 < 1).astype(np.uint8), np.diag([-4.0, 4, 4, 1]))
        for a in (60, 80, 100, 120)
    ]
    shares = fit(masks, tmp_path / "model.npz", modes=2)
    assert shares[0] > 0.9  # they differ in one way only
    monkeypatch.setattr(shape_model, "FILE", tmp_path / "model.npz")
    shape_model._model.cache_clear()
    try:
        lowest, highest = LiverShape.drawn(np.random.default_rng(0), GENERAL).extent_mm
    finally:
        shape_model._model.cache_clear()
    np.testing.assert_allclose(lowest, -highest, atol=STEP_MM)
    assert highest[1] == pytest.approx(highest[2], abs=STEP_MM)
