"""How one case of each data set is read: image and labels on one grid, as `LabelledCt`; options are of `import_ct`."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Unpack

import nibabel
import numpy as np
import pydicom
from nibabel.filebasedimages import ImageFileError
from pydicom import Dataset

from nen_imaging.contract import Refusal
from nen_imaging.dicom.image import read_image
from nen_imaging.dicom.pixels import AIR_HU
from nen_imaging.dicom.segmentation_image import Segment, read_segments
from nen_imaging.dicom.series import read_ct, read_dataset
from nen_imaging.validation.archives import opened
from nen_imaging.validation.cases import ImportOptions, LabelledCt, labelled
from nen_imaging.validation.masks import dicom_slices, mask_on, png_slices, slices_of
from nen_imaging.validation.metrics import LESION, LIVER
from nen_imaging.validation.orientation import placed_by_anatomy
from nen_imaging.validation.surface import Mask
from nen_imaging.volume import Volume, read_nifti

_LIVER_SEGMENT = re.compile(r"^liver\b(?!.*(remnant|vessel|vein))", re.IGNORECASE)
_LESION_SEGMENT = re.compile(r"tumou?r|mass|lesion|metasta|neoplasm|nodule|carcinoma", re.IGNORECASE)


def read_labels(path: Path) -> Volume:
    """A NIfTI label map; Refusal ``image.unreadable`` for a file that is none."""
    with _unreadable(path.name):
        return read_nifti(path)


def read_nifti_pair(image: Path | None, label: Path | None, **import_ct: Unpack[ImportOptions]) -> LabelledCt:
    """An image (NIfTI, or a DICOM folder) and a NIfTI label map; a mask of the liver alone is one."""
    image, label = _required(image, "image"), _required(label, "label map")
    truth, found = read_labels(label), read_image(image, **import_ct)
    return labelled(found.volume, truth, tuple(reason.text for reason in found.reasons))


def read_lits(image: Path | None, label: Path | None, **import_ct: Unpack[ImportOptions]) -> LabelledCt:
    """A pair of LiTS; where the image lost its affine, directions are taken from the body and the spacing is sought."""
    image, label = _required(image, "image"), _required(label, "label map")
    with _unreadable(image.name):
        first = nibabel.load(image)
    with _unreadable(label.name):
        second = nibabel.load(label)
        truth = Volume(np.asanyarray(second.dataobj), second.affine)
    if not np.allclose(np.abs(first.affine[:3, :3]), np.eye(3), atol=1e-3):
        found = read_image(image, **import_ct)
        return labelled(found.volume, truth, tuple(reason.text for reason in found.reasons))
    spacings_mm = [np.array(header.get_zooms()[:3], float) for header in (first.header, second.header)]
    spacing_mm = next((mm for mm in spacings_mm if not np.allclose(mm, 1.0)), None)
    if spacing_mm is None:
        raise Refusal(
            "geometry.missing", "The image's affine is the identity and its spacing is lost: nothing has a size."
        )
    with _unreadable(image.name):
        array = np.clip(np.rint(np.asanyarray(first.dataobj)), AIR_HU, np.iinfo(np.int16).max).astype(np.int16)
    if array.shape != truth.shape:
        raise Refusal("truth.unusable", f"The image has {array.shape} voxels, the labels {truth.shape}.")
    affine = placed_by_anatomy(array, truth.array, spacing_mm)
    codes = "".join(nibabel.aff2axcodes(affine))
    shown = " x ".join(f"{mm:.3g}" for mm in spacing_mm)
    note = f"The affine was lost (identity): spacing {shown} mm from the header, axes {codes} from the body."
    return labelled(Volume(array, affine), Volume(truth.array, affine), (note,))


def read_ircadb(path: Path, part: str = "", **import_ct: Unpack[ImportOptions]) -> LabelledCt:
    """A case of 3D-IRCADb-01: `PATIENT_DICOM`, `MASKS_DICOM/liver`, `MASKS_DICOM/livertumor*`, packed or not."""
    with opened(path, part) as folder:
        images, masks = (_folder(folder, name) for name in ("PATIENT_DICOM", "MASKS_DICOM"))
        found = read_image(images, **_in_slices(import_ct))
        tumours = sorted(mask for mask in masks.iterdir() if mask.name.lower().startswith("livertumo"))
        liver = mask_on(found.volume, dicom_slices(_folder(masks, "liver")))
        lesion = np.zeros_like(liver)
        for tumour in tumours:
            lesion |= mask_on(found.volume, dicom_slices(tumour))
        others = sorted(mask.name for mask in masks.iterdir() if mask.name.lower().startswith("livercyst"))
    note = (f"{', '.join(others)} count as liver, as in LiTS.",) if others else ()
    return _joined(found.volume, liver, lesion, (*(reason.text for reason in found.reasons), *note))


def read_chaos(folder: Path, **import_ct: Unpack[ImportOptions]) -> LabelledCt:
    """A case of CHAOS CT: `DICOM_anon` and `Ground/*.png`; a healthy liver."""
    found = read_image(_folder(folder, "DICOM_anon"), **_in_slices(import_ct))
    liver = mask_on(found.volume, png_slices(_folder(folder, "Ground"), folder / "DICOM_anon"))
    return _joined(found.volume, liver, np.zeros_like(liver), tuple(reason.text for reason in found.reasons))


def read_tcia(folder: Path, **import_ct: Unpack[ImportOptions]) -> LabelledCt:
    """A patient of TCIA: the CT series that a DICOM SEG with a liver segment refers to, and its segments.

    Where the SEG has no segment of a lesion, nobody drew any: the lesions count as not labelled.
    """
    series: dict[str, list[Path]] = {}
    segs: list[Path] = []
    for path in sorted(part for part in folder.rglob("*") if part.is_file()):
        header = _header(path)
        if header is not None and header.get("Modality") == "SEG":
            segs.append(path)
        elif header is not None and header.get("Modality") == "CT":
            series.setdefault(str(header.get("SeriesInstanceUID")), []).append(path)
    for path in segs:
        with path.open("rb") as file:
            seg = read_dataset(file)
        names = [str(item.get("SegmentLabel", "")) for item in seg.get("SegmentSequence") or []]
        uid = _referenced_series(seg) or (next(iter(series)) if len(series) == 1 else "")
        if uid in series and any(map(_LIVER_SEGMENT.search, names)):
            return _from_seg(series[uid], read_segments(seg), _in_slices(import_ct))
    raise Refusal(
        "truth.unusable",
        f"{len(segs)} SEG and {len(series)} CT series, but no SEG of a liver that belongs to one of them.",
    )


def _in_slices(import_ct: ImportOptions) -> ImportOptions:
    """The options where the truth was drawn on the CT's slices: one that is interpolated has none, and is refused."""
    return {**import_ct, "resample_uneven": False}


