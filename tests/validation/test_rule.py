"""The rule of the Snakefile."""

from __future__ import annotations

import subprocess

from nen_imaging.runner import snakemake_command


def test_snakemake_calls_the_command(tmp_path):
    (tmp_path / "data").mkdir()
    config = ["--config", "dataset=lits", "root=data", "results=out", "compat=codalab"]
    command = snakemake_command("validate", "--cores", "2", "--dry-run", "--printshellcmds", *config)
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f"nen-imaging validate lits --root {tmp_path}/data --compat codalab --results . --threads 2" in shown
