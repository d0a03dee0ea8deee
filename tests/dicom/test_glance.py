"""What three slices of a series show, and which three they are."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from nen_imaging.dicom.database import FileRow
from nen_imaging.dicom.files import FileEntry, open_files
from nen_imaging.dicom.glance import glance_at_ct, glance_at_pet, in_order, quarters
from nen_imaging.dicom.group import SeriesKind
from nen_imaging.dicom.headers import Header
from nen_imaging.dicom.image import list_series
from nen_imaging.dicom.pixels import activity
from nen_imaging.dicom.series import read_slices


def body(noise_hu=10.0, *, enhanced=False):
    """Three slices of a body with lung, fat, soft tissue and bone, and air around it."""
    hu = np.full((80, 80, 3), -1000.0)
    hu[10:70, 10:70] = -100
    hu[16:64, 16:64] = 55
    hu[52:62, 20:40] = -850
    hu[52:62, 45:60] = np.linspace(150, 900, 15)[None, :, None]
    if enhanced:
        hu[20:50, 20:50] = 115
    return np.clip(hu + np.random.default_rng(3).normal(0, noise_hu, hu.shape), -1024, 3000).astype(np.int16)


def test_noise_and_contrast_medium_of_a_ct():
    plain, noisy, enhanced = body(), body(35), body(enhanced=True)
    assert glance_at_ct(plain).noise == pytest.approx(10, abs=1.5)
    assert glance_at_ct(noisy).noise == pytest.approx(35, abs=5)
    assert glance_at_ct(plain).enhanced < 0.1 < 0.3 < glance_at_ct(enhanced).enhanced


@pytest.mark.parametrize(
    ("slices", "fault"),
    [
        (np.full((20, 20, 3), 40, np.int16), "show nothing"),
        (np.full((20, 20, 3), -1024, np.int16), "show nothing"),
        (body() // 16 * 16, "grey levels, as a picture"),
        (np.clip(body(25), -1024, 300).astype(np.int16), "are clipped at 300 HU"),
        (body() + np.int16(1024), "have implausible HU"),
    ],
    ids=["constant", "empty", "8 bits", "clipped", "without intercept"],
)
def test_what_cannot_be_measured_is_at_fault(slices, fault):
    assert fault in glance_at_ct(slices).fault


def activity_of_a_body(noise):
    values = np.zeros((60, 60, 3), np.float32)
    values[10:50, 10:50] = 1000
    values[20:30, 20:30] = 8000
    return np.clip(values * (1 + np.random.default_rng(4).normal(0, noise, values.shape)), 0, None).astype(np.float32)


def test_noise_of_a_pet_whatever_its_unit():
    for unit in (1.0, 2e-4):
        assert glance_at_pet(activity_of_a_body(0.1) * np.float32(unit)).noise == pytest.approx(0.1, abs=0.02)
    assert glance_at_pet(activity_of_a_body(0.4)).noise == pytest.approx(0.4, abs=0.08)


def test_a_pet_without_activity_or_cut_off_at_its_maximum_is_at_fault():
    assert glance_at_pet(np.zeros((20, 20, 3), np.float32)).fault == "show no activity"
    assert "clipped" in glance_at_pet(np.minimum(activity_of_a_body(0.1), 5000)).fault
    per_slice = activity_of_a_body(0.1)
    per_slice[0, 0] = per_slice.max(axis=(0, 1))  # a scanner that stores every slice's maximum as the same number
    assert glance_at_pet(per_slice).fault == ""


def test_three_of_many_and_all_of_few():
    assert quarters(range(100)) == [25, 50, 75]
    assert [quarters(range(n)) for n in range(5)] == [[], [0], [0, 1], [0, 1, 2], [1, 2, 3]]


def slices_at(heights, orientation=(1.0, 0, 0, 0, 1, 0)):
    header = NO_HEADER | {"orientation": orientation}
    return [
        FileRow(FileEntry(str(n), 0, 0), Header(**header | {"positions": ((0.0, -height, height),)}))
        for n, height in enumerate(heights)
    ]


NO_HEADER = dict.fromkeys((field.name for field in fields(Header)), "")


def test_slices_lie_in_the_order_of_their_place_along_the_normal():
    assert in_order(slices_at([30, 10, 20, 40])) == ["1", "2", "0", "3"]
    assert in_order(slices_at([30, 10, 20, 40], orientation=(1.0, 0, 0, 0, 0, 1))) == ["1", "2", "0", "3"]
    assert in_order(slices_at([30, 10], orientation=())) == ["0", "1"]


def test_frames_of_one_file_are_slices(shared_data):
    """A Legacy Converted Enhanced PET of eight frames."""
    path = shared_data / "dicom_oddities" / "enhanced_multiframe.tar.xz"
    (pet,) = [one for one in list_series(path) if one.series.kind == SeriesKind.PET]
    slices = list(read_slices(open_files(path, pet.paths), activity, quarters))
    assert len(slices) == 3
    assert glance_at_pet(np.stack(slices, axis=-1)).fault == ""
