"""Write a volume as a valid series of CT or PET Image Storage, with any tag changed as a test needs it.

Every file carries the attributes that the IOD asks for (types 1 and 2). UIDs follow from the seed, the patient,
the date and the description, so that the same call writes the same files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

from nen_imaging.phantom.dicom_values import da, ds, tm
from nen_imaging.phantom.pet_tags import DecayCorrection, PetScan, PetUnits
from nen_imaging.phantom.radiotracer import GA68_DOTATOC, Injection, stored_activity
from nen_imaging.phantom.series_options import DEFAULTS, PET_DEFAULTS, SeriesOptions, SliceOrder
from nen_imaging.volume import LPS_TO_RAS, FloatArray, Volume


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
        image.RescaleSlope, image.RescaleIntercept = ds(slope), ds(intercept)
        _set_pixels(image, stored[:, :, k], settings)

    return _write_series(folder, volume, CTImageStorage, settings, fill)


def write_pet_series(
    folder: Path,
    volume: Volume,
    *,
    injection: Injection = GA68_DOTATOC,
    units: PetUnits = "BQML",
    decay_correction: DecayCorrection = "START",
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
    scan = PetScan(
        injection,
        units,
        decay_correction,
        weight_kg=settings["patient"].weight_kg or 70.0,
        start=dt.datetime.combine(settings["date"], settings["time"]),
        frame_duration_s=frame_duration_s,
        slices=volume.shape[2],
    )
    beds = np.zeros(volume.shape[2], int) if slices_per_bed is None else np.arange(volume.shape[2]) // slices_per_bed
    bed_start_s = beds * frame_duration_s
    values = stored_activity(
        volume.array.astype(float), bed_start_s, injection, scan.weight_kg, units, decay_correction, frame_duration_s
    )
    slopes = np.maximum(values.max(axis=(0, 1)), 1e-6) / 32767
    if not one_slope_per_slice:
        slopes[:] = slopes.max()

    def fill(image: Dataset, k: int) -> None:
        scan.add_series_tags(image)
        scan.add_image_tags(image, k, float(bed_start_s[k]))
        # The slope as it is written, not as it was computed: DS keeps 16 characters.
        image.RescaleSlope, image.RescaleIntercept = ds(slopes[k]), ds(0)
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
    patient, date, time = settings["patient"], da(settings["date"]), tm(settings["time"])
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName, image.PatientID = patient.name, patient.patient_id
    image.PatientBirthDate, image.PatientSex = patient.birth_date, patient.sex
    if patient.issuer is not None:
        image.IssuerOfPatientID = patient.issuer
    if patient.size_m is not None:
        image.PatientSize = ds(patient.size_m)
    if patient.weight_kg is not None:
        image.PatientWeight = ds(patient.weight_kg)
    image.StudyInstanceUID = _uid(settings, "study")
    image.StudyDate, image.StudyTime = date, time
    image.StudyID, image.AccessionNumber, image.ReferringPhysicianName = "1", "", ""
    image.StudyDescription = settings["study_description"]


def _add_series(image: Dataset, sop_class: str, settings: SeriesOptions) -> None:
    date, time = da(settings["date"]), tm(settings["time"])
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
    image.PixelSpacing = [ds(row_mm), ds(column_mm)]  # DICOM: between rows first
    image.ImageOrientationPatient = [ds(x) for x in (*along_row, *down_column)]
    image.ImagePositionPatient = [ds(x) for x in lps[:3, :3] @ (0, 0, k) + lps[:3, 3]]
    thickness_mm = abs(float(normal @ lps[:3, 2]))
    image.SliceThickness = ds(thickness_mm)
    image.SliceLocation = ds(float(normal @ (lps[:3, :3] @ (0, 0, k) + lps[:3, 3])))
    tilt = np.degrees(np.arccos(min(1.0, thickness_mm / step_mm)))
    if tilt > 0.1 and image.Modality == "CT":
        image.GantryDetectorTilt = ds(tilt)


def _set_pixels(image: Dataset, stored: np.ndarray, settings: SeriesOptions) -> None:
    """Image Pixel module from one slice ``(i, j)`` of 16-bit signed integers."""
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Columns, image.Rows = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
    big_endian = settings["transfer_syntax"] == ExplicitVRBigEndian
    image.PixelData = np.ascontiguousarray(stored.T, ">i2" if big_endian else "<i2").tobytes()  # (i, j) -> rows


def _add_ct_image(image: Dataset) -> None:
    image.ImageType, image.PatientPosition = ["ORIGINAL", "PRIMARY", "AXIAL"], "HFS"
    image.AcquisitionNumber, image.KVP = 1, ds(120)
    image.RescaleType, image.ConvolutionKernel = "HU", "B30f"
    image.BodyPartExamined = "ABDOMEN"
    image.ContrastBolusAgent, image.ExposureTime, image.XRayTubeCurrent = "Iodine", 500, 200


def _uid(settings: SeriesOptions, *what: object) -> str:
    """A UID that is the same in every run."""
    source = (settings["seed"], settings["patient"].patient_id, settings["patient"].issuer, settings["date"], *what)
    return generate_uid(entropy_srcs=[repr(source)])
