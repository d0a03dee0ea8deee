"""The page on the timeline folder shows every table, every column, and rows that are read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nen_imaging.timeline import read_timeline
from nen_imaging.timeline.tables import CORRECTABLE, TABLES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "timeline.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\.csv\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_shows_every_table_and_correctable_tag():
    assert SECTIONS.keys() == TABLES.keys()
    assert all(f"`{keyword}`" in SECTIONS["corrections"] for keyword in CORRECTABLE)


@pytest.mark.parametrize("table", TABLES)
def test_shows_every_column_and_whether_it_must_be_filled(table):
    shown = re.findall(
        r"(\*\*)?`(\w+)`\*{0,2}", "\n".join(re.findall(r"^\| ([^|]*) \|", SECTIONS[table], re.MULTILINE))
    )
    assert {name: bool(bold) for bold, name in shown} == {column.name: column.required for column in TABLES[table]}


@pytest.mark.parametrize("table", TABLES)
def test_shows_rows_that_are_read(table, tmp_path):
    (example,) = re.findall(r"```csv\n(.*?)```", SECTIONS[table], re.DOTALL)
    (tmp_path / f"{table}.csv").write_text(example, "utf-8")
    for name in ("reader.nii.gz", "healthy.nii.gz", "primary.dcm"):
        (tmp_path / name).touch()
    assert len(read_timeline(tmp_path).rows(table)) == example.count("\n") - 1
