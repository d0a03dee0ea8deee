"""Write a volume as a valid series of CT or PET Image Storage, with any tag changed as a test needs it.

Every file carries the attributes that the IOD asks for (types 1 and 2). UIDs follow from the seed, the patient,
the date and the description, so that the same call writes the same files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from pydicom import Dataset, FileMetaDataset, Sequence, dcmwrite
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)
from pydicom.valuerep import DSfloat

from nen_imaging.phantom.radiotracer import GA68_DOTATOC, Injection, stored_activity
from nen_imaging.volume import LPS_TO_RAS, FloatArray, Volume

SliceOrder = Literal["ascending", "descending", "shuffled"]
PetUnits = Literal["BQML", "GML", "CNTS"]


@dataclass(frozen=True)
class PatientTags:
    """Who the patient is, as the Patient and Patient Study modules say it."""

    patient_id: str = "PHANTOM-1"
    name: str = "Phantom^Digital"
    birth_date: str = "19600101"
    sex: str = "F"
    issuer: str | None = None
    size_m: float | None = 1.70
    weight_kg: float | None = 70.0


class SeriesOptions(TypedDict, total=False):
    """What both writers take as keywords; `DEFAULTS` holds the values of those left out."""

    patient: PatientTags
    date: dt.date
    time: dt.time
    series_description: str
    series_number: int
    study_description: str
    slice_order: SliceOrder
    """How InstanceNumber and the file names run along the slice axis of the volume."""
    skip_slices: Collection[int]
    """Slice indices that are not written: a gap."""
    tags: Mapping[str, Any]
    """Keyword -> value; None deletes the attribute, "" empties it, a function is called with the slice index.
    ``"RadiopharmaceuticalInformationSequence.RadionuclideTotalDose"`` reaches into the first item of a sequence."""
    private: Mapping[tuple[int, str], Mapping[int, tuple[str, Any]]]
    """(group, private creator) -> {element: (VR, value)}"""
    transfer_syntax: str
    """Any native one, and those that pydicom can encode here: RLE and JPEG-LS."""
    extension: str
    """Ending of the file names, with its dot; "" for none, as on a CD."""
    seed: int
    """Another seed gives other UIDs."""


DEFAULTS: SeriesOptions = {
    "patient": PatientTags(),
    "date": dt.date(2020, 1, 15),
    "time": dt.time(10, 15),
    "series_description": "Abdomen portal venous",
    "series_number": 2,
    "study_description": "CT abdomen",
    "slice_order": "ascending",
    "skip_slices": (),
    "tags": {},
    "private": {},
    "transfer_syntax": ExplicitVRLittleEndian,
    "extension": "",
    "seed": 0,
}
PET_DEFAULTS: SeriesOptions = DEFAULTS | {"series_description": "PET 68Ga-DOTATOC", "series_number": 3}


def write_ct_series(
    folder: Path, volume: Volume, *, rescale: tuple[float, float] = (1.0, -1024.0), **options: Unpack[SeriesOptions]
) -> list[Path]:
    """Write a CT series into `folder`, one file per slice, and return the files by ascending slice index.

    Parameters
    ----------
    folder
        Made if absent. Two series may share one: file names carry the series number.
    volume
        Hounsfield units. Any orientation goes; a third axis that leans over its slices is a tilted gantry.
    rescale
        Slope and intercept: HU = stored x slope + intercept, stored as 16-bit signed integers.
    options
        See `SeriesOptions`.
    """
    settings = DEFAULTS | options
    slope, intercept = rescale
    stored = np.clip(np.rint((volume.array.astype(float) - intercept) / slope), -32768, 32767).astype(np.int16)

    def fill(image: Dataset, k: int) -> None:
        _add_ct_image(image)
        image.RescaleSlope, image.RescaleIntercept = _ds(slope), _ds(intercept)
        _set_pixels(image, stored[:, :, k], settings)

    return _write_series(folder, volume, CTImageStorage, settings, fill)


def write_pet_series(
    folder: Path,
    volume: Volume,
    *,
    injection: Injection = GA68_DOTATOC,
    units: PetUnits = "BQML",
    decay_correction: Literal["START", "ADMIN", "NONE"] = "START",
    slices_per_bed: int | None = None,
    frame_duration_s: float = 180.0,
    one_slope_per_slice: bool = True,
    **options: Unpack[SeriesOptions],
) -> list[Path]:
    """Write a PET series from a volume in SUVbw, and return the files by ascending slice index.

    Stored are the values that a scanner would give, so that a reader that follows the header finds the SUV again:
    activity per ml decayed to the scan's start (START), to the injection (ADMIN) or to each frame (NONE).
    The units ``CNTS`` are those of Philips, with its private factors (7053,xx00) and (7053,xx09).

    Parameters
    ----------
    folder
        Made if absent.
    volume
        SUV normalised by body weight (g/ml).
    injection
        Dose, half life and time from the injection to the scan; the weight is that of the patient's tags.
    units, decay_correction
        As DICOM writes them. Philips' factors hold for START alone.
    slices_per_bed, frame_duration_s
        Slices that are acquired together and for how long; the next bed follows. None: a single bed.
    one_slope_per_slice
        Whether every slice is scaled to its own maximum, as most scanners do, or all by one slope.
    options
        See `SeriesOptions`.
    """
    settings = PET_DEFAULTS | options
    weight_kg = settings["patient"].weight_kg or 70.0
    beds = np.zeros(volume.shape[2], int) if slices_per_bed is None else np.arange(volume.shape[2]) // slices_per_bed
    bed_start_s = beds * frame_duration_s
    values = stored_activity(
        volume.array.astype(float), bed_start_s, injection, weight_kg, units, decay_correction, frame_duration_s
    )
    slopes = np.maximum(values.max(axis=(0, 1)), 1e-6) / 32767
    if not one_slope_per_slice:
        slopes[:] = slopes.max()

    def fill(image: Dataset, k: int) -> None:
        _add_pet_series(image, volume.shape[2], injection, units, decay_correction, weight_kg, settings)
        _add_pet_image(image, float(bed_start_s[k]), frame_duration_s, injection, decay_correction, k, settings)
        # The slope as it is written, not as it was computed: DS keeps 16 characters.
        image.RescaleSlope, image.RescaleIntercept = _ds(slopes[k]), _ds(0)
        stored = np.clip(np.rint(values[:, :, k] / float(image.RescaleSlope)), 0, 32767)
        _set_pixels(image, stored.astype(np.int16), settings)

    return _write_series(folder, volume, PositronEmissionTomographyImageStorage, settings, fill)


def _write_series(
    folder: Path, volume: Volume, sop_class: str, settings: SeriesOptions, fill: Callable[[Dataset, int], None]
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    numbers = _instance_numbers(volume.shape[2], settings["slice_order"], settings["seed"])
    files = []
    for k in range(volume.shape[2]):
        if k in settings["skip_slices"]:
            continue
        image = Dataset()
        _add_patient_and_study(image, settings)
        _add_series(image, sop_class, settings)
        image.InstanceNumber = int(numbers[k])
        image.SOPInstanceUID = _uid(settings, sop_class, settings["series_number"], k)
        _add_plane(image, volume.affine, k)
        fill(image, k)
        _apply(image, settings, k)
        files.append(folder / f"S{settings['series_number']:02d}I{numbers[k]:04d}{settings['extension']}")
        _save(image, files[-1], settings["transfer_syntax"])
    return files


def _instance_numbers(count: int, order: SliceOrder, seed: int) -> np.ndarray:
    numbers = np.arange(1, count + 1)
    if order == "descending":
        return numbers[::-1]
    return np.random.default_rng(seed).permutation(numbers) if order == "shuffled" else numbers


def _save(image: Dataset, file: Path, transfer_syntax: str) -> None:
    image.file_meta = FileMetaDataset()
    syntax = UID(transfer_syntax)
    if syntax.is_encapsulated:
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.compress(syntax, generate_instance_uid=False)
    else:
        image.file_meta.TransferSyntaxUID = syntax
    dcmwrite(file, image, enforce_file_format=True)


def _apply(image: Dataset, settings: SeriesOptions, k: int) -> None:
    """Last of all, the tags that the caller wants otherwise, and private ones."""
    for path, given in settings["tags"].items():
        value = given(k) if callable(given) else given
        *parents, keyword = path.split(".")
        target = image
        for parent in parents:
            target = target[parent].value[0]
        if value is None:
            target.pop(Tag(keyword), None)
        else:
            setattr(target, keyword, value)
    for (group, creator), elements in settings["private"].items():
        block = image.private_block(group, creator, create=True)
        for element, (vr, value) in elements.items():
            block.add_new(element, vr, value)


def _add_patient_and_study(image: Dataset, settings: SeriesOptions) -> None:
    patient, date, time = settings["patient"], _da(settings["date"]), _tm(settings["time"])
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName, image.PatientID = patient.name, patient.patient_id
    image.PatientBirthDate, image.PatientSex = patient.birth_date, patient.sex
    if patient.issuer is not None:
        image.IssuerOfPatientID = patient.issuer
    if patient.size_m is not None:
        image.PatientSize = _ds(patient.size_m)
    if patient.weight_kg is not None:
        image.PatientWeight = _ds(patient.weight_kg)
    image.StudyInstanceUID = _uid(settings, "study")
    image.StudyDate, image.StudyTime = date, time
    image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "1", "", ""
    image.StudyDescription = settings["study_description"]


def _add_series(image: Dataset, sop_class: str, settings: SeriesOptions) -> None:
    date, time = _da(settings["date"]), _tm(settings["time"])
    image.SOPClassUID = sop_class
    image.Modality = "CT" if sop_class == CTImageStorage else "PT"
    image.SeriesInstanceUID = _uid(settings, sop_class, settings["series_number"], settings["series_description"])
    image.SeriesNumber, image.SeriesDescription = settings["series_number"], settings["series_description"]
    image.SeriesDate, image.SeriesTime = date, time
    image.AcquisitionDate, image.AcquisitionTime = date, time
    image.ContentDate, image.ContentTime = date, time
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = _uid(settings, "frame of reference"), ""
    image.Manufacturer, image.ManufacturerModelName = "nen_imaging", "Digital phantom"
    image.SoftwareVersions = "1"


def _add_plane(image: Dataset, affine: FloatArray, k: int) -> None:
    """Image Plane module: RAS affine -> LPS; the array's i runs along a row (x), j down the column (y)."""
    lps = LPS_TO_RAS @ affine
    column_mm, row_mm, step_mm = (float(mm) for mm in np.linalg.norm(lps[:3, :3], axis=0))
    along_row, down_column = lps[:3, 0] / column_mm, lps[:3, 1] / row_mm
    normal = np.cross(along_row, down_column)
    image.PixelSpacing = [_ds(row_mm), _ds(column_mm)]  # DICOM: between rows first
    image.ImageOrientationPatient = [_ds(x) for x in (*along_row, *down_column)]
    image.ImagePositionPatient = [_ds(x) for x in lps[:3, :3] @ (0, 0, k) + lps[:3, 3]]
    thickness_mm = abs(float(normal @ lps[:3, 2]))
    image.SliceThickness = _ds(thickness_mm)
    image.SliceLocation = _ds(float(normal @ (lps[:3, :3] @ (0, 0, k) + lps[:3, 3])))
    tilt = np.degrees(np.arccos(min(1.0, thickness_mm / step_mm)))
    if tilt > 0.1 and image.Modality == "CT":
        image.GantryDetectorTilt = _ds(tilt)


