"""An installed segmenter is called, its labels are mapped, and whatever goes wrong is said with its remedy."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nen_imaging.segmentation.bundle import BundleError, EnsembleMembers, find_bundle
from nen_imaging.segmentation.install import verify_installed
from nen_imaging.segmentation.kinds.command import Command
from nen_imaging.segmentation.segment import segment_volume
from nen_imaging.stage import StageError
from tests.segmentation.bundles import installed, planted, truth, write_command

SEPARATE = [
    {"file": "liver_lesions.nii.gz", "labels": {"1": "lesion"}},
    {"file": "liver.nii.gz", "labels": {"1": "liver"}},
]


@pytest.fixture
def ct():
    return planted()


@pytest.fixture
def segment(tmp_path, ct):
    def segment(how: str = "", image=ct, device: str = "cpu", **changes):
        bundle = installed(write_command(tmp_path / "models" / "peer", how, **changes))
        return segment_volume(image, bundle, device=device, threads=1)

    return segment


@pytest.mark.parametrize("codes", ["LPS", "SAR"])
def test_the_labels_come_back_on_the_grid_of_the_ct(segment, ct, codes):
    turned = ct.oriented(codes)
    found = segment("turned", turned)
    np.testing.assert_array_equal(found.labels.array, truth(turned))
    np.testing.assert_array_equal(found.labels.affine, turned.affine)
    assert found.flags == ("interval.uncalibrated",)
    assert found.device_used == "external"


def test_one_file_per_structure(segment, ct):
    np.testing.assert_array_equal(segment("separate", outputs=SEPARATE).labels.array, truth(ct))


def test_where_there_is_no_liver_the_file_of_lesions_may_be_missing(segment, ct):
    empty = segment("separate", ct.with_array(np.minimum(ct.array, 0)), outputs=SEPARATE)
    assert empty.flags == ("liver.absent",)


def test_several_commands_a_folder_as_input_and_the_device_by_its_own_name(segment, ct, tmp_path):
    program = str(tmp_path / "models" / "peer_program")
    commands = [["touch", "{output}/{device}"], ["ls", "{output}/gpu0"], [program, "{input_folder}", "{output}", "-"]]
    found = segment(commands=commands, input_file="ct_0000.nii.gz", device_names={"cpu": "gpu0"})
    np.testing.assert_array_equal(found.labels.array, truth(ct))
    assert found.device_used == "cpu"


@pytest.mark.parametrize(
    "how, changes, message",
    [
        ("crash", {}, r"(?s)Bundle peer: .*_program ended with code 3.*no license found.*`commands`.*inference\.json"),
        ("slow", {"time_limit_s": 4}, r"(?s)did not end within 4 s.*still loading weights.*`time_limit_s` \(4\)"),
        ("nothing", {}, r"wrote no ct\.nii\.gz; it wrote nothing\. Correct `outputs` in .*inference\.json"),
        ("separate", {}, r"wrote no ct\.nii\.gz; it wrote liver\.nii\.gz, liver_lesions\.nii\.gz"),
        ("coarse", {}, r"peer: ct\.nii\.gz does not lie on the grid of the CT. Shapes differ"),
        ("", {"outputs": [{"file": "ct.nii.gz", "labels": {"1": "liver", "5": "lesion"}}]}, "labels 2, which `output"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said(segment, how, changes, message):
    with pytest.raises(StageError, match=message):
        segment(how, **changes)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"commands": []}, "commands"),
        ({"commands": [["touch", "{input}"]]}, r"they must name \{input\} .* and \{output\}"),
        ({"commands": [["no_such_program", "{input}", "{output}"]]}, "commands: there is no program 'no_such_program'"),
        ({"outputs": SEPARATE[:1]}, "no label means liver; a tumour load needs liver and lesions"),
        ({"outputs": [{"file": "../ct.nii", "labels": {"1": "liver", "2": "lesion"}}]}, "below the output folder"),
        ({"outputs": [{"file": "ct.nii", "labels": {"0": "liver", "2": "lesion"}}]}, "greater than or equal to 1"),
        ({"outputs": [{"file": "ct.nii", "labels": {"1": "liver", "2": "tumour"}}]}, "outputs.0.labels.2"),
        ({"input_file": "a b.nii"}, "input_file"),
        ({"time_limit": 3}, "time_limit"),
        ({"version_command": ["false"]}, "version_command: false ended with code 1"),
    ],
)
def test_wrong_settings_are_refused_with_file_and_key(tmp_path, changes, message):
    with pytest.raises(BundleError, match=rf"(?s)inference\.json.*{message}"):
        installed(write_command(tmp_path / "peer", **changes))


def test_the_examples_of_the_documentation_are_valid():
    page = (Path(__file__).parents[3] / "docs" / "bundles.md").read_text("utf-8")
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert [example["kind"] for example in examples] == ["command", "command", "ensemble"]
    for example in examples[:2]:
        Command.model_validate(example)
    EnsembleMembers.model_validate(examples[2])


def test_the_programs_version_is_part_of_the_digest_and_another_one_is_not_run(tmp_path, ct):
    folder = write_command(tmp_path / "peer")
    path, program, version = folder / "configs" / "inference.json", tmp_path / "peer_program", tmp_path / "version"
    settings = json.loads(path.read_text()) | {"version_command": [str(program), "--version"]}
    path.write_text(json.dumps(settings))
    version.write_text("2.13.0")
    bundle = installed(folder)
    verify_installed(bundle)
    version.write_text("2.14.0")
    assert find_bundle("peer", tmp_path).version == "2.13.0"
    for run in (verify_installed, lambda bundle: segment_volume(ct, bundle)):
        with pytest.raises(BundleError, match=r"'2\.14\.0' now, the registry says '2\.13\.0'.*models accept peer"):
            run(bundle)
    again = installed(folder)
    assert again.version == "2.14.0" and again.sha256 != bundle.sha256
    assert replace(again, version="", sha256="") == replace(bundle, version="", sha256="")
