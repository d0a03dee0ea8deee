"""What the Snakefile asks: which stagings there are, which version and options each stage has, what is stale.

The Snakefile and `nen-imaging run` know the order of the stages; the work itself lies in the rooms.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nen_imaging.config import Config, ConfigError, load_config
from nen_imaging.contract import FOLDER_OF_STAGE, PATIENT_STAGES, STAGING_STAGES, Results, StagingState
from nen_imaging.shipped import shipped
from nen_imaging.stage import (
    Stage,
    StageError,
    digest_of_input,
    exclusive_lock,
    mismatch,
    read_record,
    remove_folder,
)
from nen_imaging.tables import read_stagings

STAGES = {
    "import_ct": "nen_imaging.dicom.stages:IMPORT_CT",
    "import_pet": "nen_imaging.dicom.stages:IMPORT_PET",
    "import_low_dose_ct": "nen_imaging.dicom.stages:IMPORT_LOW_DOSE_CT",
    "segment": "nen_imaging.segmentation.stages:SEGMENT",
    "measure": "nen_imaging.measurement.stages:MEASURE",
    "uptake": "nen_imaging.measurement.stages:UPTAKE",
    "follow": "nen_imaging.longitudinal.stages:FOLLOW",
    "report": "nen_imaging.report.stages:REPORT",
}
SECTIONS = {"import_low_dose_ct": "import_ct"}
"""Stages whose options are those of another section of the config than the one of their name."""
PATH_VARIABLES = {"study": "NEN_IMAGING_STUDY", "timeline": "NEN_IMAGING_TIMELINE"}
"""Where `nen-imaging run` hands these paths to Snakemake: they may name a person, and its log shows the config."""
DEVICES = ("auto", "cpu", "cuda")
DEVICE_VARIABLE = "NEN_IMAGING_DEVICE"
RUN_KEYS = ("study", "results", "timeline", "device", "only", "verify", "dataset", "root", "compat")


def stage_of(name: str) -> Stage:
    """The stage of that name; StageError names the known ones."""
    if name not in STAGES:
        raise StageError(f"There is no stage {name!r}; known: {', '.join(STAGES)}.")
    module, attribute = STAGES[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def segment_options(config: Config) -> dict[str, Any]:
    """The options of `segment`: its section, with the bundle's name and checksum."""
    from nen_imaging.segmentation.bundle import find_bundle

    options = config.options_of("segment")
    bundle = find_bundle(options["model"], shipped("models"))
    return {**options, "model": bundle.name, "model_sha256": bundle.sha256}


@dataclass(frozen=True)
class PlannedStaging:
    """A staging that is to be measured."""

    patient: str
    staging: str
    has_pet: bool
    has_low_dose_ct: bool = False
    """Whether a CT beside the measured one tells where the PET lies."""


