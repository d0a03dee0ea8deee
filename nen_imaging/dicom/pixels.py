"""Decode one image: stored values, rescale, padding; and whether Hounsfield units lie where they belong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)
from scipy import ndimage, signal

from nen_imaging.contract import Reason, Refusal
from nen_imaging.dicom.jpeg12 import decode_jpeg12, is_jpeg12
from nen_imaging.dicom.vocabulary import NOT_DENSITY

_LARGEST_NUMBER = 1e9
AIR_HU = -1024  # also what padding becomes
_FAT_HU = (-140, -50)  # -116 to -69 on 75 scans of several makers; 80 kV lowers it
_FAT_BELOW_HU = -20  # brain and muscle of a lean patient lie above
_SEARCHED_HU = (-300, 300)
_SMOOTHED_HU = 12
_PROMINENT = 0.08  # of the highest peak
_PILED_SHARE = 0.02
_LOSSY = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K}  # the last two may be


def hounsfield(dataset: Dataset) -> NDArray[np.int16]:
    """One CT slice in HU, indexed (i, j) = (column, row); padding and all below -1024 become -1024.

    Raises
    ------
    Refusal
        ``ct.not_hu`` for a mask, a colour image or another quantity; ``pixels.undecodable``; ``image.multiframe``.
    """
    _require_hounsfield(dataset)
    stored = stored_values(dataset)
    values = stored * _number(dataset, "RescaleSlope", 1.0) + _number(dataset, "RescaleIntercept", 0.0)
    values[is_padding(dataset, stored)] = AIR_HU
    return np.clip(np.rint(values), AIR_HU, np.iinfo(np.int16).max).astype(np.int16)


def activity(dataset: Dataset) -> NDArray[np.float32]:
    """One PET slice, stored x slope + intercept of that slice, indexed (i, j) = (column, row); padding becomes 0."""
    stored = stored_values(dataset)
    excess = 0 if dataset.file_meta.TransferSyntaxUID.is_encapsulated else len(dataset.PixelData) - stored.nbytes
    if excess > 1:  # more than the byte that makes the length even: a damaged header may have moved the pixels
        raise Refusal("header.damaged", f"A PET slice holds {excess} bytes more than its pixels fill.")
    slope, intercept = _number(dataset, "RescaleSlope", 0.0), _number(dataset, "RescaleIntercept", 0.0)
    if slope <= 0:
        raise Refusal("header.damaged", f"(0028,1053) RescaleSlope of a PET slice is {slope or 'missing or 0'}.")
    values = (stored * slope + intercept).astype(np.float32)
    values[is_padding(dataset, stored)] = 0.0
    return values


def stored_values(dataset: Dataset) -> NDArray[np.integer]:
    """The stored pixels of a single-frame image, indexed (i, j) = (column, row).

    Unused high bits are cleared (or filled with the sign): old scanners left overlays there.
    """
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise Refusal("image.multiframe", f"An image holds {dataset.NumberOfFrames} frames.")
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise Refusal("ct.not_hu", "The images hold colours: secondary captures, not measured values.")
    array: NDArray[np.integer] = decoded_pixels(dataset)
    if not np.issubdtype(array.dtype, np.integer):
        raise Refusal("pixels.undecodable", f"Pixels are stored as {array.dtype}, which CT and PET images never are.")
    unused = 8 * array.dtype.itemsize - int(dataset.get("BitsStored") or 8 * array.dtype.itemsize)
    if unused > 0:
        array = (array << unused) >> unused  # arithmetic for signed, logical for unsigned
    return array.T  # (row, column) -> (i, j)


def decoded_pixels(dataset: Dataset) -> NDArray[Any]:
    """The pixels as they are stored, indexed ([frame,] row, column); raises Refusal ``pixels.undecodable``."""
    try:
        return decode_jpeg12(dataset) if is_jpeg12(dataset) else dataset.pixel_array
    except Exception as error:  # decoders raise whatever they like
        syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or ""))
        name = syntax.name if syntax.is_transfer_syntax else "an unknown transfer syntax"
        text = f"Pixels in {name} cannot be decoded ({type(error).__name__})."  # a decoder's own text quotes the header
        raise Refusal("pixels.undecodable", text) from error


def is_padding(dataset: Dataset, stored: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where stored values are padding: PixelPaddingValue, or the range from it to its limit."""
    value = dataset.get("PixelPaddingValue")
    if value is None or value == "":
        return np.zeros(stored.shape, bool)
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None or limit == "" else limit)))
    return (stored >= low) & (stored <= high)


