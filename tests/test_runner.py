"""What `nen-imaging run` hands to Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest

from nen_imaging.contract import Results
from nen_imaging.runner import RunRequest


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
