"""The public data sets: one small adapter each, which finds the cases of a folder and says how each is read.

An adapter takes the root folder and returns `Case` objects in order; it reads nothing yet. What lies on disk is what
the data set's publisher distributes.
"""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nen_imaging.stage import StageError
from nen_imaging.validation import DATASET_TITLES
from nen_imaging.validation.cases import Case, LabelledCt
from nen_imaging.validation.phantom_cases import high_load_cases, phantom_cases
from nen_imaging.validation.readers import (
    read_chaos,
    read_ircadb,
    read_lits,
    read_nifti_pair,
    read_tcia,
)

LITS_OF_IRCADB = 27
"""Case k of 3D-IRCADb-01 is case 27 + k of LiTS (proven mask by mask for 1 to 19)."""
LITS_PATIENTS = {"lits_p01": (0, 1), "lits_p06_10": (6, 7, 8, 9, 10)}
"""Scans of LiTS that are of one patient, as they look; every other scan counts as a patient of its own."""
MSD_LABELS = {"0": "background", "1": "liver", "2": "cancer"}
Paths = dict[int, Path]
_TRUE, _FALSE = ("", "yes", "true", "1"), ("no", "false", "0")


class DatasetError(StageError):
    """A data set is not where, or not what, it was said to be."""


@dataclass(frozen=True)
class Dataset:
    """A data set by the name that the command line uses; ``about`` says what is looked for under its root."""

    title: str
    about: str
    find: Callable[[Path], list[Case]]


def find_cases(name: str, root: Path, only: Sequence[str] | None = None, *, table: Path | None = None) -> list[Case]:
    """All cases of a data set, in order, or those of them that are named.

    ``table`` is that of `csv`, where it lies elsewhere than at ``root``, at which its paths begin.

    Raises DatasetError for an unknown name, a folder that is not there or without a case, or a named case it lacks.
    """
    if name not in DATASETS:
        raise DatasetError(f"There is no data set {name!r}; known: {', '.join(DATASETS)}.")
    dataset = DATASETS[name]
    if not root.exists():
        raise DatasetError(f"There is no {root}.")
    cases = _csv(root, table) if table else dataset.find(root)
    if not cases:
        raise DatasetError(f"No case of {dataset.title} in {root}. Looked for: {dataset.about}.")
    names = Counter(case.name for case in cases)
    if double := [name for name, count in names.items() if count > 1]:
        raise DatasetError(f"{root} holds these cases twice: {', '.join(double)}.")
    if unusable := [name for name in names if name != Path(name).name or name in ("", "..")]:
        raise DatasetError(f"These names of cases cannot name a folder: {', '.join(map(repr, unusable))}.")
    absent = set(only or ()) - set(names)
    if absent:
        raise DatasetError(f"{root} holds no case {', '.join(sorted(absent))}.")
    return [case for case in cases if only is None or case.name in only]


def _lits(root: Path) -> list[Case]:
    images = _numbered(root, r"volume-(\d+)\.nii(\.gz)?")  # the test batch, without a public truth: test-volume-N
    return _pairs_of_lits(images, _numbered(root, r"segmentation-(\d+)\.nii(\.gz)?"), read_lits)


def _msd(root: Path) -> list[Case]:
    description = root / "dataset.json"
    if description.is_file():
        labels = json.loads(description.read_text("utf-8")).get("labels", MSD_LABELS)
        if {key: str(name).lower() for key, name in labels.items()} != MSD_LABELS:
            raise DatasetError(f"{description} gives the labels {labels}; Task03_Liver has {MSD_LABELS}.")
    images, labels_of = (_numbered(root / folder, r"liver_(\d+)\.nii(\.gz)?") for folder in ("imagesTr", "labelsTr"))
    return _pairs_of_lits(images, labels_of, read_nifti_pair)


def _pairs_of_lits(images: Paths, labels: Paths, read: Callable[..., LabelledCt]) -> list[Case]:
    """A case for every number of LiTS (which MSD keeps) that an image or a label map has."""
    return [
        Case(
            str(number),
            partial(read, images.get(number), labels.get(number)),
            tuple(path for path in (images.get(number), labels.get(number)) if path),
            known_as=_lits_names(number),
        )
        for number in sorted({*images, *labels})
    ]


def _ircadb(root: Path) -> list[Case]:
    found: dict[int, tuple[Path, str]] = {}
    for path in sorted([*root.glob("*"), *root.glob("3Dircadb1/*")]):
        match = re.fullmatch(r"3Dircadb1\.(\d+)(\.zip)?", path.name)
        if match:
            found.setdefault(int(match[1]), (path, ""))
        elif path.name == "3Dircadb1.zip" and path.is_file():
            with zipfile.ZipFile(path) as archive:
                parts = {part for name in archive.namelist() for part in name.split("/")}
            for part in sorted(parts):
                inside = re.fullmatch(r"3Dircadb1\.(\d+)(\.zip)?", part)
                if inside:
                    found.setdefault(int(inside[1]), (path, part))
    return [
        Case(
            str(number),
            partial(read_ircadb, path, part),
            _content(path),
            known_as=_lits_names(LITS_OF_IRCADB + number),
        )
        for number, (path, part) in sorted(found.items())
    ]


