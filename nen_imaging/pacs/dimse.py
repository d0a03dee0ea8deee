"""An archive by the classic DICOM network: C-FIND to find, C-GET or C-MOVE to fetch (DICOM PS3.4, annex C)."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    PositronEmissionTomographyImageStorage,
    RealWorldValueMappingStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from nen_imaging.pacs.archive import NotFetchedError, PacsError, RemoteSeries, RemoteStudy, Store, checked_uid
from nen_imaging.pacs.connection import DimseConnection

_STORAGE: dict[str, tuple[str, ...]] = {
    "CT": (
        CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage, SecondaryCaptureImageStorage,
    ),
    "PT": (
        PositronEmissionTomographyImageStorage, EnhancedPETImageStorage, LegacyConvertedEnhancedPETImageStorage,
        SecondaryCaptureImageStorage,
    ),
    "SEG": (SegmentationStorage,),
    "RTSTRUCT": (RTStructureSetStorage,),
    "RWV": (RealWorldValueMappingStorage,),
}  # fmt: skip
_STORED_AS = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless,
    JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless,
    JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K,
)  # fmt: skip
_SUCCESS, _PENDING = 0x0000, (0xFF00, 0xFF01)
_OUT_OF_RESOURCES, _NOT_AUTHORIZED, _UNKNOWN_DESTINATION = 0xA700, 0x0124, 0xA801
_CONNECT_S, _ANSWER_S = 10, 120


class DimseArchive:
    """A PACS behind a host, a port and an AE title."""

    def __init__(self, connection: DimseConnection) -> None:
        self._to = connection

    def studies(self, patient_id: str) -> list[RemoteStudy]:
        """See `Archive`."""
        found = self._find("STUDY", PatientID=patient_id, IssuerOfPatientID="", StudyInstanceUID="", StudyDate="")
        return [
            RemoteStudy(
                checked_uid(_text(one, "StudyInstanceUID")), _text(one, "StudyDate"), _text(one, "IssuerOfPatientID")
            )
            for one in found
            if _text(one, "PatientID") == patient_id  # a PACS may match without regard to case
        ]

    def series(self, study: RemoteStudy) -> list[RemoteSeries]:
        """See `Archive`."""
        found = self._find("SERIES", StudyInstanceUID=study.study_uid, SeriesInstanceUID="", Modality="")
        return [
            RemoteSeries(
                study.study_uid, checked_uid(_text(one, "SeriesInstanceUID")), _text(one, "Modality"), study.date
            )
            for one in found
        ]

    def instances(self, series: RemoteSeries) -> list[str]:
        """See `Archive`."""
        keys = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid, "SOPInstanceUID": ""}
        return [checked_uid(_text(one, "SOPInstanceUID")) for one in self._find("IMAGE", **keys)]

    def retrieve(self, series: RemoteSeries, instances: Sequence[str], store: Store, *, whole: bool) -> None:
        """See `Archive`."""
        keys = {"StudyInstanceUID": series.study_uid, "SeriesInstanceUID": series.series_uid}
        queries = (
            [_query("SERIES", **keys)] if whole else [_query("IMAGE", **keys, SOPInstanceUID=uid) for uid in instances]
        )
        receiver = _Receiver(store, frozenset(instances))
        if self._to.retrieve == "get":
            statuses = self._get(queries, _STORAGE[series.modality], receiver)
        else:
            statuses = self._move(queries, _STORAGE[series.modality], receiver)
        failed = [status for status in statuses if status != _SUCCESS]
        if receiver.error:
            raise receiver.error
        if _UNKNOWN_DESTINATION in failed:
            raise PacsError(
                f"The PACS does not know {self._to.own_ae_title}. Ask its administrator to enter this AE title with "
                f"this machine's address and port {self._to.own_port}, or use retrieve: get."
            )
        if failed:
            hint = (
                f" (does it know {self._to.own_ae_title}, port {self._to.own_port}?)"
                if self._to.retrieve == "move" and not receiver.taken
                else ""
            )
            raise NotFetchedError(f"the PACS answered status {failed[0]:04X}{hint}")

    def _find(self, level: str, **keys: str) -> list[Dataset]:
        model = StudyRootQueryRetrieveInformationModelFind
        found = []
        with self._associated([build_context(model)]) as association:
            for status, identifier in association.send_c_find(_query(level, **keys), model):
                code = self._status(status)
                if code in _PENDING and identifier is not None:
                    found.append(identifier)
                elif code != _SUCCESS:
                    raise PacsError(f"The PACS answered status {code:04X} to a query. Ask its administrator.")
        return found

    def _get(self, queries: Sequence[Dataset], storage: Sequence[str], receiver: _Receiver) -> list[int]:
        model = StudyRootQueryRetrieveInformationModelGet
        # one context for each syntax, so that every image comes as it is stored
        contexts = [build_context(one, syntax) for one in storage for syntax in _STORED_AS]
        roles = [build_role(one, scp_role=True) for one in storage]
        with self._associated([build_context(model), *contexts], roles, [(evt.EVT_C_STORE, receiver)]) as association:
            return [self._last_status(association.send_c_get(query, model)) for query in queries]

    def _move(self, queries: Sequence[Dataset], storage: Sequence[str], receiver: _Receiver) -> list[int]:
        model = StudyRootQueryRetrieveInformationModelMove
        entity = AE(self._to.own_ae_title)
        entity.require_called_aet = True
        for one in storage:
            entity.add_supported_context(one, list(_STORED_AS))
        try:
            listener = entity.start_server(
                ("", self._to.own_port),
                block=False,
                evt_handlers=[(evt.EVT_C_STORE, receiver)],
                ssl_context=self._encryption(ssl.Purpose.CLIENT_AUTH) if self._to.is_encrypted else None,
            )
        except OSError as error:
            raise PacsError(f"Port {self._to.own_port} cannot be listened on ({error.strerror}). Free it.") from error
        try:
            with self._associated([build_context(model)]) as association:
                return [
                    self._last_status(association.send_c_move(query, self._to.own_ae_title, model)) for query in queries
                ]
        finally:
            listener.shutdown()

    def _last_status(self, answers: Iterator[tuple[Dataset, Dataset | None]]) -> int:
        code = _SUCCESS
        for status, _ in answers:
            code = self._status(status)
        return code

    def _status(self, status: Dataset) -> int:
        if "Status" not in status:  # no answer at all
            raise PacsError(f"{self._name} fell silent or hung up. Run again: what has come stays.")
        return int(status.Status)

    @contextlib.contextmanager
    def _associated(
        self, contexts: list[Any], roles: list[Any] | None = None, handlers: list[Any] | None = None
    ) -> Iterator[Association]:
        entity = AE(self._to.own_ae_title)
        entity.connection_timeout = entity.acse_timeout = _CONNECT_S
        entity.dimse_timeout = entity.network_timeout = _ANSWER_S
        association = entity.associate(
            self._to.host,
            self._to.port,
            contexts,
            ae_title=self._to.ae_title,
            ext_neg=roles,
            evt_handlers=handlers,
            tls_args=(self._encryption(ssl.Purpose.SERVER_AUTH), self._to.host) if self._to.is_encrypted else None,
        )
        if association.is_rejected:
            raise PacsError(
                f"{self._name} rejects us. Check both AE titles, and ask its administrator to let "
                f"{self._to.own_ae_title} query and retrieve."
            )
        if not association.is_established:
            raise PacsError(
                f"{self._name} cannot be reached, hung up, or does not offer what is asked. Check host, port, AE "
                "titles, network, tls and certificates."
            )
        if not any(one.abstract_syntax == contexts[0].abstract_syntax for one in association.accepted_contexts):
            association.release()
            raise PacsError(f"{self._name} does not offer {contexts[0].abstract_syntax.name}. Ask its administrator.")
        try:
            yield association
        finally:
            association.release()

    def _encryption(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        try:
            authority = self._to.certificate_authority
            context = ssl.create_default_context(purpose, cafile=str(authority) if authority else None)
            if self._to.client_certificate:
                context.load_cert_chain(self._to.client_certificate, self._to.client_key)
        except OSError as error:  # ssl.SSLError is one
            raise PacsError(f"A certificate cannot be read ({error}). Check the PEM files of the PACS.") from error
        return context

    @property
    def _name(self) -> str:
        return f"{self._to.ae_title} at {self._to.host}:{self._to.port}"


class _Receiver:
    """Takes the images that the PACS sends, those that were asked for; keeps the first thing that went wrong."""

    def __init__(self, store: Store, asked_for: frozenset[str]) -> None:
        self._store, self._asked_for = store, asked_for
        self.error: Exception | None = None
        self.taken = 0

    def __call__(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid not in self._asked_for:
            return _NOT_AUTHORIZED
        try:
            if not self.error:
                self._store(uid, event.encoded_dataset())
                self.taken += 1
        except Exception as error:  # told by `retrieve`: this may run in the listener's thread
            self.error = error
        return _OUT_OF_RESOURCES if self.error else _SUCCESS


def _query(level: str, **keys: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    if not all(value.isascii() for value in keys.values()):
        query.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _text(identifier: Dataset, keyword: str) -> str:
    return str(identifier.get(keyword) or "").strip(" \0")
