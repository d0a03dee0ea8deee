"""Seeded damage to the files of a series: bytes, headers, whole files; some of it harmless, most of it not."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence

import pydicom
from pydicom import Dataset

Files = list[bytes]
Mutation = Callable[[Files, random.Random], Files]

# Nothing that an image rests on: a series changed in these must import, with the same numbers.
HARMLESS_KEYWORDS = (
    "PatientName", "PatientBirthDate", "StudyDescription", "SeriesDescription", "InstanceNumber", "AccessionNumber",
    "InstitutionName", "StudyID", "ReferringPhysicianName", "WindowCenter", "WindowWidth", "SliceLocation",
    "StationName", "PatientComments", "OperatorsName", "ProtocolName",
)  # fmt: skip
_NUMBERS = ("InstanceNumber", "WindowCenter", "WindowWidth", "SliceLocation")
ODD_VALUES = (
    "",
    "?",
    "-1",
    "1e99",
    "NaN",
    "\\",
    "\\\\\\",
    "0",
    "99999999999",
    "A" * 300,
    "ÄÖÜ",
    "../../etc/x",
    "\x00\x01",
)
_NEEDED = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "RescaleSlope", "RescaleIntercept", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient",
    "SeriesInstanceUID", "SOPClassUID", "Modality", "PatientWeight", "Units", "DecayCorrection", "CorrectedImage",
    "SeriesTime", "SeriesDate", "AcquisitionTime", "PhotometricInterpretation", "NumberOfFrames", "ImageType",
)  # fmt: skip


def _edited(content: bytes, edit: Callable[[Dataset], None]) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    edit(dataset)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def _one(files: Files, rng: random.Random, change: Callable[[bytes], bytes]) -> Files:
    place = rng.randrange(len(files))
    return [change(content) if n == place else content for n, content in enumerate(files)]


def flip_bytes(files: Files, rng: random.Random) -> Files:
    """A few bytes anywhere in one file."""

    def change(content: bytes) -> bytes:
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        return bytes(damaged)

    return _one(files, rng, change)


def flip_header_bytes(files: Files, rng: random.Random) -> Files:
    """Bytes among the first elements, where lengths and tags stand."""

    def change(content: bytes) -> bytes:
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(132, min(1500, len(damaged)))] = rng.randrange(256)
        return bytes(damaged)

    return _one(files, rng, change)


def cut(files: Files, rng: random.Random) -> Files:
    """One file ends early, as after a broken copy."""
    return _one(files, rng, lambda content: content[: rng.randrange(len(content))])


def append(files: Files, rng: random.Random) -> Files:
    """Bytes after the end, as some archives pad files."""
    return _one(files, rng, lambda content: content + rng.randbytes(rng.randint(1, 600)))


def odd_value(files: Files, rng: random.Random) -> Files:
    """A value that the image rests on becomes odd, in one file."""
    keyword, value = rng.choice(_NEEDED), rng.choice(ODD_VALUES)

    def edit(dataset: Dataset) -> None:
        if keyword in dataset:
            element = dataset[keyword]
            number = rng.choice([0, 1, 7, 65535])
            element._value = value if element.VR in ("CS", "DS", "IS", "UI", "TM", "DA", "SH", "LO") else number

    def change(content: bytes) -> bytes:
        try:
            return _edited(content, edit)
        except Exception:  # a value that cannot even be written
            return content[: len(content) // 2]

    return _one(files, rng, change)


def missing_value(files: Files, rng: random.Random) -> Files:
    """An attribute leaves one file, or all."""
    keyword, everywhere = rng.choice(_NEEDED), rng.random() < 0.5

    def edit(dataset: Dataset) -> None:
        if keyword in dataset:
            del dataset[keyword]

    if everywhere:
        return [_edited(content, edit) for content in files]
    return _one(files, rng, lambda content: _edited(content, edit))


def lose_or_double(files: Files, rng: random.Random) -> Files:
    """A file is gone, or there twice."""
    place = rng.randrange(len(files))
    return files[:place] + files[place + 1 :] if rng.random() < 0.5 else [*files, files[place]]


def harmless_text(files: Files, rng: random.Random) -> Files:
    """Harmless: an attribute that no image rests on changes or leaves, in all files."""
    keyword, text = rng.choice(HARMLESS_KEYWORDS), rng.choice(("", "7", "Ann", "x" * 16))

    def edit(dataset: Dataset) -> None:
        if rng.random() < 0.3 and keyword in dataset:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, "7" if keyword in _NUMBERS else text)

    return [_edited(content, edit) for content in files]


def harmless_bytes(files: Files, rng: random.Random) -> Files:
    """Harmless: the 128 bytes before the prefix, the order of the files, an identical copy."""
    kind = rng.randrange(3)
    if kind == 0:
        return [rng.randbytes(128) + content[128:] for content in files]
    if kind == 1:
        return rng.sample(files, len(files))
    return [*files, rng.choice(files)]


HARMFUL: Sequence[Mutation] = (
    flip_bytes, flip_header_bytes, cut, append, odd_value, odd_value, missing_value, missing_value, lose_or_double,
)  # fmt: skip
HARMLESS: Sequence[Mutation] = (harmless_text, harmless_bytes)
