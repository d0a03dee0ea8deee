"""Run an installed program: no shell, a time limit, and nothing of it lives on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from nen_imaging.stage import StageError

_LAST_LINES = 12
_LAST_BYTES = 4000


def run_program(
    arguments: Sequence[str], *, folder: Path, time_limit_s: float, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program in a folder and return what it printed (its standard output, else its standard error).

    It leads a process group of its own; that is killed as a whole when the time is over, when we are interrupted or
    terminated, and when the program has ended but left children.

    Raises
    ------
    StageError
        It cannot be started, took too long, or ended with another code than 0; with the end of what it said.
    """
    with _termination_raised(), tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                arguments,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            raise StageError(f"{arguments[0]} cannot be started: {error.strerror}.") from error
        try:
            code = process.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            raise StageError(
                f"{arguments[0]} did not end within {time_limit_s:.0f} s and was stopped.{_said(errors, output)}"
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code != 0:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            raise StageError(f"{arguments[0]} {how}.{_said(errors, output)}")
        return _end_of(output) or _end_of(errors)


@contextlib.contextmanager
def _termination_raised() -> Iterator[None]:
    """Let a SIGTERM to us raise SystemExit, so that the program is ended too; in the main thread, where it arrives."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _said(errors: BinaryIO, output: BinaryIO) -> str:
    lines = (_end_of(errors) or _end_of(output)).splitlines()[-_LAST_LINES:]
    return " The end of what it said:\n" + "\n".join(lines) if lines else " It said nothing."


def _end_of(file: BinaryIO) -> str:
    """The last lines of a file, those that a progress bar wrote over each other apart."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LAST_BYTES))
    lines = file.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())