def _from_seg(files: list[Path], segments: list[Segment], import_ct: ImportOptions) -> LabelledCt:
    found = read_ct(_streams(files), **import_ct)
    livers = [one for one in segments if _LIVER_SEGMENT.search(one.label)]
    lesions = [one for one in segments if _LESION_SEGMENT.search(one.label) and one not in livers]
    liver, lesion = (
        mask_on(found.volume, chain.from_iterable(slices_of(one.mask) for one in some)) for some in (livers, lesions)
    )
    used = ", ".join(one.label for one in (*livers, *lesions))
    notes = (*(reason.text for reason in found.reasons), f"Segments used: {used}.")
    return _joined(found.volume, liver, lesion, notes, lesions_labelled=bool(lesions))


def _referenced_series(seg: Dataset) -> str:
    """The series that a SEG was drawn on; empty if it does not say."""
    references = seg.get("ReferencedSeriesSequence") or []
    return str(references[0].get("SeriesInstanceUID", "")) if references else ""


def _streams(files: list[Path]) -> Iterator[tuple[str, BinaryIO]]:
    for path in files:
        with path.open("rb") as stream:
            yield path.name, stream


def _joined(
    ct: Volume, liver: Mask, lesion: Mask, notes: tuple[str, ...], *, lesions_labelled: bool = True
) -> LabelledCt:
    """Lesions outside the drawn liver belong to it: in some data sets the liver was drawn without its tumours."""
    labels = np.where(lesion, LESION, np.where(liver, LIVER, 0)).astype(np.uint8)
    return labelled(ct, ct.with_array(labels), notes, lesions_labelled=lesions_labelled)


def _header(path: Path) -> Dataset | None:
    tags = ["Modality", "SeriesInstanceUID"]
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
    except (pydicom.errors.InvalidDicomError, OSError):
        return None


def _required(path: Path | None, what: str) -> Path:
    if path is None or not path.exists():
        raise Refusal("image.unreadable", f"The {what} is missing" + (f": no {path.name}." if path else "."))
    return path


def _folder(parent: Path, name: str) -> Path:
    """The folder of that name in or below another, without regard to case."""
    found = [path for path in sorted(parent.rglob("*")) if path.is_dir() and path.name.lower() == name.lower()]
    if not found:
        raise Refusal("image.unreadable", f"There is no {name} in {parent.name}.")
    return found[0]


@contextmanager
def _unreadable(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError) as error:
        raise Refusal("image.unreadable", f"{name} cannot be read: {error}") from error
