"""The files of one series become one volume: a CT in HU, a PET in SUVbw. Slices stream through; none is held twice."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from nen_imaging.contract import Reason, Refusal
from nen_imaging.dicom.attributes import integer_of
from nen_imaging.dicom.codes import manufacturer_of, scanner_of
from nen_imaging.dicom.frames import frame_headers, frames, is_multiframe
from nen_imaging.dicom.geometry import Plane, arrange, plane_of
from nen_imaging.dicom.pet_header import PetHeader, pet_header, raw_header
from nen_imaging.dicom.pixels import AIR_HU, activity, hounsfield, hounsfield_reasons, is_lossy
from nen_imaging.dicom.regrid import build_volume
from nen_imaging.dicom.suv import SuvFactor, describe, suv_factor
from nen_imaging.dicom.vocabulary import kernel_word
from nen_imaging.volume import Array, Volume, slice_plane

Files = Iterable[tuple[str, BinaryIO]]

_THICK_MM = 5.0
_LAYOUT = ("BitsAllocated", "BitsStored", "PixelRepresentation")
_DAMAGE = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, NotImplementedError, struct.error,
    BytesLengthException, InvalidDicomError,
)  # fmt: skip
"""What reading a value of a damaged header raises; values are decoded only when they are asked for."""


@dataclass(frozen=True)
class CtImage:
    """A CT in HU (int16) with what has to be said about it, and facts of its header."""

    volume: Volume
    reasons: list[Reason]
    facts: dict[str, Any]


@dataclass(frozen=True)
class PetImage:
    """A PET in SUVbw (float32) with every value that it rests on (the content of `pet.json`)."""

    volume: Volume
    reasons: list[Reason]
    provenance: dict[str, Any]


@dataclass
class _Slices:
    """The slices of a series as they come in."""

    planes: list[Plane] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    pixels: list[Array | None] = field(default_factory=list)
    lossy: int = 0

    def add(self, dataset: Dataset, pixels: Array) -> None:
        self.planes.append(plane_of(dataset))
        self.digests.append(hashlib.sha256(pixels.tobytes()).digest())
        self.pixels.append(pixels)
        self.lossy += is_lossy(dataset)

    def volume(
        self, *, outside: float, spacing_tolerance_mm: float, resample_uneven: bool = False
    ) -> tuple[Volume, list[Reason]]:
        count = len(self.planes)
        arrangement = arrange(
            self.planes, self.digests, spacing_tolerance_mm=spacing_tolerance_mm, resample_uneven=resample_uneven
        )
        reasons = list(arrangement.reasons)
        if self.lossy:
            reasons.append(
                Reason("pixels.lossy", f"{self.lossy} of {count} images are marked as compressed with loss.")
            )
        return build_volume(self.pixels, arrangement, outside=outside), reasons


def read_ct(files: Files, *, spacing_tolerance_mm: float = 0.1, resample_uneven: bool = False) -> CtImage:
    """Read the files of one CT series, in any order.

    Parameters
    ----------
    files
        Name and open stream of each file; a name is never shown, since names may name patients.
    spacing_tolerance_mm, resample_uneven
        See `geometry.arrange`.

    Raises
    ------
    Refusal
        ``ct.*``, ``geometry.*``, ``slices.*``, ``pixels.undecodable``, ``image.multiframe``.
    """
    slices = _Slices()
    scouts = 0
    facts: dict[str, Any] = {}
    rescaled = set()
    for dataset in _datasets(files):
        with _naming(dataset):
            if is_localizer(dataset):
                scouts += 1
                continue
            facts = facts or _facts(dataset)
            rescaled.add(dataset.get("RescaleIntercept") is not None)
            slices.add(dataset, hounsfield(dataset))
    if len(rescaled) > 1:
        raise Refusal("header.damaged", "Some slices carry a rescale and others none: Hounsfield units are unknown.")
    if scouts and not slices.planes:
        raise Refusal("ct.localizer", f"All {scouts} images of the series are scouts.")
    volume, reasons = slices.volume(
        outside=AIR_HU, spacing_tolerance_mm=spacing_tolerance_mm, resample_uneven=resample_uneven
    )
    if scouts:
        reasons.append(Reason("slices.localizer_dropped", f"{scouts} scouts were left out."))
    reasons += slice_reasons(volume, 2)
    reasons += hounsfield_reasons(volume.array)  # type: ignore[arg-type]  # int16 by construction
    return CtImage(volume, reasons, facts | slice_facts(volume, 2))


def slice_facts(volume: Volume, axis: int) -> dict[str, Any]:
    """What a CT's record tells of its slices, which follow each other along that array axis."""
    spacing_mm = [round(float(value), 6) for value in volume.spacing_mm]
    return {
        "slices": volume.shape[axis],
        "slice_spacing_mm": spacing_mm.pop(axis),
        "pixel_spacing_mm": spacing_mm,
        "plane": slice_plane(volume.affine),
    }


def slice_reasons(volume: Volume, axis: int) -> list[Reason]:
    """What the slices, which follow each other along that array axis, do to measurements."""
    reasons = []
    spacing_mm, plane = float(volume.spacing_mm[axis]), slice_plane(volume.affine)
    if spacing_mm > _THICK_MM + 0.01:
        reasons.append(Reason("slices.thick", f"Slices lie {spacing_mm:.1f} mm apart."))
    if plane != "axial":
        reasons.append(Reason("slices.not_axial", f"The slices are {plane}, {spacing_mm:.1f} mm apart."))
    return reasons


