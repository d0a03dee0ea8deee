"""Damaged series end in a volume or a clear refusal: no crash, no long wait, no wrong SUV without a word."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

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
MOST_MB = 2000
REPOSITORY = Path(__file__).resolve().parents[2]
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


def run_watched(folder):
    """Called in a process of its own, in an empty folder: run what `ask.pickle` asks for; write `answer.json`."""
    originals, numbers = pickle.loads((folder / "ask.pickle").read_bytes())
    outside = []

    def watch(event, arguments):
        if event == "open" and arguments[1] is not None and set(arguments[1]) & set("wax+"):
            path = Path(os.fsdecode(arguments[0])) if isinstance(arguments[0], str | bytes) else None
            if path and path != Path(os.devnull) and not path.absolute().is_relative_to(folder):
                outside.append(str(path))
        elif event in ("os.rename", "os.mkdir", "os.remove", "os.link", "os.symlink", "os.truncate"):
            paths = [Path(os.fsdecode(one)) for one in arguments if isinstance(one, str | bytes | os.PathLike)]
            outside.extend(str(path) for path in paths if path.is_absolute() and not path.is_relative_to(folder))

    sys.addaudithook(watch)
    ends = run(numbers, originals, folder)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    (folder / "answer.json").write_text(json.dumps({"ends": ends, "peak_mb": peak_mb, "outside": outside}))


def require_harmless_ends(originals, numbers, folder):
    """Each ends in a volume or a refusal, all within 2 GB, and nothing is written but where it belongs."""
    own, empty = folder / "own", folder / "empty"
    for one in (own, empty, own / "temporary"):
        one.mkdir()
    (own / "ask.pickle").write_bytes(pickle.dumps((originals, list(numbers))))
    command = (
        f"from pathlib import Path; from tests.dicom.test_mutations import run_watched; run_watched(Path({str(own)!r}))"
    )
    environment = os.environ | {
        "HOME": str(empty), "TMPDIR": str(own / "temporary"), "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", command], cwd=empty, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads((own / "answer.json").read_text())
    ends = answer["ends"]
    assert len(ends) == len(numbers)
    assert set(ends.values()) == {"imported", "refused"}, {n for n, end in ends.items() if end == "changed"}
    assert answer["peak_mb"] < MOST_MB
    assert answer["outside"] == []
    assert list(empty.iterdir()) == []
    assert list((own / "temporary").iterdir()) == []


def test_60_damaged_series_end_in_a_volume_or_a_refusal(originals, tmp_path):
    require_harmless_ends(originals, range(60), tmp_path)


@pytest.mark.slow
def test_many_damaged_series_end_in_a_volume_or_a_refusal(originals, tmp_path):
    require_harmless_ends(originals, range(60, 60 + MORE), tmp_path)


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
