"""A real Orthanc on free local ports, with the images that a test puts into it."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "reader", "zq-secret"
_START_S = 20


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: where it is, and the port to which it moves images for NEN_IMAGING."""

    http_port: int
    dicom_port: int
    move_port: int

    @property
    def url(self) -> str:
        return f"http://localhost:{self.http_port}/dicom-web"

    def put(self, files: Iterable[Path]) -> None:
        """Store files as they are."""
        with requests.Session() as session:
            session.trust_env, session.auth = False, (USER, PASSWORD)
            for file in files:
                session.post(self.url.replace("dicom-web", "instances"), file.read_bytes()).raise_for_status()


@contextlib.contextmanager
def running(folder: Path, *, certificate: Path | None = None) -> Iterator[Orthanc]:
    """An Orthanc of its own, with DICOMweb and a user; the test is skipped where it is not installed.

    ``certificate``: a PEM with certificate and key; the DICOM port is encrypted then. (Debian's Orthanc 1.10 dies of
    its first HTTPS request.)
    """
    program = shutil.which("Orthanc")
    if not program or not PLUGIN.exists():
        pytest.skip("no Orthanc: `make ci-packages` installs the Debian packages orthanc and orthanc-dicomweb")
    folder.mkdir(parents=True, exist_ok=True)
    server = Orthanc(*_free_ports(3))
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": server.http_port,
        "DicomPort": server.dicom_port, "DicomAet": "ORTHANC", "RemoteAccessAllowed": True,
        "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD}, "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True, "DicomCheckCalledAet": True,
        "DicomModalities": {"nen": ["NEN_IMAGING", "127.0.0.1", server.move_port]},
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    if certificate:
        pem = str(certificate)
        settings |= {"DicomTlsEnabled": True, "DicomTlsCertificate": pem,
                     "DicomTlsPrivateKey": pem, "DicomTlsTrustedCertificates": pem,
                     "DicomTlsRemoteCertificateRequired": False}  # fmt: skip
        settings["DicomModalities"] = {
            "nen": {"AET": "NEN_IMAGING", "Host": "127.0.0.1", "Port": server.move_port, "UseDicomTls": True}
        }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            _wait_for(server, process, folder / "log")
            yield server
        finally:
            process.kill()  # nothing of it is kept, and a quiet end takes seconds
            process.wait(_START_S)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_for(server: Orthanc, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            for port in (server.http_port, server.dicom_port):
                socket.create_connection(("localhost", port), 1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"Orthanc did not start:\n{log.read_text()[-2000:]}")
