"""Bring what is missing of a patient's studies from an archive into a study folder.

Each image is written under another name and renamed, so that a fetch may be cut at any time and goes on where it was.
"""

from __future__ import annotations

import errno
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pydicom

from nen_imaging.pacs.archive import (
    FETCHED_MODALITIES,
    Archive,
    NotFetchedError,
    PacsError,
    RemoteSeries,
    RemoteStudy,
    checked_patient_id,
)
from nen_imaging.stage import exclusive_lock

LOCK_FILE = ".fetch.lock"
_TAKEN_ALONG = ("CT", "PT")


@dataclass(frozen=True)
class SeriesProgress:
    """How far one series is; told when it begins and after every image."""

    series: RemoteSeries
    number: int
    of: int
    images: int
    present: int
    fetched: int


@dataclass
class Fetched:
    """What a fetch did."""

    series: int = 0
    images: int = 0
    present: int = 0
    fetched: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)
    """Why images did not come, one text per series."""

    @property
    def missing(self) -> int:
        return self.images - self.present - self.fetched


def fetch_patient(
    archive: Archive,
    patient_id: str,
    study: Path,
    *,
    is_present: Callable[[str], bool],
    issuer: str | None = None,
    progress: Callable[[SeriesProgress], None] | None = None,
) -> Fetched:
    """Fetch CT, PET, SEG, RTSTRUCT and real world values of a patient, as far as they are not in the study yet.

    Parameters
    ----------
    archive, patient_id, study
        From where, whose, and where to; images land in ``study/<StudyInstanceUID>/<SeriesInstanceUID>/``.
    is_present
        Whether an image lies somewhere in the study already, by its SOPInstanceUID.
    issuer
        IssuerOfPatientID, needed where several share the PatientID.
    progress
        Called as images come.

    Raises
    ------
    PacsError
        The archive cannot be reached, does not know the patient, holds nothing to fetch, or sends something else; or
        the disk is full. What has come stays.
    StageError
        Another fetch writes into this study.
    """
    patient_id = checked_patient_id(patient_id)
    wanted = _wanted(archive, _studies(archive, patient_id, issuer))
    with exclusive_lock(study / LOCK_FILE, wait_s=0):
        fetching = _Fetching(archive, patient_id, study, is_present, progress or (lambda _: None))
        for number, series in enumerate(wanted, 1):
            fetching.fetch(series, number, len(wanted))
    return fetching.done


def _studies(archive: Archive, patient_id: str, issuer: str | None) -> list[RemoteStudy]:
    studies = archive.studies(patient_id)
    if not studies:
        raise PacsError("The PACS knows no study of this PatientID. Check it as the PACS writes it, zeros included.")
    issuers = sorted({one.issuer for one in studies if one.issuer})
    if issuer is not None:
        studies = [one for one in studies if one.issuer == issuer]
    elif len(issuers) > 1:
        raise PacsError(f"{len(issuers)} issuers use this PatientID; choose with --issuer: {', '.join(issuers)}.")
    if not studies:
        raise PacsError(f"The PACS knows no study of this PatientID by that issuer; known: {', '.join(issuers)}.")
    return sorted(studies, key=lambda one: (one.date, one.study_uid))


def _wanted(archive: Archive, studies: list[RemoteStudy]) -> list[RemoteSeries]:
    wanted: list[RemoteSeries] = []
    others: Counter[str] = Counter()
    for study in studies:
        series = archive.series(study)
        if any(one.modality in _TAKEN_ALONG for one in series):
            wanted += [one for one in series if one.modality in FETCHED_MODALITIES]
        others.update(one.modality for one in series)
    if not wanted:
        held = ", ".join(sorted(filter(None, others))) or "no series"
        raise PacsError(f"Nothing to fetch: the {len(studies)} studies of the patient hold no CT or PET ({held}).")
    return wanted


@dataclass
class _Fetching:
    """One patient's images on their way into a study."""

    archive: Archive
    patient_id: str
    study: Path
    is_present: Callable[[str], bool]
    progress: Callable[[SeriesProgress], None]
    done: Fetched = field(default_factory=Fetched)

    def fetch(self, series: RemoteSeries, number: int, of: int) -> None:
        instances = list(dict.fromkeys(self.archive.instances(series)))
        missing = [uid for uid in instances if not self.is_present(uid)]
        outstanding = set(missing)

        def tell() -> None:
            present, fetched = len(instances) - len(missing), len(missing) - len(outstanding)
            self.progress(SeriesProgress(series, number, of, len(instances), present, fetched))

        def store(uid: str, content: bytes) -> None:
            if uid in outstanding:
                _require_asked_for(content, uid, self.patient_id)
                _write(self.study / series.study_uid / series.series_uid / f"{uid}.dcm", content)
                outstanding.discard(uid)
                self.done.fetched += 1
                self.done.bytes += len(content)
                tell()

        self.done.series += 1
        self.done.images += len(instances)
        self.done.present += len(instances) - len(missing)
        tell()
        why = "the PACS lists more images than it sent"
        if missing:
            try:
                self.archive.retrieve(series, missing, store, whole=len(missing) == len(instances))
            except NotFetchedError as error:
                why = str(error)
        if outstanding:
            text = f"{series.modality} of {series.date or 'no date'}: {len(outstanding)} images did not come; {why}."
            self.done.problems.append(text)


def _require_asked_for(content: bytes, uid: str, patient_id: str) -> None:
    """Nothing but what was asked for reaches the study: neither another image nor one of another patient."""
    try:
        header = pydicom.dcmread(
            io.BytesIO(content), stop_before_pixels=True, specific_tags=["SOPInstanceUID", "PatientID"]
        )
        found = str(header.get("SOPInstanceUID", "")), str(header.get("PatientID") or "").strip()
    except Exception as error:  # a broken element can raise nearly anything
        raise PacsError(f"The PACS sent something that is no DICOM file ({type(error).__name__}). Run again.") from None
    if found != (uid, patient_id):
        what = "another image" if found[0] != uid else "an image of another PatientID"
        raise PacsError(f"The PACS sent {what} than was asked for; it was not written. Ask its administrator.")


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")  # hidden: an index that runs meanwhile passes it over
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what, remedy = ("The disk is full", "Make room") if full else (error.strerror, "Mend that")
        raise PacsError(
            f"{what}: {path.parents[2]} cannot be written to. {remedy}, run again: what has come stays."
        ) from error
