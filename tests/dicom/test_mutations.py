"""Damaged series end in a volume or a clear refusal: no crash, no long wait, no wrong SUV without a word."""

from __future__ import annotations

import io
import os
import random
import time

import numpy as np
import pytest

from nen_imaging.contract import Refusal
from nen_imaging.dicom.attributes import quiet_reading
from nen_imaging.dicom.group import SeriesKind
from nen_imaging.dicom.image import list_series
from nen_imaging.dicom.series import read_ct, read_pet
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.volume import Volume
from tests.dicom.mutations import HARMFUL, HARMLESS

AFFINE = np.diag([-3.0, -3.0, 3.0, 1.0])
LONGEST_S = 10.0
MORE = int(os.environ.get("NEN_IMAGING_MUTATIONS", "500"))
"""How many `make test-all` tries; a longer run: NEN_IMAGING_MUTATIONS=20000."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    rng = np.random.default_rng(8)
    body = np.full((12, 10, 6), 50.0) + rng.normal(0, 8, (12, 10, 6))
    suv = Volume(rng.uniform(0.5, 12, (12, 10, 6)).astype(np.float32), AFFINE)
    folder = tmp_path_factory.mktemp("originals")
    ct = write_ct_series(folder / "ct", Volume(body.astype(np.int16), AFFINE))
    pet = write_pet_series(folder / "pet", suv, slices_per_bed=2)
    return {"ct": [file.read_bytes() for file in ct], "pet": [file.read_bytes() for file in pet]}


def imported(kind, contents):
    """What the whole way, index and import, makes of some files: the volume, or the code it is refused with."""
    files = ((f"{n}", io.BytesIO(content)) for n, content in enumerate(contents))
    try:
        with quiet_reading():
            image = read_ct(files) if kind == "ct" else read_pet(files)
    except Refusal as refusal:
        return refusal.reason.code
    return image


def indexed(contents, folder):
    """The index must list or quarantine them, whatever they are."""
    for n, content in enumerate(contents):
        (folder / f"{n:02d}").write_bytes(content)
    try:
        return {one.series.kind for one in list_series(folder)}
    except Refusal as refusal:
        return {refusal.reason.code}


def check(kind, number, originals, reference, folder):
    rng = random.Random(f"{kind} {number}")
    contents = rng.choice(HARMFUL)(originals[kind], rng)
    start = time.monotonic()
    found = imported(kind, contents)
    indexed(contents, folder)
    assert time.monotonic() - start < LONGEST_S
    if isinstance(found, str):
        return "refused"
    same = found.volume.shape == reference.volume.shape
    if kind == "pet" and same and not found.reasons:
        off = np.abs(found.volume.array - reference.volume.array)
        changed = float((off > 1e-3 * np.maximum(reference.volume.array, 1e-3)).mean())
        if changed > 0.1:  # more than pixels that were damaged themselves
            return "changed"
    return "imported"


def run(numbers, originals, tmp_path):
    reference = {kind: imported(kind, originals[kind]) for kind in originals}
    ends = {}
    for number in numbers:
        kind = ("ct", "pet")[number % 2]
        folder = tmp_path / f"{number}"
        folder.mkdir()
        ends[number] = check(kind, number, originals, reference[kind], folder)
    return ends


def test_60_damaged_series_end_in_a_volume_or_a_refusal(originals, tmp_path):
    ends = run(range(60), originals, tmp_path)
    assert set(ends.values()) == {"imported", "refused"}, {n for n, end in ends.items() if end == "changed"}
    assert not [path for path in tmp_path.parent.rglob("x") if path.is_file()]


@pytest.mark.slow
def test_many_damaged_series_end_in_a_volume_or_a_refusal(originals, tmp_path):
    ends = run(range(60, 60 + MORE), originals, tmp_path)
    assert set(ends.values()) == {"imported", "refused"}, {n for n, end in ends.items() if end == "changed"}


def test_harmless_changes_leave_the_numbers_as_they_are(originals, tmp_path):
    reference = {kind: imported(kind, originals[kind]) for kind in originals}
    same = 0
    for number in range(60):
        rng, kind = random.Random(number), ("ct", "pet")[number % 2]
        contents = HARMLESS[number % 4 // 2](originals[kind], rng)
        found = imported(kind, contents)
        if not isinstance(found, str):
            np.testing.assert_array_equal(found.volume.array, reference[kind].volume.array)
            same += 1
        if number < 8:
            folder = tmp_path / f"{number}"
            folder.mkdir()
            assert indexed(contents, folder) == {SeriesKind.CT if kind == "ct" else SeriesKind.PET}
    assert same >= 57  # 95 %
