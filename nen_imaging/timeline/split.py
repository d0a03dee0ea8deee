"""Split a timeline into the small JSON files beside the stages: per patient and per staging, without any PatientID.

Every file is always there and is written only when it changes, so that an edit reruns what reads it, for that
patient, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nen_imaging.contract import CORRECTIONS, LINKS, PET_SELECTION, READER, TIMELINE, Refusal, Results
from nen_imaging.dates import moved
from nen_imaging.stage import sha256_of, write_json
from nen_imaging.timeline.as_read import with_lesions_as_read
from nen_imaging.timeline.read import NIFTI, Timeline, TimelineRow, refuse_contradictions
from nen_imaging.timeline.shift import shown
from nen_imaging.timeline.tables import DATE_TAG
from nen_imaging.volume import Volume, read_nifti, write_nifti

READER_MASK = "reader_mask.nii.gz"
"""A reader's mask (1 liver, 2 lesion), copied beside `reader.json`."""

VOI_FILE = "voi_{}.nii.gz"
RegionReader = Callable[[Path, str], Volume]
LabelMapReader = Callable[[Path], Volume]
Stagings = Mapping[str, Mapping[str, str]]
_Split = dict[tuple[str, str], list[TimelineRow]]


def split_timeline(
    timeline: Timeline,
    results: Results,
    stagings: Stagings,
    patients_named: Callable[[str], set[str]],
    read_region: RegionReader,
    read_label_map: LabelMapReader,
    moved_days: Mapping[str, int] | None = None,
    *,
    only_missing: bool = False,
) -> list[str]:
    """Write the small files of every patient and staging; returns notes on rows that found no place.

    Parameters
    ----------
    timeline, results
        What was read, and where it is split to.
    stagings
        Patient (pseudonym) -> every name by which a staging may be called -> its name.
    patients_named
        The pseudonyms that the text of a `patient` column means.
    read_region
        Reads the region of a name from a file of `voi.csv`; raises Refusal.
    read_label_map
        Reads liver and lesions from a DICOM file of `masks.csv`; raises Refusal.
    moved_days
        Patient -> by how many days dates are moved (None: by none).
    only_missing
        Leave the files of patients and stagings that have some: who looks without a timeline forgets none.

    Raises
    ------
    TimelineError
        A row leaves the patient out although the study holds several, means several patients at once, or contradicts
        another row.
    """
    notes: list[str] = []
    rows: _Split = {}
    for table in timeline.tables:
        for row in timeline.rows(table):
            patient = _patient_of(row, stagings, patients_named)
            days = (moved_days or {}).get(patient or "", 0)
            if patient is None:
                notes.append(f"{table}.csv, row {row.line}: this patient has no staging in the study; not used")
            elif placed := _placed(row, stagings[patient], days):
                rows.setdefault((patient, table), []).append(placed)
            else:
                notes.append(f"{table}.csv, row {row.line}: the patient has no such staging; not used")
    for together in rows.values():
        refuse_contradictions(row for row in together if not _is_date(row))  # studies of a staging may have two
    for patient, names in stagings.items():
        days = (moved_days or {}).get(patient, 0)
        if not (only_missing and (results.patient(patient) / LINKS).is_file()):
            _write_patient(results, patient, rows, days)
        for staging in sorted(set(names.values())):
            if only_missing and (results.staging(patient, staging) / READER).is_file():
                continue
            _write_staging(timeline, results, patient, staging, rows, read_region, read_label_map, days)
    return notes


def _patient_of(row: TimelineRow, stagings: Stagings, patients_named: Callable[[str], set[str]]) -> str | None:
    if row.patient:
        named = patients_named(row.patient)
        if len(named) > 1:
            raise row.error("the PatientID has several issuers; write the pseudonym instead", "patient")
        return next(iter(named), None)
    if len(stagings) > 1:
        raise row.error(
            f"no patient is given, but the study holds {len(stagings)}; add a column patient with the PatientID",
            "patient",
        )
    return next(iter(stagings), None)


_STAGING_COLUMNS = ("staging", "earlier_staging", "later_staging")


def _placed(row: TimelineRow, names: Mapping[str, str], moved_days: int) -> TimelineRow | None:
    """The row with its stagings called by their names; None if the patient has no such staging.

    A staging that was undated until the row gave it a date is called by that date.
    """
    if row.table in ("pins",):
        return row
    asked = {column: row.cells[column] for column in _STAGING_COLUMNS if column in row.cells}
    if _is_date(row) and asked["staging"] not in names:
        asked["staging"] = moved(row.cells["value"], moved_days)
    if any(cell not in names for cell in asked.values()):
        return None
    return TimelineRow(row.table, row.line, row.patient, {**row.cells, **{c: names[a] for c, a in asked.items()}})


def _is_date(row: TimelineRow) -> bool:
    return row.cells.get("tag") == DATE_TAG


