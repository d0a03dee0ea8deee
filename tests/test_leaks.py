"""The search for leaks finds what it is there to find."""

from __future__ import annotations

import base64
import gzip
import zlib

import pytest

from tests.leaks import PNG, leaks


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + kind + content + b"\0\0\0\0"


PACKED = {
    "plain": b"by zqSECRET.",
    "utf-16": "Zqsecret".encode("utf-16-le"),
    "gzip": gzip.compress(b"Zqsecret"),
    "png text": PNG + png_chunk(b"IHDR", b"x") + png_chunk(b"tEXt", b"Author\0Zqsecret"),
    "png packed text": PNG + png_chunk(b"zTXt", b"Author\0\0" + zlib.compress(b"Zqsecret" * 9)),
    "page": b'<img src="data:image/png;base64,' + base64.b64encode(PNG + png_chunk(b"tEXt", b"Zqsecret")) + b'">',
}


@pytest.mark.parametrize("content", PACKED.values(), ids=PACKED.keys())
def test_a_word_is_found_however_it_is_packed(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert leaks(tmp_path, ["Zqsecret"])
    assert not leaks(tmp_path, ["Zqother"])
    assert not leaks(tmp_path, ["Zqsecret"], leave_out=["file"])


def test_a_word_is_found_in_names(tmp_path):
    (tmp_path / "of zqsecret").mkdir()
    assert leaks(tmp_path, ["Zqsecret"]) == ["of zqsecret: b'zqsecret'"]
