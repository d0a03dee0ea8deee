"""What the index keeps of one DICOM header: facts, no text of people, no identifier in clear.

Only the head of a file is read. Files without the preamble count when their elements make sense.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from dataclasses import astuple, dataclass
from datetime import date
from typing import Any, BinaryIO

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage

from nen_imaging.dicom import vocabulary
from nen_imaging.dicom.attributes import integer_of, items_of, number_of, numbers_of, text_of, texts_of
from nen_imaging.dicom.pet_header import parse_time
from nen_imaging.dicom.privacy import Pseudonymiser

HEADER_VERSION = 9  # raise with every change of what is read: the cache is then read anew
_HEAD_BYTES = 32 * 1024
_PIXEL_DATA_ELEMENT_BYTES = 12
_KEYWORDS = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "SeriesDate", "AcquisitionDate",
    "AcquisitionDateTime", "Modality", "SeriesDescription", "ProtocolName", "StudyDescription", "PatientName",
    "PatientID", "IssuerOfPatientID", "SliceThickness", "ConvolutionKernel", "StudyInstanceUID",
    "SeriesInstanceUID", "AcquisitionNumber", "ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel",
    "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "RescaleSlope", "CorrectedImage",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "FrameOfReferenceUID", "AcquisitionTime",
    "ContrastBolusStartTime", "ReferencedSeriesSequence", "CurrentRequestedProcedureEvidenceSequence",
    "ReferencedFrameOfReferenceSequence",
)  # fmt: skip


class UnusableFileError(ValueError):
    """A file that is no usable DICOM: a reason code and a text that quotes nothing of the file."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Header:
    """Facts of one DICOM file. UIDs, ids and names are keyed hashes; texts are words of `vocabulary`; lengths mm."""

    identity: str
    issuer: str
    study: str
    series: str
    instance: str
    modality: str
    is_secondary_capture: bool
    date: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
    bits_allocated: int
    frames: int
    pixel_spacing: tuple[float, ...]
    orientation: tuple[float, ...]
    positions: tuple[tuple[float, ...], ...]
    slice_thickness: float | None
    has_rescale: bool
    corrections: tuple[str, ...]
    phase: vocabulary.Phase
    names_localizer: bool
    kernel: str
    acquisition: int | None
    frame_of_reference: str
    """Empty where the header names none."""
    refers_to: tuple[str, ...]
    """The series that a segmentation, structure set, report or value mapping is about."""
    digest: str

    def to_list(self) -> list[Any]:
        """Plain JSON values, in the order of the fields."""
        return list(astuple(self))

    @classmethod
    def from_list(cls, values: list[Any]) -> Header:
        """The inverse of `to_list`, after a way through JSON."""
        return cls(*(_freeze(value) for value in values))


