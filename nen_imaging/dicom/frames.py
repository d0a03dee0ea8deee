"""A multi-frame image as single-frame ones, so that everything behind knows one kind of slice.

Enhanced CT and PET keep a slice's position, rescale and times in functional groups, Legacy Converted Enhanced images
also in sequences of attributes that found no place (PS3.3 C.7.6.16). Each frame gets them as a classic image has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from nen_imaging.contract import Refusal
from nen_imaging.dicom.pet_header import parse_datetime
from nen_imaging.dicom.pixels import decoded_pixels, is_lossy

_NOT_OF_A_FRAME = ("PixelData", "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_OFFSET = re.compile(r"[+-]\d{4}$")
_UNITS = {"Bq/ml": "BQML", "{SUVbw}g/ml": "GML", "g/ml{SUVbw}": "GML"}  # the preferred one first


def is_multiframe(dataset: Dataset) -> bool:
    """Whether an image holds its slices as frames, be it only one."""
    return "PerFrameFunctionalGroupsSequence" in dataset or int(dataset.get("NumberOfFrames") or 1) > 1


def frame_headers(dataset: Dataset) -> list[Dataset]:
    """The header of every frame as that of a single-frame image, without pixels, in the order of the pixels.

    Raises
    ------
    Refusal
        ``image.multiframe``: the frames carry no functional groups, or not one for each.
    """
    count = int(dataset.get("NumberOfFrames") or 1)
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    if len(groups) != count:
        raise Refusal("image.multiframe", f"{count} frames, but {len(groups)} of them say where they lie.")
    shared = Dataset()
    for element in dataset:
        if element.keyword not in _NOT_OF_A_FRAME:
            shared.add(element)
    shared.file_meta = dataset.file_meta
    for group in dataset.get("SharedFunctionalGroupsSequence") or []:
        _lift(group, shared)
    return [_classic(_lift(group, _copy(shared))) for group in groups]


def frames(dataset: Dataset) -> Iterator[Dataset]:
    """Every frame as a single-frame image with its own uncompressed pixels.

    Raises
    ------
    Refusal
        As `frame_headers`; ``pixels.undecodable``.
    """
    headers = frame_headers(dataset)
    lossy = is_lossy(dataset)
    array = decoded_pixels(dataset)
    array = array.reshape(len(headers), *array.shape[-2:])
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return (_with_pixels(*one, meta, lossy=lossy) for one in zip(headers, array, strict=True))


def _with_pixels(header: Dataset, pixels: NDArray[Any], meta: FileMetaDataset, *, lossy: bool) -> Dataset:
    header.file_meta = meta
    _set(header, "BitsAllocated", 8 * pixels.dtype.itemsize)
    _set(header, "PixelRepresentation", int(np.issubdtype(pixels.dtype, np.signedinteger)))
    header.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    if lossy:
        _set(header, "LossyImageCompression", "01")
    return header


def _copy(dataset: Dataset) -> Dataset:
    copy = Dataset()
    copy.update(dataset)
    copy.file_meta = dataset.file_meta
    return copy


def _lift(group: Dataset, into: Dataset) -> Dataset:
    """Bring the attributes of a functional group's macros (first items) to the level of a classic image's."""
    for macro in group:
        if macro.VR == "SQ" and macro.value:
            if macro.keyword in ("RealWorldValueMappingSequence", "ConversionSourceAttributesSequence"):
                into.add(macro)
            else:
                into.update(macro.value[0])
    return into


def _classic(frame: Dataset) -> Dataset:
    """Name what an enhanced image calls otherwise as the classic one does; what is there already stays."""
    offset = _OFFSET.search(str(frame.get("DecayCorrectionDateTime") or frame.get("FrameAcquisitionDateTime") or ""))
    if offset and "DecayCorrection" not in frame and not frame.get("TimezoneOffsetFromUTC"):
        _set(frame, "TimezoneOffsetFromUTC", offset[0])  # then all date-times are brought to this one's
    if kind := frame.get("FrameType"):
        _set(frame, "ImageType", kind)
    if moment := str(frame.get("FrameAcquisitionDateTime") or ""):
        _set_moment(frame, "Acquisition", moment)
    if "ActualFrameDuration" not in frame and frame.get("FrameAcquisitionDuration"):
        _set(frame, "ActualFrameDuration", round(float(frame.FrameAcquisitionDuration)))  # both in ms
    if frame.get("Modality") == "PT":
        _classic_pet(frame)
    return frame


def _classic_pet(frame: Dataset) -> None:
    if "Units" not in frame:
        _take_real_world_values(frame)
    done = [
        word
        for word, keyword in (("ATTN", "AttenuationCorrected"), ("DECY", "DecayCorrected"))
        if frame.get(keyword) == "YES"
    ]
    if "CorrectedImage" not in frame and done:
        _set(frame, "CorrectedImage", done)
    if "DecayCorrection" not in frame and frame.get("DecayCorrected"):
        _set(frame, "DecayCorrection", "START" if frame.DecayCorrected == "YES" else "NONE")
        if moment := str(frame.get("DecayCorrectionDateTime") or ""):  # the moment that START stands for
            _set_moment(frame, "Series", moment)


def _take_real_world_values(frame: Dataset) -> None:
    """Units and rescale of the first known unit of `_UNITS`; a mapping without slope is about the image's own rescale.

    Stored values that a table maps (RealWorldValueLUTData) keep no unit: no slope belongs to them.
    """
    mappings = {_unit_of(mapping): mapping for mapping in reversed(frame.get("RealWorldValueMappingSequence") or [])}
    for code, units in _UNITS.items():
        mapping = mappings.get(code)
        if mapping is None or "RealWorldValueLUTData" in mapping:
            continue
        _set(frame, "Units", units)
        if (slope := mapping.get("RealWorldValueSlope")) is not None:
            intercept = mapping.get("RealWorldValueIntercept") or 0.0
            _set(frame, "RescaleSlope", DSfloat(slope, validation_mode=IGNORE))
            _set(frame, "RescaleIntercept", DSfloat(intercept, validation_mode=IGNORE))
        return


def _unit_of(mapping: Dataset) -> str:
    return str((mapping.get("MeasurementUnitsCodeSequence") or [Dataset()])[0].get("CodeValue") or "")


def _set(frame: Dataset, keyword: str, value: object) -> None:
    """Give one frame an attribute: a new element, since frames share those that they have in common."""
    frame.add_new(tag_for_keyword(keyword), dictionary_VR(keyword), value)


def _set_moment(frame: Dataset, what: str, moment: str) -> None:
    """Split a date-time into the date and the time of a classic image, which are local."""
    local = parse_datetime(moment, str(frame.get("TimezoneOffsetFromUTC") or ""))
    _set(frame, f"{what}Date", f"{local:%Y%m%d}" if local else moment[:8])
    _set(frame, f"{what}Time", f"{local:%H%M%S.%f}" if local else _OFFSET.sub("", moment[8:]))
