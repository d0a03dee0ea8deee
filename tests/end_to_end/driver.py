"""Drive the two entry points on a copy of a small study, and tell which jobs they ran."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

SNAKEFILE = Path(__file__).resolve().parents[2] / "Snakefile"


@dataclass(frozen=True)
class Finished:
    """How a run ended: exit code, what it printed, and how many jobs of each rule it ran."""

    code: int
    text: str
    jobs: Counter[str]


@dataclass(frozen=True)
class Case:
    """A study with its timeline and results, free to be changed."""

    folder: Path
    environment: Mapping[str, str]
    study: Path
    timeline: Path
    results: Path
    cwd: Path

    @classmethod
    def at(cls, folder: Path, home: Path) -> Case:
        environment = {**os.environ, "HOME": str(home), "NEN_IMAGING_KEY_FILE": str(home / "key")}
        return cls(folder, environment, folder / "study", folder / "timeline", folder / "results", folder)

    def copied(self, folder: Path) -> Case:
        """The same study, timeline, results and workflow records in another folder."""
        shutil.copytree(self.folder, folder)
        return replace(
            self,
            folder=folder,
            study=folder / "study",
            timeline=folder / "timeline",
            results=folder / "results",
            cwd=folder,
        )

    def run(self, *extra: str) -> Finished:
        """`nen-imaging run`."""
        before = set(self.results.glob("logs/run-*.log"))
        done = self.call(
            "run", self.study, "--results", self.results, "--timeline", self.timeline, "--cores", 2, *extra
        )
        logs = set(self.results.glob("logs/run-*.log")) - before
        return Finished(done.returncode, done.stdout + done.stderr, jobs_in("".join(map(_read, logs))))

    def snakemake(self, *extra: str) -> Finished:
        """The same through Snakemake itself."""
        settings = [f"study={self.study}", f"results={self.results}", f"timeline={self.timeline}"]
        command = [sys.executable, "-m", "snakemake", "--snakefile", SNAKEFILE, "--cores", "2", "--keep-going"]
        done = self._call([*map(str, command), *extra, "--config", *settings])
        text = done.stdout + done.stderr
        return Finished(done.returncode, text, jobs_in(text))

    def call(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Any verb of `nen-imaging`."""
        return self._call([sys.executable, "-m", "nen_imaging", *map(str, arguments)])

    def start(self) -> subprocess.Popen[bytes]:
        """`nen-imaging run` in the background, in a process group of its own."""
        command = [sys.executable, "-m", "nen_imaging", "run", self.study, "--results", self.results]
        return subprocess.Popen(
            [*map(str, command), "--timeline", str(self.timeline), "--cores", "2"],
            env=dict(self.environment),
            cwd=self.cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def staging(self, patient: str, staging: str) -> Path:
        return self.results / "patients" / patient / "stagings" / staging

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=dict(self.environment), cwd=self.cwd, capture_output=True, text=True, timeout=1800, check=False
        )


def jobs_in(log: str) -> Counter[str]:
    """How often each rule was started, from Snakemake's log; the target `all` is no work."""
    return Counter(name for name in re.findall(r"^(?:local)?rule (\w+):", log, re.MULTILINE) if name != "all")


def _read(path: Path) -> str:
    return path.read_text("utf-8")
