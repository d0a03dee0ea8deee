"""The same image in another transfer syntax, by whatever library can encode it."""

from __future__ import annotations

import base64
from pathlib import Path

import gdcm
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_BY_PYDICOM = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
_BY_GDCM = {
    JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
}
HT_SYNTAXES = (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
LOSSLESS = (*_NATIVE, *_BY_PYDICOM, *_BY_GDCM)

RAMP: NDArray[np.uint16] = np.add.outer(50 * np.arange(16), 37 * np.arange(12)).astype(np.uint16)
"""Stored values (row, column) of the one image that `_HT_RAMP` holds: no library here encodes HTJ2K."""
_HT_RAMP = base64.b64decode(  # by OpenJPH 0.26.3
    "/0//UQApQAAAAAAMAAAAEAAAAAAAAAAAAAAADAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJ"
    "CQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAHkAAf+TwAAmAf0FB3QAAMAAE0AAEoB4/gIHdACQAgd0AMAAE0AAEwBz"
    "/gDLdADGjQBjVADAABUwAAVIpCQS6ZfhC3UA4GDwwBCAjLYAwAAroAAVwAiCIAiCIN4KenpwgngAYlEURfH8AAj2EIHsuQD/2Q=="
)


def transcode(path: Path, syntax: UID) -> None:
    """Rewrite a native little endian file in place; of HTJ2K only an image that shows `RAMP`."""
    if syntax in _BY_GDCM:
        _by_gdcm(path, _BY_GDCM[syntax])
        return
    dataset = pydicom.dcmread(path)
    if syntax in _BY_PYDICOM:
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax in HT_SYNTAXES:
        assert (dataset.pixel_array == RAMP).all()
        dataset.PixelData = encapsulate([_HT_RAMP])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.PixelRepresentation = 0
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)


def _by_gdcm(path: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))  # empties the file
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
