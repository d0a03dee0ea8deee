"""The edge of this room: the selected series of a staging become `ct/`, `pet/` and, where needed, `low_dose_ct/`."""

from __future__ import annotations

import json
from typing import Any

from nen_imaging.contract import CORRECTIONS, CT_SELECTION, LOW_DOSE_CT_SELECTION, PET_SELECTION, Refusal, Results
from nen_imaging.stage import Outcome, Stage, StageCall, write_json
from nen_imaging.volume import write_nifti


def _import_ct(call: StageCall) -> Outcome:
    return _imported_ct(call, _selection(call, CT_SELECTION, "ct.none", "No CT was selected for this staging."))


def _import_low_dose_ct(call: StageCall) -> Outcome:
    """A CT that tells where the PET lies. Nothing is measured on it: what its images lack is a fact, and no warning."""
    outcome = _imported_ct(call, _selection(call, LOW_DOSE_CT_SELECTION, "ct.none", "No low-dose CT was selected."))
    return Outcome(facts=outcome.facts | {"remarks": [f"{one.code}: {one.text}" for one in outcome.reasons]})


def _imported_ct(call: StageCall, selection: dict[str, Any]) -> Outcome:
    from nen_imaging.dicom.attributes import quiet_reading
    from nen_imaging.dicom.series import read_ct

    with quiet_reading():
        image = read_ct(
            _files(call, selection),
            spacing_tolerance_mm=call.options["spacing_tolerance_mm"],
            resample_uneven=call.options["resample_uneven"],
        )
    write_nifti(call.folder / "ct.nii.gz", image.volume)
    selected = {name: selection.get(name) for name in ("series", "date", "phase_header", "frame_of_reference")}
    return Outcome(image.reasons, image.facts | selected)


def _import_pet(call: StageCall) -> Outcome:
    from nen_imaging.dicom.attributes import quiet_reading
    from nen_imaging.dicom.pet_header import correction_keyword
    from nen_imaging.dicom.series import read_pet

    selection = _selection(call, PET_SELECTION, "pet.none", "No PET was selected for this staging.")
    rows = json.loads(call.input(CORRECTIONS).read_text("utf-8"))["corrections"]
    try:
        corrections = {correction_keyword(row["tag"]): str(row["value"]) for row in rows}
        corrections |= _moved_back({name: corrections[name] for name in _MOMENTS & set(corrections)}, call, selection)
    except ValueError as error:
        raise Refusal("pet.correction_unknown", str(error)) from error
    tolerance_mm = call.options["spacing_tolerance_mm"]
    with quiet_reading():
        image = read_pet(_files(call, selection), corrections, spacing_tolerance_mm=tolerance_mm)
    write_nifti(call.folder / "suv.nii.gz", image.volume)
    facts = {name: selection.get(name) for name in ("series", "date", "frame_of_reference")}
    provenance = image.provenance | {"corrections": rows, "frame_of_reference": facts["frame_of_reference"]}
    write_json(call.folder / "pet.json", provenance)
    return Outcome(image.reasons, facts | {"slices": image.volume.shape[2]})


_MOMENTS = {"RadiopharmaceuticalStartDateTime", "AcquisitionDate"}


def _moved_back(moments: dict[str, str], call: StageCall, selection: dict[str, Any]) -> dict[str, str]:
    """Corrected moments (``YYYYMMDDHHMMSS``, ``YYYY-MM-DD``), shown with a moved date, on the true day of the images.

    Only the images know by how much it was moved: the results alone do not.
    """
    from datetime import date

    from nen_imaging.dates import moved_moment
    from nen_imaging.dicom.headers import date_of
    from nen_imaging.dicom.series import read_dataset

    if not moments or not selection["date"]:
        return moments
    days = (date_of(read_dataset(file, pixels=False)) for _, file in _files(call, selection))
    true = min(filter(None, days), default="")
    if not true:
        return moments
    back = (date.fromisoformat(true) - date.fromisoformat(selection["date"])).days
    return {name: moved_moment(moment, back) for name, moment in moments.items()}


def _selection(call: StageCall, name: str, code: str, text: str) -> dict[str, Any]:
    selection: dict[str, Any] = json.loads(call.input(name).read_text("utf-8"))
    if selection["series"] is None:
        raise Refusal(code, text)
    return selection


def _files(call: StageCall, selection: dict[str, Any]) -> Any:  # noqa: ANN401 - see series.Files
    from nen_imaging.dicom.database import files_of_series
    from nen_imaging.dicom.files import open_files

    return open_files(*files_of_series(Results(call.context.results), selection["series"]))


IMPORT_CT = Stage("import_ct", 6, _import_ct)
IMPORT_LOW_DOSE_CT = Stage("import_low_dose_ct", 2, _import_low_dose_ct)
IMPORT_PET = Stage("import_pet", 4, _import_pet)