def _set_pixels(image: Dataset, stored: np.ndarray, settings: SeriesOptions) -> None:
    """Image Pixel module from one slice ``(i, j)`` of 16-bit signed integers."""
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Columns, image.Rows = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    big_endian = settings["transfer_syntax"] == ExplicitVRBigEndian
    image.PixelData = np.ascontiguousarray(stored.T, ">i2" if big_endian else "<i2").tobytes()  # (i, j) -> rows


def _add_ct_image(image: Dataset) -> None:
    image.ImageType, image.PatientPosition = ["ORIGINAL", "PRIMARY", "AXIAL"], "HFS"
    image.AcquisitionNumber, image.KVP = 1, _ds(120)
    image.RescaleType, image.ConvolutionKernel = "HU", "B30f"
    image.BodyPartExamined = "ABDOMEN"
    image.ContrastBolusAgent, image.ExposureTime, image.XRayTubeCurrent = "Iodine", 500, 200


def _add_pet_series(
    image: Dataset,
    slices: int,
    injection: Injection,
    units: PetUnits,
    decay_correction: str,
    weight_kg: float,
    settings: SeriesOptions,
) -> None:
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    image.Units, image.CountsSource, image.DecayCorrection = units, "EMISSION", decay_correction
    image.SeriesType, image.NumberOfSlices = ["WHOLE BODY", "IMAGE"], slices
    image.CorrectedImage = ["ATTN", "SCAT", "NORM", "DTIM", "RAN"] + ([] if decay_correction == "NONE" else ["DECY"])
    image.AttenuationCorrectionMethod, image.ScatterCorrectionMethod = "CT", "Model"
    image.RandomsCorrectionMethod, image.ReconstructionMethod = "DLYD", "OSEM"
    image.CollimatorType, image.BodyPartExamined = "NONE", "ABDOMEN"
    image.RadiopharmaceuticalInformationSequence = Sequence([_radiopharmaceutical(injection, settings)])
    image.PatientOrientationCodeSequence = Sequence([_code("102538003", "SCT", "recumbent")])
    image.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = Sequence(
        [_code("40199007", "SCT", "supine")]
    )
    image.PatientGantryRelationshipCodeSequence = Sequence([_code("102540008", "SCT", "headfirst")])
    if units == "CNTS":
        block = image.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", _ds(injection.philips_suv_factor(weight_kg)))
        block.add_new(0x09, "DS", _ds(injection.philips_activity_factor))


