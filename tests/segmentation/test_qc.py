"""The picture by which a person rejects a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nen_imaging.segmentation.qc import draw_qc
from nen_imaging.volume import GridMismatchError, Volume, read_nifti


def synthetic(spacing=(4.0, 4.0, 5.0), shape=(80, 70, 40)) -> tuple[Volume, Volume]:
    """A body, a liver on the patient's right and a lesion in it, on an LPS grid."""
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    index = np.indices(shape).transpose(1, 2, 3, 0) * spacing
    size = np.array(shape) * spacing
    body = (((index - size / 2) / (size / 2))[..., :2] ** 2).sum(-1) < 0.9
    liver = np.linalg.norm(index - size * [0.3, 0.45, 0.5], axis=-1) < 70
    lesion = np.linalg.norm(index - size * [0.3, 0.45, 0.5], axis=-1) < 25
    ct = np.where(lesion, 60, np.where(liver, 110, np.where(body, 40, -1000))).astype(np.int16)
    return Volume(ct, affine), Volume((liver.astype(np.uint8) + lesion).astype(np.uint8), affine)


def coloured(path: Path, kind: str) -> np.ndarray:
    """Where the pixels of a PNG below its header are clearly blue (liver) or orange (lesion)."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)[90:]
    difference = pixels[..., 2] - pixels[..., 0]
    return difference > 80 if kind == "liver" else difference < -80


def test_contours_lie_on_the_side_of_the_liver(tmp_path):
    ct, labels = synthetic()
    draw_qc(tmp_path / "qc.png", ct, labels, lines=["load 4 %"])
    liver, lesion = coloured(tmp_path / "qc.png", "liver"), coloured(tmp_path / "qc.png", "lesion")
    assert liver.sum() > 1000 and 200 < lesion.sum() < liver.sum()
    assert Image.open(tmp_path / "qc.png").width > 1000


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SRA", "PIR"])
def test_picture_does_not_depend_on_the_order_of_axes(tmp_path, codes):
    ct, labels = synthetic()
    draw_qc(tmp_path / "as_read.png", ct, labels, lines=[])
    draw_qc(tmp_path / "turned.png", ct.oriented(codes), labels.oriented(codes), lines=[])
    assert (tmp_path / "as_read.png").read_bytes() == (tmp_path / "turned.png").read_bytes()


def test_right_of_the_patient_is_left_in_the_image(tmp_path):
    ct, labels = synthetic()
    right_half = labels.oriented("LPS").array.copy()
    marker = np.zeros_like(right_half)
    marker[12:16, 26:34, :] = 2  # small i of LPS: the patient's right
    marker[60:64, 26:34, :] = 1
    markers = Volume(marker, labels.oriented("LPS").affine)
    draw_qc(tmp_path / "qc.png", ct.oriented("LPS"), markers, lines=[])
    first_panel = slice(0, 300)
    lesion = np.nonzero(coloured(tmp_path / "qc.png", "lesion")[:, first_panel])[1]
    liver = np.nonzero(coloured(tmp_path / "qc.png", "liver")[:, first_panel])[1]
    assert lesion.size and (not liver.size or lesion.mean() < liver.mean())


def test_pixels_keep_their_proportions(tmp_path):
    """A ball stays round in the axial panels, whatever the spacing."""
    widths_over_heights = []
    for spacing, shape in (((4.0, 4.0, 5.0), (80, 70, 40)), ((2.0, 4.0, 5.0), (160, 70, 40))):
        ct, labels = synthetic(spacing, shape)
        draw_qc(tmp_path / "qc.png", ct, labels, lines=[])
        rows, columns = np.nonzero(coloured(tmp_path / "qc.png", "lesion")[:, :1500])
        widths_over_heights.append(np.ptp(columns) / np.ptp(rows))
    assert widths_over_heights[0] == pytest.approx(widths_over_heights[1], rel=0.05)


@pytest.mark.parametrize("shape", [(80, 70, 40), (80, 70, 3), (80, 70, 1)])
def test_empty_mask_and_few_slices_give_a_picture(tmp_path, shape):
    ct, labels = synthetic(shape=shape)
    draw_qc(tmp_path / "qc.png", ct, labels.with_array(np.zeros_like(labels.array)), lines=["no liver"])
    assert Image.open(tmp_path / "qc.png").size[0] > 500
    assert not coloured(tmp_path / "qc.png", "liver").any()


def test_text_is_never_taken_as_mathematics(tmp_path):
    draw_qc(tmp_path / "qc.png", *synthetic(), lines=["$\\frac{1}{", "<b>"])
    assert (tmp_path / "qc.png").stat().st_size > 1000


def test_another_grid_is_refused(tmp_path):
    ct, labels = synthetic()
    with pytest.raises(GridMismatchError):
        draw_qc(tmp_path / "qc.png", ct, labels.cropped(np.zeros(3, int), np.array([10, 10, 10])), lines=[])


def test_real_scan_stays_small(tmp_path, shared_data):
    folder = shared_data / "ct_labelled" / "ircadb19_lits46" / "liver_1mm"
    ct, labels = read_nifti(folder / "image.nii.gz"), read_nifti(folder / "label.nii.gz")
    draw_qc(tmp_path / "qc.png", ct, labels, lines=["load 7.1 %"])
    assert (tmp_path / "qc.png").stat().st_size < 1_000_000
