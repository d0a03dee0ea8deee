"""Classic single-frame images as one Enhanced (multi-frame) image, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import EnhancedCTImageStorage, EnhancedPETImageStorage, ExplicitVRLittleEndian

PER_FRAME = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope"),
}
SHARED = {
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
}
PET_CALLED_OTHERWISE = (
    "Units", "DecayCorrection", "CorrectedImage", "AcquisitionDate", "AcquisitionTime", "ActualFrameDuration",
    "FrameReferenceTime", "SeriesDate", "SeriesTime",
)  # fmt: skip


def write_enhanced(file: Path, classic: Sequence[Path]) -> Path:
    """Write classic images, in the order given, as one Enhanced CT or PET with a PET's native attributes."""
    images = [dcmread(path) for path in classic]
    first = images[0]
    enhanced = Dataset()
    enhanced.update(first)
    moved = [keyword for macro in (PER_FRAME | SHARED).values() for keyword in macro]
    pet = first.Modality == "PT"
    for keyword in moved + (list(PET_CALLED_OTHERWISE) if pet else []):
        if keyword in enhanced:
            del enhanced[keyword]
    enhanced.SOPClassUID = EnhancedPETImageStorage if pet else EnhancedCTImageStorage
    enhanced.SharedFunctionalGroupsSequence = DicomSequence([_group(first, SHARED)])
    enhanced.PerFrameFunctionalGroupsSequence = DicomSequence([_group(image, PER_FRAME) for image in images])
    if pet:
        _add_native_pet(enhanced, images)
    enhanced.NumberOfFrames = len(images)
    enhanced.PixelData = np.stack([image.pixel_array for image in images]).tobytes()
    enhanced.file_meta = FileMetaDataset()
    enhanced.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(file, enhanced, enforce_file_format=True)
    return file


def _group(image: Dataset, macros: dict[str, tuple[str, ...]]) -> Dataset:
    group = Dataset()
    for sequence, keywords in macros.items():
        item = Dataset()
        for keyword in keywords:
            item[keyword] = image[keyword]
        setattr(group, sequence, DicomSequence([item]))
    return group


def _add_native_pet(enhanced: Dataset, images: Sequence[Dataset]) -> None:
    first = images[0]
    enhanced.AttenuationCorrected = enhanced.DecayCorrected = "YES"
    enhanced.DecayCorrectionDateTime = first.SeriesDate + first.SeriesTime
    unit = Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "Bq/ml", "UCUM", "Becquerels/milliliter"
    mapping = Dataset()
    mapping.MeasurementUnitsCodeSequence = DicomSequence([unit])
    enhanced.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = DicomSequence([mapping])
    for group, image in zip(enhanced.PerFrameFunctionalGroupsSequence, images, strict=True):
        content = Dataset()
        content.FrameAcquisitionDateTime = image.AcquisitionDate + image.AcquisitionTime
        content.FrameAcquisitionDuration = float(image.ActualFrameDuration)
        group.FrameContentSequence = DicomSequence([content])
