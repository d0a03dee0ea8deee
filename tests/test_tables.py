"""Tables and texts are written whole, or not at all."""

from __future__ import annotations

import pytest

from nen_imaging.contract import Results
from nen_imaging.tables import TableError, read_stagings, read_table, write_table, write_text

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


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("patient,staging,has_pet\nP,2020-01-15,no\n", "row 1 has no column state"),
        ("patient;staging;state;has_pet\nP;2020-01-15;active;no\n", "row 1 has no column patient"),
        ("patient,staging,state,has_pet\nP,15.01.2020,active,no\n", "row 2, column staging: found '15.01.2020'"),
        ("patient,staging,state,has_pet\nP,2020-01-15,active,no,\xe9\n", "no CSV in UTF-8"),
    ],
)
def test_an_edited_table_of_stagings_is_named_with_what_to_do(tmp_path, content, told):
    results = Results(tmp_path)
    assert read_stagings(results) == []
    results.index.mkdir()
    results.stagings_table.write_bytes(content.encode("latin-1"))
    with pytest.raises(TableError, match=r"stagings\.csv: .*") as error:
        read_stagings(results)
    assert told in str(error.value)
    assert "remove the file: the next index makes it anew" in str(error.value)
