"""Named connections to PACS: a YAML file outside of study and results, without a password in it.

By default `pacs.yaml` in the user's config folder, or what `NEN_IMAGING_PACS_FILE` names. Passwords and tokens come
from environment variables that the file names.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nen_imaging.pacs.archive import Archive, PacsError

PACS_FILE_VARIABLE = "NEN_IMAGING_PACS_FILE"


class PacsFileError(ValueError):
    """A connection is unknown or wrongly described; the message names the key and what is allowed."""


class _Connection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate_authority: Path | None = Field(None, description="PEM of who signed the PACS's certificate")
    client_certificate: Path | None = Field(None, description="PEM of our own certificate, where the PACS asks for one")
    client_key: Path | None = Field(None, description="PEM of its key, if it is a file of its own")


class DicomWebConnection(_Connection):
    """A PACS that speaks DICOMweb (QIDO-RS, WADO-RS)."""

    url: str = Field(pattern=r"^https?://[^@]+$", description="root of the service: https://pacs.example.org/dicom-web")
    user: str | None = None
    password_variable: str | None = Field(None, description="environment variable with the user's password")
    token_variable: str | None = Field(None, description="environment variable with a bearer token, instead of a user")
    proxy: str | None = Field(None, description="URL of a proxy; that of the environment is not used")

    @model_validator(mode="after")
    def _whole_login(self) -> DicomWebConnection:
        if bool(self.user) != bool(self.password_variable):
            raise ValueError("user and password_variable belong together")
        if self.user and self.token_variable:
            raise ValueError("give either a user or a token_variable")
        return self


class DimseConnection(_Connection):
    """A PACS that speaks the classic DICOM network: C-FIND, and C-GET or C-MOVE."""

    host: str
    port: int = Field(104, ge=1, le=65535)
    ae_title: str = Field(min_length=1, max_length=16, description="the PACS's application entity title")
    own_ae_title: str = Field("NEN_IMAGING", min_length=1, max_length=16, description="ours, as the PACS knows it")
    retrieve: Literal["get", "move"] = Field("get", description="move: the PACS sends to own_port, and must know it")
    own_port: int = Field(11112, ge=1, le=65535)
    tls: bool = Field(False, description="encrypt; implied by certificate_authority or client_certificate")

    @field_validator("ae_title", "own_ae_title")
    @classmethod
    def _ascii(cls, title: str) -> str:
        if not title.isascii() or "\\" in title:
            raise ValueError("an AE title is of ASCII letters")
        return title

    @property
    def is_encrypted(self) -> bool:
        return self.tls or bool(self.certificate_authority or self.client_certificate)


Connection = DicomWebConnection | DimseConnection


def connect(connection: Connection) -> Archive:
    """The archive behind a connection; nothing is sent yet."""
    if isinstance(connection, DicomWebConnection):
        from nen_imaging.pacs.dicomweb import DicomWebArchive

        return DicomWebArchive(connection)
    from nen_imaging.pacs.dimse import DimseArchive

    return DimseArchive(connection)


def pacs_file() -> Path:
    """Where the connections stand: `NEN_IMAGING_PACS_FILE`, else `pacs.yaml` in the user's config folder."""
    if named := os.environ.get(PACS_FILE_VARIABLE):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "nen_imaging" / "pacs.yaml"


def read_connection(name: str, path: Path | None = None) -> Connection:
    """The connection of that name; a URL of a DICOMweb service that needs no login stands for itself.

    Raises PacsFileError.
    """
    if name.startswith(("http://", "https://")):
        return _checked({"url": name}, "the URL")
    path = path or pacs_file()
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
    except FileNotFoundError:
        raise PacsFileError(
            f"There is no {path}. Describe the PACS there (docs/fetch.md shows how), or give the URL of its DICOMweb."
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PacsFileError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get(name, {}), dict):
        raise PacsFileError(f"{path} must hold a name and keys for every PACS.")
    if name not in content:
        close = difflib.get_close_matches(name, map(str, content), n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known there: {', '.join(map(str, content)) or 'none'}."
        raise PacsFileError(f"{path} describes no PACS {name!r}. {hint}")
    return _checked(content[name], f"{path}, {name}")


def _checked(keys: dict[str, Any], place: str) -> Connection:
    kind = DicomWebConnection if "url" in keys else DimseConnection
    if "password" in keys or "token" in keys:
        raise PacsFileError(f"{place}: a secret does not belong into a file; name an environment variable in "
                            "password_variable or token_variable.")  # fmt: skip
    try:
        return kind.model_validate(keys)
    except ValidationError as error:
        raise PacsFileError("\n".join(_explain(item, kind, place) for item in error.errors())) from None


def _explain(item: Any, kind: type[BaseModel], place: str) -> str:  # noqa: ANN401 - pydantic's error details
    key = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        return f"{place}: the key {key} is unknown; known: {', '.join(kind.model_fields)}."
    if item["type"] == "missing":
        return f"{place}: the key {key} is missing. DICOMweb needs url; C-FIND needs host, port and ae_title."
    return f"{place}: {key + ': ' if key else ''}{item['msg']}."


def secret(variable: str) -> str:
    """A password or token from the environment; PacsError where it is not set."""
    value = os.environ.get(variable)
    if not value:
        raise PacsError(f"The environment variable {variable} is empty. Put the PACS's password or token there.")
    return value