@dataclass(frozen=True)
class Plan:
    """What one run is to make, known whole before the first job."""

    results: Results
    config: Config
    stagings: tuple[PlannedStaging, ...]
    is_active_run: bool

    @classmethod
    def prepare(
        cls, settings: Mapping[str, Any], *, main_process: bool, dry_run: bool = False, config_file: Path | None = None
    ) -> Plan:
        """Validate the config, index the study and remove what is stale; without a study the plan is empty.

        Only the main process scans and removes. While another run is active its index is used as it is.
        ``config_file`` is where the settings were read from, for messages.
        """
        _put_own_programs_on_path()
        settings = {key: os.environ[name] for key, name in PATH_VARIABLES.items() if name in os.environ} | dict(
            settings
        )
        of_stages = {key: value for key, value in settings.items() if key not in RUN_KEYS}
        config = load_config(overrides=of_stages, source=config_file)
        results = Results(_absolute(settings.get("results") or "results"))
        _hand_device_to_jobs(str(settings.get("device") or "auto"))
        if not settings.get("study"):
            return cls(results, config, (), is_active_run=False)
        active, only_failed = main_process and _becomes_active_run(results), settings.get("only") == "failed"
        if active and only_failed:
            from nen_imaging.report.cohort import build_cohort

            build_cohort(results)  # a run that was killed itself did not
        if active:
            _index(settings, results, config)
        planned = _planned(results, only_failed=only_failed)
        plan = cls(results, config, planned, is_active_run=active)
        if active and not dry_run:
            plan.remove_stale(hashes=bool(settings.get("verify")))
        return plan

    @property
    def patients(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(planned.patient for planned in self.stagings))

    def targets(self) -> list[str]:
        """The folders that `all` asks for, relative to the results folder."""
        return [self._relative("report", patient) for patient in self.patients]

    def of_patient(self, patient: str, *names: str) -> list[str]:
        """Those folders (``ct``, ``measure``, ...) of every staging of a patient, PET's only where there is one."""
        return [
            f"patients/{patient}/stagings/{planned.staging}/{name}"
            for planned in self.stagings
            if planned.patient == patient
            for name in names
            if planned.has_pet or name not in ("pet", "uptake")
        ]

    def low_dose_ct(self, patient: str, staging: str) -> list[str]:
        """The folder ``low_dose_ct`` of a staging that has one."""
        has = any((one.patient, one.staging) == (patient, staging) and one.has_low_dose_ct for one in self.stagings)
        return [f"patients/{patient}/stagings/{staging}/low_dose_ct"] if has else []

    def version(self, stage: str) -> int:
        return stage_of(stage).version

    def options(self, stage: str) -> str:
        """The part of the config that reaches a stage, as JSON; for `segment` with the bundle's checksum."""
        return json.dumps(self._options(stage), sort_keys=True)

    def remove_stale(self, *, hashes: bool = False) -> list[Path]:
        """Remove the stage folders that differ from what is wanted or from their own record."""
        wanted = {stage: (self.version(stage), self._options(stage)) for stage in STAGES}
        removed = []
        for stage, folder in self._stage_folders():
            if folder.exists() and _is_stale(folder, *wanted[stage], hashes=hashes):
                with (
                    contextlib.suppress(StageError),
                    exclusive_lock(folder.with_name(f".{folder.name}.lock"), wait_s=0),
                ):
                    remove_folder(folder)
                    removed.append(folder)
        return removed

    def finish(self) -> str:
        """Build the cohort tables from what lies on disk and return the summary of the run."""
        from nen_imaging.report.cohort import build_cohort
        from nen_imaging.report.summary import summary_text

        if not self.stagings:
            return ""
        build_cohort(self.results)
        return summary_text(self.results)

    def _options(self, stage: str) -> dict[str, Any]:
        return (
            segment_options(self.config) if stage == "segment" else self.config.options_of(SECTIONS.get(stage, stage))
        )

    def _stage_folders(self) -> Iterator[tuple[str, Path]]:
        """Every folder the plan will make, producers before their readers."""
        for planned in self.stagings:
            for stage in STAGING_STAGES:
                yield stage, self.results.stage_folder(stage, planned.patient, planned.staging)
        for patient in self.patients:
            for stage in PATIENT_STAGES:
                yield stage, self.results.stage_folder(stage, patient)

    def _relative(self, stage: str, patient: str) -> str:
        return f"patients/{patient}/{FOLDER_OF_STAGE[stage]}"


_SHOWS_OR_MENDS = {
    "--lint", "--unlock", "--touch", "-t", "--summary", "-S", "--detailed-summary", "-D", "--report", "--dag",
    "--rulegraph", "--filegraph", "--list-changes", "--lc", "--list-rules", "-l", "--cleanup-metadata", "--cm",
}  # fmt: skip


def validation_arguments(settings: Mapping[str, Any]) -> str:
    """Data set, root and options of `nen-imaging validate`, ready for a shell; without a data set its `--help`."""
    if not settings.get("dataset"):
        return "--help"
    parts = [str(settings["dataset"]), "--root", str(_absolute(settings.get("root") or "."))]
    model = (settings.get("segment") or {}).get("model")
    named = {"model": model, "compat": settings.get("compat"), "device": settings.get("device")}
    parts += [part for name, value in named.items() if value for part in (f"--{name}", str(value))]
    return shlex.join(parts)


