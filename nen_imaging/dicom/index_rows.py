"""The rows of the index's tables: `series.csv`, `studies.csv`, `stagings.csv`, `quarantine.csv`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from nen_imaging.contract import REASONS, STAGINGS_COLUMNS, Refusal, StagingState
from nen_imaging.dicom.database import FileRow
from nen_imaging.dicom.group import Series, SeriesKind
from nen_imaging.dicom.privacy import Pseudonymiser, file_label
from nen_imaging.dicom.select import Pins
from nen_imaging.dicom.selection import Selected, Selection

Row = dict[str, str]

REASON_OF_KIND = {
    SeriesKind.LOCALIZER: "skipped: a scout",
    SeriesKind.NOT_HU: "skipped: a mask, a capture or a projection, no Hounsfield units",
    SeriesKind.OTHER: "skipped: neither CT nor PET",
}


def series_rows(series: Iterable[Series], selection: Selection, pins: Pins) -> list[Row]:
    """A row per series: what it is, its points, and what became of it."""
    chosen = {
        choice.series.key: choice.reason
        for one in selection.selected
        for choice in (one.low_dose_ct, one.ct, one.pet)
        if choice.series is not None
    }
    return [_series_row(one, selection, pins, chosen) for one in series]


def _series_row(series: Series, selection: Selection, pins: Pins, chosen: Mapping[str, str]) -> Row:
    score = selection.scores.get(series.key)
    reason = REASON_OF_KIND.get(series.kind) or "no CT within the window of days"
    if series.lacks_images:
        reason += f"; {series.modality} of images that are not in the study"
    if score is not None:
        banned = "banned in pins.csv" if pins.get(series.key) is False else ""
        verdict = chosen.get(series.key) or banned or "another series was chosen"
        reason = f"{verdict}: {score.reason}"
    return {
        "patient": series.patient,
        "study": series.study,
        "series": series.key,
        "date": series.date,
        "modality": series.modality,
        "files": str(series.files),
        "image_type": " ".join(series.image_type),
        "description_phase": series.phase,
        "slice_thickness_mm": _number(series.slice_thickness_mm),
        "spacing_mm": _number(series.spacing_mm),
        "extent_mm": _number(series.extent_mm),
        "kernel": series.kernel,
        "score": "" if score is None else f"{score.points:g}",
        "chosen_for": selection.staging_of[series.key] if series.key in chosen else "",
        "reason": reason,
        "codes": " ".join(series.codes),
    }


def study_rows(series: Iterable[Series], staging_of: Mapping[str, str]) -> list[Row]:
    """A row per study: what it holds, its staging, or why it has none."""
    studies: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for one in series:
        studies[one.patient, one.study].append(one)
    rows = []
    for (patient, study), members in studies.items():
        stagings = sorted({staging_of[one.key] for one in members if one.key in staging_of})
        rows.append(
            {
                "patient": patient,
                "study": study,
                "date": min((one.date for one in members if one.date), default=""),
                "series": str(len(members)),
                "files": str(sum(one.files for one in members)),
                "modalities": " ".join(sorted({one.modality for one in members})),
                "staging": " ".join(stagings),
                "reason": "" if stagings else _why_no_staging(members),
            }
        )
    return sorted(rows, key=lambda row: (row["patient"], row["date"], row["study"]))


def _why_no_staging(members: Iterable[Series]) -> str:
    kinds = {one.kind for one in members}
    if kinds & {SeriesKind.PET, SeriesKind.PET_UNCORRECTED}:
        return "PET only: no CT of this patient lies within the window of days"
    why = "; ".join(sorted(REASON_OF_KIND[kind].removeprefix("skipped: ") for kind in kinds)) + ": no CT to measure"
    lacking = sorted({one.modality for one in members if one.lacks_images})
    return why + (f"; the images of {', '.join(lacking)} are not in the study" if lacking else "")


def staging_rows(selection: Selection, before: Iterable[Row]) -> list[Row]:
    """A row per staging; those listed before that have left the study are kept as ``gone``."""
    active = {(one.staging.patient, one.staging.name) for one in selection.selected}
    gone = [row for row in before if (row["patient"], row["staging"]) not in active]
    rows = [_staging_row(one) for one in selection.selected]
    left = {"state": StagingState.GONE, "notes": ""}
    rows += [{column: row.get(column, "") for column in STAGINGS_COLUMNS} | left for row in gone]
    return sorted(rows, key=lambda row: (row["patient"], row["staging"]))


def _staging_row(selected: Selected) -> Row:
    ct, pet = selected.ct, selected.pet
    notes = [
        f"another {kind} ({choice.better.key}) would now be chosen"
        for kind, choice in (("CT", ct), ("PET", pet))
        if choice.better is not None
    ]
    return {
        "patient": selected.staging.patient,
        "staging": selected.staging.name,
        "date": selected.staging.date,
        "state": StagingState.ACTIVE,
        "has_ct": "yes" if ct.series else "no",
        "has_pet": "yes" if pet.series else "no",
        "ct_series": ct.series.key if ct.series else "",
        "pet_series": pet.series.key if pet.series else "",
        "low_dose_ct_series": selected.low_dose_ct.series.key if selected.low_dose_ct.series else "",
        "notes": "; ".join(notes),
    }


def quarantine_rows(files: Iterable[FileRow], pseudonymiser: Pseudonymiser) -> list[Row]:
    """A row per file that is not used, under a keyed hash in place of its path."""
    return [
        {
            "file": file_label(pseudonymiser, file.entry.path, file.entry.size),
            "code": file.code,
            "text": file.text,
            "remedy": REASONS[file.code].remedy,
        }
        for file in files
    ]


def nothing_readable(what: str, not_used: Sequence[FileRow]) -> Refusal:
    """The refusal of a study without images: ``study.empty``, or the code of a damaged or unreadable file in it.

    ``what`` begins its text; the file's path stands there no more than in `quarantine.csv`.
    """
    text = f"{what}; {len(not_used)} files were looked at."
    damaged = [file for file in not_used if file.code in ("file.truncated", "file.unreadable")]
    if not damaged:
        return Refusal("study.empty", text)
    return Refusal(damaged[0].code, f"{text} Of them {len(damaged)} cannot be read: {damaged[0].text}.")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
