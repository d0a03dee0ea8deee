"""The stage writes what the contract names, or refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nen_imaging.contract import State
from nen_imaging.segmentation.stages import SEGMENT
from nen_imaging.stage import Context, Outcome, Stage, run_stage
from nen_imaging.training.export import random_bundle
from nen_imaging.volume import Volume, read_nifti, require_same_grid, write_nifti
from tests.segmentation.bundles import installed, planted, truth, write_command


@pytest.fixture
def run(tmp_path, torso):
    def run(ct: Volume = torso, liver_shift: float = 0.0, model: str | None = None):
        def write(call):
            write_nifti(call.folder / "ct.nii.gz", ct)
            return Outcome()

        models = tmp_path / "models"
        random_bundle(models, seed=3, liver_shift=liver_shift)
        context = Context(tmp_path, models, device="cpu", threads=1)
        run_stage(Stage("import_ct", 1, write), tmp_path / "ct", (), {}, context)
        return run_stage(SEGMENT, tmp_path / "segment", (tmp_path / "ct",), {"model": model}, context)

    return run


def test_masks_uncertainty_and_picture_are_written(run, tmp_path, torso):
    record = run()
    assert record.state == State.WARNED  # untrained networks
    labels, probability = (read_nifti(tmp_path / "segment" / f"{name}.nii.gz") for name in ("liver", "probability"))
    for volume in (labels, probability):
        require_same_grid(volume, torso)
        assert volume.array.dtype == np.uint8
    assert set(np.unique(labels.array)) == {0, 1, 2}
    spread = json.loads((tmp_path / "segment" / "uncertainty.json").read_text())
    assert len(spread["member_loads_percent"]) == 4
    assert spread["flags"] == [reason["code"] for reason in record.reasons]
    assert (tmp_path / "segment" / "qc.png").stat().st_size > 1000
    assert record.facts["model"] == "random" and record.facts["device"] == "cpu"


def test_no_liver_is_refused(run):
    record = run(liver_shift=-50.0)
    assert record.state == State.REFUSED
    assert [reason["code"] for reason in record.reasons] == ["liver.absent"]


def test_another_kind_of_bundle_is_recorded_with_its_program(run, tmp_path):
    version = [str(tmp_path / "models" / "peer_program"), "--version"]
    folder = write_command(tmp_path / "models" / "peer", version_command=version)
    (tmp_path / "models" / "version").write_text("2.13.0\n")
    bundle = installed(folder)
    ct = planted()
    record = run(ct, model="peer")
    assert record.facts == {
        "model": "peer", "model_sha256": bundle.sha256, "device": "external", "model_program": "2.13.0",
    }  # fmt: skip
    assert [reason["code"] for reason in record.reasons] == ["interval.uncalibrated"]
    np.testing.assert_array_equal(read_nifti(tmp_path / "segment" / "liver.nii.gz").array, truth(ct))
    spread = json.loads((tmp_path / "segment" / "uncertainty.json").read_text())
    assert spread["member_loads_percent"] == [
        pytest.approx(100 * (truth(ct) == 2).sum() / (truth(ct) > 0).sum(), abs=1e-3)
    ]
    assert (tmp_path / "segment" / "qc.png").stat().st_size > 1000
