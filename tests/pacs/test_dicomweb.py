"""DICOMweb against a small server that answers as a test tells it."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from nen_imaging.pacs.archive import NotFetchedError, PacsError, RemoteSeries, RemoteStudy
from nen_imaging.pacs.connection import DicomWebConnection
from nen_imaging.pacs.dicomweb import DicomWebArchive

STUDY, SERIES = RemoteStudy("1.2", "20200115", ""), RemoteSeries("1.2", "1.2.3", "CT", "20200115")
Answer = tuple[int, str, bytes]


@contextlib.contextmanager
def serving(answer: Callable[[str, dict], Answer], certificate=None, cut: int = 0) -> Iterator[str]:
    """The URL of a server; ``cut``: so many bytes less than it promises are sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            status, kind, body = answer(parts.path, {**parse_qs(parts.query), "login": self.headers["Authorization"]})
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) - cut])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http{'s' if certificate else ''}://localhost:{server.server_port}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()


def found(*uids: str, tag: str = "00080018") -> Answer:
    return 200, "application/dicom+json", json.dumps([{tag: {"vr": "UI", "Value": [uid]}} for uid in uids]).encode()


def part(content: bytes, boundary: str = "=x=") -> Answer:
    body = b"\r\n--" + boundary.encode() + b"\r\nContent-Type: application/dicom\r\n\r\n" + content
    kind = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
    return 200, kind, body + b"\r\n--" + boundary.encode() + b"--\r\n"


def archive(url: str, **keys) -> DicomWebArchive:
    return DicomWebArchive(DicomWebConnection(url=url, **keys))


def retrieved(url: str, *uids: str) -> dict[str, bytes]:
    came: dict[str, bytes] = {}
    archive(url).retrieve(SERIES, uids, came.__setitem__, whole=True)
    return came


@pytest.mark.parametrize("page", [2, 3, 100])
@pytest.mark.parametrize("heeds_offset", [True, False])
def test_a_server_that_answers_in_pages_is_asked_to_the_end(page, heeds_offset):
    uids = [f"1.2.3.{n}" for n in range(7 if heeds_offset else page)]

    def answer(_, query):
        start = int(query.get("offset", ["0"])[0]) if heeds_offset else 0
        return found(*uids[start : start + page])

    with serving(answer) as url:
        assert archive(url).instances(SERIES) == uids


def test_no_content_is_nothing_found():
    with serving(lambda *_: (204, "", b"")) as url:
        assert archive(url).studies("1") == []


@pytest.mark.parametrize("content", [b"DICM", b"a\r\n--=x=\r\nb", b"\r\n\r\n", b""])
def test_a_part_is_unwrapped_to_the_byte(content):
    with serving(lambda *_: part(content)) as url:
        assert retrieved(url, "1") == {"1": content}
    with serving(lambda *_: (200, "application/dicom", content)) as url:
        assert retrieved(url, "1") == {"1": content}


@pytest.mark.parametrize("body", [b"--=x=\r\nContent-Type: application/dicom\r\n\r\nDICM and no end", b"", b"--=x=--"])
def test_a_part_without_its_end_is_half_an_answer(body):
    with serving(lambda *_: (200, 'multipart/related; boundary="=x="', body)) as url, pytest.raises(PacsError) as error:
        retrieved(url, "1")
    assert "half an answer" in str(error.value)


def test_a_connection_that_breaks_off_is_told():
    with serving(lambda *_: part(b"DICM" * 1000), cut=500) as url, pytest.raises(PacsError, match="fell silent"):
        retrieved(url, "1")


def test_images_that_the_server_cannot_give_do_not_keep_back_others():
    came: dict[str, bytes] = {}
    with (
        serving(lambda path, _: (500, "", b"") if path.endswith("/2") else part(b"DICM")) as url,
        pytest.raises(NotFetchedError, match="HTTP 500 to 1 images"),
    ):
        archive(url).retrieve(SERIES, ("1", "2", "3"), came.__setitem__, whole=True)
    assert came.keys() == {"1", "3"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, "", b""), "HTTP 401: it does not let us in"),
        ((403, "", b""), "HTTP 403: it does not let us in"),
        ((404, "", b""), "Check the url"),
        ((500, "", b""), "HTTP 500 to a query"),
        ((200, "text/html", b"<html>"), "does not answer as DICOMweb"),
        ((200, "application/json", b'{"error": 1}'), "does not answer as DICOMweb"),
        (found("../../etc", tag="0020000E"), "a UID that is none"),
    ],
)
def test_an_answer_that_is_none_is_told(answer, said):
    with serving(lambda *_: answer) as url, pytest.raises(PacsError, match=said):
        archive(url).series(STUDY)


def test_a_token_is_sent_as_bearer(monkeypatch):
    monkeypatch.setenv("ZQ_TOKEN", "zq-token")
    logins = []

    def answer(_, query):
        logins.append(query["login"])
        return found()

    with serving(answer) as url:
        archive(url, token_variable="ZQ_TOKEN").instances(SERIES)
    assert set(logins) == {"Bearer zq-token"}


def test_the_proxy_that_is_named_is_used_and_that_of_the_environment_is_not(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://localhost:9")
    with serving(lambda *_: found("1.2")) as url:
        assert archive(url).instances(SERIES) == ["1.2"]
        assert archive("http://pacs.invalid/dicom-web", proxy=url.removesuffix("/dicom-web")).instances(SERIES) == [
            "1.2"
        ]


def test_only_a_certificate_that_is_trusted_is_spoken_to(certificate, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))  # of the environment, not of this connection
    with serving(lambda *_: found("1.2"), certificate) as url:
        assert archive(url, certificate_authority=certificate).instances(SERIES) == ["1.2"]
        for keys in ({}, {"certificate_authority": tmp_path / "missing.pem"}):
            with pytest.raises(PacsError, match="certificate"):
                archive(url, **keys).instances(SERIES)