def _chaos(root: Path) -> list[Case]:
    folders = {
        folder.parent.name: folder.parent
        for pattern in ("*/DICOM_anon", "CT/*/DICOM_anon", "*/CT/*/DICOM_anon", "DICOM_anon")
        for folder in root.glob(pattern)
    }
    return [
        Case(
            name,
            partial(read_chaos, folder),
            _content(folder),
            known_as=(f"CHAOS CT set {name}",),
            lesions_labelled=True,  # healthy donors: there are none
        )
        for name, folder in sorted(folders.items(), key=lambda item: _natural(item[0]))
    ]


def _totalsegmentator(root: Path) -> list[Case]:
    files = {
        folder.name: (folder / "ct.nii.gz", folder / "segmentations" / "liver.nii.gz")
        for folder in sorted(root.glob("s[0-9]*"))
        if folder.is_dir()
    }
    return [
        Case(
            name,
            partial(read_nifti_pair, *pair),
            pair,
            known_as=(f"TotalSegmentator {name}",),
            lesions_labelled=False,
            whole_liver=False,  # many of its images show a part of the body
        )
        for name, pair in files.items()
    ]


def _tcia(root: Path) -> list[Case]:
    return [
        Case(folder.name, partial(read_tcia, folder), _content(folder), known_as=(folder.name,))
        for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    ]


def _csv(root: Path, table: Path | None = None) -> list[Case]:
    table = table or (root if root.is_file() else root / "cases.csv")
    folder = root if root.is_dir() else root.parent
    if not table.is_file():
        raise DatasetError(f"There is no {table}: a CSV with the columns case, image, label.")
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, restval=""))
    missing = {"case", "image", "label"} - set(rows[0] if rows else {"case", "image", "label"})
    if missing:
        raise DatasetError(f"{table} has no column {' and no '.join(sorted(missing))}.")
    cases = []
    for number, row in enumerate(rows, start=2):
        image, label = (folder / row[key] for key in ("image", "label"))
        known_as = tuple(filter(None, [row["case"], row.get("patient")]))
        whole, lesions = (_flag(row, key, f"{table.name}, row {number}") for key in ("whole_liver", "lesions_labelled"))
        read = partial(read_nifti_pair, image, label)
        cases.append(Case(row["case"], read, (*_content(image), label), known_as, lesions, whole))
    return cases


_LOOKED_FOR: dict[str, tuple[str, Callable[[Path], list[Case]]]] = {
    "lits": ("volume-N.nii[.gz] and segmentation-N.nii[.gz], in one folder or several", _lits),
    "msd": ("imagesTr/liver_N.nii.gz and labelsTr/liver_N.nii.gz", _msd),
    "ircadb": ("3Dircadb1.N with PATIENT_DICOM and MASKS_DICOM, zipped or not", _ircadb),
    "chaos": ("N/DICOM_anon and N/Ground", _chaos),
    "totalsegmentator": ("sNNNN/ct.nii.gz and sNNNN/segmentations/liver.nii.gz", _totalsegmentator),
    "tcia": ("a folder per patient with a CT series and a SEG of liver", _tcia),
    "csv": ("a CSV: case, image, label[, whole_liver, lesions_labelled, patient]", _csv),
    "phantom": ("nothing: they are drawn from seeds", phantom_cases),
    "phantom_high": ("nothing: they are drawn from seeds", high_load_cases),
}
DATASETS = {name: Dataset(title, *_LOOKED_FOR[name]) for name, title in DATASET_TITLES.items()}


def _numbered(folder: Path, pattern: str) -> Paths:
    """Files below a folder by the number in their name; DatasetError where a number is there twice."""
    found: Paths = {}
    for path in sorted(folder.rglob("*.nii*")):
        match = re.fullmatch(pattern, path.name)
        if match and int(match[1]) in found:
            raise DatasetError(f"{path.name} lies in {path.parent} and in {found[int(match[1])].parent}.")
        if match:
            found[int(match[1])] = path
    return found


def _lits_names(number: int) -> tuple[str, str]:
    """A scan of LiTS and its patient, who is named after 3D-IRCADb-01 where it comes from there."""
    of_ircadb = number - LITS_OF_IRCADB
    shared = [patient for patient, scans in LITS_PATIENTS.items() if number in scans]
    own = f"3D-IRCADb-01 #{of_ircadb}" if 1 <= of_ircadb <= 20 else f"lits_p{number:02d}"
    return f"LiTS {number}", shared[0] if shared else own


def _content(path: Path) -> tuple[Path, ...]:
    return tuple(sorted(part for part in path.rglob("*") if part.is_file())) if path.is_dir() else (path,)


def _natural(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else -1, name)


def _flag(row: dict[str, str], key: str, where: str) -> bool:
    value = (row.get(key) or "").strip().lower()
    if value not in _TRUE + _FALSE:
        raise DatasetError(f"{where}: {key} is {value!r}; allowed are yes and no.")
    return value in _TRUE