def _radiopharmaceutical(injection: Injection, settings: SeriesOptions) -> Dataset:
    injected = _scan_start(settings) - dt.timedelta(seconds=injection.uptake_s)
    item = Dataset()
    item.Radiopharmaceutical = injection.radiopharmaceutical
    item.RadiopharmaceuticalStartTime = _tm(injected.time())
    item.RadiopharmaceuticalStartDateTime = injected.strftime("%Y%m%d%H%M%S.%f")
    item.RadionuclideTotalDose = _ds(injection.dose_bq)
    item.RadionuclideHalfLife = _ds(injection.half_life_s)
    item.RadionuclidePositronFraction = _ds(injection.positron_fraction)
    item.RadionuclideCodeSequence = Sequence([_code(*injection.nuclide_code)])
    return item


def _add_pet_image(
    image: Dataset,
    bed_start_s: float,
    frame_duration_s: float,
    injection: Injection,
    decay_correction: str,
    k: int,
    settings: SeriesOptions,
) -> None:
    acquired = _scan_start(settings) + dt.timedelta(seconds=bed_start_s)
    reference_s = bed_start_s + injection.mean_activity_time_s(frame_duration_s)
    image.AcquisitionDate, image.AcquisitionTime = _da(acquired.date()), _tm(acquired.time())
    image.FrameReferenceTime = _ds(reference_s * 1000)
    image.ActualFrameDuration, image.ImageIndex = round(frame_duration_s * 1000), k + 1
    if decay_correction != "NONE":
        since_s = reference_s + (injection.uptake_s if decay_correction == "ADMIN" else 0.0)
        image.DecayFactor = _ds(1 / float(injection.remaining(since_s)))


def _scan_start(settings: SeriesOptions) -> dt.datetime:
    return dt.datetime.combine(settings["date"], settings["time"])


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _uid(settings: SeriesOptions, *what: object) -> str:
    """A UID that is the same in every run."""
    source = (settings["seed"], settings["patient"].patient_id, settings["patient"].issuer, settings["date"], *what)
    return generate_uid(entropy_srcs=[repr(source)])


def _da(date: dt.date) -> str:
    return date.strftime("%Y%m%d")


def _tm(time: dt.time) -> str:
    return time.strftime("%H%M%S.%f")


def _ds(value: float) -> DSfloat:
    """A Decimal String; rounded to the 16 characters that DICOM allows."""
    return DSfloat(float(value), auto_format=True)
