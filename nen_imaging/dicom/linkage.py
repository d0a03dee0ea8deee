"""The linkage table: who is who, written on request and only beside the key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom

from nen_imaging.contract import Results
from nen_imaging.dicom.attributes import quiet_reading
from nen_imaging.dicom.database import files_of_series
from nen_imaging.dicom.files import open_files
from nen_imaging.dicom.privacy import write_linkage
from nen_imaging.tables import read_table

_KEYWORDS = {
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "birth_date": "PatientBirthDate",
}


def link(results: Results) -> Path:
    """Read one header per patient again and add its identifiers to the linkage table; returns the table's path.

    Raises StageError if the study left the place where it was indexed.
    """
    series_of = {row["patient"]: row["series"] for row in read_table(results.series_table)}
    with quiet_reading():
        return write_linkage(_rows(results, series_of))


def _rows(results: Results, series_of: dict[str, str]) -> Iterator[dict[str, str]]:
    patient_of: dict[str, str] = {}
    study = Path()
    for patient, series in series_of.items():
        study, paths = files_of_series(results, series)
        patient_of[paths[0]] = patient
    for path, stream in open_files(study, patient_of):
        header = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
        yield {"patient": patient_of[path]} | {
            column: str(header.get(keyword, "")) for column, keyword in _KEYWORDS.items()
        }
