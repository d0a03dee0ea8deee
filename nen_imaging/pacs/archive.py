"""What every archive can be asked, whichever way it speaks, and the errors that say what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

FETCHED_MODALITIES = ("CT", "PT", "SEG", "RTSTRUCT", "RWV")
"""CT and PET, and what readers drew on them; fetched from studies that hold a CT or PET."""

Store = Callable[[str, bytes], None]
"""Takes the SOPInstanceUID that was asked for and the bytes of its DICOM file."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


class PacsError(RuntimeError):
    """An archive cannot be reached, does not know the patient or answers nonsense; says what to do about it."""


class NotFetchedError(PacsError):
    """The archive did not hand out some images that it lists; others may still come."""


@dataclass(frozen=True)
class RemoteStudy:
    """One study of a patient in the archive."""

    study_uid: str
    date: str
    """``YYYYMMDD``, or empty."""
    issuer: str


@dataclass(frozen=True)
class RemoteSeries:
    """One series in the archive."""

    study_uid: str
    series_uid: str
    modality: str
    date: str
    """The study's, as ``YYYYMMDD``, or empty."""


class Archive(Protocol):
    """A PACS that one talks to; every method may raise PacsError."""

    def studies(self, patient_id: str) -> list[RemoteStudy]:
        """The studies of exactly this PatientID."""

    def series(self, study: RemoteStudy) -> list[RemoteSeries]:
        """All series of a study."""

    def instances(self, series: RemoteSeries) -> list[str]:
        """The SOPInstanceUIDs of a series."""

    def retrieve(self, series: RemoteSeries, instances: Sequence[str], store: Store, *, whole: bool) -> None:
        """Hand each of these images to ``store`` as it comes, in any order and maybe not all.

        ``whole``: they are all of the series, which may then be asked for at once. Raises NotFetchedError where the
        archive goes on but did not give them all.
        """


def checked_uid(text: str) -> str:
    """A UID that an archive sent; PacsError for anything else, since UIDs become names of folders."""
    uid = text.strip(" \0")
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise PacsError("The PACS sent a UID that is none. Ask its administrator; nothing of it was written.")
    return uid


def checked_patient_id(text: str) -> str:
    r"""A PatientID to ask for; PacsError for wildcards (``*``, ``?``, ``\``), which would bring other patients."""
    if not text.strip() or re.search(r"[*?\\]", text):
        raise PacsError("Give one whole PatientID, without * ? or \\.")
    return text.strip()
