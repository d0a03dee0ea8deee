"""What the Snakefile asks of the package, asked by Snakemake itself."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((), False), (("-np",), True), (("--touch",), True), (("--rulegraph=dot",), True), (("--forceall",), False)],
)
def test_only_a_call_that_makes_results_may_remove_stale_ones(tmp_path, arguments, expected):
    snakefile = tmp_path / "Snakefile"
    lines = (
        "from pathlib import Path", "from nen_imaging.workflow import dry_run",
        "Path('told').write_text(str(dry_run(workflow)))", "rule all:",
    )  # fmt: skip
    snakefile.write_text("\n".join(lines) + "\n", "utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "1", *arguments]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "told").read_text("utf-8") == str(expected)
