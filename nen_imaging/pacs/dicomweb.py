"""An archive by DICOMweb: QIDO-RS to find, WADO-RS to fetch (DICOM PS3.18)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from nen_imaging.pacs.archive import (
    NotFetchedError,
    PacsError,
    RemoteSeries,
    RemoteStudy,
    Store,
    checked_uid,
)
from nen_imaging.pacs.connection import DicomWebConnection, secret

_TIMEOUT_S = (10, 120)  # to connect, between two packets
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_TAGS = {
    "PatientID": "00100020", "IssuerOfPatientID": "00100021", "StudyInstanceUID": "0020000D", "StudyDate": "00080020",
    "SeriesInstanceUID": "0020000E", "Modality": "00080060", "SOPInstanceUID": "00080018",
}  # fmt: skip


class DicomWebArchive:
    """A PACS behind a URL."""

    def __init__(self, connection: DicomWebConnection) -> None:
        self._root = connection.url.rstrip("/")
        self._session = session = requests.Session()
        retry = Retry(total=3, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), raise_on_status=False)
        session.mount(self._root, HTTPAdapter(max_retries=retry))
        session.trust_env = False  # no proxy but the one that is named, no password out of ~/.netrc
        if connection.proxy:
            session.proxies = {"http": connection.proxy, "https": connection.proxy}
        if connection.certificate_authority:
            session.verify = str(connection.certificate_authority)
        if connection.client_certificate:
            session.cert = tuple(str(one) for one in (connection.client_certificate, connection.client_key) if one)
        if connection.user and connection.password_variable:
            session.auth = (connection.user, secret(connection.password_variable))
        if connection.token_variable:
            session.headers["Authorization"] = f"Bearer {secret(connection.token_variable)}"

    def studies(self, patient_id: str) -> list[RemoteStudy]:
        """See `Archive`."""
        # servers disagree on how to unquote a query: wildcards stand for what would need it
        pattern = re.sub(r"[^\x00-\x7F]+", "*", re.sub(r"[^A-Za-z0-9._~/\x80-\U0010FFFF-]", "?", patient_id))
        found = self._find("studies", [f"PatientID={pattern}", f"includefield={_TAGS['IssuerOfPatientID']}"])
        return [
            RemoteStudy(checked_uid(one["StudyInstanceUID"]), one["StudyDate"], one["IssuerOfPatientID"])
            for one in found
            if one["PatientID"] == patient_id
        ]

    def series(self, study: RemoteStudy) -> list[RemoteSeries]:
        """See `Archive`."""
        return [
            RemoteSeries(study.study_uid, checked_uid(one["SeriesInstanceUID"]), one["Modality"], study.date)
            for one in self._find(f"studies/{study.study_uid}/series")
        ]

    def instances(self, series: RemoteSeries) -> list[str]:
        """See `Archive`."""
        found = self._find(f"studies/{series.study_uid}/series/{series.series_uid}/instances")
        return [checked_uid(one["SOPInstanceUID"]) for one in found]

    def retrieve(
        self,
        series: RemoteSeries,
        instances: Sequence[str],
        store: Store,
        *,
        whole: bool,  # noqa: ARG002 - image by image costs little here, and what came is kept
    ) -> None:
        """See `Archive`."""
        refused = 0
        for uid in instances:
            path = f"studies/{series.study_uid}/series/{series.series_uid}/instances/{uid}"
            response = self._get(path, _AS_STORED)
            if response.status_code == requests.codes.ok:
                store(uid, _only_part(response))
            else:
                refused += 1
                status = response.status_code
        if refused:
            raise NotFetchedError(f"the PACS answered HTTP {status} to {refused} images")

    def _find(self, path: str, query: Sequence[str] = ()) -> list[dict[str, str]]:
        """All answers to a query, page by page until one brings nothing new: some servers give only a part at once."""
        found: dict[tuple[str, ...], dict[str, str]] = {}
        received = 0
        while True:
            page = self._page(f"{path}?{'&'.join((*query, f'offset={received}'))}")
            before = len(found)
            found |= {tuple(one.values()): one for one in page}
            if len(found) == before:
                return list(found.values())
            received += len(page)

    def _page(self, path: str) -> list[dict[str, str]]:
        response = self._get(path, "application/dicom+json")
        if response.status_code == requests.codes.no_content:
            return []
        if response.status_code == requests.codes.not_found:
            raise PacsError(f"There is no DICOMweb at {self._root}. Check the url.")
        if response.status_code != requests.codes.ok:
            raise PacsError(f"The PACS answered HTTP {response.status_code} to a query. Ask its administrator.")
        try:
            return [{name: _value(one.get(tag)) for name, tag in _TAGS.items()} for one in response.json()]
        except (ValueError, AttributeError, TypeError) as error:
            raise PacsError(f"{self._root} does not answer as DICOMweb (no DICOM JSON). Check the url.") from error

    def _get(self, path: str, accept: str) -> requests.Response:
        try:
            response = self._session.get(f"{self._root}/{path}", headers={"Accept": accept}, timeout=_TIMEOUT_S)
        except requests.exceptions.SSLError as error:
            raise PacsError(
                f"The certificate of {self._root} is not trusted, or it did not trust ours. Name the one who signed it "
                "as certificate_authority, our own as client_certificate."
            ) from error
        except (requests.RequestException, OSError) as error:  # OSError: a certificate's file is missing
            raise PacsError(
                f"{self._root} cannot be reached or fell silent ({type(error).__name__}). Check address, port, network "
                "and certificate files, and run again: what has come stays."
            ) from error
        if response.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise PacsError(
                f"The PACS answered HTTP {response.status_code}: it does not let us in. Check user and "
                "password_variable (or token_variable), and ask its administrator for the right to read."
            )
        return response


def _value(attribute: Any) -> str:  # noqa: ANN401 - DICOM JSON
    values = (attribute or {}).get("Value") or [""]
    return str(values[0]).strip(" \0")


def _only_part(response: requests.Response) -> bytes:
    """The one DICOM file of an answer, whether wrapped as multipart/related (RFC 2387) or bare."""
    kind, content = response.headers.get("Content-Type", ""), response.content
    if kind.startswith("application/dicom") and "json" not in kind:
        return content
    found = re.search(r'boundary="?([^";]+)"?', kind)
    delimiter = b"--" + found[1].encode() if found else b""
    start, end = content.find(b"\r\n\r\n"), content.rfind(b"\r\n" + delimiter + b"--")
    if not found or not content.lstrip(b"\r\n").startswith(delimiter) or start < 0 or end < start:
        raise PacsError("The PACS sent half an answer, or none of WADO-RS. Run again: what has come stays.")
    return content[start + 4 : end]
