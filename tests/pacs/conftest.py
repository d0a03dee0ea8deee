"""A patient's tiny CT and PET, an archive that holds them, and a file of connections."""

from __future__ import annotations

import datetime as dt
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
import yaml

from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.volume import Volume
from tests.pacs import orthanc

AFFINE = np.diag([-0.8, -0.8, 3.0, 1.0])
PATIENT = PatientTags("007/Zq", "Zqname^Anna", "19510203")
OTHER = PatientTags("0077/Zq", "Zqother^Bob", "19520203")


@dataclass(frozen=True)
class Holdings:
    """What an archive holds: the files of the patient by SOPInstanceUID, and those of others."""

    patient: dict[str, Path]
    others: list[Path]

    def same_as(self, study: Path) -> bool:
        """Whether a study holds exactly the patient's files, byte for byte."""
        found = {uid_of(path): path.read_bytes() for path in files_in(study)}
        return found == {uid: path.read_bytes() for uid, path in self.patient.items()}


def files_in(study: Path) -> list[Path]:
    """Every file of a study but the lock; an unfinished one too."""
    return sorted(path for path in study.rglob("*") if path.is_file() and path.name != ".fetch.lock")


def uid_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


@pytest.fixture(scope="session")
def holdings(tmp_path_factory) -> Holdings:
    folder = tmp_path_factory.mktemp("holdings")
    ct = Volume(np.random.default_rng(1).integers(-100, 200, (32, 32, 16)).astype(np.int16), AFFINE)
    pet = Volume(np.random.default_rng(2).uniform(0, 9, (12, 12, 6)).astype(np.float32), AFFINE)
    day = dt.date(2020, 1, 15)
    mine = write_ct_series(folder / "ct", ct, date=day, patient=PATIENT)
    mine += write_ct_series(folder / "later", ct, date=dt.date(2020, 7, 1), patient=PATIENT, seed=3)
    mine += write_pet_series(folder / "pet", pet, date=day, patient=PATIENT)
    others = write_ct_series(folder / "other", Volume(ct.array[:, :, :4], AFFINE), date=day, patient=OTHER, seed=4)
    compress(mine[0])
    return Holdings({uid_of(path): path for path in mine}, others)


def compress(path: Path) -> None:
    """Store a file in a syntax that Orthanc cannot transcode: it must be handed out as it is."""
    dataset = pydicom.dcmread(path)
    dataset.compress(pydicom.uid.JPEG2000Lossless)
    dataset.save_as(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory, holdings) -> orthanc.Orthanc:
    with orthanc.running(tmp_path_factory.mktemp("orthanc")) as one:
        one.put([*holdings.patient.values(), *holdings.others])
        yield one


def write_connections(path: Path, **connections: dict) -> Path:
    path.write_text(yaml.safe_dump(connections))
    return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> Path:
    """A self-signed certificate of localhost with its key, in one PEM."""
    folder = tmp_path_factory.mktemp("certificate")
    pem, key = folder / "both.pem", folder / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", pem],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"openssl makes no certificate: {made.stderr.decode()[-200:]}")
    pem.write_bytes(pem.read_bytes() + key.read_bytes())
    return pem
