"""`nen-imaging segment`: which of several series is taken, and that nothing is left behind where none can be."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.cli import segment
from nen_imaging.cli.main import main
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.volume import Volume

AFFINE = np.diag([-4.0, -4.0, 5.0, 1.0])
LOAD = {"liver_volume_ml": 1500.0, "lesions": 0, "lesion_volume_ml": 0.0, "load_percent": 0.0,
        "load_percent_low": 0.0, "load_percent_high": 1.0}  # fmt: skip


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Two CT series of a patient, of 12 and of 6 slices; what is measured on an image are its slices."""

    def stages(image, _segment, _measure, context):
        for name in ("measure/liver.nii.gz", "measure/load.json", "measure/lesions.csv", "segment/qc.png"):
            (context.results / name).parent.mkdir(exist_ok=True)
            (context.results / name).write_text(str(image.facts["slices"]), "utf-8")
        return LOAD

    monkeypatch.setattr(segment, "_stages", stages)
    monkeypatch.setattr("nen_imaging.workflow.segment_options", lambda _: {})
    monkeypatch.setenv("NEN_IMAGING_KEY_FILE", str(tmp_path / "key" / "file"))
    for slices in (12, 6):
        array = np.random.default_rng(slices).integers(-100, 200, (12, 10, slices)).astype(np.int16)
        write_ct_series(tmp_path / "study", Volume(array, AFFINE), series_number=slices, series_description=str(slices))
    return tmp_path / "study"


def test_the_series_taken_and_left_are_printed_and_another_one_can_be_named(study, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert main(["segment", str(study), "--out", str(out)]) == 0
    taken, left = capsys.readouterr().out.splitlines()[:2]
    assert " taken: 12 slices" in taken
    assert " left: 6 slices" in left
    assert (out / "load.json").read_text("utf-8") == "12"
    assert main(["segment", str(study), "--out", str(out), "--series", left.split()[2]]) == 0
    assert (out / "load.json").read_text("utf-8") == "6"


def test_a_config_tells_which_phase_is_preferred(study, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("selection: {preferred_phase: native}\n", "utf-8")
    arguments = ["segment", str(study), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    array = np.random.default_rng(0).integers(-100, 200, (12, 10, 12)).astype(np.int16)
    write_ct_series(study, Volume(array, AFFINE), series_number=3, series_description="native")
    assert main([*arguments, "--config", str(tmp_path / "mine.yaml")]) == 0
    assert "phase native +40" in capsys.readouterr().out.splitlines()[0]
    assert "phase native" not in first


@pytest.mark.parametrize(
    ("named", "code"), [(["--series", "NONE"], "image.series_unknown"), ([], "ct.none")], ids=["unknown", "no CT"]
)
def test_nothing_is_left_behind_where_no_series_can_be_taken(study, tmp_path, capsys, named, code):
    if not named:
        study = tmp_path / "pet"
        write_pet_series(study, Volume(np.ones((8, 8, 4), np.float32), AFFINE))
    before = sorted(tmp_path.iterdir())
    assert main(["segment", str(study), "--out", str(tmp_path / "new" / "out"), *named]) == 1
    assert f"Refused ({code})" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
