"""A small study as hospitals hand it over: two digital patients, five CTs, one PET, in a messy folder."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom

from nen_imaging.phantom.anatomy import Anatomy, digital_patient
from nen_imaging.phantom.course import course
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.phantom.lesions import Lesion, LesionMap
from nen_imaging.phantom.scanner import CtScanner
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.phantom.staging import Staging, staging
from tests.planted import plant

SIZE_MM = (384.0, 320.0, 248.0)
LOWEST_MM = -180.0
PAINTED_AT_MM = (4.0, 4.0, 2.0)
SCANNER = CtScanner(fwhm_mm=1.5, noise_hu=8.0, slice_thickness_mm=4.0)


@dataclass(frozen=True)
class PatientPlan:
    """One patient of the study and what happens to him or her."""

    seed: int
    tags: PatientTags
    loads_percent: Mapping[dt.date, float]
    new_at: Mapping[int, int]
    pet_on: frozenset[dt.date] = frozenset()


@dataclass(frozen=True)
class SmallStudy:
    """Where the study lies and what is true of it."""

    study: Path
    timeline: Path
    stagings: Mapping[tuple[str, dt.date], Staging]
    """(PatientID, date) -> images and truth."""
    planted: tuple[str, ...]
    """Every identifier in the headers and folder names: none may appear in any result."""


PLANS = (
    PatientPlan(
        seed=101,
        tags=PatientTags("ZQID-4711", "Zqfamily^Zqgiven", "19530417", "M", "ZQISSUER", 1.78, 81.5),
        loads_percent={dt.date(2019, 3, 4): 10, dt.date(2019, 9, 10): 25, dt.date(2020, 3, 16): 20},
        new_at={1: 2},
        pet_on=frozenset({dt.date(2019, 3, 4)}),
    ),
    PatientPlan(
        seed=102,
        tags=PatientTags("ZQID-0815", "Zqsecond^Zqother", "19620922", "F", None, 1.66, 63.0),
        loads_percent={dt.date(2021, 1, 12): 40, dt.date(2021, 7, 20): 15},
        new_at={},
    ),
)

# Text attributes that may name a person, a place or a device; each gets a word of its own.
IDENTIFYING = (
    "AccessionNumber", "AdditionalPatientHistory", "AdmissionID", "CountryOfResidence", "DeviceSerialNumber",
    "ImageComments", "InstitutionAddress", "InstitutionName", "InstitutionalDepartmentName", "MedicalAlerts",
    "NameOfPhysiciansReadingStudy", "Occupation", "OperatorsName", "OtherPatientIDs", "OtherPatientNames",
    "PatientAddress", "PatientBirthName", "PatientComments", "PatientMotherBirthName", "PatientReligiousPreference",
    "PatientTelephoneNumbers", "PerformedProcedureStepDescription", "PerformedProcedureStepID",
    "PerformingPhysicianName", "PhysiciansOfRecord", "ProtocolName", "RegionOfResidence", "ReferringPhysicianName",
    "RequestedProcedureDescription", "RequestingPhysician", "StationName", "StudyDescription", "StudyID",
)  # fmt: skip


def write_small_study(folder: Path) -> SmallStudy:
    """Write ``folder/study`` (DICOM) and ``folder/timeline`` (tables), and return what is true of them."""
    study, timeline = folder / "study", folder / "timeline"
    stagings: dict[tuple[str, dt.date], Staging] = {}
    planted: set[str] = set()
    for plan in PLANS:
        anatomy = digital_patient(plan.seed, PAINTED_AT_MM, size_mm=SIZE_MM, lowest_mm=LOWEST_MM)
        maps = course_of(plan, anatomy)
        for number, (date, lesions) in enumerate(zip(plan.loads_percent, maps, strict=True)):
            scanned = staging(anatomy, 0, number, lesions=lesions, scanner=SCANNER, with_pet=date in plan.pet_on)
            stagings[plan.tags.patient_id, date] = scanned
            planted |= _write_staging(study, plan, date, number, scanned)
    _write_clutter(study)
    _write_timeline(timeline)
    return SmallStudy(study, timeline, stagings, tuple(sorted(planted)))


def course_of(plan: PatientPlan, anatomy: Anatomy) -> list[LesionMap]:
    """The plan's lesions, plain enough for any network: dark in the portal venous phase, with a sharp edge."""
    drawn = course(anatomy, list(plan.loads_percent.values()), plan.seed, count=6, new_at=plan.new_at)
    return [replace(lesions, lesions=tuple(_plain(lesion) for lesion in lesions.lesions)) for lesions in drawn]


