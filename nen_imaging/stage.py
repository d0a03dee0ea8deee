"""What every stage shares: lock, work folder, record, rename.

A stage writes one folder, whole. It holds an exclusive lock beside that folder for its whole life, works in
``<folder>.tmp`` and renames at the end, so that a process that outlives its killed parent can neither leave
half a result nor write into a later one. `stage.json`, written last, holds what was read and written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nen_imaging.contract import STAGE_RECORD, Reason, Refusal, State, worst_state
from nen_imaging.tables import write_text

LOCK_WAIT_S = 900.0
_SOFTWARE = ("numpy", "scipy", "SimpleITK", "pydicom", "nibabel", "torch", "monai")


class StageError(RuntimeError):
    """A stage could not run: an input is broken, or another process holds its folder."""


@dataclass(frozen=True)
class Context:
    """What a stage may know of the machine, and what never counts as an input of its numbers."""

    results: Path
    models: Path
    device: str = "auto"
    threads: int = 1


@dataclass(frozen=True)
class StageCall:
    """One call of a stage: where to write, what to read, the part of the config that reaches it."""

    folder: Path
    inputs: tuple[Path, ...]
    options: Mapping[str, Any]
    context: Context

    def input(self, name: str) -> Path:
        """The one input of that name: a stage's folder (``ct``) or a small file (``links.json``)."""
        found = [path for path in self.inputs if path.name == name]
        if len(found) != 1:
            raise StageError(f"Stage {self.folder.name} needs one input {name!r}, got {len(found)}.")
        return found[0]

    def has_input(self, name: str) -> bool:
        return any(path.name == name for path in self.inputs)

    def by_staging(self, name: str) -> dict[str, Path]:
        """For stages of a patient: the input of that name of every staging, in order of staging."""
        return dict(sorted((path.parent.name, path) for path in self.inputs if path.name == name))


@dataclass(frozen=True)
class Outcome:
    """What a stage has to say beside the files it wrote: reasons, and facts for its record (device, model)."""

    reasons: list[Reason] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A stage: its name, the version of its numbers, its work, and which refused inputs it can live with.

    Raise ``version`` with every change that alters a number: it makes the stage, and those below, run again.
    """

    name: str
    version: int
    work: Callable[[StageCall], Outcome]
    tolerates: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StageRecord:
    """The content of `stage.json`."""

    stage: str
    version: int
    state: State
    reasons: list[dict[str, str]]
    options: dict[str, Any]
    facts: dict[str, Any]
    read: dict[str, str]
    written: dict[str, dict[str, Any]]
    software: dict[str, str]
    seconds: float
    peak_memory_mb: int

    @property
    def refused(self) -> bool:
        return self.state == State.REFUSED


def read_record(folder: Path) -> StageRecord:
    """Read `stage.json` of a folder; StageError if there is none or it is no record."""
    path = folder / STAGE_RECORD
    try:
        content = json.loads(path.read_text("utf-8"))
        return StageRecord(**{**content, "state": State(content["state"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StageError(f"{path} is missing or no stage record ({error}). Run again: the stage is redone.") from error


def reasons_of(record: StageRecord) -> list[Reason]:
    """The reasons of a record as objects."""
    return [Reason(reason["code"], reason["text"]) for reason in record.reasons]


def mismatch(folder: Path, record: StageRecord, *, hashes: bool) -> str | None:
    """What in a folder differs from its record (None: nothing); sizes only, or also every file's sha256."""
    for name, written in record.written.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != written["bytes"]:
            return f"{name} has {path.stat().st_size} bytes, its record says {written['bytes']}"
        if hashes and sha256_of(path) != written["sha256"]:
            return f"{name} is not what was written"
    return None


def run_stage(
    stage: Stage, target: Path, inputs: tuple[Path, ...], options: dict[str, Any], context: Context
) -> StageRecord:
    """Run one stage and put its folder in place, whole.

    Raises
    ------
    StageError
        Another process holds the folder, or an input is not what its producer wrote (it is removed then, so that
        the next run makes it again).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f"{target.name}.tmp")
    with exclusive_lock(target.with_name(f".{target.name}.lock"), wait_s=LOCK_WAIT_S):
        remove_folder(work)
        work.mkdir()
        try:
            record = _work(stage, StageCall(work, inputs, options, context))
            write_json(work / STAGE_RECORD, asdict(record))
            remove_folder(target)
            work.rename(target)
        finally:
            remove_folder(work)
    return record


def _work(stage: Stage, call: StageCall) -> StageRecord:
    started = time.perf_counter()
    read = {_label(path, call.folder): digest_of_input(path, repair=True) for path in call.inputs}
    upstream = _reasons_of_refused_inputs(stage, call)
    if upstream:
        outcome = Outcome(upstream)
    else:
        try:
            outcome = stage.work(call)
        except Refusal as refusal:
            outcome = Outcome([refusal.reason])
    return StageRecord(
        stage=stage.name,
        version=stage.version,
        state=worst_state(outcome.reasons),
        reasons=[{**asdict(reason), "remedy": reason.remedy} for reason in outcome.reasons],
        options=dict(call.options),
        facts=outcome.facts,
        read=read,
        written=_written(call.folder),
        software=_software(),
        seconds=round(time.perf_counter() - started, 2),
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def _reasons_of_refused_inputs(stage: Stage, call: StageCall) -> list[Reason]:
    folders = [path for path in call.inputs if path.is_dir() and path.name not in stage.tolerates]
    refused = [record for record in map(read_record, folders) if record.refused]
    reasons = [reason for record in refused for reason in reasons_of(record) if reason.state == State.REFUSED]
    return list(dict.fromkeys(reasons))


def digest_of_input(path: Path, *, repair: bool = False) -> str:
    """The sha256 of a file, or of what a stage folder's record says was written.

    With ``repair`` every file of the folder is compared with its record first; if one differs the folder is removed
    and StageError raised, so that the next run makes it again.
    """
    if not path.is_dir():
        return sha256_of(path)
    record = read_record(path)
    wrong = mismatch(path, record, hashes=True) if repair else None
    if wrong:
        remove_folder(path)
        raise StageError(f"{path}: {wrong}. The folder was removed; run again and it is made anew.")
    state = json.dumps([record.state, record.reasons, record.facts, record.written], sort_keys=True)
    return hashlib.sha256(state.encode()).hexdigest()


def _label(path: Path, folder: Path) -> str:
    """The path of an input as seen from the folder that the stage's own folder lies in."""
    return Path(os.path.relpath(path, folder.parent)).as_posix()


def _written(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in files
    }


def _software() -> dict[str, str]:
    versions = {"python": platform.python_version(), "nen_imaging": importlib.metadata.version("nen_imaging")}
    return versions | {name: importlib.metadata.version(name) for name in _SOFTWARE}


@contextlib.contextmanager
def exclusive_lock(path: Path, *, wait_s: float) -> Iterator[None]:
    """Hold an exclusive lock on a file beside what it guards; the system frees it when the process ends.

    Raises StageError, naming the holder's process, if it is not free within ``wait_s``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    raise StageError(
                        f"{path.name} is held by process {file.read().strip() or 'unknown'}, which still works there. "
                        "Wait for it or end it, then run again."
                    ) from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it; nothing happens where there is none."""
    if folder.exists():
        shutil.rmtree(folder)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: object, *, only_if_changed: bool = False) -> None:
    """Write JSON by rename, deterministically; on request leave a file alone that already says the same."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_text(path, text, only_if_changed=only_if_changed)
