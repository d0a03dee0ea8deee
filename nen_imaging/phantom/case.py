"""The published case as a study folder: its course from `sample_data/`, a digital patient, nine CT and one PET.

Source of the course: Özdirik et al., Medicine 2020;99:25(e20820), CC BY 4.0. All images are illustrative.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nen_imaging.phantom.anatomy import Anatomy, digital_patient
from nen_imaging.phantom.case_lesions import StagingPlan, plan_lesions
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.phantom.primary import Primary, with_primary
from nen_imaging.phantom.ranges import CASE
from nen_imaging.phantom.rtstruct import write_rtstruct
from nen_imaging.phantom.scanner import CtScanner, thick_slices
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.phantom.staging import Staging, staging
from nen_imaging.phantom.truth import write_truth
from nen_imaging.shipped import shipped
from nen_imaging.tables import read_table, write_text
from nen_imaging.volume import Volume, write_nifti

VERSION = 3
"""Raised when the same seed gives other images."""
FIRST_SEED = 800_000  # far from the seeds of training and of tests
TIMELINE_TABLES = ("therapies", "markers", "findings", "voi")
VOI_FILE, VOI_NAME = "ileal_primary.dcm", "ileal primary"


@dataclass(frozen=True)
class CourseStaging:
    """One staging of the published course."""

    date: dt.date
    """The day is illustrative; the paper gives months."""
    load_percent: float
    is_published: bool
    """Whether the paper prints this load; else it is illustrative."""
    has_pet: bool
    published_text: str


@dataclass(frozen=True)
class Protocol:
    """How finely the case is painted, and the field of view."""

    painted_mm: tuple[float, float, float] = (0.9, 0.9, 1.5)
    size_mm: tuple[float, float, float] = (423.0, 342.0, 306.0)
    lowest_mm: float = -205.0


@dataclass(frozen=True)
class Case:
    """Where the case lies."""

    folder: Path

    @property
    def study(self) -> Path:
        return self.folder / "study"

    @property
    def timeline(self) -> Path:
        return self.folder / "timeline"

    @property
    def truth(self) -> Path:
        """One folder per staging, by date, see `write_truth`; and the primary's mask."""
        return self.folder / "truth"

    def is_complete(self, seed: int) -> bool:
        """Whether this version of the case was written here, to its end."""
        record = self.folder / "case.json"
        return record.is_file() and json.loads(record.read_text("utf-8")) == _record(seed)


def read_course(sample_data: Path | None = None) -> tuple[CourseStaging, ...]:
    """The stagings of ``course.csv``, in order."""
    rows = read_table((sample_data or shipped("sample_data")) / "course.csv")
    return tuple(
        CourseStaging(
            dt.date.fromisoformat(row["date"]),
            float(row["load_percent"]),
            row["source"] == "published",
            "PET" in row["modalities"],
            row["published_text"],
        )
        for row in rows
    )


def write_case(
    folder: Path,
    seed: int = 1,
    *,
    course: Sequence[CourseStaging] | None = None,
    protocol: Protocol = Protocol(),
    processes: int | None = None,
) -> Case:
    """Write the study, the timeline and the truth of the case into `folder`; another seed gives another patient.

    What lies there of an earlier case is removed first.

    Parameters
    ----------
    folder
        Gets ``study/`` (DICOM), ``timeline/`` (tables, the reader's VOI as RTSTRUCT) and ``truth/``.
    seed
        Of the patient and everything in it; the course stays.
    course
        The published one unless given.
    protocol
        Voxels and field of view.
    processes
        Stagings that are made at the same time; as many as there are cores, two at most, unless given.
    """
    course = course or read_course()
    case = Case(folder)
    for old in (case.study, case.timeline, case.truth):
        shutil.rmtree(old, ignore_errors=True)
    (folder / "case.json").unlink(missing_ok=True)
    studio = _Studio.opened(case, seed, course, protocol)
    _write_timeline(case)
    count = min(processes or 2, os.cpu_count() or 1, len(course))
    if count > 1:
        with ProcessPoolExecutor(count, initializer=_open, initargs=(studio,)) as pool:
            list(pool.map(_write_staging, range(len(course))))
    else:
        for number in range(len(course)):
            studio.write_staging(number)
    write_text(folder / "case.json", json.dumps(_record(seed)) + "\n")
    return case


def _record(seed: int) -> dict[str, int]:
    return {"seed": seed, "version": VERSION}


def _write_timeline(case: Case) -> None:
    case.timeline.mkdir(parents=True)
    for table in TIMELINE_TABLES:
        shutil.copy(shipped("sample_data") / f"{table}.csv", case.timeline)


