"""Headers to series: one acquisition on one grid each, with the facts that a choice between them needs.

A SeriesInstanceUID comes first, never a number or a name. It is split where it holds several grids, image types
or modalities (a scout among the slices), and where slices of several acquisitions lie at the same positions.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

import numpy as np

from nen_imaging.contract import NO_FRAME
from nen_imaging.dicom.database import FileRow, FilesDatabase
from nen_imaging.dicom.headers import Header
from nen_imaging.dicom.privacy import Pseudonymiser
from nen_imaging.dicom.vocabulary import NOT_DENSITY, Phase, is_sharp

_SAME_POSITION_MM = 0.01
IMAGE_MISSING = "image.missing"


class SeriesKind(StrEnum):
    """What a series can serve as."""

    CT = "CT"
    LOCALIZER = "localizer"
    NOT_HU = "not HU"
    PET = "PET"
    PET_UNCORRECTED = "PET, not attenuation-corrected"
    OTHER = "other"


@dataclass(frozen=True)
class Series:
    """One series. Key, patient and study are keyed hashes; lengths in mm, None where headers do not say."""

    key: str
    patient: str
    study: str
    modality: str
    kind: SeriesKind
    date: str
    files: int
    bytes: int
    slices: int
    digest: str
    image_type: tuple[str, ...]
    phase: Phase
    kernel: str
    slice_thickness_mm: float | None
    spacing_mm: float | None
    extent_mm: float | None
    is_axial: bool
    weak_identity: bool
    frame_of_reference: str = NO_FRAME
    """Positions of series that share it can be compared; `NO_FRAME` where slices name none, or several."""
    codes: tuple[str, ...] = field(default=())

    @property
    def is_original(self) -> bool:
        return "ORIGINAL" in self.image_type

    @property
    def lacks_images(self) -> bool:
        """Whether it is about images that are not there."""
        return IMAGE_MISSING in self.codes

    @property
    def is_sharp(self) -> bool:
        return is_sharp(self.kernel)


def group_series(
    database: FilesDatabase, pseudonymiser: Pseudonymiser, patients: Mapping[tuple[str, str], str]
) -> Iterator[Series]:
    """Every series of the database, one after the other; each file is assigned to its series there.

    ``patients`` holds the pseudonym of every pair of identity and issuer.
    """
    present = database.series_uids()
    for rows in database.by_series_uid():
        parts = _split(rows)
        for number, part in enumerate(parts):
            header = _header(part[0])
            key = header.series
            if number > 0:
                key = pseudonymiser.digest("part of series", key, repr((_grid(header), header.acquisition)))
            database.assign(key, (row.entry.path for row in part))
            yield _summarize(key, part, patients, present)


def _header(row: FileRow) -> Header:
    if row.header is None:
        raise ValueError("Only files with a header can be grouped.")
    return row.header


def _split(rows: list[FileRow]) -> list[list[FileRow]]:
    """The parts of one SeriesInstanceUID, the largest first."""
    parts = [part for grid in _by(rows, _grid) for part in _split_acquisitions(grid)]
    return sorted(parts, key=lambda part: (-len(part), repr(_grid(_header(part[0]))), part[0].entry.path))


def _by(rows: list[FileRow], key: Callable[[Header], Hashable]) -> list[list[FileRow]]:
    groups: dict[Hashable, list[FileRow]] = defaultdict(list)
    for row in rows:
        groups[key(_header(row))].append(row)
    return list(groups.values())


def _grid(header: Header) -> Hashable:
    """What the slices of one acquisition share; tolerances are those of rounding in headers."""
    return (
        _kind(header),
        header.rows,
        header.columns,
        tuple(round(value, 3) for value in header.pixel_spacing),
        tuple(round(value, 2) + 0.0 for value in header.orientation),
        "LOCALIZER" in header.image_type,
        "DERIVED" in header.image_type,
        header.frames > 1,
    )


def _split_acquisitions(rows: list[FileRow]) -> list[list[FileRow]]:
    """Slices of several acquisitions at the same positions are apart; an acquisition in several parts stays whole."""
    if not _has_rivals(rows):
        return [rows]
    acquisitions = _by(rows, lambda header: header.acquisition)
    return acquisitions if sum(map(_has_rivals, acquisitions)) < len(acquisitions) else [rows]


def _has_rivals(rows: list[FileRow]) -> bool:
    """Whether two different images lie at one position; identical copies are no rivals."""
    seen: dict[Hashable, str] = {}
    for header in map(_header, rows):
        if len(header.positions) == 1:
            place = tuple(round(value / _SAME_POSITION_MM) for value in header.positions[0])
            if seen.setdefault(place, header.instance) != header.instance:
                return True
    return False


def _kind(header: Header) -> SeriesKind:
    if header.modality == "CT":
        if "LOCALIZER" in header.image_type or header.names_localizer:
            return SeriesKind.LOCALIZER
        return SeriesKind.NOT_HU if _is_not_hu(header) else SeriesKind.CT
    if header.modality == "PT" and header.rows and not header.is_secondary_capture:
        # A header that does not say what was corrected is left to the import, which refuses it by name.
        uncorrected = bool(header.corrections) and "ATTN" not in header.corrections
        return SeriesKind.PET_UNCORRECTED if uncorrected else SeriesKind.PET
    return SeriesKind.OTHER


def _is_not_hu(header: Header) -> bool:
    """Masks have 8 bits, or are derived and have no rescale; captures and projections are pictures."""
    pictures = {"MIP", "MINIP", "PROJECTION", "SEGMENTATION", "REPROJECTION"} | NOT_DENSITY
    return (
        header.is_secondary_capture
        or not header.rows
        or header.bits_allocated <= 8
        or ("DERIVED" in header.image_type and not header.has_rescale)
        or not pictures.isdisjoint(header.image_type)
    )


def _summarize(key: str, rows: list[FileRow], patients: Mapping[tuple[str, str], str], present: Set[str]) -> Series:
    headers = [_header(row) for row in rows]
    first = headers[0]
    kind = _kind(first)
    date = min((header.date for header in headers if header.date), default="")
    normal = _normal(first)
    spacing, extent = _spacing_and_extent(headers, normal)
    weak = not first.identity.startswith("id:")
    return Series(
        key=key,
        patient=patients[first.identity, first.issuer],
        study=first.study,
        modality=first.modality,
        kind=kind,
        date=date,
        files=len(rows),
        bytes=sum(row.entry.size for row in rows),
        slices=sum(max(1, header.frames) for header in headers),
        digest=_digest(rows),
        image_type=first.image_type,
        phase=_most_common(header.phase for header in headers),
        kernel=_most_common(header.kernel for header in headers),
        slice_thickness_mm=first.slice_thickness,
        spacing_mm=spacing,
        extent_mm=extent,
        is_axial=normal is not None and abs(float(normal[2])) > 0.8,
        weak_identity=weak,
        frame_of_reference=_only({header.frame_of_reference for header in headers}) or NO_FRAME,
        codes=_codes(kind, weak, bool(date), any(set(header.refers_to) - present for header in headers)),
    )


def _only(words: set[str]) -> str:
    return next(iter(words)) if len(words) == 1 else ""


def _codes(kind: SeriesKind, weak: bool, dated: bool, lacks_images: bool) -> tuple[str, ...]:
    of_kind = {
        SeriesKind.LOCALIZER: "ct.localizer",
        SeriesKind.NOT_HU: "ct.not_hu",
        SeriesKind.PET_UNCORRECTED: "pet.uncorrected",
        SeriesKind.OTHER: "file.unsupported",
    }
    codes = [of_kind[kind]] if kind in of_kind else []
    return tuple(codes + ["identity.weak"] * weak + ["date.missing"] * (not dated) + [IMAGE_MISSING] * lacks_images)


def _digest(rows: Iterable[FileRow]) -> str:
    """The sha256 over path, size and header of every file, in order of path: neither time nor place of the study."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.entry.path}\0{row.entry.size}\0{_header(row).digest}\n".encode())
    return digest.hexdigest()


def _normal(header: Header) -> np.ndarray | None:
    if not header.orientation:
        return None
    normal = np.cross(header.orientation[:3], header.orientation[3:])
    length = float(np.linalg.norm(normal))
    return normal / length if length > 0 else None


def _spacing_and_extent(headers: list[Header], normal: np.ndarray | None) -> tuple[float | None, float | None]:
    """Median distance of neighbouring slices along the normal, and the whole stack's length with it."""
    positions = [position for header in headers for position in header.positions]
    if normal is None or len(positions) < 2:
        return None, None
    heights = np.unique(np.round(np.asarray(positions) @ normal, 2))
    if len(heights) < 2:
        return None, None
    spacing = float(np.median(np.diff(heights)))
    return round(spacing, 3), round(float(heights[-1] - heights[0]) + spacing, 1)


_Word = TypeVar("_Word", bound=str)


def _most_common(words: Iterable[_Word]) -> _Word:
    """The most frequent word; of several the first in the alphabet, so that the order of files does not matter."""
    counts = Counter(words)
    return min(counts, key=lambda word: (-counts[word], word))
