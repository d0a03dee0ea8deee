"""How fast a study is indexed: headers per second of a first scan, and how much faster the second is.

    python benchmarks/index_speed.py [--files 100000]

Limits: 1,000 files/s on two cores; the second scan at least 10 times faster. Files are small CT slices (32 x 32).
`first_files_per_cpu_s` is what one core does for itself: on a machine with other work it tells more than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom

from nen_imaging.contract import Results
from nen_imaging.dicom.database import FilesDatabase
from nen_imaging.dicom.privacy import Pseudonymiser
from nen_imaging.dicom.scan import scan_study
from nen_imaging.phantom.dicom_writer import write_ct_series
from nen_imaging.volume import Volume

LEAST_PER_S = 1000.0
LEAST_RATIO = 10.0
SLICES = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "study", files)
        study, results = Path(folder) / "study", Results(Path(folder) / "results")
        before_s = _cpu_s()
        first_s = _scan(study, results)
        first_cpu_s = _cpu_s() - before_s
        second_s = _scan(study, results)
    figures = {
        "files": files,
        "cores": len(os.sched_getaffinity(0)),
        "first_files_per_s": round(files / first_s, 1),
        "first_files_per_cpu_s": round(files / first_cpu_s, 1),
        "second_files_per_s": round(files / second_s, 1),
        "second_times_faster": round(first_s / second_s, 1),
    }
    print(json.dumps(figures))
    return int(figures["first_files_per_s"] < LEAST_PER_S or figures["second_times_faster"] < LEAST_RATIO)


def _write(study: Path, files: int) -> None:
    """Many series from one: a slice is written once, its copies differ in their UIDs alone."""
    volume = Volume(np.zeros((32, 32, SLICES), np.int16), np.diag([-1.0, -1, 3, 1]))
    slices = [pydicom.dcmread(file) for file in write_ct_series(study / "0000", volume)]
    for number in range(1, -(-files // SLICES)):
        folder = study / f"{number:04d}"
        folder.mkdir()
        for k, image in enumerate(slices[: files - number * SLICES]):
            image.SeriesInstanceUID, image.SOPInstanceUID = f"2.25.{number + 1}", f"2.25.{number + 1}.{k}"
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.save_as(folder / f"{k:03d}.dcm")


def _cpu_s() -> float:
    """CPU seconds of this process and of those it waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _scan(study: Path, results: Results) -> float:
    start = time.perf_counter()
    with FilesDatabase(results.files_database) as database:
        scan_study(study, database, Pseudonymiser(bytes(32)))
    return time.perf_counter() - start


if __name__ == "__main__":
    raise SystemExit(main())
