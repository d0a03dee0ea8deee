"""`nen-imaging fetch` from a real Orthanc, by DICOMweb, C-GET and C-MOVE."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

from nen_imaging.cli.main import main
from tests.pacs import orthanc
from tests.pacs.conftest import OTHER, PATIENT, files_in, uid_of, write_connections

WAYS = ("web", "get", "move")


@pytest.fixture
def connections(tmp_path, server, monkeypatch) -> Path:
    monkeypatch.setenv("ZQ_PASSWORD", orthanc.PASSWORD)
    return write_connections(tmp_path / "pacs.yaml", **described(server))


def described(server: orthanc.Orthanc, **more: object) -> dict[str, dict]:
    """The three ways to one Orthanc, as a user describes them."""
    classic = {"host": "localhost", "port": server.dicom_port, "ae_title": "ORTHANC", **more}
    return {
        "web": {"url": server.url, "user": orthanc.USER, "password_variable": "ZQ_PASSWORD"},
        "get": classic,
        "move": classic | {"retrieve": "move", "own_port": server.move_port},
    }


def fetch(connections: Path, way: str, study: Path, patient: str = PATIENT.patient_id) -> int:
    return main(["fetch", "--from", way, "--patient", patient, "--to", str(study), "--connections", str(connections)])


def dataset_bytes(content: bytes) -> bytes:
    """What follows the file meta information, whose implementation version the receiver writes itself."""
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]


@pytest.mark.parametrize("way", WAYS)
def test_a_patient_comes_bit_for_bit_and_nobody_else(way, connections, holdings, tmp_path, capsys):
    study = tmp_path / "study"
    assert fetch(connections, way, study) == 0
    printed = capsys.readouterr().out
    assert "38 images fetched" in printed
    assert PATIENT.patient_id not in printed
    assert "Zqname" not in printed
    got = {uid_of(path): path.read_bytes() for path in files_in(study)}
    assert got.keys() == holdings.patient.keys()
    for uid, original in holdings.patient.items():
        assert dataset_bytes(got[uid]) == dataset_bytes(original.read_bytes())
    if way == "web":
        assert holdings.same_as(study)


@pytest.mark.parametrize("way", WAYS)
def test_only_what_is_missing_comes(way, connections, holdings, tmp_path, capsys):
    study = tmp_path / "study"
    lying = list(holdings.patient.values())[:30]
    (study / "from a CD").mkdir(parents=True)
    for number, path in enumerate(lying):
        (study / "from a CD" / f"IM{number}").write_bytes(path.read_bytes())
    (study / "from a CD" / "IM1").write_bytes(lying[1].read_bytes()[:-100])  # a copy that was cut does not count
    assert fetch(connections, way, study) == 0
    assert "9 images fetched" in capsys.readouterr().out
    assert len(files_in(study)) == 39
    before = {path: path.stat().st_mtime_ns for path in files_in(study)}
    assert fetch(connections, way, study) == 0
    assert "0 images fetched (0.0 MB), 38 were there already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in files_in(study)} == before


@pytest.mark.parametrize("way", WAYS)
def test_a_fetch_that_was_killed_goes_on(way, connections, holdings, tmp_path, capsys):
    study = tmp_path / "study"
    command = ["fetch", "--from", way, "--patient", PATIENT.patient_id, "--to", study, "--connections", connections]
    process = subprocess.Popen([sys.executable, "-m", "nen_imaging", *map(str, command)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(study.rglob("*.dcm"))) < 5:
        assert process.poll() is None, "the fetch ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    came = len(list(study.rglob("*.dcm")))
    assert 5 <= came < 38
    for path in study.rglob("*.dcm"):
        pydicom.dcmread(path).pixel_array  # whole  # noqa: B018
    assert fetch(connections, way, study) == 0
    assert f"{38 - came} images fetched" in capsys.readouterr().out
    assert {uid_of(path) for path in files_in(study)} == holdings.patient.keys()
    assert not list(study.rglob("*.part"))


@pytest.mark.parametrize("way", WAYS)
def test_an_unknown_patient_is_told(way, connections, tmp_path, capsys):
    assert fetch(connections, way, tmp_path / "study", "007/zq") == 1  # differs by a small letter
    assert "knows no study of this PatientID" in capsys.readouterr().err


@pytest.mark.parametrize("way", WAYS)
def test_wildcards_bring_nobody(way, connections, tmp_path, capsys):
    assert fetch(connections, way, tmp_path / "study", "007*") == 1
    assert "one whole PatientID" in capsys.readouterr().err
    assert not files_in(tmp_path)[1:]  # the connections alone


@pytest.mark.parametrize("way", WAYS)
def test_an_archive_that_is_down_is_told(way, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ZQ_PASSWORD", orthanc.PASSWORD)
    nobody = orthanc.Orthanc(9, 9, 9)  # the port of `discard`
    connections = write_connections(tmp_path / "pacs.yaml", **described(nobody))
    assert fetch(connections, way, tmp_path / "study") == 1
    assert "cannot be reached" in capsys.readouterr().err


def test_a_wrong_password_is_told_and_shown_nowhere(connections, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ZQ_PASSWORD", "zq-wrong")
    assert fetch(connections, "web", tmp_path / "study") == 1
    printed = capsys.readouterr()
    assert "401" in printed.err
    assert "password_variable" in printed.err
    assert "zq-wrong" not in printed.err + printed.out
    monkeypatch.delenv("ZQ_PASSWORD")
    assert fetch(connections, "web", tmp_path / "study") == 1
    assert "The environment variable ZQ_PASSWORD is empty" in capsys.readouterr().err


def test_a_wrong_url_is_told(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ZQ_PASSWORD", orthanc.PASSWORD)
    web = described(server)["web"]
    connections = write_connections(tmp_path / "pacs.yaml", web=web | {"url": web["url"] + "-elsewhere"})
    assert fetch(connections, "web", tmp_path / "study") == 1
    assert "Check the url" in capsys.readouterr().err


def test_a_wrong_ae_title_is_told(server, tmp_path, capsys):
    get = described(server)["get"]
    connections = write_connections(tmp_path / "pacs.yaml", get=get | {"ae_title": "WRONG"})
    assert fetch(connections, "get", tmp_path / "study") == 1
    assert "AE titles" in capsys.readouterr().err  # rejected; or hung up, where the reason is lost on the way


def test_an_unknown_destination_of_c_move_is_told(server, tmp_path, capsys):
    move = described(server)["move"]
    connections = write_connections(tmp_path / "pacs.yaml", move=move | {"own_ae_title": "STRANGER"})
    code = fetch(connections, "move", tmp_path / "study")
    printed = capsys.readouterr()
    assert code == 3
    assert "16 images did not come; the PACS answered status" in printed.out
    assert "does it know STRANGER" in printed.out


def test_another_patient_has_his_own(connections, tmp_path, capsys):
    assert fetch(connections, "web", tmp_path / "study", OTHER.patient_id) == 0
    assert "4 images fetched" in capsys.readouterr().out


@pytest.mark.parametrize("way", ["get", "move"])
def test_encrypted_and_only_where_the_certificate_is_trusted(way, certificate, encrypted, tmp_path, capsys):
    pem = str(certificate)
    trusting = described(encrypted, certificate_authority=pem, client_certificate=pem)
    connections = write_connections(tmp_path / "pacs.yaml", **trusting)
    assert fetch(connections, way, tmp_path / "study", OTHER.patient_id) == 0
    assert "4 images fetched" in capsys.readouterr().out
    for keys in ({"tls": True}, {}):
        connections = write_connections(tmp_path / "pacs.yaml", **described(encrypted, **keys))
        assert fetch(connections, way, tmp_path / "other", OTHER.patient_id) == 1
        assert "tls and certificates" in capsys.readouterr().err
    assert not list((tmp_path / "other").rglob("*.dcm"))


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory, certificate, holdings) -> orthanc.Orthanc:
    with orthanc.running(tmp_path_factory.mktemp("encrypted"), certificate=certificate) as one:
        one.put(holdings.others)
        yield one
