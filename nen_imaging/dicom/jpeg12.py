"""12-bit JPEG (Process 4), which pydicom's permissively licensed decoders cannot read, by way of SimpleITK."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import CTImageStorage, JPEGExtended12Bit

_KEPT = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "NumberOfFrames", "PixelData",
)  # fmt: skip


def is_jpeg12(dataset: Dataset) -> bool:
    """Whether the pixels are JPEG of 12 bits."""
    return dataset.file_meta.get("TransferSyntaxUID") == JPEGExtended12Bit and int(dataset.get("BitsStored") or 8) > 8


def decode_jpeg12(dataset: Dataset) -> NDArray[np.integer]:
    """The stored pixels, indexed ([frame,] row, column).

    SimpleITK reads files only: the image goes there without any attribute but those of its pixels, and without a
    rescale. Raises RuntimeError where they cannot be decoded.
    """
    bare = Dataset()
    for keyword in _KEPT:
        if keyword in dataset:
            bare[keyword] = dataset[keyword]
    bare.SOPClassUID, bare.SOPInstanceUID = CTImageStorage, "2.25.1"
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    with tempfile.TemporaryDirectory(prefix="nen-imaging-") as folder:
        file = Path(folder) / "image.dcm"
        dcmwrite(file, bare, enforce_file_format=True)
        array: NDArray[np.integer] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(file))
    return array if int(dataset.get("NumberOfFrames") or 1) > 1 else array.reshape(array.shape[-2:])
