"""The edge of this room: `ct/` and `segment/` become `measure/`; with `pet/` (and `low_dose_ct/`) `uptake/`."""

from __future__ import annotations

import json
from pathlib import Path

from nen_imaging.contract import FOCI_COLUMNS, LESIONS_COLUMNS, NO_FRAME, READER, UPTAKE_COLUMNS, VOI_COLUMNS
from nen_imaging.stage import Outcome, Stage, StageCall, read_record, write_json
from nen_imaging.tables import read_table, write_table
from nen_imaging.volume import Volume, read_nifti, write_nifti


def _measure(call: StageCall) -> Outcome:
    from nen_imaging.measurement.measure import Segmented, measure_liver
    from nen_imaging.measurement.reader import MASK_FILE, read_reader, read_reader_mask

    ct = read_nifti(call.input("ct") / "ct.nii.gz")
    folder, reader = call.input("segment"), read_reader(call.input(READER))
    spread = json.loads((folder / "uncertainty.json").read_text("utf-8"))
    network = Segmented(
        labels=read_nifti(folder / "liver.nii.gz"),
        probability=read_nifti(folder / "probability.nii.gz"),
        member_loads_percent=tuple(spread["member_loads_percent"]),
        flags=tuple(spread["flags"]),
    )
    mask = None
    if reader.mask_sha256 is not None:
        mask = read_reader_mask(call.input(READER).with_name(MASK_FILE), reader.mask_sha256, ct)
    found = measure_liver(
        ct, network, call.options, reader_mask=mask.labels if mask else None, readings=reader.readings,
        named_phase=str(read_record(call.input("ct")).facts.get("phase_header") or "unknown"),
    )  # fmt: skip
    write_json(call.folder / "load.json", found.load)
    write_table(call.folder / "lesions.csv", LESIONS_COLUMNS, found.lesions)
    write_nifti(call.folder / "instances.nii.gz", found.instances)
    write_nifti(call.folder / "liver.nii.gz", found.labels)
    return Outcome(found.reasons + (mask.reasons if mask else []))


def _uptake(call: StageCall) -> Outcome:
    from nen_imaging.measurement.reader import apply_readings, read_reader, read_reader_region
    from nen_imaging.measurement.uptake import measure_uptake

    measured, reader = call.input("measure"), read_reader(call.input(READER))
    beside = call.input(READER).parent
    found = measure_uptake(
        ct=read_nifti(call.input("ct") / "ct.nii.gz"),
        suv=read_nifti(call.input("pet") / "suv.nii.gz"),
        labels=read_nifti(measured / "liver.nii.gz"),
        instances=read_nifti(measured / "instances.nii.gz"),
        options=call.options,
        benign=apply_readings(reader.readings, read_table(measured / "lesions.csv")).benign,
        regions=[(one.name, one.organ, read_reader_region(beside, one)) for one in reader.regions],
        same_frame=_frame(call.input("ct")) == _frame(call.input("pet")) != NO_FRAME,
        low_dose_ct=_low_dose_ct(call),
    )
    write_json(call.folder / "organs.json", found.organs)
    write_table(call.folder / "uptake.csv", UPTAKE_COLUMNS, found.lesions)
    write_table(call.folder / "voi.csv", VOI_COLUMNS, found.regions)
    write_table(call.folder / "foci.csv", FOCI_COLUMNS, found.foci)
    return Outcome(found.reasons)


def _frame(folder: Path) -> str:
    """The keyed hash of an imported series' frame of reference. Two that name none may lie anywhere."""
    return str(read_record(folder).facts.get("frame_of_reference") or NO_FRAME)


def _low_dose_ct(call: StageCall) -> Volume | None:
    """The PET's own CT, where there is one that could be read."""
    if not call.has_input("low_dose_ct") or read_record(call.input("low_dose_ct")).refused:
        return None
    return read_nifti(call.input("low_dose_ct") / "ct.nii.gz")


MEASURE = Stage("measure", 5, _measure)
UPTAKE = Stage("uptake", 11, _uptake, tolerates=frozenset({"low_dose_ct"}))
