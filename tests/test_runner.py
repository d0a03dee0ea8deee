"""What `nen-imaging run` hands to Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest

from nen_imaging.config import ConfigError
from nen_imaging.contract import Results
from nen_imaging.runner import RunRequest, run_workflow


@pytest.mark.parametrize(
    ("content", "segment"),
    [
        ("segment:\n", {"model": "mine"}),
        ("segment: {model: other}\n", {"model": "mine"}),
        ("segment: other\n", "other"),  # no section: left to the check of the config, which names it
    ],
)
def test_a_model_is_laid_over_the_section_of_a_config(tmp_path, content, segment):
    (tmp_path / "mine.yaml").write_text(content, "utf-8")
    request = RunRequest(Path("/study"), Results(Path("/results")), config=tmp_path / "mine.yaml", model="mine")
    assert request.settings()["segment"] == segment


def test_a_wrong_key_is_told_with_the_file_it_stands_in(tmp_path):
    (tmp_path / "mine.yaml").write_text("report: {maximum_target: 3}\n", "utf-8")
    request = RunRequest(tmp_path, Results(tmp_path / "results"), config=tmp_path / "mine.yaml")
    with pytest.raises(ConfigError, match=r"report\.maximum_target \(from .*mine\.yaml\) is unknown"):
        run_workflow(request)