def is_lossy(dataset: Dataset) -> bool:
    """Whether the image was compressed with loss, by its own word or by its transfer syntax."""
    if str(dataset.get("LossyImageCompression") or "") == "01":
        return True
    return dataset.file_meta.get("TransferSyntaxUID") in _LOSSY


def hounsfield_reasons(array: NDArray[np.int16]) -> list[Reason]:
    """Whether air, fat and soft tissue lie where they belong; looks at every fourth voxel."""
    sample = array[::4, ::4, ::2] if array.size > 1_000_000 else array
    seen = sample[sample > AIR_HU]
    soft = seen[(seen > -200) & (seen < 300)]
    if soft.size < 0.02 * sample.size:
        return [Reason("hu.implausible", f"{100 * soft.size / sample.size:.1f} % of voxels lie in -200 to 300 HU.")]
    dense = float((seen > 700).mean())
    if dense > 0.15:  # bone never is; soft tissue without its intercept is
        return [Reason("hu.implausible", f"{100 * dense:.0f} % of voxels lie above 700 HU.")]
    true_from = _true_from(seen)
    counts, edges = np.histogram(soft[soft > true_from], bins=50)
    peak_hu = float(edges[np.argmax(counts)] + 5)
    if not -150 <= peak_hu <= 150:
        return [Reason("hu.implausible", f"The peak of soft tissue lies at {peak_hu:.0f} HU.")]
    fat_hu = _fat_peak(seen, true_from)
    if fat_hu is not None and not _FAT_HU[0] <= fat_hu <= _FAT_HU[1]:
        return [Reason("hu.implausible", f"The peak of fat lies at {fat_hu} HU, not between -140 and -50.")]
    gas = seen[seen < -700]
    if gas.size > 0.02 * sample.size and float(np.median(gas)) > -750:
        return [Reason("hu.implausible", f"The darkest voxels lie at {float(np.median(gas)):.0f} HU, air at -1000.")]
    return []


def _true_from(seen: NDArray[np.int16]) -> int:
    """From which HU up voxels are not clipped: where an image is cut at -160 or so, interpolation spills the pile."""
    darkest = int(seen.min())
    piled = darkest > _SEARCHED_HU[0] and float((seen == darkest).mean()) > _PILED_SHARE
    return darkest + 4 * _SMOOTHED_HU if piled else _SEARCHED_HU[0]


def _fat_peak(seen: NDArray[np.int16], true_from: int) -> int | None:
    """The HU of the lowest peak where fat might lie; None in a patient with too little fat for one."""
    start, stop = _SEARCHED_HU
    counts = np.bincount(seen[(seen >= start) & (seen < stop)] - start, minlength=stop - start).astype(float)
    smooth = ndimage.gaussian_filter1d(counts, _SMOOTHED_HU)
    peaks, _ = signal.find_peaks(smooth, prominence=_PROMINENT * smooth.max())
    return next((int(peak) + start for peak in peaks if true_from <= peak + start <= _FAT_BELOW_HU), None)


def _require_hounsfield(dataset: Dataset) -> None:
    kind = str(dataset.get("RescaleType") or "HU").upper()
    if kind not in ("HU", "HU_MOD", "US"):
        raise Refusal("ct.not_hu", "RescaleType is none of HU: the images show another quantity.")
    derived = NOT_DENSITY & {str(value).upper() for value in dataset.get("ImageType") or []}
    if derived:
        raise Refusal("ct.not_hu", f"ImageType says {sorted(derived)[0]}: a computed map, not a CT.")
    if int(dataset.get("BitsAllocated") or 16) == 8 or (
        int(dataset.get("BitsStored") or 16) <= 8 and dataset.get("RescaleIntercept") is None
    ):
        raise Refusal("ct.not_hu", "8-bit pixels without a rescale: a mask or a picture, not a CT.")


def _number(dataset: Dataset, keyword: str, default: float) -> float:
    value = dataset.get(keyword)
    number = default if value is None or value == "" else float(value)
    if not math.isfinite(number) or abs(number) > _LARGEST_NUMBER:
        raise Refusal("header.damaged", f"{keyword} is no plausible number.")
    return number
