"""What stands on disk and what it means: paths, columns, states, reason codes, exit codes.

This is the one place that knows them; every room reads and writes through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What `nen-imaging run` ends with."""

    ALL_MEASURED = 0
    NOTHING_DONE = 1
    USAGE = 2
    SOME_NOT_MEASURED = 3


class State(StrEnum):
    """How a stage ended. Refused is an outcome: it is written, passed on and never tried again by itself."""

    OK = "ok"
    WARNED = "warned"
    REFUSED = "refused"


class StagingState(StrEnum):
    """Whether a staging's images still lie in the study."""

    ACTIVE = "active"
    GONE = "gone"


@dataclass(frozen=True)
class ReasonKind:
    """One row of the table of reason codes: what it does to a stage, and what a person can do about it."""

    state: State
    remedy: str


def _refuses(remedy: str) -> ReasonKind:
    return ReasonKind(State.REFUSED, remedy)


def _warns(remedy: str) -> ReasonKind:
    return ReasonKind(State.WARNED, remedy)


REASONS: dict[str, ReasonKind] = {
    # the study folder
    "study.empty": _refuses("Check the path: the folder holds no file that could be read as DICOM."),
    "file.not_dicom": _warns("Nothing to do, unless the file should have been an image."),
    "file.truncated": _warns("Copy the file again from its source; the part that is there is not used."),
    "file.unreadable": _warns("Check the file's permissions and the disk."),
    "file.hidden": _warns("Nothing to do, unless it should have been an image: take the dot off its name."),
    "file.directory": _warns("Nothing to do: the files that a DICOMDIR lists are found without it."),
    "file.unsupported": _warns("Nothing to do, unless the file should have been a CT or PET image."),
    "identity.weak": _warns(
        "The series carries no PatientID: check in `index/series.csv` that it joined the right one."
    ),
    "date.missing": _warns("The series carries no date: name one in `corrections.csv`, or it stays undated."),
    # CT
    "ct.none": _refuses("Add the CT of this date to the study folder, or pin one in `pins.csv`."),
    "ct.not_hu": _refuses("The series is a mask or a derived image. Add the original CT."),
    "ct.localizer": _refuses("The series is a scout. Add the axial CT."),
    "slices.missing": _refuses("Fetch the series again from the archive; slices are missing between others."),
    "slices.too_few": _refuses("Fetch the series again: too few slices for a volume."),
    "slices.uneven": _refuses("Export a series with even spacing, or allow resampling in the config."),
    "slices.duplicate": _warns("Identical copies were dropped; nothing to do."),
    "slices.conflict": _refuses("Two different slices claim one position: split the series by acquisition at export."),
    "slices.tilted": _warns("The gantry was tilted; the volume was resampled to a right-angled grid."),
    "slices.localizer_dropped": _warns("Scouts in the series were left out; nothing to do."),
    "slices.resampled": _warns("Uneven slices were interpolated to even ones, as the config allows."),
    "geometry.missing": _refuses(
        "The images carry no position, orientation or spacing. Export them again from the archive."
    ),
    "geometry.inconsistent": _refuses("Slices disagree in size, spacing or orientation. Export one acquisition alone."),
    "image.multiframe": _refuses("Export the series as classic (single-frame) CT or PET images."),
    "image.unreadable": _refuses("Give a DICOM folder, an archive of one, or a NIfTI file of one CT."),
    "image.missing": _refuses("Add the images that it was made on: by itself it holds nothing to measure."),
    "image.several_patients": _refuses("Give the images of one patient, or use `nen-imaging run` for a study folder."),
    "image.several_series": _warns("To have another one measured name it, `--series KEY`, or give its folder alone."),
    "image.series_unknown": _refuses("Name one of its CT series, or none: then the best one is taken."),
    "header.damaged": _refuses("Copy or export the series again: the header of an image is damaged."),
    "pixels.undecodable": _refuses("Export the series uncompressed, or install a decoder for its transfer syntax."),
    "pixels.lossy": _warns("The images were compressed with loss; Hounsfield units are approximate."),
    "hu.implausible": _warns("Air, fat or soft tissue lies off its place; check the rescale of this series."),
    "slices.thick": _warns("Slices above 5 mm: small lesions are missed and the load interval is wider."),
    "slices.not_axial": _warns(
        "Diameters are measured within these slices and compare badly with axial ones: add or pin an axial CT."
    ),
    # PET
    "pet.none": _refuses("Nothing to do: no PET belongs to this staging."),
    "pet.units": _refuses("Reconstruct or export the PET in BQML (or GML)."),
    "pet.uncorrected": _refuses("Export the attenuation- and decay-corrected PET."),
    "pet.decay_contradiction": _refuses("Correct (0054,1102) DecayCorrection in `corrections.csv`."),
    "pet.weight_missing": _refuses("Give (0010,1030) PatientWeight in kg in `corrections.csv`."),
    "pet.weight_implausible": _refuses("Correct (0010,1030) PatientWeight (kg) in `corrections.csv`."),
    "pet.dose_missing": _refuses("Give (0018,1074) RadionuclideTotalDose in Bq in `corrections.csv`."),
    "pet.dose_implausible": _refuses("Correct (0018,1074) RadionuclideTotalDose (Bq) in `corrections.csv`."),
    "pet.half_life_missing": _refuses("Give (0018,1075) RadionuclideHalfLife in seconds in `corrections.csv`."),
    "pet.time_missing": _refuses(
        "Give (0018,1078) RadiopharmaceuticalStartDateTime in `corrections.csv`, and (0008,0022) AcquisitionDate where "
        "the images carry no date."
    ),
    "pet.time_implausible": _refuses(
        "Correct (0018,1078) in `corrections.csv`, in the scanner's local time; the scan follows within ten half lives."
    ),
    "pet.frame_duration_missing": _refuses("Give (0018,1242) ActualFrameDuration in ms in `corrections.csv`."),
    "pet.factor_missing": _refuses("Export the PET with Philips' private factors (7053,1000) or (7053,1009)."),
    "pet.several_injections": _refuses(
        "Give the values that hold for all injections together, or for the one that was imaged, in `corrections.csv`."
    ),
    "pet.not_correctable": _refuses(
        "The series is stored as SUV: export it in BQML, or take the value out of `corrections.csv` if it is right."
    ),
    "pet.correction_unknown": _refuses("Name the tag in `corrections.csv` by keyword, or as (gggg,eeee)."),
    "pet.height_missing": _refuses("Give (0010,1020) PatientSize in m in `corrections.csv`."),
    "pet.inconsistent": _refuses("Slices disagree in units, dose, weight or times. Export one acquisition alone."),
    "pet.value_converted": _warns("A value stood in another unit than DICOM asks; see `pet.json`."),
    "pet.half_life_unusual": _warns("The half life differs from that of the nuclide; check the header."),
    "pet.scan_start_uncertain": _warns("The scan's start rests on the earliest acquisition; see `pet.json`."),
    "pet.day_before": _warns("The injection was taken to lie before midnight; check (0018,1072)."),
    "pet.sex_averaged": _warns("Sex is neither M nor F: the mean of both formulas was used; see `pet.json`."),
    "pet.intercept": _warns("The rescale intercept is not 0; it was used."),
    "pet.corrected": _warns("Values of `corrections.csv` were used; see `pet.json`."),
    "pet.shifted": _warns("PET and CT lie apart; look at the fusion before you trust single lesions."),
    "pet.shift_unknown": _warns("PET and CT may lie apart; look at the fusion before you trust single lesions."),
    "pet.aligned": _warns("The PET was brought onto the CT: look at the fusion before you trust single lesions."),
    "pet.not_aligned": _warns(
        "No SUV is given. Pin the PET/CT's own CT in `pins.csv` to have it measured, or add the PET that belongs."
    ),
    # segmentation
    "liver.absent": _refuses("No liver was found: check that the CT shows the upper abdomen."),
    "liver.truncated": _warns("The liver is cut by the edge of the image: volumes are `at least`."),
    "liver.volume_implausible": _warns("The liver volume lies outside 600-6000 ml: look at `qc.png`."),
    "liver.fragmented": _warns("The liver mask had separate parts: look at `qc.png`."),
    "image.unlike_training": _warns("The image is unlike the network's training data: look at `qc.png`."),
    "lesions.outside_liver": _warns("Lesions apart from the liver were left out: look at `qc.png`."),
    "phase.unlike_header": _warns(
        "Loads of another contrast phase compare badly: see whether `pins.csv` should name another CT of this date."
    ),
    "interval.uncalibrated": _warns("The load's interval holds less than the segmenter's errors: look at `qc.png`."),
    # uptake
    "pet.not_covering": _warns("The PET does not cover all of the liver; lesions outside are not evaluable."),
    "uptake.no_reference": _warns("No trustworthy reference organ; ratios and status are missing."),
    # follow-up
    "registration.untrusted": _warns("The livers could not be aligned well: events there are marked unsure."),
    "staging.not_measured": _warns("Its lesions are not followed; see why the staging was refused."),
    "staging.undated": _warns("Undated stagings are not followed: name a date in `corrections.csv`."),
    # reader
    "reader.mask_elsewhere": _refuses("Draw the mask on the CT that is measured, or take it out of `masks.csv`."),
    "reader.mask_regridded": _warns("Draw on the CT that is measured where single voxels matter."),
    "reader.lesion_unknown": _warns(
        "Look the number up in `measure/lesions.csv` and correct it in `readings.csv` or `links.csv`."
    ),
    "reader.lesion_changed": _warns(
        "The reading was not applied. Look the lesion up in `measure/lesions.csv` and correct `lesion` and `volume_ml` "
        "in `readings.csv`."
    ),
    "reader.mask": _warns("A reader's mask replaces the network's; both loads are shown."),
    "region.unreadable": _refuses("Export the region again as RTSTRUCT, DICOM SEG or NIfTI, on several slices."),
    # validation
    "truth.unusable": _refuses("Check the case against the data set's own documentation, or fetch it again."),
    "case.seen": _refuses("Validate with a bundle that has not learnt from this patient."),
    "truth.note": _warns("Nothing to do: this is how the case was read."),
}


