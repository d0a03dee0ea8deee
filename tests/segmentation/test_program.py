"""A program runs without a shell, ends in time, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nen_imaging.segmentation.program import run_program
from nen_imaging.stage import StageError

SLEEPER = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
)


def python(code: str, folder, *, time_limit_s: float = 30.0, **options):
    return run_program([sys.executable, "-c", code], folder=folder, time_limit_s=time_limit_s, **options)


def has_ended(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":  # ended, and nobody has asked yet
            return True
        time.sleep(0.1)
    return False


def test_it_returns_what_was_said_and_knows_the_environment(tmp_path):
    code = "import os, sys; print('2.1', os.environ['PLACE'], os.getcwd()); print('noise', file=sys.stderr)"
    assert python(code, tmp_path, environment={"PLACE": "here"}) == f"2.1 here {tmp_path}"


def test_arguments_reach_no_shell(tmp_path):
    code = "import sys; print(sys.argv[1])"
    said = run_program([sys.executable, "-c", code, "$HOME; touch x"], folder=tmp_path, time_limit_s=30)
    assert said == "$HOME; touch x"
    assert not (tmp_path / "x").exists()


def test_a_crash_shows_code_and_the_end_of_what_was_said(tmp_path):
    code = "import sys; [print('step', n, end='\\r', file=sys.stderr) for n in range(99)]; sys.exit('no weights')"
    with pytest.raises(StageError, match=r"ended with code 1") as error:
        python(code, tmp_path)
    assert str(error.value).endswith("step 98\nno weights") and "step 5\n" not in str(error.value)


def test_a_signal_is_told(tmp_path):
    with pytest.raises(StageError, match="ended by signal 9"):
        python("import os; os.kill(os.getpid(), 9)", tmp_path)


def test_a_program_that_is_not_there_is_told(tmp_path):
    with pytest.raises(StageError, match=r"no_such_program cannot be started: No such file"):
        run_program([str(tmp_path / "no_such_program")], folder=tmp_path, time_limit_s=1)


def test_at_the_time_limit_its_children_end_too(tmp_path):
    code = (
        SLEEPER
        + "open('child', 'w').write(str(child.pid)); print('loading', file=sys.stderr, flush=True); time.sleep(60)"
    )
    with pytest.raises(StageError, match=r"did not end within 2 s and was stopped[^$]*loading"):
        python(code, tmp_path, time_limit_s=2)
    assert has_ended(int((tmp_path / "child").read_text()))


def test_children_that_outlive_it_end_too(tmp_path):
    child = int(python(SLEEPER + "print(child.pid)", tmp_path))
    assert has_ended(child)


def test_it_ends_with_us(tmp_path):
    code = f"""
import sys
from pathlib import Path
from nen_imaging.segmentation.program import run_program
sleep = "import os, time; open('child', 'w').write(str(os.getpid())); time.sleep(60)"
run_program([sys.executable, "-c", sleep], folder=Path({str(tmp_path)!r}), time_limit_s=60)
"""
    ours = subprocess.Popen([sys.executable, "-c", code])
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        assert ours.poll() is None
        time.sleep(0.05)
    ours.terminate()
    assert ours.wait(20) == 128 + 15
    assert has_ended(int((tmp_path / "child").read_text()))
