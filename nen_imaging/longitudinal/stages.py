"""The edge of this room: every `ct/` and `measure/` of a patient becomes `follow/`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nen_imaging.contract import EVENTS_COLUMNS, REGISTRATION_COLUMNS, TRACKS_COLUMNS, Reason
from nen_imaging.stage import Outcome, Stage, StageCall, read_record, reasons_of
from nen_imaging.tables import read_table, write_table

if TYPE_CHECKING:
    from nen_imaging.longitudinal.follow import FollowedPatient, ScannedStaging
    from nen_imaging.longitudinal.graph import ReaderLink

VERSION = 6


def _follow(call: StageCall) -> Outcome:
    from nen_imaging.longitudinal.follow import follow_patient
    from nen_imaging.longitudinal.graph import FollowLimits
    from nen_imaging.longitudinal.matching import MatchLimits
    from nen_imaging.longitudinal.registration import RegistrationLimits

    options = call.options
    registration = RegistrationLimits(options["trusted_liver_dice"], options["trusted_surface_distance_mm"])
    limits = FollowLimits(
        MatchLimits(options["match_overlap"], options["edge_overlap"], options["edge_distance"]),
        options["new_minimum_diameter_mm"],
    )
    usable, reasons = _usable(call)
    links = json.loads(call.input("links.json").read_text("utf-8"))["links"]
    scans = (_read(staging, ct, measure) for staging, (ct, measure) in usable.items())
    reader_links = [_link(row) for row in links]
    patient = follow_patient(scans, registration, limits, reader_links)
    _write(call.folder, patient)
    untrusted = [
        Reason("registration.untrusted", f"{staging}: {found.reason}.")
        for staging, found in patient.registrations.items()
        if not found.trusted
    ]
    facts = {"followed": list(usable), "reference": next(iter(usable), None)}
    return Outcome(reasons + untrusted + _unused(reader_links, patient), facts)


def _unused(links: Sequence[ReaderLink], patient: FollowedPatient) -> list[Reason]:
    """That a reader's link hits nothing: numbers are those of one segmentation, and another network counts anew."""
    missing = {end for link in links for end in (link.earlier, link.later)} - patient.lesions.keys()
    return [
        Reason("reader.lesion_unknown", f"A link names lesion {lesion} of {staging}, which is not followed.")
        for staging, lesion in sorted(missing)
    ]


def _usable(call: StageCall) -> tuple[dict[str, tuple[Path, Path]], list[Reason]]:
    """The stagings that can be followed, in order of time, and why others cannot."""
    usable, reasons = {}, []
    ct_of = call.by_staging("ct")
    for staging, measure in call.by_staging("measure").items():
        record = read_record(measure)
        if record.refused:
            why = " ".join(reason.text for reason in reasons_of(record))
            reasons.append(Reason("staging.not_measured", f"{staging} is left out: {why}"))
        elif staging.startswith("undated"):
            reasons.append(Reason("staging.undated", f"{staging} has no date and is not followed."))
        else:
            usable[staging] = (ct_of[staging], measure)
    return usable, reasons


def _read(staging: str, ct: Path, measure: Path) -> ScannedStaging:
    from nen_imaging.longitudinal.follow import ScannedStaging
    from nen_imaging.volume import read_nifti

    left_out = frozenset(json.loads((measure / "load.json").read_text("utf-8")).get("left_out_lesions", ()))
    return ScannedStaging(
        staging=staging,
        ct=read_nifti(ct / "ct.nii.gz"),
        liver=read_nifti(measure / "liver.nii.gz"),
        instances=read_nifti(measure / "instances.nii.gz"),
        lesions=read_table(measure / "lesions.csv"),
        left_out=left_out,
    )


def _link(row: Mapping[str, str]) -> ReaderLink:
    """A row of links.csv; lesions that were written the other way round are put in order of time."""
    from nen_imaging.longitudinal.graph import ReaderLink

    earlier, later = sorted((row[f"{when}_staging"], int(row[f"{when}_lesion"])) for when in ("earlier", "later"))
    return ReaderLink(earlier, later, same=row["relation"] == "same")


def _write(folder: Path, patient: FollowedPatient) -> None:
    write_table(folder / "registration.csv", REGISTRATION_COLUMNS, patient.registration_rows())
    write_table(folder / "tracks.csv", TRACKS_COLUMNS, patient.track_rows())
    write_table(folder / "events.csv", EVENTS_COLUMNS, patient.event_rows())


FOLLOW = Stage("follow", VERSION, _follow, tolerates=frozenset({"ct", "measure"}))