def _plain(lesion: Lesion) -> Lesion:
    return replace(lesion, contrast_hu=(-15.0, -20.0, -50.0), rim_hu=0.0, necrosis_hu=0.0, fade_mm=1.5)


def _write_staging(study: Path, plan: PatientPlan, date: dt.date, number: int, scanned: Staging) -> set[str]:
    """Write CT (and PET) of one staging; every patient and staging lies differently. Returns what was planted."""
    words = {keyword: f"ZQ{n}{keyword[:6].upper()}{plan.seed}{number}" for n, keyword in enumerate(IDENTIFYING, 10)}
    place = study / ("Zqfamily old exports" if plan.seed == 101 else "CD 2") / f"{date:%Y-%m}"
    ct_description = f"Abdomen portal venous ZQSERIES{plan.seed}{number}"
    common = {"patient": plan.tags, "date": date, "seed": plan.seed}
    files = write_ct_series(
        place / ("DICOM" if number else ""),
        scanned.ct.oriented("LPS"),
        **common,
        tags=words | {"PatientBirthTime": "0417"},
        series_description=ct_description,
        slice_order=("shuffled", "descending", "ascending")[number],
        extension=("", ".dcm", ".IMA")[number],
        private={(0x0029, "ZQPRIVATE CREATOR"): {0x10: ("LO", "ZQPRIVATEVALUE")}},
    )
    if scanned.suv is not None:
        files += write_pet_series(
            place / "PET ac", scanned.suv.oriented("LPS"), **common, tags=words, series_description="PET ZQPETSERIES"
        )
    plant(files[::16], only_absent=True)
    uids = {str(pydicom.dcmread(file, stop_before_pixels=True)[tag].value) for file in files for tag in _UIDS}
    names = set(plan.tags.name.split("^")) | {plan.tags.patient_id, plan.tags.birth_date}
    issuer = {plan.tags.issuer} if plan.tags.issuer else set()
    series = {ct_description.split()[-1], "ZQPETSERIES", "ZQPRIVATE", "ZQPRIVATEVALUE"}
    return set(words.values()) | uids | names | issuer | series


_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def _write_clutter(study: Path) -> None:
    """What else lies in such a folder."""
    (study / "README.txt").write_text("Exported for Zqfamily, please return.\n", "utf-8")
    (study / "CD 2" / "autorun.inf").write_text("[autorun]\nopen=viewer.exe\n", "utf-8")
    (study / "CD 2" / "empty").touch()
    (study / "CD 2" / "viewer help").mkdir()


def _write_timeline(folder: Path) -> None:
    first, second = (plan.tags.patient_id for plan in PLANS)
    folder.mkdir(parents=True)
    _write_table(
        folder / "therapies.csv",
        ("patient", "line", "kind", "agent", "dose", "schedule", "start", "end", "note"),
        [
            (first, "1", "systemic", "octreotide LAR", "30 mg", "every 28 d", "2019-03", "2019-09", ""),
            (first, "2", "PRRT", "177Lu-DOTATATE", "7.4 GBq", "every 8 weeks", "2019-10-01", "", ""),
            (second, "1", "systemic", "everolimus", "10 mg", "daily", "2021-01-20", "", ""),
        ],
    )
    _write_table(
        folder / "markers.csv",
        ("patient", "date", "marker", "value", "unit", "upper_limit_of_normal", "source"),
        [
            (first, "2019-03-04", "chromogranin A", "812", "ug/L", "102", "laboratory"),
            (first, "2019-09-10", "chromogranin A", "2210", "ug/L", "102", "laboratory"),
            (second, "2021-01", "chromogranin A", "4100", "ug/L", "102", "laboratory"),
        ],
    )
    _write_table(
        folder / "findings.csv",
        ("patient", "date", "finding", "organ", "status", "source", "note"),
        [(first, "2019-03", "primary tumour", "ileum", "present", "reader", "SSR-positive")],
    )


def _write_table(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
