"""A bundle is what the registry says, or it is refused with a message."""

from __future__ import annotations

import hashlib
import json

import pytest
import yaml

from nen_imaging.segmentation.bundle import (
    BundleError,
    find_bundle,
    load_registry,
    read_inference,
    unregister_bundle,
    verify,
)
from nen_imaging.segmentation.bundle_folder import kind_of
from nen_imaging.segmentation.infer import build_network, load_model
from nen_imaging.shipped import shipped
from nen_imaging.training.export import random_bundle


@pytest.fixture
def models(tmp_path):
    random_bundle(tmp_path, seed=1, name="first")
    random_bundle(tmp_path, seed=2, name="second")
    return tmp_path


def test_the_first_bundle_is_the_default_and_others_are_found_by_name(models):
    assert [bundle.name for bundle in load_registry(models)] == ["first", "second"]
    assert find_bundle(None, models).name == "first"
    assert find_bundle("second", models).sha256 != find_bundle("first", models).sha256


def test_an_unknown_name_lists_the_known_ones(models):
    with pytest.raises(BundleError, match="known: first, second"):
        find_bundle("third", models)


def test_a_broken_bundle_disables_no_other(models):
    (models / "second" / "configs" / "metadata.json").unlink()
    assert find_bundle(None, models).name == find_bundle("first", models).name == "first"
    random_bundle(models, seed=3, name="third")
    with pytest.raises(BundleError, match=r"second/configs/metadata\.json"):
        find_bundle("second", models)


def test_a_folder_without_registry_is_named(tmp_path):
    with pytest.raises(BundleError, match=r"registry\.yaml"):
        load_registry(tmp_path)


def test_two_defaults_are_refused(models):
    path = models / "registry.yaml"
    content = yaml.safe_load(path.read_text())
    content["bundles"][1]["default"] = True
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(BundleError, match="found 2"):
        find_bundle(None, models)


def test_changed_weights_are_refused_before_they_are_used(models):
    bundle = find_bundle("first", models)
    verify(bundle)
    weights = bundle.folder / "models" / "lesion.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match=r"lesion\.safetensors has sha256"):
        verify(bundle)
    with pytest.raises(BundleError, match="lesion"):
        load_model(bundle)


def test_a_missing_file_is_named(models):
    bundle = find_bundle("first", models)
    (bundle.folder / "models" / "liver.safetensors").unlink()
    with pytest.raises(BundleError, match=r"liver\.safetensors is missing"):
        verify(bundle)


def test_a_wrong_key_of_the_inference_is_named(models):
    bundle = find_bundle("first", models)
    path = bundle.folder / "configs" / "inference.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"overlaps": 0.5}))
    with pytest.raises(BundleError, match="overlaps"):
        read_inference(bundle)


def test_the_kind_is_networks_where_none_is_named_or_where_that_is_named(models):
    bundle = find_bundle("first", models)
    assert bundle.kind == "networks"
    path = bundle.folder / "configs" / "inference.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"kind": "networks"}))
    assert kind_of(bundle.folder) == "networks"
    assert read_inference(bundle).overlap == 0.2


@pytest.mark.parametrize("target", ["os.system", "monai.networks.nets.nothing", "", "torch.nn.Linear"])
def test_a_bundle_builds_networks_and_nothing_else(target):
    with pytest.raises(BundleError, match="no network"):
        build_network({"_target_": target})


def test_the_default_is_not_taken_out_while_others_need_it(models):
    with pytest.raises(BundleError, match="default"):
        unregister_bundle(models, "first")
    unregister_bundle(models, "second")
    assert [bundle.name for bundle in load_registry(models)] == ["first"]


def test_the_shipped_bundle_is_whole():
    bundle = find_bundle(None, shipped("models"))
    verify(bundle)
    assert bundle.kind == "networks"
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(bundle.files.items()))
    assert bundle.sha256 == hashlib.sha256(text.encode()).hexdigest()  # other kinds have not changed it
    assert bundle.metadata["labels"] == {"0": "background", "1": "liver", "2": "lesion"}
    assert bundle.metadata["seen_patients"] and "NC" in bundle.licence
    card = (bundle.folder / "docs" / "README.md").read_text("utf-8")
    assert all(patient in card for patient in bundle.metadata["seen_patients"])


def test_every_bundle_that_ships_can_be_loaded():
    bundles = load_registry(shipped("models"))
    assert [bundle.name for bundle in bundles if bundle.default] == ["nen_liver"]
    for bundle in bundles:
        verify(bundle)
        load_model(bundle)