@dataclass(frozen=True)
class _Studio:
    """The patient and the plan: made once, then every staging is scanned from it."""

    case: Case
    course: tuple[CourseStaging, ...]
    healthy: Anatomy
    primary: Primary
    plans: tuple[StagingPlan, ...]
    patient: PatientTags
    scanner: CtScanner
    seed: int

    @classmethod
    def opened(cls, case: Case, seed: int, course: Sequence[CourseStaging], protocol: Protocol) -> _Studio:
        healthy = digital_patient(
            FIRST_SEED + seed, protocol.painted_mm, size_mm=protocol.size_mm, lowest_mm=protocol.lowest_mm, ranges=CASE
        )
        rng = np.random.default_rng([FIRST_SEED + seed, 8])
        thickness_mm = protocol.painted_mm[2] * CASE.subslices[0]
        return cls(
            case,
            tuple(course),
            healthy,
            with_primary(healthy),
            tuple(plan_lesions(healthy, [planned.load_percent for planned in course])),
            PatientTags(f"DIGITAL-CASE-{seed}", "Digital^Case", "19530301", "M", None, 1.77, 78.0),
            CtScanner.drawn(rng, CASE, thickness_mm),
            seed,
        )

    def write_staging(self, number: int) -> None:
        planned = self.course[number]
        anatomy = self.primary.anatomy if number < RESECTED_AT else self.healthy
        scanned = staging(
            anatomy, planned.load_percent, number, lesions=self.plans[number].lesion_map(anatomy),
            scanner=self.scanner, with_pet=planned.has_pet,
        )  # fmt: skip
        moved = _on_the_table(scanned, np.random.default_rng([self.healthy.seed, number, 9]))
        write_truth(self.case.truth / f"{planned.date}", moved)
        self._write_images(planned, moved)

    def _write_images(self, planned: CourseStaging, scanned: Staging) -> None:
        place = self.case.study / f"{planned.date:%Y-%m}"
        ct = scanned.ct.oriented("LPS")
        files = write_ct_series(
            place / "CT", ct, patient=self.patient, date=planned.date, seed=self.seed,
            slice_order="descending", extension=".dcm", study_description="CT abdomen",
        )  # fmt: skip
        if scanned.suv is None:
            return
        write_pet_series(
            place / "PET", scanned.suv.oriented("LPS"), patient=self.patient, date=planned.date, seed=self.seed,
            extension=".dcm",
        )  # fmt: skip
        self._write_voi(Volume(self.primary.mask.array, _painted_affine(scanned, self.primary)), files)

    def _write_voi(self, mask: Volume, ct_files: Sequence[Path]) -> None:
        """The reader's VOI of the primary as RTSTRUCT, which ``voi.csv`` names; its mask goes to the truth."""
        thick = thick_slices(mask, self.scanner.slice_thickness_mm)
        voi = thick.with_array(thick.array.astype(np.float32) >= 0.5)
        file = self.case.timeline / "voi" / VOI_FILE
        write_rtstruct(file, voi.oriented("LPS"), ct_files, VOI_NAME, "SSR-positive on PET/CT")
        write_nifti(self.case.truth / "primary.nii.gz", voi.with_array(voi.array.astype(np.uint8)))


RESECTED_AT = 2  # the hemicolectomy followed the second staging
_studio: _Studio | None = None


def _open(studio: _Studio) -> None:
    global _studio  # one per worker process: the patient is handed over once
    _studio = studio


def _write_staging(number: int) -> None:
    assert _studio is not None
    _studio.write_staging(number)


def _on_the_table(scanned: Staging, rng: np.random.Generator) -> Staging:
    """The patient lies a little elsewhere at every staging; PET and CT of one staging share the place."""
    shift_mm = rng.uniform(-12, 12, 3)

    def moved(volume: Volume) -> Volume:
        affine = volume.affine.copy()
        affine[:3, 3] += shift_mm
        return Volume(volume.array, affine)

    suv = scanned.suv and moved(scanned.suv)
    return replace(
        scanned, ct=moved(scanned.ct), labels=moved(scanned.labels), instances=moved(scanned.instances), suv=suv
    )


def _painted_affine(scanned: Staging, primary: Primary) -> np.ndarray:
    """The grid that the staging was painted on, where the patient lies now."""
    affine = primary.mask.affine.copy()
    offset = scanned.ct.affine[:3, 3] - thick_slices(primary.mask, float(scanned.ct.spacing_mm[2])).affine[:3, 3]
    affine[:3, 3] += offset
    return affine
