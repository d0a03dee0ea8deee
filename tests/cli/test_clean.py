"""`nen-imaging clean` and `unlock`: both touch a results folder only while no run does."""

from __future__ import annotations

import pytest

from nen_imaging.cli.main import main
from nen_imaging.contract import STAGINGS_COLUMNS, Results
from nen_imaging.tables import write_table
from nen_imaging.workflow import idle_results


@pytest.fixture
def results(tmp_path) -> Results:
    """One staging in the study, one that left it, the work folder and the Snakemake lock of a killed job."""
    results = Results(tmp_path / "results")
    states = {"2020-01-15": "active", "2019-03-04": "gone"}
    rows = [{"patient": "P1", "staging": staging, "state": state} for staging, state in states.items()]
    write_table(results.stagings_table, STAGINGS_COLUMNS, rows)
    for staging in states:
        results.stage_folder("measure", "P1", staging).mkdir(parents=True)
    (results.staging("P1", "2020-01-15") / "segment.tmp").mkdir()
    (results.root / ".snakemake" / "locks").mkdir(parents=True)
    (results.root / ".snakemake" / "locks" / "0.input.lock").touch()
    return results


def test_clean_shows_first_and_removes_on_yes(results, capsys):
    leaves = {results.staging("P1", "2019-03-04"), results.staging("P1", "2020-01-15") / "segment.tmp"}
    for arguments, verb in (((), "would remove"), (("--yes",), "removed")):
        assert main(["clean", str(results.root), *arguments]) == 0
        named = {f"{verb} {folder.relative_to(results.root)}" for folder in leaves}
        assert set(capsys.readouterr().out.splitlines()) == named
        assert {folder.exists() for folder in leaves} == {not arguments}
    assert results.stage_folder("measure", "P1", "2020-01-15").is_dir()
    assert main(["clean", str(results.root), "--yes"]) == 0
    assert capsys.readouterr().out == "Nothing to remove.\n"


def test_unlock_removes_the_lock_of_a_killed_run(results):
    assert main(["unlock", str(results.root)]) == 0
    assert not list((results.root / ".snakemake" / "locks").iterdir())


@pytest.mark.parametrize("command", [("clean", "--yes"), ("unlock",)])
def test_neither_touches_the_results_of_a_running_run(results, capsys, command):
    before = sorted(results.root.rglob("*"))
    with idle_results(results.root):
        assert main([*command, str(results.root)]) == 2
    assert "still works there" in capsys.readouterr().err
    assert [path for path in sorted(results.root.rglob("*")) if path.name != ".run.lock"] == before


@pytest.mark.parametrize("command", ["clean", "unlock"])
def test_another_folder_is_no_results_folder(tmp_path, capsys, command):
    assert main([command, str(tmp_path)]) == 2
    assert "is no results folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
