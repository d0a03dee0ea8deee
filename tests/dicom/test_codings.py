"""One CT in every transfer syntax becomes the identical volume; what cannot be decoded is refused by name."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import HTJ2K, HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless, RLELossless

from nen_imaging.contract import Refusal
from nen_imaging.dicom.image import read_image
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.volume import Volume
from tests.dicom.enhanced import write_enhanced
from tests.dicom.transcode import HT_SYNTAXES, LOSSLESS, RAMP, transcode

AFFINE = np.diag([-0.8, -0.8, 3.0, 1.0])


def write(folder, volume, syntax=None, **options):
    for path in write_ct_series(folder, volume, **options):
        if syntax:
            transcode(path, syntax)
            assert pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    return folder


def assert_same(one, other):
    np.testing.assert_array_equal(one.volume.array, other.volume.array)
    np.testing.assert_array_equal(one.volume.affine, other.volume.affine)
    assert one.volume.array.dtype == other.volume.array.dtype
    assert one.facts == other.facts


@pytest.mark.parametrize("rescale", [(1.0, -1024.0), (0.5, 0.0)], ids=["positive", "signed"])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.name)
def test_every_lossless_coding_is_the_identical_volume(syntax, rescale, tmp_path):
    # 32 x 32 at least, since JPEG 2000 halves the image five times
    volume = Volume(np.random.default_rng(5).integers(-1000, 1500, (33, 40, 4)).astype(np.int16), AFFINE)
    native = read_image(write(tmp_path / "native", volume, rescale=rescale))
    np.testing.assert_array_equal(np.sort(native.volume.array, axis=None), np.sort(volume.array, axis=None))
    coded = read_image(write(tmp_path / "coded", volume, syntax, rescale=rescale))
    assert_same(coded, native)
    assert [reason.code for reason in coded.reasons] == [reason.code for reason in native.reasons]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_a_compressed_enhanced_image_is_the_identical_volume(syntax, tmp_path):
    volume = Volume(np.random.default_rng(6).integers(-1000, 1500, (33, 40, 4)).astype(np.int16), AFFINE)
    folder = write(tmp_path / "native", volume)
    native = read_image(folder)
    coded = tmp_path / "coded"
    coded.mkdir()
    transcode(write_enhanced(coded / "enhanced", sorted(folder.iterdir())), syntax)
    found = read_image(coded)
    np.testing.assert_array_equal(found.volume.array, native.volume.array)
    np.testing.assert_allclose(found.volume.affine, native.volume.affine, atol=1e-9)


def ramps() -> Volume:
    return Volume(np.repeat(RAMP.T[:, :, None].astype(np.int16) - 1024, 4, axis=2), AFFINE)


@pytest.mark.parametrize("syntax", HT_SYNTAXES, ids=lambda uid: uid.name)
def test_high_throughput_jpeg_2000_is_the_identical_volume(syntax, tmp_path):
    native = read_image(write(tmp_path / "native", ramps()))
    coded = read_image(write(tmp_path / "coded", ramps(), syntax))
    assert_same(coded, native)
    codes = [reason.code for reason in coded.reasons]
    assert ("pixels.lossy" in codes) == (syntax == HTJ2K)  # which may be with loss


def test_without_its_decoder_a_coding_is_refused_by_name(tmp_path, monkeypatch):
    folder = write(tmp_path / "coded", ramps(), HTJ2KLossless)
    decoder = get_decoder(HTJ2KLossless)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(Refusal) as caught:
        read_image(folder)
    assert caught.value.reason.code == "pixels.undecodable"
    assert "High-Throughput JPEG 2000" in caught.value.reason.text
    assert "install a decoder" in caught.value.reason.remedy


def test_an_unknown_coding_is_refused(tmp_path):
    folder = write(tmp_path / "coded", ramps())
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    with pytest.raises(Refusal) as caught:
        read_image(folder)
    assert caught.value.reason.code == "pixels.undecodable"