def _write_patient(results: Results, patient: str, rows: _Split, moved_days: int) -> None:
    def cells(table: str) -> list[dict[str, str]]:
        return [shown(row, moved_days) for row in rows.get((patient, table), [])]

    folder = results.patient(patient)
    tables = ("therapies", "markers", "findings", "readings")
    timeline: dict[str, Any] = {"patient": patient} | {table: cells(table) for table in tables}
    write_json(folder / TIMELINE, timeline, only_if_changed=True)
    write_json(folder / LINKS, {"links": cells("links")}, only_if_changed=True)


def _write_staging(
    timeline: Timeline,
    results: Results,
    patient: str,
    staging: str,
    rows: _Split,
    read_region: RegionReader,
    read_label_map: LabelMapReader,
    moved_days: int,
) -> None:
    def of_staging(table: str) -> list[TimelineRow]:
        return [row for row in rows.get((patient, table), []) if row.cells["staging"] == staging]

    folder = results.staging(patient, staging)
    corrections = [_only(row, moved_days, "tag", "value", "reason") for row in of_staging("corrections")]
    pet_day = _json(folder / PET_SELECTION).get("date")  # a date of a staging may be that of its CT alone
    kept = [correction for correction in corrections if correction["tag"] != DATE_TAG or correction["value"] == pet_day]
    write_json(folder / CORRECTIONS, {"corrections": kept}, only_if_changed=True)
    readings = [
        _only(row, moved_days, "lesion", "reading", "volume_ml", "reason")
        for row in of_staging("readings")
        if row.cells["reading"] in ("benign", "treated")
    ]
    lesions_table = results.stage_folder("measure", patient, staging) / "lesions.csv"
    reader = {
        "mask": _copy_mask(timeline, of_staging("masks"), folder / READER_MASK, read_label_map),
        "lesions": with_lesions_as_read(readings, _json(folder / READER).get("lesions", ()), lesions_table),
        "voi": _copy_regions(timeline, of_staging("voi"), folder, read_region, moved_days),
    }
    write_json(folder / READER, reader, only_if_changed=True)


def _only(row: TimelineRow, moved_days: int, *columns: str) -> dict[str, str]:
    cells = shown(row, moved_days)
    return {column: cells[column] for column in columns}


def _copy_regions(
    timeline: Timeline, rows: list[TimelineRow], folder: Path, read_region: RegionReader, moved_days: int
) -> list[dict[str, str]]:
    """Bring every volume of interest beside `reader.json` as NIfTI, named by its content; those no longer named go."""
    regions = []
    for row in rows:
        source, name = timeline.file(row), row.cells["name"]
        digest = hashlib.sha256(f"{sha256_of(source)} {name}".encode()).hexdigest()
        target = folder / VOI_FILE.format(digest[:16])
        if not target.is_file():
            try:
                mask = read_region(source, name)
            except Refusal as refusal:
                raise row.error(f"{refusal} {refusal.reason.remedy}", "file") from refusal
            folder.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}")
            write_nifti(temporary, mask)
            temporary.replace(target)
        regions.append(
            _only(row, moved_days, "name", "organ", "note") | {"file": target.name, "sha256": sha256_of(target)}
        )
    kept = {region["file"] for region in regions}
    for path in folder.glob(VOI_FILE.format("*")):
        if path.name not in kept:
            path.unlink()
    return regions


def _copy_mask(
    timeline: Timeline, rows: list[TimelineRow], target: Path, read_label_map: LabelMapReader
) -> dict[str, str] | None:
    if not rows:
        target.unlink(missing_ok=True)
        return None
    if len(rows) > 1:
        raise rows[1].error("this staging has a mask already; name one", "file")
    source_digest = sha256_of(timeline.file(rows[0]))
    before = _json(target.parent / READER).get("mask") or {}
    is_same = before.get("source_sha256") == source_digest and target.is_file()
    if not is_same or sha256_of(target) != before.get("sha256"):
        _rewrite_mask(timeline, rows[0], target, read_label_map)
    return {"sha256": sha256_of(target), "source_sha256": source_digest}


def _json(path: Path) -> dict[str, Any]:
    """What a JSON file says so far; nothing where it is not there or not whole."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _rewrite_mask(timeline: Timeline, row: TimelineRow, target: Path, read_label_map: LabelMapReader) -> None:
    """Voxels and grid alone: the header that a workstation wrote, or the name in its gzip, may name the patient."""
    from nibabel.filebasedimages import ImageFileError

    source = timeline.file(row)
    try:
        mask = read_nifti(source) if source.name.lower().endswith(NIFTI) else read_label_map(source)
    except Refusal as refusal:
        raise row.error(f"{refusal} {refusal.reason.remedy}", "file") from refusal
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise row.error(f"the NIfTI file cannot be read ({type(error).__name__}); export it again", "file") from error
    temporary = target.with_name(f".{target.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(temporary, mask)
    temporary.replace(target)