def _freeze(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return tuple(map(_freeze, value)) if isinstance(value, list) else value


def read_header(stream: BinaryIO, size: int, pseudonymiser: Pseudonymiser) -> Header:
    """The facts of one file's header, from its stream (read from its start) and its size in bytes.

    Raises
    ------
    UnusableFileError
        The file is no DICOM, is cut short, carries no series, or is a DICOMDIR under another name.
    """
    content, dataset, header_end = _read_head(stream, size)
    if text_of(dataset.file_meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise UnusableFileError("file.directory", "a DICOMDIR lists other files and holds no image")
    if not text_of(dataset, "SeriesInstanceUID") or not (
        text_of(dataset, "Modality") or text_of(dataset, "SOPClassUID")
    ):
        raise UnusableFileError("file.unsupported", "the file names no series (SeriesInstanceUID) or no Modality")
    _require_pixels(dataset, header_end, size)
    digest = hashlib.sha256(content[:header_end]).hexdigest()[:32]
    return _header(dataset, digest, pseudonymiser)


def _read_head(stream: BinaryIO, size: int) -> tuple[bytes, pydicom.FileDataset, int]:
    """The bytes read, the dataset before the pixels, and where in the bytes it ends."""
    content = stream.read(_HEAD_BYTES)
    _require_dicom_start(content)
    for is_last in (False, True):
        whole = len(content) >= size
        buffer = io.BytesIO(content)
        try:
            dataset = pydicom.dcmread(buffer, stop_before_pixels=True, force=True, specific_tags=list(_KEYWORDS))
        except InvalidDicomError:
            raise UnusableFileError("file.not_dicom", "the file is no DICOM") from None
        except Exception as error:  # a broken element can raise nearly anything
            if whole or is_last:
                raise UnusableFileError(
                    "file.truncated", f"the header cannot be read to its end ({type(error).__name__})"
                ) from None
        else:
            deflated = text_of(dataset.file_meta, "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
            end = len(content) if deflated else buffer.tell()
            if whole or is_last or (end < len(content) and _starts_pixels(content[end:])):
                return content, dataset, end
        content += stream.read()
    raise AssertionError("the loop ends by return or raise")


def _require_dicom_start(content: bytes) -> None:
    """Cheap sanity before a lenient read: the prefix, or a first element of group 0002 or 0008."""
    if content[128:132] != b"DICM" and content[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08"):
        raise UnusableFileError("file.not_dicom", "the file is no DICOM: neither prefix nor a first element of one")


def _starts_pixels(content: bytes) -> bool:
    return content[:4] in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10", b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00")


def _require_pixels(dataset: pydicom.FileDataset, header_end: int, size: int) -> None:
    """Refuse an image whose file ends before its pixels do; of compressed ones only whether there are any."""
    rows, columns = integer_of(dataset, "Rows"), integer_of(dataset, "Columns")
    if not rows or not columns:
        if UID(text_of(dataset, "SOPClassUID")).name.endswith("Image Storage"):
            raise UnusableFileError("file.truncated", "the header ends before it says how large the image is")
        return
    syntax = UID(text_of(dataset.file_meta, "TransferSyntaxUID") or ImplicitVRLittleEndian)
    if syntax == DeflatedExplicitVRLittleEndian:
        return
    samples = integer_of(dataset, "SamplesPerPixel") or 1
    frames = integer_of(dataset, "NumberOfFrames") or 1
    bits = rows * columns * samples * frames * (integer_of(dataset, "BitsAllocated") or 16)
    native = not syntax.is_private and syntax.is_transfer_syntax and not syntax.is_encapsulated
    expected = bits // 8 if native else 1
    found = max(0, size - header_end - _PIXEL_DATA_ELEMENT_BYTES)
    if syntax == ImplicitVRLittleEndian and found:
        found += 4  # its element head is 8 bytes
    if found < expected:
        raise UnusableFileError("file.truncated", f"the file ends early: {found} bytes of pixels instead of {expected}")


def _header(dataset: pydicom.FileDataset, digest: str, pseudonymiser: Pseudonymiser) -> Header:
    texts = [text_of(dataset, key) for key in ("SeriesDescription", "ProtocolName")]
    study = text_of(dataset, "StudyInstanceUID")
    spacing, orientation, positions, thickness, rescaled = _geometry(dataset)
    identity = _identity(dataset, pseudonymiser)
    frame = text_of(dataset, "FrameOfReferenceUID")
    return Header(
        identity=identity,
        issuer=pseudonymiser.issuer(text_of(dataset, "IssuerOfPatientID")),
        study=pseudonymiser.digest("study", study or text_of(dataset, "SeriesInstanceUID")),
        series=pseudonymiser.digest("series", text_of(dataset, "SeriesInstanceUID")),
        instance=pseudonymiser.digest("instance", text_of(dataset, "SOPInstanceUID")),
        modality=vocabulary.modality_word(text_of(dataset, "Modality")),
        is_secondary_capture=text_of(dataset, "SOPClassUID").startswith("1.2.840.10008.5.1.4.1.1.7"),
        date=pseudonymiser.shown_date(date_of(dataset), identity),
        image_type=vocabulary.image_type_words(texts_of(dataset, "ImageType")),
        rows=integer_of(dataset, "Rows") or 0,
        columns=integer_of(dataset, "Columns") or 0,
        bits_allocated=integer_of(dataset, "BitsAllocated") or 0,
        frames=integer_of(dataset, "NumberOfFrames") or 1,
        pixel_spacing=spacing,
        orientation=orientation,
        positions=positions,
        slice_thickness=thickness,
        has_rescale=rescaled,
        corrections=vocabulary.correction_words(texts_of(dataset, "CorrectedImage")),
        phase=_phase(dataset, [*texts, text_of(dataset, "StudyDescription")]),
        names_localizer=vocabulary.names_localizer([next(filter(None, texts), "")]),  # a protocol names all its series
        kernel=vocabulary.kernel_word(" ".join(texts_of(dataset, "ConvolutionKernel"))),
        acquisition=integer_of(dataset, "AcquisitionNumber"),
        frame_of_reference=pseudonymiser.digest("frame of reference", frame) if frame else "",
        refers_to=tuple(sorted({pseudonymiser.digest("series", uid) for uid in _references(dataset)})),
        digest=digest,
    )


_WHERE_SERIES_ARE_NAMED = {  # modality -> the sequences on the way to SeriesInstanceUID
    "SEG": ("ReferencedSeriesSequence",),
    "RWV": ("ReferencedSeriesSequence",),
    "SR": ("CurrentRequestedProcedureEvidenceSequence", "ReferencedSeriesSequence"),
    "RTSTRUCT": (
        "ReferencedFrameOfReferenceSequence", "RTReferencedStudySequence", "RTReferencedSeriesSequence",
    ),
}  # fmt: skip


def _references(dataset: pydicom.Dataset) -> list[str]:
    """The UIDs of the series that an object without images of its own is about."""
    way = _WHERE_SERIES_ARE_NAMED.get(text_of(dataset, "Modality"), ())
    items = [dataset] if way else []
    for sequence in way:
        items = [inner for item in items for inner in items_of(item, sequence)]
    return [uid for uid in (text_of(item, "SeriesInstanceUID") for item in items) if uid]


def _phase(dataset: pydicom.Dataset, texts: list[str]) -> vocabulary.Phase:
    """By the descriptions; where they name none, by how long after the start of the contrast medium it was scanned."""
    named = vocabulary.phase_of(texts)
    bolus, scan = (parse_time(text_of(dataset, keyword)) for keyword in ("ContrastBolusStartTime", "AcquisitionTime"))
    if named != "unknown" or bolus is None or scan is None:
        return named
    return vocabulary.phase_after((scan - bolus).total_seconds() % 86_400)


def _identity(dataset: pydicom.Dataset, pseudonymiser: Pseudonymiser) -> str:
    """PatientID; where it is empty PatientName (as in 3D-IRCADb and CHAOS), else the study."""
    if patient_id := text_of(dataset, "PatientID"):
        return pseudonymiser.identity("id", patient_id)
    if name := text_of(dataset, "PatientName").strip("^ "):
        return pseudonymiser.identity("name", name.casefold())
    return pseudonymiser.identity(
        "study", text_of(dataset, "StudyInstanceUID") or text_of(dataset, "SeriesInstanceUID")
    )


def date_of(dataset: pydicom.Dataset) -> str:
    """The day of a file, ``YYYY-MM-DD``: acquisition, else series, else study; empty if none is a date."""
    for keyword in ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate"):
        digits = re.sub(r"\D", "", text_of(dataset, keyword)[:10])[:8]
        with contextlib.suppress(ValueError):
            day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
            if day.year >= 1970:
                return day.isoformat()
    return ""


_Geometry = tuple[tuple[float, ...], tuple[float, ...], tuple[tuple[float, ...], ...], float | None, bool]


def _geometry(dataset: pydicom.Dataset) -> _Geometry:
    """Pixel spacing, orientation, positions, thickness, whether a rescale is given; of a multi-frame of all frames."""
    if (integer_of(dataset, "NumberOfFrames") or 1) > 1:
        frames = items_of(dataset, "PerFrameFunctionalGroupsSequence")
        shared = items_of(dataset, "SharedFunctionalGroupsSequence") or [pydicom.Dataset()]
        if frames:
            return _frame_geometry(shared[0], frames)
    position = numbers_of(dataset, "ImagePositionPatient", 3)
    return (
        numbers_of(dataset, "PixelSpacing", 2),
        numbers_of(dataset, "ImageOrientationPatient", 6),
        (position,) if position else (),
        number_of(dataset, "SliceThickness"),
        number_of(dataset, "RescaleSlope") is not None,
    )


def _frame_geometry(shared: pydicom.Dataset, frames: list[pydicom.Dataset]) -> _Geometry:
    def macro(sequence: str) -> pydicom.Dataset:
        items = items_of(shared, sequence) or items_of(frames[0], sequence)
        return items[0] if items else pydicom.Dataset()

    measures = macro("PixelMeasuresSequence")
    places = [items_of(frame, "PlanePositionSequence") for frame in frames]
    positions = [numbers_of(place[0], "ImagePositionPatient", 3) for place in places if place]
    return (
        numbers_of(measures, "PixelSpacing", 2),
        numbers_of(macro("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        tuple(position for position in positions if position),
        number_of(measures, "SliceThickness"),
        number_of(macro("PixelValueTransformationSequence"), "RescaleSlope") is not None,
    )
