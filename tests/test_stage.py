import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nen_imaging.contract import Reason, Refusal, State
from nen_imaging.stage import (
    Context,
    Outcome,
    Stage,
    StageCall,
    StageError,
    exclusive_lock,
    mismatch,
    read_record,
    run_stage,
    write_json,
)


def write_number(call: StageCall) -> Outcome:
    (call.folder / "number.txt").write_text(str(call.options["number"]), "utf-8")
    return Outcome([], {"device": "cpu"})


def run(target: Path, stage: Stage, *inputs: Path, **options: object):
    return run_stage(stage, target, inputs, dict(options), Context(target.parent, target.parent))


def test_a_stage_puts_its_folder_in_place_whole_with_a_record(tmp_path: Path) -> None:
    record = run(tmp_path / "number", Stage("number", 3, write_number), number=7)
    assert read_record(tmp_path / "number") == record
    assert (record.state, record.version, record.options, record.facts) == (
        State.OK,
        3,
        {"number": 7},
        {"device": "cpu"},
    )
    assert list(record.written) == ["number.txt"]
    assert mismatch(tmp_path / "number", record, hashes=True) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [".number.lock", "number"]


def test_a_crash_leaves_the_earlier_folder_and_nothing_half_written(tmp_path: Path) -> None:
    run(tmp_path / "number", Stage("number", 1, write_number), number=7)

    def crash(call: StageCall) -> Outcome:
        (call.folder / "number.txt").write_text("half", "utf-8")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        run(tmp_path / "number", Stage("number", 1, crash))
    assert (tmp_path / "number" / "number.txt").read_text("utf-8") == "7"
    assert not (tmp_path / "number.tmp").exists()


def test_a_refusal_is_written_and_passed_on_without_work(tmp_path: Path) -> None:
    def refuse(_: StageCall) -> Outcome:
        raise Refusal("slices.missing", "slices 3-5 are missing")

    refused = run(tmp_path / "first", Stage("first", 1, refuse))
    assert refused.state == State.REFUSED
    assert refused.reasons[0]["remedy"].startswith("Fetch the series again")
    second = run(tmp_path / "second", Stage("second", 1, write_number), tmp_path / "first", number=1)
    assert (second.state, second.reasons) == (State.REFUSED, refused.reasons)
    assert not (tmp_path / "second" / "number.txt").exists()


def test_a_stage_that_tolerates_a_refused_input_does_its_work(tmp_path: Path) -> None:
    def refuse(_: StageCall) -> Outcome:
        raise Refusal("pet.units", "Units are PROPCNTS")

    run(tmp_path / "pet", Stage("pet", 1, refuse))
    stage = Stage("second", 1, write_number, tolerates=frozenset({"pet"}))
    assert run(tmp_path / "second", stage, tmp_path / "pet", number=1).state == State.OK


def test_a_warning_does_not_stop_the_next_stage(tmp_path: Path) -> None:
    def warn(call: StageCall) -> Outcome:
        return Outcome([Reason("slices.thick", "slices of 8 mm")], write_number(call).facts)

    assert run(tmp_path / "first", Stage("first", 1, warn), number=1).state == State.WARNED
    assert run(tmp_path / "second", Stage("second", 1, write_number), tmp_path / "first", number=2).state == State.OK


@pytest.mark.parametrize("damage", ["truncate", "alter", "delete", "no record"])
def test_a_damaged_input_is_removed_so_that_it_is_made_again(tmp_path: Path, damage: str) -> None:
    run(tmp_path / "first", Stage("first", 1, write_number), number=77)
    file = tmp_path / "first" / "number.txt"
    match damage:
        case "truncate":
            file.write_text("7", "utf-8")
        case "alter":
            file.write_text("78", "utf-8")
        case "delete":
            file.unlink()
        case "no record":
            (tmp_path / "first" / "stage.json").unlink()
    with pytest.raises(StageError, match=r"run again|Run again"):
        run(tmp_path / "second", Stage("second", 1, write_number), tmp_path / "first", number=1)
    assert not (tmp_path / "second").exists()
    assert damage == "no record" or not (tmp_path / "first").exists()


def test_an_unknown_reason_code_cannot_be_given() -> None:
    with pytest.raises(KeyError, match="no reason code"):
        Reason("liver.purple", "it is purple")


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    with (
        exclusive_lock(tmp_path / "lock", wait_s=0),
        pytest.raises(StageError, match=rf"process {os.getpid()}"),
        exclusive_lock(tmp_path / "lock", wait_s=0),
    ):
        pass
    with exclusive_lock(tmp_path / "lock", wait_s=0):
        pass


def test_a_child_that_outlives_its_parent_cannot_write_into_a_later_result(tmp_path: Path) -> None:
    """The orphan still holds the lock: the later stage waits for it, then replaces what it wrote."""
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from nen_imaging.stage import Context, Outcome, Stage, run_stage

        def slow(call):
            (call.folder / "number.txt").write_text("begun")
            Path({str(tmp_path / "started")!r}).touch()
            time.sleep(2)
            (call.folder / "number.txt").write_text("orphan")
            return Outcome()

        run_stage(Stage("number", 1, slow), Path({str(tmp_path / "number")!r}), (), {{}}, Context(Path(), Path()))
    """)
    shell = subprocess.Popen(["/bin/sh", "-c", f"{sys.executable} -c '{script.replace(chr(39), chr(34))}'; true"])
    while not (tmp_path / "started").exists():
        time.sleep(0.05)
    shell.kill()
    shell.wait()
    run(tmp_path / "number", Stage("number", 1, write_number), number=7)
    time.sleep(2.5)
    assert (tmp_path / "number" / "number.txt").read_text("utf-8") == "7"
    assert not (tmp_path / "number.tmp").exists()


def test_json_is_left_alone_when_it_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "links.json"
    write_json(file, {"b": 1, "a": "ü"}, only_if_changed=True)
    before = file.stat().st_mtime_ns
    write_json(file, {"a": "ü", "b": 1}, only_if_changed=True)
    assert file.stat().st_mtime_ns == before
    write_json(file, {"a": "u"}, only_if_changed=True)
    assert json.loads(file.read_text("utf-8")) == {"a": "u"}
