"""Start Snakemake, follow its progress, end with the summary and an exit code that tells none, some or all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nen_imaging.config import ConfigError, laid_over, read_yaml
from nen_imaging.contract import ExitCode, Results
from nen_imaging.shipped import shipped
from nen_imaging.stage import StageError
from nen_imaging.workflow import PATH_VARIABLES, Plan

_STEPS_DONE = re.compile(r"(\d+) of (\d+) steps")
_SHOWN_ON_FAILURE = 25


@dataclass(frozen=True)
class RunRequest:
    """What `nen-imaging run` was asked for; all paths are absolute."""

    study: Path
    results: Results
    timeline: Path | None = None
    config: Path | None = None
    cores: int = 1
    model: str | None = None
    device: str = "auto"
    profile: str | None = None
    only_failed: bool = False
    verify: bool = False
    dry_run: bool = False

    def settings(self) -> dict[str, Any]:
        """The settings as Snakemake's config has them."""
        settings = laid_over(
            read_yaml(self.config) if self.config else {}, {"segment": {"model": self.model}} if self.model else {}
        )
        named = {"study": self.study, "results": self.results.root, "timeline": self.timeline, "device": self.device}
        given = {key: str(value) for key, value in named.items() if value is not None}
        return settings | given | ({"only": "failed"} if self.only_failed else {}) | {"verify": self.verify}


def run_workflow(request: RunRequest) -> int:
    """Run the workflow once; prints progress and the staging tables, returns the exit code.

    The study is indexed here, so that what is wrong with it or with the config is told before Snakemake starts;
    Snakemake then finds an active run and takes its index.

    Raises
    ------
    ConfigError, Refusal, StageError
        A key of the config is wrong, the study holds no DICOM, or another run is active.
    """
    from nen_imaging.report.summary import summarize

    plan = Plan.prepare(request.settings(), main_process=True, dry_run=request.dry_run, config_file=request.config)
    if not plan.is_active_run:
        raise StageError(f"Another run works on {request.results.root}. Wait for it, or end it and run again.")
    unlock(request.results)
    request.results.logs.mkdir(parents=True, exist_ok=True)
    log = request.results.logs / f"run-{time.strftime('%Y%m%dT%H%M%S')}.log"
    code, last_lines = _follow(_command(request), _environment(request), log, show_all=request.dry_run)
    if request.dry_run:
        return ExitCode.ALL_MEASURED if code == 0 else ExitCode.NOTHING_DONE
    plan.finish()
    summary = summarize(request.results)
    print(summary.text)
    if code != 0 and not summary.failed:  # Snakemake itself stopped: a lock, a full disk
        print(*last_lines, f"The workflow stopped; the log is {log}.", sep="\n", file=sys.stderr)
    if not summary.measured:
        return ExitCode.NOTHING_DONE
    return ExitCode.SOME_NOT_MEASURED if code != 0 or summary.refused or summary.failed else ExitCode.ALL_MEASURED


def snakemake_command(*extra: str) -> list[str]:
    """The command that calls Snakemake on our Snakefile."""
    return [sys.executable, "-m", "snakemake", "--snakefile", str(shipped("Snakefile")), *extra]


def unlock(results: Results) -> None:
    """Remove the lock that a killed Snakemake left. Whoever holds our own lock of the results may: no run is alive."""
    for lock in (results.root / ".snakemake" / "locks").glob("*"):
        lock.unlink()


def _command(request: RunRequest) -> list[str]:
    """Paths of study and timeline are handed over in the environment: Snakemake logs its command line."""
    extra = ["--cores", str(request.cores), "--keep-going", "--rerun-incomplete"]
    extra += ["--profile", _profile(request.profile)] if request.profile else []
    extra += ["--dry-run"] if request.dry_run else []
    settings = [f"{key}={json.dumps(value)}" for key, value in request.settings().items() if key not in PATH_VARIABLES]
    return [*snakemake_command(*extra), "--config", *settings]


def _environment(request: RunRequest) -> dict[str, str]:
    settings = request.settings()
    return dict(os.environ) | {PATH_VARIABLES[key]: settings[key] for key in PATH_VARIABLES if key in settings}


def _profile(name: str) -> str:
    """A profile of ours by name, else a folder of the user's; ConfigError if it is neither."""
    ours = shipped("profiles") / name
    path = ours if ours.is_dir() else Path(name).absolute()
    if not path.is_dir():
        known = ", ".join(sorted(folder.name for folder in shipped("profiles").iterdir()))
        raise ConfigError(f"There is no profile {name!r}; give a folder or one of: {known}.")
    return str(path)


def _follow(command: list[str], environment: dict[str, str], log: Path, *, show_all: bool) -> tuple[int, list[str]]:
    last_lines: deque[str] = deque(maxlen=_SHOWN_ON_FAILURE)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        with log.open("w", encoding="utf-8") as file:
            for line in _with_progress(process.stdout):
                file.write(line)
                last_lines.append(line.rstrip())
                if show_all:
                    print(line, end="")
    return process.returncode, list(last_lines)


def _with_progress(lines: Iterator[str]) -> Iterator[str]:
    """Pass lines on; show a bar on a terminal, or a line per tenth of the work elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("indexing", total=None)
        told = 0
        for line in lines:
            yield line
            found = _STEPS_DONE.search(line)
            if not found:
                continue
            done, total = int(found[1]), int(found[2])
            progress.update(task, description="measuring", completed=done, total=total)
            tenth = 10 * done // total
            if not console.is_terminal and tenth > told:
                print(f"{done} of {total} stages done", file=sys.stderr)
                told = tenth
