"""Connections as a user describes them."""

from __future__ import annotations

import pytest

from nen_imaging.cli.main import main
from nen_imaging.pacs.connection import (
    DicomWebConnection,
    DimseConnection,
    PacsFileError,
    pacs_file,
    read_connection,
)
from tests.pacs.conftest import write_connections

CLASSIC = {"host": "10.0.0.5", "ae_title": "ARCHIVE"}


def test_both_kinds_with_their_defaults(tmp_path):
    path = write_connections(tmp_path / "pacs.yaml", web={"url": "https://pacs/dicom-web"}, old=CLASSIC)
    assert read_connection("web", path) == DicomWebConnection(url="https://pacs/dicom-web")
    old = read_connection("old", path)
    assert isinstance(old, DimseConnection)
    assert (old.port, old.retrieve, old.own_ae_title, old.is_encrypted) == (104, "get", "NEN_IMAGING", False)


def test_the_file_lies_beside_the_key_or_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.delenv("NEN_IMAGING_PACS_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert pacs_file() == tmp_path / "nen_imaging" / "pacs.yaml"
    monkeypatch.setenv("NEN_IMAGING_PACS_FILE", str(tmp_path / "mine.yaml"))
    assert pacs_file() == tmp_path / "mine.yaml"


def test_a_url_stands_for_itself(tmp_path):
    assert read_connection("http://pacs/dicom-web", tmp_path / "none") == DicomWebConnection(
        url="http://pacs/dicom-web"
    )
    with pytest.raises(PacsFileError, match="url"):
        read_connection("http://me:secret@pacs/dicom-web", tmp_path / "none")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "https://pacs", "password": "zq"}, "name an environment variable"),
        ({"url": "https://pacs", "user": "me"}, "user and password_variable belong together"),
        ({"url": "https://pacs", "user": "me", "password_variable": "P", "token_variable": "T"}, "either a user or"),
        ({"url": "ftp://pacs"}, "clinic: url: "),
        ({"host": "pacs"}, "the key ae_title is missing"),
        (CLASSIC | {"port": 0}, "clinic: port: "),
        (CLASSIC | {"ae_title": "A" * 17}, "clinic: ae_title: "),
        (CLASSIC | {"retrieve": "push"}, "'get' or 'move'"),
        (CLASSIC | {"prot": 104}, "the key prot is unknown; known: "),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path, keys, said):
    path = write_connections(tmp_path / "pacs.yaml", clinic=keys)
    with pytest.raises(PacsFileError, match=said) as error:
        read_connection("clinic", path)
    assert "zq" not in str(error.value)


def test_an_unknown_name_and_a_missing_file_end_with_usage(tmp_path, capsys):
    path = write_connections(tmp_path / "pacs.yaml", clinic=CLASSIC)
    for name, file, said in (("clinik", path, "Did you mean clinic?"), ("clinic", tmp_path / "no", "There is no")):
        command = ["fetch", "--from", name, "--patient", "1", "--to", str(tmp_path / "s"), "--connections", str(file)]
        assert main(command) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[1, 2]", "clinic: 3", "a: [", "\x00"])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    (tmp_path / "pacs.yaml").write_text(content)
    with pytest.raises(PacsFileError):
        read_connection("clinic", tmp_path / "pacs.yaml")