def read_pet(
    files: Files, corrections: Mapping[str, str] | None = None, *, spacing_tolerance_mm: float = 0.1
) -> PetImage:
    """Read the files of one PET series, in any order, as SUVbw.

    Parameters
    ----------
    files
        Name and open stream of each file.
    corrections
        Header values by keyword that a person supplied; they replace the header's.
    spacing_tolerance_mm
        See `geometry.arrange`.

    Raises
    ------
    Refusal
        ``pet.*``, ``geometry.*``, ``slices.*``, ``pixels.undecodable``, ``image.multiframe``.
    """
    slices = _Slices()
    headers = []
    intercepts, layouts = set(), set()
    for dataset in _datasets(files):
        with _naming(dataset):
            headers.append(raw_header(dataset))
            intercepts.add(float(dataset.get("RescaleIntercept") or 0.0))
            layouts.add(tuple(dataset.get(keyword) for keyword in _LAYOUT))
            slices.add(dataset, activity(dataset))
    if not headers:
        raise Refusal("slices.too_few", "The series holds no image.")
    if len(layouts) > 1:
        raise Refusal("pet.inconsistent", f"Slices differ in how their pixels are stored ({' or '.join(_LAYOUT)}).")
    header = pet_header(headers, corrections)
    factor = suv_factor(header)
    for pixels, per_slice in zip(slices.pixels, factor.per_slice, strict=True):
        np.multiply(pixels, np.float32(per_slice), out=pixels)  # type: ignore[arg-type]  # none is taken out yet
    volume, reasons = slices.volume(outside=0.0, spacing_tolerance_mm=spacing_tolerance_mm)
    reasons += factor.reasons
    if intercepts != {0.0}:
        reasons.append(Reason("pet.intercept", f"RescaleIntercept is {max(intercepts, key=abs):g}."))
    return PetImage(volume, reasons, describe(header, factor))


def read_pet_header(files: Files, corrections: Mapping[str, str] | None = None) -> tuple[PetHeader, SuvFactor]:
    """The header of a PET series and its factors, without its pixels; files in any order, raises as `read_pet`."""
    headers: list[dict[str, str]] = []
    for _, file in files:
        dataset = read_dataset(file, pixels=False)
        with _naming(dataset):
            headers += map(raw_header, frame_headers(dataset) if is_multiframe(dataset) else (dataset,))
    header = pet_header(headers, corrections)
    return header, suv_factor(header)


def read_slices(
    files: Files, values_of: Callable[[Dataset], Array], some: Callable[[Sequence[Dataset]], Sequence[Dataset]]
) -> Iterator[Array]:
    """The values of single slices: of each file those images that ``some`` keeps of its frames; raises as `read_ct`."""
    for _, file in files:
        dataset = read_dataset(file)
        with _naming(dataset):
            images = list(frames(dataset)) if is_multiframe(dataset) else [dataset]
            values = [values_of(image) for image in some(images)]
        yield from values


def is_localizer(dataset: Dataset) -> bool:
    """Whether an image is a scout: no slice of a volume."""
    return "LOCALIZER" in [str(value).upper() for value in dataset.get("ImageType") or []]


def read_dataset(file: BinaryIO, *, pixels: bool = True) -> Dataset:
    """Read one DICOM file, also without the 128 bytes before it and without file meta information.

    Raises Refusal ``pixels.undecodable`` where it is none.
    """
    try:
        dataset = pydicom.dcmread(file, force=True, stop_before_pixels=not pixels)
    except (OSError, EOFError, *_DAMAGE) as error:
        raise Refusal("pixels.undecodable", f"A file of the series is no DICOM ({type(error).__name__}).") from error
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _datasets(files: Files) -> Iterator[Dataset]:
    for _, file in files:
        dataset = read_dataset(file)
        with _naming(dataset):
            images = frames(dataset) if is_multiframe(dataset) else iter((dataset,))
        yield from images


class _naming:  # noqa: N801 - reads as a phrase in `with`
    """Adds to a refusal which image it is about, by InstanceNumber; a damaged value becomes a refusal as well."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Refusal) and (number := integer_of(self.dataset, "InstanceNumber")) is not None:
            raise Refusal(error.reason.code, f"Image {number}: {error.reason.text}") from error
        if isinstance(error, _DAMAGE):
            raise Refusal("header.damaged", f"A value of an image cannot be read ({type(error).__name__}).") from error


def _facts(dataset: Dataset) -> dict[str, Any]:
    """What comparing stagings needs of a header; known words only, since free text may name a patient."""
    return {
        "manufacturer": manufacturer_of(_plain(dataset.get("Manufacturer"))),
        "scanner": scanner_of(_plain(dataset.get("ManufacturerModelName"))),
        "kernel": kernel_word(_plain(dataset.get("ConvolutionKernel"))),
    }


def _plain(value: object) -> str:
    """A header's text; the first of several."""
    if isinstance(value, MultiValue):
        value = value[0] if len(value) else None
    return "" if value is None else str(value)
