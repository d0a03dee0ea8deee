"""A MONAI bundle from elsewhere runs as it says, with the labels that its metadata names."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from nen_imaging.segmentation import infer
from nen_imaging.segmentation.bundle import BundleError, load_registry
from nen_imaging.segmentation.install import verify_installed
from nen_imaging.segmentation.segment import segment_volume
from nen_imaging.stage import StageError
from tests.segmentation.bundles import (
    LITS_CHANNELS,
    installed,
    monai_inference,
    monai_metadata,
    monai_weights,
    planted,
    truth,
    write,
    write_monai,
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return installed(write_monai(tmp_path_factory.mktemp("models") / "foreign"))


def with_channels(folder, **channels):
    write_monai(folder)
    (folder / "configs" / "metadata.json").write_text(json.dumps(monai_metadata(**channels)))
    return folder


@pytest.mark.parametrize("codes", ["LPS", "RSA"])
def test_the_labels_come_back_on_the_grid_of_the_ct(bundle, codes):
    ct = planted().oriented(codes)
    found = segment_volume(ct, bundle, device="cpu", threads=1)
    np.testing.assert_array_equal(found.labels.array, truth(ct))
    np.testing.assert_array_equal(found.labels.affine, ct.affine)
    assert (bundle.kind, found.device_used) == ("monai", "cpu")
    assert found.flags == ("interval.uncalibrated",)
    assert not (bundle.folder / "eval").exists()  # what would write is left out


def test_every_file_that_decides_is_in_the_digest(tmp_path):
    folder = write_monai(tmp_path / "foreign")
    for name in ("docs/README.md", ".cache/x", "LICENSE", "models/model.ts", "scripts/extra.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    assert list(installed(folder).files) == [
        "configs/inference.json", "configs/metadata.json", "models/model.pt", "models/model.ts", "scripts/extra.py",
    ]  # fmt: skip


def test_yaml_safetensors_another_spacing_and_channels_instead_of_labels(tmp_path):
    inference = monai_inference()
    inference["preprocessing"]["transforms"][3]["pixdim"] = [3.0, 3.0, 3.0]
    inference["postprocessing"]["transforms"][2] = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}
    folder = write(tmp_path / "foreign", yaml.safe_dump(inference), monai_metadata(**LITS_CHANNELS), yaml=True)
    (folder / "models").mkdir()
    save_file(monai_weights(), folder / "models" / "model.safetensors")
    ct = planted()
    found = segment_volume(ct, installed(folder), device="cpu").labels.array
    liver, lesion = found > 0, found == 2
    assert (liver == (truth(ct) > 0)).mean() > 0.99
    assert 2 * (lesion & (truth(ct) == 2)).sum() / (lesion.sum() + (truth(ct) == 2).sum()) > 0.8


def test_it_is_loaded_once(bundle, monkeypatch):
    segment_volume(planted(), bundle, device="cpu")
    monkeypatch.setattr(infer, "verify", lambda _: pytest.fail("loaded again"))
    segment_volume(planted(), bundle, device="cpu")


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_a_checkpoint_that_holds_the_state_is_read(tmp_path, key):
    folder = write_monai(tmp_path / "foreign")
    torch.save({key: monai_weights(), "epoch": 3}, folder / "models" / "model.pt")
    assert segment_volume(planted(), installed(folder), device="cpu").labels.array.any()


class Malice:
    def __reduce__(self):
        return (open, ("pwned", "w"))


def test_weights_that_would_run_code_are_not_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_monai(tmp_path / "foreign")
    with (folder / "models" / "model.pt").open("wb") as file:
        pickle.dump(Malice(), file)
    with pytest.raises(BundleError, match=r"model\.pt holds more than plain weights"):
        segment_volume(planted(), installed(folder), device="cpu")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "channels, message",
    [
        ({"_0": "background", "_1": "liver"}, r"no label means lesion \(.*1 liver\); a tumour load needs liver and"),
        ({"_0": "background", "_1": "liver tumor"}, r"no label means liver \(.*models add --label"),
        ({"_0": "background", "_1": "liver", "_2": "kidney", "_3": "tumor"}, "no label means lesion"),
        ({}, r"no label means liver or lesion \(.*channel_def: none\)"),
    ],
)
def test_a_liver_without_lesions_or_lesions_without_liver_are_refused(tmp_path, channels, message):
    with pytest.raises(BundleError, match=rf"metadata\.json: {message}"):
        installed(with_channels(tmp_path / "foreign", **channels))
    assert not (tmp_path / "registry.yaml").exists()


def test_what_foreign_metadata_call_training_data_is_not_taken_for_ours(tmp_path):
    folder = write_monai(tmp_path / "foreign")
    metadata = monai_metadata(**LITS_CHANNELS) | {"training_data": "LiTS", "seen_patients": ["a"]}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    bundle = installed(folder)
    assert "training_data" not in bundle.metadata and bundle.metadata["seen_patients"] == ["a"]


def test_labels_may_be_named_beside_the_metadata(tmp_path):
    folder = with_channels(tmp_path / "foreign", _0="background", _1="organ", _2="thing")
    (folder / "configs" / "labels.json").write_text(json.dumps({"labels": {"1": "liver", "2": "lesion"}}))
    ct = planted()
    np.testing.assert_array_equal(segment_volume(ct, installed(folder), device="cpu").labels.array, truth(ct))


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"network_def": {"_target_": "torch.nn.Nothing"}}, BundleError, r"inference\.json: network_def: "),
        ({"inferer": "$1 / 0"}, BundleError, r"inference\.json: inferer: .*"),
        ({"network_def": {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 2, "kernel_size": 1}},
         BundleError, r"model\.pt does not fit the network"),
        ({"preprocessing": {"_target_": "Compose", "transforms": [{"_target_": "LoadImaged", "keys": "ct"}]}},
         StageError, "Bundle foreign failed on this CT: [A-Za-z]+Error"),
        ({"postprocessing": {"_target_": "Compose", "transforms": [
            {"_target_": "Spacingd", "keys": "pred", "pixdim": [5.0, 5.0, 5.0]},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}]}},
         StageError, r"does not lie on the grid of the CT.*Invertd"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said(tmp_path, changes, error, message):
    bundle = installed(write_monai(tmp_path / "foreign", **changes))
    with pytest.raises(error, match=message):
        segment_volume(planted(), bundle, device="cpu")


def test_what_is_missing_is_said_before_it_is_registered(tmp_path):
    with pytest.raises(BundleError, match=r"neither models/model\.safetensors nor models/model\.pt"):
        installed(write_monai(tmp_path / "foreign", weights=False))
    inference = {key: value for key, value in monai_inference().items() if key != "postprocessing"}
    for text in (json.dumps(inference), json.dumps(inference, indent="\t")):
        with pytest.raises(BundleError, match=r"inference\.json: postprocessing is missing"):
            installed(write(tmp_path / "foreign", text, monai_metadata(**LITS_CHANNELS)))
    with pytest.raises(BundleError, match=r"inference\.yaml of a bundle cannot be read"):
        installed(write(tmp_path / "other", "a: b: c", monai_metadata(**LITS_CHANNELS), yaml=True))


def test_changed_weights_are_refused(tmp_path):
    bundle = installed(write_monai(tmp_path / "foreign"))
    torch.save({key: value + 1 for key, value in monai_weights().items()}, bundle.folder / "models" / "model.pt")
    for run in (verify_installed, lambda bundle: segment_volume(planted(), bundle, device="cpu")):
        with pytest.raises(BundleError, match=r"model\.pt has sha256"):
            run(bundle)
    assert [one.kind for one in load_registry(tmp_path)] == ["monai"]
