"""Who is who, without saying so: the key, pseudonyms, keyed hashes of UIDs and paths.

The key lies outside every study and results folder. Names, ids and UIDs pass through `Pseudonymiser` before
anything is written, the cache of headers included; who is who stands only in the linkage table beside the key.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nen_imaging.contract import Results
from nen_imaging.dates import moved

KEY_FILE_VARIABLE = "NEN_IMAGING_KEY_FILE"
LINKAGE_COLUMNS = ("patient", "patient_id", "issuer", "patient_name", "birth_date")
_KEY_BYTES = 32


class PrivacyError(RuntimeError):
    """The key is missing, unsafe or not the one of these results; or two patients share a pseudonym."""


@dataclass(frozen=True)
class Pseudonymiser:
    """Keyed hashes (HMAC-SHA256), each for its own purpose so that equal texts of two purposes differ."""

    key: bytes
    date_shift_days: int = 0
    """Dates are moved back by at most so many days, by another number for every patient; 0: by none."""

    def digest(self, purpose: str, *parts: str, letters: int = 16) -> str:
        """The first base32 letters of the keyed hash of some texts."""
        message = "\0".join((purpose, *parts)).encode()
        return base64.b32encode(hmac.digest(self.key, message, "sha256")).decode()[:letters]

    def identity(self, kind: str, text: str) -> str:
        """What stands for a PatientID (``id``), PatientName (``name``) or StudyInstanceUID (``study``)."""
        return f"{kind}:{self.digest('identity ' + kind, text)}"

    def issuer(self, text: str) -> str:
        """What stands for an IssuerOfPatientID; empty for none."""
        return self.digest("issuer", text) if text else ""

    def patient(self, identity: str, issuer: str) -> str:
        """The pseudonym: ``P`` and ten base32 letters."""
        return "P" + self.digest("patient", identity, issuer, letters=10)

    def shown_date(self, date: str, identity: str) -> str:
        """A date ``YYYY-MM-DD`` of a patient as results show it."""
        return moved(date, self.moved_days(identity))

    def moved_days(self, identity: str) -> int:
        """By how many days the dates of a patient are moved: none, or a negative number that the key alone tells."""
        if not self.date_shift_days:
            return 0
        digest = hmac.digest(self.key, f"date shift\0{identity}".encode(), "sha256")
        return -1 - int.from_bytes(digest[:8]) % self.date_shift_days

    def fingerprint(self) -> str:
        """What tells two keys (or shifts of dates) apart and says nothing about either."""
        return self.digest("fingerprint", *(["date shift", str(self.date_shift_days)] if self.date_shift_days else []))


def pseudonyms(
    pseudonymiser: Pseudonymiser, pairs: Iterable[tuple[str, str]], *, letters: int = 10
) -> dict[tuple[str, str], str]:
    """The pseudonym of every pair of identity and issuer.

    A missing issuer joins the only one known for that identity. Raises PrivacyError if two patients would share a
    pseudonym.
    """
    pairs = sorted(set(pairs))
    issuers: dict[str, set[str]] = {}
    for identity, issuer in pairs:
        if issuer:
            issuers.setdefault(identity, set()).add(issuer)
    result: dict[tuple[str, str], str] = {}
    owner: dict[str, tuple[str, str]] = {}
    for identity, issuer in pairs:
        known = issuers.get(identity, set())
        person = identity, (next(iter(known)) if not issuer and len(known) == 1 else issuer)
        pseudonym = pseudonymiser.patient(*person)[: letters + 1]
        if owner.setdefault(pseudonym, person) != person:
            raise PrivacyError(
                f"Two patients of this study share the pseudonym {pseudonym}. Index them into two results folders, "
                "or start a new results folder with a new key."
            )
        result[identity, issuer] = pseudonym
    return result


def key_path() -> Path:
    """Where the key lies: `NEN_IMAGING_KEY_FILE`, else the user's config folder."""
    if named := os.environ.get(KEY_FILE_VARIABLE):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "nen_imaging" / "key"


def load_key(*, outside: Iterable[Path] = ()) -> bytes:
    """The key; made at first use, readable by its owner alone.

    Raises PrivacyError, with the remedy, if others may read it, if it is no key, or if it lies in a folder of
    ``outside`` (the study, the results).
    """
    path = key_path()
    for folder in outside:
        if path.resolve().is_relative_to(folder.resolve()):
            raise PrivacyError(f"The key {path} lies inside {folder}. Move it out and set {KEY_FILE_VARIABLE} to it.")
    if not path.exists():
        _make_key(path)
    if path.stat().st_mode & 0o077:
        raise PrivacyError(f"Others may read the key {path}. Run `chmod 600 {path}`.")
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) < _KEY_BYTES:
        raise PrivacyError(f"{path} holds no key of {_KEY_BYTES} bytes. Restore it from a backup, or move it away.")
    return key


def key_for_showing() -> bytes:
    """The key where there is one, else a fixed one: for what is shown and never written. No key is made for it."""
    return load_key() if key_path().exists() else bytes(_KEY_BYTES)


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # mode 600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
        with contextlib.suppress(FileExistsError):  # another process was first: its key holds
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()


def hold_to_key(results: Results, pseudonymiser: Pseudonymiser) -> None:
    """Record the key's fingerprint in the index, or refuse (PrivacyError) a key that is not the recorded one."""
    path = results.key_fingerprint
    fingerprint = pseudonymiser.fingerprint()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fingerprint + "\n", "ascii")
    elif path.read_text("ascii").strip() != fingerprint:
        raise PrivacyError(
            f"These results were made with another key than {key_path()}, or with another date_shift_days: patients "
            f"and dates would get new names. Point {KEY_FILE_VARIABLE} to the old key and set the old shift, or start "
            "a new results folder."
        )


def linkage_path() -> Path:
    """Where the linkage table lies: beside the key."""
    return key_path().with_name("linkage.csv")


def write_linkage(rows: Iterable[Mapping[str, str]]) -> Path:
    """Add patients to the linkage table (`LINKAGE_COLUMNS`), mode 600; returns its path."""
    path = linkage_path()
    known: dict[str, Mapping[str, str]] = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            known = {row["patient"]: row for row in csv.DictReader(file)}
    known |= {row["patient"]: row for row in rows}
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, LINKAGE_COLUMNS)
        writer.writeheader()
        writer.writerows(known[patient] for patient in sorted(known))
    Path(temporary).replace(path)
    return path


def file_label(pseudonymiser: Pseudonymiser, path: str, size: int) -> str:
    """What stands for a file's path in a table: a keyed hash, its suffix if it is a common one, its size."""
    suffix = Path(path).suffix.lower()
    shown = suffix if suffix in _COMMON_SUFFIXES else ""
    return f"{pseudonymiser.digest('path', path, letters=10)}{shown} ({size} bytes)"


_COMMON_SUFFIXES = (
    ".bmp", ".csv", ".dat", ".db", ".dcm", ".doc", ".docx", ".exe", ".gz", ".htm", ".html", ".ima", ".inf", ".ini",
    ".jpg", ".json", ".md", ".nii", ".nrrd", ".pdf", ".png", ".rtf", ".tar", ".tif", ".txt", ".xls", ".xlsx", ".xml",
    ".xz", ".zip",
)  # fmt: skip
