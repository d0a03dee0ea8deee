"""Bundles of any kind vote on the liver and share their lesion probabilities."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from nen_imaging.contract import Reason
from nen_imaging.segmentation import infer, segment
from nen_imaging.segmentation.bundle import BundleError, find_bundle, load_registry, unregister_bundle
from nen_imaging.segmentation.drawn import UNCALIBRATED
from nen_imaging.segmentation.install import verify_installed
from nen_imaging.segmentation.result import Segmentation
from nen_imaging.segmentation.segment import segment_volume
from nen_imaging.training.export import random_bundle
from tests.segmentation.bundles import installed, planted, write, write_monai

LIVER = Reason("liver.absent", "Nothing here.")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def models(tmp_path):
    for name, seed in (("first", 3), ("second", 5), ("third", 7)):
        random_bundle(tmp_path, seed=seed, name=name)
    return tmp_path


def ensemble(models, *members, name: str = "all"):
    return installed(write(models / name, {"kind": "ensemble", "members": list(members)}, {"version": "1"}))


def test_the_liver_is_the_majoritys_and_the_probability_the_mean(models, torso):
    names = ("first", "second", "third")
    found = segment_volume(torso, ensemble(models, *names), device="cpu")
    alone = [segment_volume(torso, find_bundle(name, models), device="cpu") for name in names]
    votes = sum((one.labels.array > 0).astype(int) for one in alone)
    mean = np.mean([one.probability.array for one in alone], axis=0)
    assert (votes == 1).sum() > 0 and (votes == 2).sum() > 0  # they differ
    np.testing.assert_array_equal(found.labels.array, np.where(votes < 2, 0, np.where(mean >= 127.5, 2, 1)))
    np.testing.assert_array_equal(found.probability.array, np.where(votes < 2, 0, np.floor(mean + 0.5)))
    liver = votes >= 2
    load, expected, *others = found.member_loads_percent
    assert load == pytest.approx(100 * (mean[liver] >= 127.5).mean(), abs=1e-3)
    assert expected == pytest.approx(100 * mean[liver].mean() / 255, abs=0.2)
    assert others == [load for one in alone for load in one.member_loads_percent]
    assert found.labels.array.dtype == found.probability.array.dtype == np.uint8


def test_members_of_one_mind_are_as_one(models, torso):
    random_bundle(models, seed=3, name="twin")
    found = segment_volume(torso, ensemble(models, "first", "twin"), device="cpu")
    alone = segment_volume(torso, find_bundle("first", models), device="cpu")
    np.testing.assert_array_equal(found.labels.array, alone.labels.array)
    np.testing.assert_array_equal(found.probability.array, alone.probability.array)
    assert found.reasons == alone.reasons and found.device_used == alone.device_used


def test_any_kind_may_be_a_member(models):
    installed(write_monai(models / "foreign"))
    ct = planted()
    found = segment_volume(ct, ensemble(models, "first", "foreign"), device="cpu")
    assert "interval.uncalibrated" not in found.flags  # one member knows its own interval, and this one is as wide
    foreign = segment_volume(ct, find_bundle("foreign", models), device="cpu")
    assert found.member_loads_percent[-1] == foreign.member_loads_percent[0]
    assert (found.labels.array > 0)[foreign.labels.array > 0].all()  # a tie counts as liver


@pytest.fixture
def merged(models, torso, monkeypatch):
    """What an ensemble makes of members that find what they are told: labels and reasons."""

    def merged(**by_name):
        bundle = ensemble(models, *by_name)
        run = segment.segment_volume

        def told(image, member, **options):
            if member.name not in by_name:
                return run(image, member, **options)
            labels, reasons = by_name[member.name]
            chance = np.where(labels == 2, 255, 0).astype(np.uint8)
            loads = (10.0,) if labels.any() else ()
            return Segmentation(image.with_array(labels), image.with_array(chance), loads, reasons, "cpu", member.name)

        monkeypatch.setattr(segment, "segment_volume", told)
        return run(torso, bundle)

    return merged


def test_reasons_are_united_one_per_code(merged, torso):
    labels = np.where(torso.array > 50, 1, 0).astype(np.uint8)
    cut, odd = Reason("liver.truncated", "The edge."), Reason("image.unlike_training", "Odd.")
    found = merged(first=(labels, (cut, UNCALIBRATED)), second=(labels, (cut, odd)))
    assert found.reasons == (cut, Reason("image.unlike_training", "second: Odd."))
    assert found.device_note == "first; second"
    assert merged(first=(labels, (UNCALIBRATED,)), second=(labels, (UNCALIBRATED,))).reasons == (UNCALIBRATED,)


def test_a_member_without_liver_is_outvoted_and_that_is_said(merged, torso):
    labels = np.where(torso.array > 50, 2, 0).astype(np.uint8)
    nothing = (np.zeros_like(labels), (LIVER,))
    found = merged(first=(labels, ()), second=nothing)
    assert found.flags == ("image.unlike_training",) and "second: Nothing here." in found.reasons[0].text
    np.testing.assert_array_equal(found.labels.array, labels)  # ties count, for liver and for lesions
    hard = merged(first=(labels, (UNCALIBRATED,)), second=nothing)
    assert hard.flags == ("interval.uncalibrated", "image.unlike_training")  # none knows its own interval
    absent = merged(first=(labels, ()), second=nothing, third=nothing)
    assert absent.flags == ("liver.absent",)


def test_the_digest_stands_for_the_members_too(models):
    bundle = ensemble(models, "first", "second")
    verify_installed(bundle)
    digest = find_bundle("all", models).sha256
    assert digest == bundle.sha256
    random_bundle(models, seed=9, name="second")
    assert find_bundle("all", models).sha256 != digest
    random_bundle(models, seed=5, name="second")
    assert find_bundle("all", models).sha256 == digest


def test_what_the_members_have_seen_the_ensemble_has_seen(models):
    for name, patient in (("first", "A"), ("second", "B")):
        path = models / name / "configs" / "metadata.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seen_patients": [patient]}))
    assert ensemble(models, "first", "second").metadata["seen_patients"] == ["A", "B"]


@pytest.mark.parametrize(
    "members, message",
    [
        (("first", "nobody"), r"members: 'nobody' is not registered; name single bundles: first, second, third"),
        (("first", "inner"), r"members: 'inner' is an ensemble itself"),
        (("first", "all"), r"members: 'all' is an ensemble itself"),
        (("first", "first"), "members: first, first name a bundle twice"),
        (("first",), r"members: .*at least 2"),
    ],
)
def test_an_ensemble_of_what_it_cannot_run_is_refused_and_not_registered(models, members, message):
    ensemble(models, "first", "second", name="inner")
    with pytest.raises(BundleError, match=rf"inference\.json: {message}"):
        ensemble(models, *members)
    assert [bundle.name for bundle in load_registry(models)] == ["first", "second", "third", "inner"]


def test_a_member_is_not_removed_while_the_ensemble_needs_it(models):
    ensemble(models, "first", "second")
    with pytest.raises(BundleError, match="second is a member of the ensemble all; remove that first"):
        unregister_bundle(models, "second")
    unregister_bundle(models, "all")
    unregister_bundle(models, "second")


def test_its_models_stay_in_memory_and_no_others_do(models, torso, monkeypatch):
    together, third = ensemble(models, "first", "second"), find_bundle("third", models)
    segment_volume(torso, together, device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(infer, "verify", lambda _: pytest.fail("loaded again"))
        segment_volume(torso, together, device="cpu")
    segment_volume(torso, third, device="cpu")
    assert [key[0] for key in infer._LOADED] == [third.sha256]
    segment_volume(torso, together, device="cpu")
    assert [key[0] for key in infer._LOADED] == [member.sha256 for member in together.members]


def test_a_changed_member_is_refused_when_it_runs(models, torso):
    random_bundle(models, seed=11, name="second")  # not loaded by another test
    bundle = ensemble(models, "first", "second")
    (bundle.members[1].folder / "configs" / "inference.json").write_text("{}")
    with pytest.raises(BundleError, match=r"second.*inference\.json has sha256"):
        segment_volume(torso, bundle, device="cpu")
