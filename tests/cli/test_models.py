"""`nen-imaging models`: every kind of bundle is added, listed, verified and removed; a wrong one leaves no trace."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from nen_imaging.cli.main import main
from nen_imaging.segmentation.kinds import command
from nen_imaging.training.export import random_bundle
from nen_imaging.volume import read_nifti, write_nifti
from tests.segmentation.bundles import monai_metadata, planted, truth, write, write_command, write_monai


@pytest.fixture
def models(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    for name in ("first", "second"):
        random_bundle(folder, seed=len(name), name=name)
    monkeypatch.setattr("nen_imaging.shipped.shipped", lambda _: folder)
    return folder


@pytest.fixture
def add(models, tmp_path):  # noqa: ARG001 - the registry of the program is patched
    """Write a folder and add it as `new`."""

    def add(make, *arguments: str, **changes) -> int:
        folder = make(tmp_path / "elsewhere" / "new", **changes)
        return main(["models", "add", str(folder), "--licence", "CC0", *arguments])

    return add


def write_ensemble(folder, members=("first", "second")):
    return write(folder, {"kind": "ensemble", "members": list(members)})


def write_networks(folder):
    return random_bundle(folder.parent, seed=9, name=folder.name).folder


@pytest.mark.parametrize(
    "make, kind",
    [(write_networks, "networks"), (write_monai, "monai"), (write_command, "command"), (write_ensemble, "ensemble")],
)
def test_each_kind_is_added_listed_verified_and_removed(add, models, capsys, make, kind):
    assert add(make) == 0
    assert main(["models", "list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  new ")]
    assert line.split()[1] == kind and line.endswith("CC0")
    assert ("of first, second" in line) == (kind == "ensemble")
    assert main(["models", "verify"]) == 0
    assert f"ok    new  {kind}" in capsys.readouterr().out
    assert main(["models", "remove", "new"]) == 0
    assert not (models / "new").exists()


@pytest.mark.parametrize(
    "make, changes, message",
    [
        (write_monai, {"weights": False}, "neither models/model.safetensors"),
        (write_command, {"commands": []}, "inference.json: commands"),
        (write_ensemble, {"members": ("first", "third")}, "'third' is not registered"),
        (
            write,
            {"inference": {"kind": "magic"}},
            "kind: 'magic' is unknown; known: networks, monai, command, ensemble",
        ),
        (write, {"inference": {}}, "inference.json: liver: Field required"),
    ],
)
def test_what_cannot_be_run_is_not_added_and_leaves_no_trace(add, models, capsys, make, changes, message):
    before = (models / "registry.yaml").read_text()
    assert add(make, **changes) == 2
    assert message in capsys.readouterr().err
    assert (models / "registry.yaml").read_text() == before and not (models / "new").exists()


@pytest.mark.parametrize("action", ["list", "verify"])
def test_a_broken_bundle_is_told_and_the_others_go_on(add, models, capsys, action):
    assert add(write_ensemble) == 0
    random_bundle(models, seed=4, name="third")
    (models / "second" / "configs" / "metadata.json").write_text("{")
    capsys.readouterr()
    assert main(["models", action]) == 1
    first, second, new, third, *_ = capsys.readouterr().out.splitlines()
    assert " first  networks" in first and " third  networks" in third
    assert second.startswith("FAIL  second: ") and "second/configs/metadata.json" in second
    assert new.startswith("FAIL  new: ") and "second/configs/metadata.json" in new  # which holds it
    for name in ("new", "second"):
        assert main(["models", "remove", name]) == 0
        assert not (models / name).exists()
    assert main(["models", action]) == 0


@pytest.mark.parametrize("cut", ["shutil.copytree", "nen_imaging.segmentation.install.register_bundle"])
def test_an_interrupted_add_leaves_no_trace(add, models, monkeypatch, cut):
    def interrupted(*arguments, **_):
        if cut == "shutil.copytree":
            (arguments[1] / "half").mkdir(parents=True)
        raise KeyboardInterrupt

    before = sorted(models.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(cut, interrupted)
        assert add(write_command) == 130
    assert sorted(models.rglob("*")) == before
    assert add(write_command) == 0


def test_nothing_lies_at_a_bundles_place_before_it_is_whole(add, models, monkeypatch):
    check = command.check

    def checked(bundle):
        assert not (models / "new").exists() and bundle.folder.is_dir()
        return check(bundle)

    monkeypatch.setattr(command, "check", checked)
    assert add(write_command) == 0
    assert (models / "new").is_dir() and not list(models.glob(".*"))


def test_what_is_wrong_is_told_where_the_user_has_it(add, tmp_path, capsys):
    assert add(write, inference={"kind": "magic"}) == 2
    assert f"{tmp_path}/elsewhere/new/configs/inference.json: kind: 'magic'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "..", ".x", "x/"])
def test_a_name_that_is_no_folder_of_models_is_refused(add, models, tmp_path, capsys, name):
    before = sorted(tmp_path.rglob("*"))
    assert add(write_command, "--name", name) == 2
    assert f"{name!r} names no folder of {models}" in capsys.readouterr().err
    assert {path for path in set(tmp_path.rglob("*")) - set(before) if "elsewhere" not in path.parts} == set()


@pytest.mark.parametrize("folder", ["../precious", "second/../../precious", "ABSOLUTE", "."])
def test_a_folder_outside_models_is_neither_used_nor_removed(models, tmp_path, capsys, folder):
    precious = random_bundle(tmp_path / "other", seed=8, name="precious").folder.rename(tmp_path / "precious")
    registry = models / "registry.yaml"
    content = yaml.safe_load(registry.read_text())
    content["bundles"][1]["folder"] = str(precious) if folder == "ABSOLUTE" else folder
    registry.write_text(yaml.safe_dump(content))
    assert main(["models", "remove", "second"]) == 2
    assert "of second does not lie below" in capsys.readouterr().err
    assert (precious / "models").is_dir() and (models / "first").is_dir()
    assert main(["models", "list"]) == 1
    assert "FAIL  second: " in capsys.readouterr().out


def test_a_folder_that_is_not_registered_is_said_to_be_none(models, capsys):
    (models / "left").mkdir()
    assert main(["models", "remove", "left"]) == 2
    assert "left is no registered bundle" in (said := capsys.readouterr().err) and "delete it by hand" in said
    assert main(["models", "remove", "nothing"]) == 2
    assert "No bundle 'nothing'" in capsys.readouterr().err


def test_of_a_linked_bundle_the_link_alone_is_removed(models, tmp_path):
    (models / "second").rename(tmp_path / "elsewhere")
    (models / "second").symlink_to(tmp_path / "elsewhere")
    assert main(["models", "remove", "second"]) == 0
    assert not (models / "second").is_symlink() and (tmp_path / "elsewhere" / "models").is_dir()


def test_labels_of_a_monai_bundle_are_named_by_hand(add, models, tmp_path, capsys):
    def write_numbered(folder):
        write_monai(folder)
        (folder / "configs" / "metadata.json").write_text(json.dumps(monai_metadata(_0="background", _1="a", _2="b")))
        return folder

    assert add(write_numbered, "--label", "1=liver") == 2
    assert "no label means lesion" in capsys.readouterr().err
    assert add(write_numbered, "--label", "1=liver", "--label", "2=tumour") == 2
    assert "labels.json: labels.2" in capsys.readouterr().err
    assert add(write_numbered, "--label", "liver=1") == 2
    assert "--label liver=1 must be a number" in capsys.readouterr().err
    assert add(write_numbered, "--label", "1=liver", "--label", "2=lesion") == 0
    assert json.loads((models / "new" / "configs" / "labels.json").read_text())["labels"]["2"] == "lesion"
    assert not (tmp_path / "elsewhere" / "new" / "configs" / "labels.json").exists()
    assert main(["models", "add", str(models / "first"), "--name", "x", "--licence", "CC0", "--label", "1=liver"]) == 2
    assert "--label is for MONAI bundles" in capsys.readouterr().err


def test_another_version_of_a_program_is_found_and_accepted(add, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    version = [str(elsewhere / "new_program"), "--version"]
    elsewhere.mkdir()
    (elsewhere / "version").write_text("2.13.0")
    assert add(write_command, version_command=version) == 0
    main(["models", "list"])
    assert "new  command version 2.13.0  sha256" in capsys.readouterr().out
    (elsewhere / "version").write_text("2.14.0")
    assert main(["models", "verify"]) == 1
    assert "FAIL  new: its program is '2.14.0' now" in capsys.readouterr().out
    assert main(["models", "accept", "new"]) == 0
    assert "will be segmented again" in capsys.readouterr().out
    assert main(["models", "verify"]) == 0


@pytest.mark.parametrize("make", [write_monai, write_command])
def test_segment_measures_with_a_bundle_from_elsewhere(add, tmp_path, capsys, make, models, monkeypatch):
    monkeypatch.setattr("nen_imaging.workflow.shipped", lambda _: models)
    assert add(make) == 0
    ct = planted()
    write_nifti(tmp_path / "ct.nii.gz", ct)
    out = tmp_path / "out"
    assert main(["segment", str(tmp_path / "ct.nii.gz"), "--out", str(out), "--model", "new", "--device", "cpu"]) == 0
    assert "interval.uncalibrated: " in capsys.readouterr().out
    np.testing.assert_array_equal(read_nifti(out / "liver.nii.gz").array, truth(ct))
    load = json.loads((out / "load.json").read_text())
    assert load["load_percent"] == pytest.approx(100 * (truth(ct) == 2).sum() / (truth(ct) > 0).sum(), abs=1e-3)
    assert load["load_percent_low"] < load["load_percent"] < load["load_percent_high"]
