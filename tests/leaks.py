"""Look for words that may not stand in any output: in file names and in every byte, compressed ones unpacked."""

from __future__ import annotations

import base64
import contextlib
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


def leaks(folder: Path, words: Iterable[str | re.Pattern[bytes]], leave_out: Iterable[str] = ()) -> list[str]:
    """Every place below a folder where a word is found (in any case of letters) or a pattern matches.

    Files whose name is in ``leave_out`` are not looked into.
    """
    patterns = [_pattern(word) for word in words]
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        contents = [name.encode()]
        if path.is_file() and path.name not in leave_out:
            contents += unpacked(path.read_bytes())
        found += [
            f"{name}: {match[0]!r}"
            for content in contents
            for pattern in patterns
            if (match := pattern.search(content))
        ]
    return found


def _pattern(word: str | re.Pattern[bytes]) -> re.Pattern[bytes]:
    if isinstance(word, re.Pattern):
        return word
    forms = {word.encode(code) for code in ("utf-8", "latin-1", "utf-16-le") if _encodes(word, code)}
    return re.compile(b"|".join(map(re.escape, sorted(forms))), re.IGNORECASE)


def _encodes(word: str, code: str) -> bool:
    with contextlib.suppress(UnicodeEncodeError):
        return bool(word.encode(code))
    return False


def unpacked(content: bytes) -> Iterator[bytes]:
    """The content itself, and what is packed in it: gzip, the texts of a PNG, data URIs of a page."""
    yield content
    if content[:2] == b"\x1f\x8b":
        yield from unpacked(gzip.decompress(content))
    if content.startswith(PNG):
        yield from _png_texts(content)
    for found in re.finditer(rb"base64,([A-Za-z0-9+/=]{16,})", content):
        with contextlib.suppress(ValueError):
            yield from unpacked(base64.b64decode(found[1]))


def _png_texts(content: bytes) -> Iterator[bytes]:
    place = len(PNG)
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4]), content[place + 4 : place + 8]
        chunk = content[place + 8 : place + 8 + length]
        place += 12 + length
        if kind in (b"zTXt", b"iTXt"):
            for start in range(len(chunk)):  # the packed part begins behind a keyword of unknown length
                if chunk[start : start + 1] == b"\x78":
                    with contextlib.suppress(zlib.error):
                        yield zlib.decompress(chunk[start:])
