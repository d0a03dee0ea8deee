"""The linkage table: who is who, written on request and only beside the key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom

from nen_imaging.contract import Results
from nen_imaging.dicom.database import FilesDatabase
from nen_imaging.dicom.files import open_files
from nen_imaging.dicom.headers import quiet_reading
from nen_imaging.dicom.privacy import write_linkage

_KEYWORDS = {
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "birth_date": "PatientBirthDate",
}


def link(results: Results) -> Path:
    """Read one header per patient again and add its identifiers to the linkage table; returns the table's path."""
    with FilesDatabase(results.files_database) as database:
        study, paths = database.study(), database.one_path_per_patient(results)
    with quiet_reading():
        return write_linkage(_rows(study, paths))


def _rows(study: Path, paths: dict[str, str]) -> Iterator[dict[str, str]]:
    patient_of = {path: patient for patient, path in paths.items()}
    for path, stream in open_files(study, patient_of):
        header = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
        yield {"patient": patient_of[path]} | {
            column: str(header.get(keyword, "")) for column, keyword in _KEYWORDS.items()
        }