@dataclass(frozen=True)
class Reason:
    """Why a stage ended as it did: a code of `REASONS` and a sentence with the particulars."""

    code: str
    text: str

    def __post_init__(self) -> None:
        if self.code not in REASONS:
            raise KeyError(f"{self.code!r} is no reason code; add it to contract.REASONS with its remedy.")

    @property
    def state(self) -> State:
        return REASONS[self.code].state

    @property
    def remedy(self) -> str:
        return REASONS[self.code].remedy


class Refusal(Exception):  # noqa: N818 - an outcome, not an error
    """The data cannot give the number that was asked for."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.reason = Reason(code, text)


def worst_state(reasons: list[Reason]) -> State:
    """The state that a list of reasons leaves a stage in."""
    states = {reason.state for reason in reasons}
    return State.REFUSED if State.REFUSED in states else State.WARNED if State.WARNED in states else State.OK


STAGING_STAGES = ("import_ct", "import_pet", "import_low_dose_ct", "segment", "measure", "uptake")
PATIENT_STAGES = ("follow", "report")
FOLDER_OF_STAGE = {
    "import_ct": "ct",
    "import_pet": "pet",
    "import_low_dose_ct": "low_dose_ct",
    "segment": "segment",
    "measure": "measure",
    "uptake": "uptake",
    "follow": "follow",
    "report": "report",
}
STAGE_RECORD = "stage.json"


@dataclass(frozen=True)
class Results:
    """The layout of a results folder."""

    root: Path

    @property
    def index(self) -> Path:
        return self.root / "index"

    @property
    def series_table(self) -> Path:
        return self.index / "series.csv"

    @property
    def studies_table(self) -> Path:
        return self.index / "studies.csv"

    @property
    def stagings_table(self) -> Path:
        return self.index / "stagings.csv"

    @property
    def quarantine_table(self) -> Path:
        return self.index / "quarantine.csv"

    @property
    def files_database(self) -> Path:
        """Where each file of the study lies, relative to it, and what its header said; mode 600."""
        return self.index / "files.sqlite"

    @property
    def key_fingerprint(self) -> Path:
        return self.index / "key_fingerprint"

    @property
    def cohort(self) -> Path:
        return self.root / "cohort"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def patient(self, patient: str) -> Path:
        return self.root / "patients" / patient

    def staging(self, patient: str, staging: str) -> Path:
        return self.patient(patient) / "stagings" / staging

    def stage_folder(self, stage: str, patient: str, staging: str | None = None) -> Path:
        base = self.patient(patient) if staging is None else self.staging(patient, staging)
        return base / FOLDER_OF_STAGE[stage]

    def error_record(self, stage: str, patient: str, staging: str | None = None) -> Path:
        return self.logs / "errors" / patient / f"{staging or 'patient'}.{stage}.json"


# Files beside the stage folders, written by index, always there, rewritten only when their content changes.
CT_SELECTION = "ct_selection.json"
PET_SELECTION = "pet_selection.json"
LOW_DOSE_CT_SELECTION = "low_dose_ct_selection.json"
CORRECTIONS = "corrections.json"
READER = "reader.json"
TIMELINE = "timeline.json"
LINKS = "links.json"

NO_FRAME = "none"  # in place of the keyed hash of a frame of reference: positions can be compared with nothing else

STAGINGS_COLUMNS = (
    "patient", "staging", "date", "state", "has_ct", "has_pet", "ct_series", "pet_series", "low_dose_ct_series",
    "notes",
)  # fmt: skip
SERIES_COLUMNS = (
    "patient", "study", "series", "date", "modality", "files", "image_type", "description_phase",
    "slice_thickness_mm", "spacing_mm", "extent_mm", "kernel", "score", "chosen_for", "reason", "codes",
)  # fmt: skip
STUDIES_COLUMNS = ("patient", "study", "date", "series", "files", "modalities", "staging", "reason")
QUARANTINE_COLUMNS = ("file", "code", "text", "remedy")

LESIONS_COLUMNS = (
    "lesion", "volume_ml", "longest_diameter_mm", "perpendicular_diameter_mm", "longest_diameter_3d_mm",
    "sphere_diameter_mm", "mean_hu", "sd_hu", "surface_to_liver_edge_mm", "measurable", "confluent",
    "cut_by_border", "probable_cyst", "centroid_x_mm", "centroid_y_mm", "centroid_z_mm", "longest_start_x_mm",
    "longest_start_y_mm", "longest_start_z_mm", "longest_end_x_mm", "longest_end_y_mm", "longest_end_z_mm",
    "perpendicular_start_x_mm", "perpendicular_start_y_mm", "perpendicular_start_z_mm", "perpendicular_end_x_mm",
    "perpendicular_end_y_mm", "perpendicular_end_z_mm",
)  # fmt: skip
UPTAKE_COLUMNS = (
    "lesion", "suv_max", "suv_mean", "suv_peak_local", "suv_peak_global", "suv_mean_corrected", "suv_peak_corrected",
    "pet_volume_ml", "ssr_tv_ml", "tl_ssr_ml", "threshold_rule", "threshold_suv", "tumour_to_liver_max",
    "tumour_to_liver_mean", "tumour_to_spleen_max", "tumour_to_spleen_mean", "krenning_modified", "status",
    "status_reason", "partial_volume", "pet_shift_mm", "pet_shift_uncertainty_mm",
)  # fmt: skip
VOI_COLUMNS = ("voi", "organ", "volume_ml", *UPTAKE_COLUMNS[1:])  # a reader's volumes outside the liver
FOCI_COLUMNS = (  # candidates outside the liver, for a reader; the place is that of the maximum, LPS
    "focus", "x_mm", "y_mm", "z_mm", "suv_max", "volume_ml", "tumour_to_liver_max", "mean_hu", "nearest_organ",
    "distance_mm", "may_be",
)  # fmt: skip
REGISTRATION_COLUMNS = (
    "staging", "reference", "method", "liver_dice", "surface_distance_mm", "match_uncertainty_mm", "trusted",
    "reason", "matrix",
)  # fmt: skip
TRACKS_COLUMNS = ("track", "staging", "lesion", "volume_ml", "longest_diameter_mm", "group")
EVENTS_COLUMNS = ("staging", "event", "tracks", "lesions", "counted", "text")
RESPONSE_COLUMNS = (
    "staging", "date", "line", "criterion", "response", "borderline", "baseline_staging", "baseline_value",
    "nadir_staging", "nadir_value", "value", "unit", "change_from_baseline_percent", "change_from_nadir_percent",
    "new_lesions", "reason",
)  # fmt: skip
STAGING_TABLE_COLUMNS = (
    "date", "therapy", "staging", "load_percent", "load_percent_low", "load_percent_high", "response",
    "response_basis",
)  # fmt: skip
COHORT_COLUMNS = (
    "patient", "staging", "date", "state", "load_percent", "load_percent_low", "load_percent_high",
    "liver_volume_ml", "lesion_volume_ml", "lesions", "ssr_status", "response", "response_basis", "flags",
)  # fmt: skip
REVIEW_COLUMNS = ("patient", "staging", "code", "text", "remedy", "look_at")
FAILURES_COLUMNS = ("patient", "staging", "stage", "state", "code", "text", "remedy")