def dry_run(snakemake_workflow: Any) -> bool:  # noqa: ANN401 - Snakemake's own object
    """Whether this call of Snakemake only shows or mends its records, so that nothing may be removed for it.

    While the Snakefile is read Snakemake knows of a dry run (`-np`, or set in a profile), but not yet of its other
    modes: `workflow.dryrun` and `workflow.touch` are set only once it executes. Those its command line tells.
    """
    asked = {word.partition("=")[0] for word in sys.argv}
    return snakemake_workflow.output_settings.dryrun or not _SHOWS_OR_MENDS.isdisjoint(asked)


def _is_stale(folder: Path, version: int, options: dict[str, Any], *, hashes: bool) -> bool:
    try:
        record = read_record(folder)
        if (record.version, record.options) != (version, options) or mismatch(folder, record, hashes=hashes):
            return True
        return any(digest_of_input(folder.parent / path) != digest for path, digest in record.read.items())
    except (StageError, OSError):
        return True


def _planned(results: Results, *, only_failed: bool) -> tuple[PlannedStaging, ...]:
    if not results.stagings_table.is_file():
        raise StageError(f"{results.stagings_table} is missing: another run is just making it. Try again in a minute.")
    rows = [row for row in read_stagings(results) if row["state"] == StagingState.ACTIVE]
    if only_failed:
        from nen_imaging.report.cohort import failed_patients

        failed = failed_patients(results)
        rows = [row for row in rows if row["patient"] in failed]
    return tuple(
        PlannedStaging(row["patient"], row["staging"], row["has_pet"] == "yes", bool(row.get("low_dose_ct_series")))
        for row in rows
    )


def removable(results: Results) -> list[Path]:
    """Folders of stagings that left the study, of patients without any other, and work folders of killed jobs."""
    rows = read_stagings(results)
    active = {(row["patient"], row["staging"]) for row in rows if row["state"] == StagingState.ACTIVE}
    patients = {patient for patient, _ in active}
    gone = [
        results.staging(row["patient"], row["staging"])
        if row["patient"] in patients
        else results.patient(row["patient"])
        for row in rows
        if (row["patient"], row["staging"]) not in active
    ]
    leftovers = list((results.root / "patients").glob("**/*.tmp"))
    return [folder for folder in dict.fromkeys([*sorted(gone), *sorted(leftovers)]) if folder.is_dir()]


def _becomes_active_run(results: Results) -> bool:
    """Take the lock that marks the active run of a results folder, until this process ends; False if one has it."""
    stack = contextlib.ExitStack()
    try:
        stack.enter_context(_run_lock(results))
    except StageError:
        return False
    atexit.register(stack.close)
    return True


@contextlib.contextmanager
def idle_results(folder: Path) -> Iterator[Results]:
    """An existing results folder, with every run kept out of it for as long as it is held.

    Raises StageError if the folder holds no results, or a run works on it.
    """
    results = Results(_absolute(folder))
    if not results.stagings_table.is_file():
        raise StageError(f"{results.root} is no results folder: there is no {results.stagings_table}.")
    with _run_lock(results):
        yield results


def _run_lock(results: Results) -> contextlib.AbstractContextManager[None]:
    """The lock that marks the one run of a results folder; StageError where another holds it."""
    return exclusive_lock(results.root / ".run.lock", wait_s=0)


def _index(settings: Mapping[str, Any], results: Results, config: Config) -> None:
    from nen_imaging.cli.index import index_and_split

    timeline = settings.get("timeline")
    index_and_split(_absolute(settings["study"]), results, config, _absolute(timeline) if timeline else None)


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()


def _hand_device_to_jobs(device: str) -> None:
    """The device is no option of a stage: another one reruns nothing. Jobs inherit it as an environment variable."""
    if device not in DEVICES:
        raise ConfigError(f"device is {device!r}; allowed: {', '.join(DEVICES)}.")
    os.environ[DEVICE_VARIABLE] = device


def _put_own_programs_on_path() -> None:
    """Rules call `nen-imaging`: find the one that belongs to this Python, whether or not it is activated."""
    own = str(Path(sys.executable).parent)
    if own not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = own + os.pathsep + os.environ.get("PATH", "")
