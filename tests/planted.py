"""An identifier in every attribute that takes text: names, ids, UIDs, comments, private ones, nested ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.tag import Tag

WORD = "ZQSECRET"
UID_ROOT = "1.2.777123777"
BIRTH_DATE = "19310907"
PLANTED = (WORD, "777123777", re.compile(rb"1931-?09-?07|07\.09\.1931|09/07/1931"))
"""What to look for."""

_TEXTS = {"AE": 16, "CS": 16, "LO": 64, "LT": 64, "PN": 64, "SH": 16, "ST": 64, "UC": 64, "UR": 64, "UT": 64}
MEANT = (  # what an image cannot be read without; each is planted alone by `PLANTED_ALONE`
    "SpecificCharacterSet", "SOPClassUID", "Modality", "ImageType", "PhotometricInterpretation", "PatientSex",
    "Units", "CorrectedImage", "DecayCorrection", "CountsSource", "SeriesType", "SUVType", "RescaleType",
    "LossyImageCompression", "PatientPosition",
)  # fmt: skip
_TOLD_BY_WORDS = {
    "SeriesDescription": "portal venous", "ProtocolName": "abdomen", "StudyDescription": "CT", "Manufacturer": "GE",
    "ManufacturerModelName": "Discovery 690", "ConvolutionKernel": "B30f", "Radiopharmaceutical": "DOTATOC",
}  # fmt: skip


def plant(paths: Iterable[Path], *, only_absent: bool = False) -> None:
    """Plant into files in place; words that are meant to be understood stand beside the identifier.

    ``only_absent``: attributes that a file has already stay as they are.
    """
    for number, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        _fill(dataset, number, only_absent=only_absent)
        nested = Dataset()
        _fill(nested, number)
        dataset.ReferencedImageSequence = [nested]
        dataset.private_block(0x0029, f"{WORD} CREATOR", create=True).add_new(0x10, "LO", f"{WORD} private")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(path)


def _fill(dataset: Dataset, number: int, *, only_absent: bool = False) -> None:
    for tag, (vr, multiplicity, _, _, keyword) in DicomDictionary.items():
        is_attribute = tag >> 16 not in (0x0000, 0x0002, 0xFFFE) and keyword and keyword not in MEANT
        if not is_attribute or (only_absent and tag in dataset):
            continue
        if vr == "UI":
            own = f".{number}" if keyword == "SOPInstanceUID" else ""
            _put(dataset, tag, vr, f"{UID_ROOT}.{tag}{own}")
        elif vr == "DA" and (keyword not in dataset or keyword == "PatientBirthDate"):
            _put(dataset, tag, vr, BIRTH_DATE)
        elif vr in _TEXTS:
            known = _TOLD_BY_WORDS.get(keyword)
            text = f"{known} {WORD}" if known else f"{WORD}{tag:X}"
            _put(dataset, tag, vr, [text] * 2 if multiplicity.startswith("2") else text[: _TEXTS[vr]])


def _put(dataset: Dataset, tag: int, vr: str, value: object) -> None:
    dataset[Tag(tag)] = DataElement(Tag(tag), vr, value)
