"""The segmentation lies on the CT's grid whatever its orientation, and survives what it cannot use."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from nen_imaging.segmentation import infer, two_stage
from nen_imaging.segmentation.calibration import Calibration
from nen_imaging.segmentation.infer import load_model
from nen_imaging.segmentation.kinds import networks
from nen_imaging.segmentation.preprocess import prepared
from nen_imaging.segmentation.segment import segment_volume
from nen_imaging.stage import StageError
from nen_imaging.training.export import random_bundle
from nen_imaging.volume import Volume, require_same_grid

ORIENTATIONS = [
    "".join(codes) for axes in itertools.permutations(("LR", "PA", "SI")) for codes in itertools.product(*axes)
]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def reference(torso, tiny_bundle):
    return segment_volume(torso, tiny_bundle, device="cpu", threads=1)


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_labels_come_back_on_the_grid_of_the_ct(codes, torso, tiny_bundle, reference):
    turned = torso.oriented(codes)
    found = segment_volume(turned, tiny_bundle, device="cpu")
    require_same_grid(found.labels, turned)
    require_same_grid(found.probability, turned)
    assert found.labels.array.dtype == found.probability.array.dtype == np.uint8
    assert 0 < (reference.labels.array > 0).sum() < reference.labels.array.size
    for one, other in ((found.labels, reference.labels), (found.probability, reference.probability)):
        np.testing.assert_array_equal(one.oriented("LPS").array, other.array)


def test_lesions_lie_in_the_liver_and_where_the_probability_says(reference):
    found = reference
    lesion = found.labels.array == 2
    assert lesion.any()
    assert (found.probability.array[lesion] >= 127).all()
    assert (found.probability.array[found.labels.array == 1] <= 128).all()
    assert (found.probability.array[found.labels.array == 0] == 0).all()


def test_an_oblique_ct_is_segmented_like_a_straight_one(torso, tiny_bundle):
    angle = np.radians(12)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = segment_volume(Volume(torso.array, turn @ torso.affine), tiny_bundle, device="cpu")
    straight = segment_volume(torso, tiny_bundle, device="cpu")
    assert (oblique.labels.array != straight.labels.array).mean() < 0.001


@pytest.mark.parametrize("shape", [(8, 9, 5), (40, 4, 4), (1, 30, 30)])
def test_a_volume_smaller_than_a_patch_is_segmented(shape, tiny_bundle):
    hu = np.random.default_rng(0).normal(60, 40, shape).astype(np.float32)
    found = segment_volume(Volume(hu, np.diag([-6.0, -6.0, 6.0, 1.0])), tiny_bundle, device="cpu")
    assert found.labels.shape == shape


@pytest.mark.parametrize("value", [0.0, -1000.0, np.nan, np.inf])
def test_an_image_without_content_has_no_liver(value, tiny_bundle):
    ct = Volume(np.full((20, 20, 20), value, np.float32), np.diag([-3.0, -3.0, 3.0, 1.0]))
    found = segment_volume(ct, tiny_bundle, device="cpu")
    assert found.flags == ("liver.absent",)
    assert not found.labels.array.any() and not found.probability.array.any()
    assert found.member_loads_percent == ()


def test_voxels_that_are_no_number_count_as_air(torso, tiny_bundle):
    broken, air = torso.array.astype(np.float32), torso.array.astype(np.float32)
    broken[:4], air[:4] = np.nan, -1024
    results = [segment_volume(torso.with_array(array), tiny_bundle, device="cpu") for array in (broken, air)]
    np.testing.assert_array_equal(results[0].labels.array, results[1].labels.array)


def test_the_bundles_calibration_decides_liver_and_lesions(torso, tiny_bundle, monkeypatch):
    def voxels(**calibration):
        inference = load_model(tiny_bundle).inference
        changed = inference.model_copy(update={"calibration": Calibration(**calibration)})
        monkeypatch.setattr(networks, "load_model", lambda bundle: replace(load_model(bundle), inference=changed))
        labels = segment_volume(torso, tiny_bundle, device="cpu").labels.array
        return int((labels > 0).sum()), int((labels == 2).sum())

    liver, lesion = voxels(lesion_shift=-50.0)
    assert liver > lesion == 0
    all_liver, all_lesion = voxels(lesion_shift=50.0)
    assert all_liver == all_lesion == liver
    assert voxels(liver_shift=-50.0) == (0, 0)


def test_a_ct_without_liver_is_flagged(torso, tmp_path):
    found = segment_volume(torso, random_bundle(tmp_path, liver_shift=-50.0), device="cpu")
    assert found.flags == ("liver.absent",)


def test_what_the_network_is_undecided_on_is_no_liver(torso, tiny_bundle, monkeypatch):
    """An untrained network is undecided everywhere."""
    inference = load_model(tiny_bundle).inference.model_copy(update={"most_undecided_share": 0.5})
    monkeypatch.setattr(networks, "load_model", lambda bundle: replace(load_model(bundle), inference=inference))
    assert segment_volume(torso, tiny_bundle, device="cpu").flags == ("liver.absent",)


def test_a_liver_at_the_edge_of_the_image_is_flagged(torso, tiny_bundle):
    assert "liver.truncated" in segment_volume(torso, tiny_bundle, device="cpu").flags


def test_out_of_memory_on_the_gpu_falls_back_to_the_cpu(torso, tiny_bundle, monkeypatch, caplog):
    asked = []

    def predict(network, channels, patch, overlap, device):
        asked.append(device)
        if device == "cuda":
            raise torch.cuda.OutOfMemoryError("a stand-in for a full GPU")
        return infer.predict(network, channels, patch, overlap, device)

    monkeypatch.setattr(networks, "choose_device", lambda _: ("cuda", ""))
    monkeypatch.setattr(two_stage, "predict", predict)
    found = segment_volume(torso, tiny_bundle, device="auto")
    assert asked == ["cuda", "cpu", "cpu"]
    assert found.device_used == "cpu" and "out of memory" in found.device_note
    assert "out of memory" in caplog.text
    monkeypatch.undo()
    np.testing.assert_array_equal(found.labels.array, segment_volume(torso, tiny_bundle, device="cpu").labels.array)


def test_auto_takes_the_cpu_where_there_is_no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert infer.choose_device("auto") == ("cpu", "no CUDA device")
    assert infer.choose_device("cpu") == ("cpu", "")
    with pytest.raises(StageError, match="--device auto"):
        infer.choose_device("cuda")


def test_the_model_is_loaded_once(torso, tiny_bundle, monkeypatch):
    segment_volume(torso, tiny_bundle, device="cpu")
    monkeypatch.setattr(infer, "_load_network", lambda *_: pytest.fail("loaded again"))
    segment_volume(torso, tiny_bundle, device="cpu")


def test_the_fine_liver_stays_within_reach_of_the_coarse_one(torso, tiny_bundle, monkeypatch):
    """A fine network that calls everything liver gets no further than 15 mm from what the coarse one saw."""
    model = load_model(tiny_bundle)
    ball = np.zeros(0)

    def predict(network, channels, *_):
        shape = tuple(channels.shape[1:])
        logits = torch.full((2, *shape), 10.0)
        if network is model.liver:
            nonlocal ball
            middle = (np.array(shape) - 1) / 2
            ball = ((np.indices(shape).transpose(1, 2, 3, 0) - middle) ** 2).sum(-1) < 5**2
            logits[0] = torch.from_numpy(np.where(ball, 10.0, -10.0))
        return logits

    monkeypatch.setattr(two_stage, "predict", predict)
    view = two_stage.look(prepared(torso), model, "cpu")
    liver = view.organ(0.0)[0] >= 0.5
    found_ml, coarse_ml = (
        liver.sum() * view.grid.voxel_volume_ml,
        ball.sum() * model.inference.liver.spacing_mm**3 / 1e3,
    )
    radius_mm = (3000 * coarse_ml / (4 * np.pi)) ** (1 / 3)
    assert coarse_ml < found_ml < 1.2 * coarse_ml * ((radius_mm + two_stage.REACH_MM) / radius_mm) ** 3
    assert not liver.all()
