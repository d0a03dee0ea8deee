"""Tables and texts are written whole, or not at all."""

from __future__ import annotations

import pytest

from nen_imaging.tables import read_table, write_table, write_text

ROWS = [{"a": "1", "b": 'comma, "quote"\nline'}, {"a": "", "b": "ü"}]


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "new folder" / "t.csv"
    write_table(path, ("a", "b"), ROWS)
    assert read_table(path) == ROWS
    assert read_table(tmp_path / "absent.csv") == []


def test_a_row_that_does_not_fit_leaves_the_old_table(tmp_path):
    path = tmp_path / "t.csv"
    write_table(path, ("a", "b"), ROWS)
    with pytest.raises(ValueError, match="c"):
        write_table(path, ("a", "b"), [{"a": "1", "c": "2"}])
    assert read_table(path) == ROWS
    assert list(tmp_path.iterdir()) == [path]


def test_only_if_changed_leaves_an_equal_file_alone(tmp_path):
    path = tmp_path / "t.txt"
    write_text(path, "one\n")
    before = path.stat()
    write_text(path, "one\n", only_if_changed=True)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_text(path, "two\n", only_if_changed=True)
    assert path.read_text("utf-8") == "two\n"
