"""Write a mask as RT Structure Set, as a reader's workstation exports a volume of interest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid
from skimage import measure

from nen_imaging.phantom.dicom_values import ds
from nen_imaging.volume import LPS_TO_RAS, FloatArray, Volume

COPIED = (
    "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "IssuerOfPatientID",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
    "StudyDescription", "FrameOfReferenceUID", "PositionReferenceIndicator",
)  # fmt: skip


def write_rtstruct(file: Path, mask: Volume, images: Sequence[Path], name: str, description: str) -> Path:
    """Write one region of interest, drawn on a series.

    Parameters
    ----------
    file
        To write.
    mask
        Boolean, on the grid of the series; its third axis runs across the slices.
    images
        The files of the series, by slice index.
    name, description
        Of the region.
    """
    headers = [dcmread(path, stop_before_pixels=True) for path in images]
    first = headers[0]
    structure = Dataset()
    for keyword in COPIED:
        if keyword in first:
            structure[keyword] = first[keyword]
    structure.SOPClassUID, structure.Modality = RTStructureSetStorage, "RTSTRUCT"
    structure.SOPInstanceUID = generate_uid(entropy_srcs=[first.SeriesInstanceUID, name, "instance"])
    structure.SeriesInstanceUID = generate_uid(entropy_srcs=[first.SeriesInstanceUID, name, "series"])
    structure.SeriesNumber, structure.InstanceNumber, structure.SeriesDescription = 90, 1, "Reader's VOI"
    structure.SeriesDate, structure.SeriesTime, structure.OperatorsName = first.StudyDate, first.StudyTime, ""
    structure.Manufacturer, structure.ManufacturerModelName = "nen_imaging", "Digital phantom"
    structure.SoftwareVersions = "1"
    structure.StructureSetLabel, structure.StructureSetName = name[:16], name
    structure.StructureSetDate, structure.StructureSetTime = first.StudyDate, first.StudyTime
    structure.ReferencedFrameOfReferenceSequence = DicomSequence([_frame_of_reference(headers)])
    structure.StructureSetROISequence = DicomSequence([_region(first, name, description)])
    structure.ROIContourSequence = DicomSequence([_contours(mask, headers)])
    structure.RTROIObservationsSequence = DicomSequence([_observation()])
    structure.ApprovalStatus = "UNAPPROVED"
    structure.file_meta = FileMetaDataset()
    structure.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(file, structure, enforce_file_format=True)
    return file


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _image_reference(header: Dataset) -> Dataset:
    return _item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)


def _frame_of_reference(headers: Sequence[Dataset]) -> Dataset:
    images = DicomSequence([_image_reference(header) for header in headers])
    series = _item(SeriesInstanceUID=headers[0].SeriesInstanceUID, ContourImageSequence=images)
    study = _item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",  # Detached Study Management, retired but asked for
        ReferencedSOPInstanceUID=headers[0].StudyInstanceUID,
        RTReferencedSeriesSequence=DicomSequence([series]),
    )
    return _item(FrameOfReferenceUID=headers[0].FrameOfReferenceUID, RTReferencedStudySequence=DicomSequence([study]))


def _region(first: Dataset, name: str, description: str) -> Dataset:
    return _item(
        ROINumber=1,
        ReferencedFrameOfReferenceUID=first.FrameOfReferenceUID,
        ROIName=name,
        ROIDescription=description,
        ROIGenerationAlgorithm="MANUAL",
    )


def _observation() -> Dataset:
    return _item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="", ROIInterpreter="")


def _contours(mask: Volume, headers: Sequence[Dataset]) -> Dataset:
    contours = [
        _item(
            ContourImageSequence=DicomSequence([_image_reference(headers[k])]),
            ContourGeometricType="CLOSED_PLANAR",
            NumberOfContourPoints=len(points),
            ContourData=[ds(round(float(value), 3)) for value in points.ravel()],
        )
        for k, points in _planar_contours(mask)
    ]
    return _item(ReferencedROINumber=1, ROIDisplayColor=[255, 128, 0], ContourSequence=DicomSequence(contours))


def _planar_contours(mask: Volume) -> Iterator[tuple[int, FloatArray]]:
    """Slice index and points (n, 3) in LPS mm of every outline, without the repeated last point."""
    to_lps = LPS_TO_RAS @ mask.affine
    for k in np.flatnonzero(mask.array.any(axis=(0, 1))):
        for outline in measure.find_contours(np.pad(mask.array[:, :, k].astype(float), 1), 0.5):
            index = np.column_stack([outline[:-1] - 1, np.full(len(outline) - 1, k)])
            yield int(k), index @ to_lps[:3, :3].T + to_lps[:3, 3]
