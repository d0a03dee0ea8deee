"""A small study to index: tiny series, a results folder, a key."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from nen_imaging.config import Config
from nen_imaging.contract import Results
from nen_imaging.dicom.index import IndexSummary, index_study
from nen_imaging.phantom.dicom_writer import write_ct_series, write_pet_series
from nen_imaging.tables import read_table
from nen_imaging.volume import Volume

AFFINE = np.diag([-0.8, -0.8, 3.0, 1.0])
CT = Volume(np.full((4, 4, 4), 40, np.int16), AFFINE)
PET = Volume(np.full((4, 4, 4), 2, np.float32), AFFINE)


class SmallStudy:
    """A study folder that a test fills, and what the index makes of it."""

    def __init__(self, root: Path) -> None:
        self.folder, self.results = root / "study", Results(root / "results")
        self.folder.mkdir()

    def ct(self, folder: str = "ct", date: str = "2020-01-15", **options) -> list[Path]:
        return write_ct_series(self.folder / folder, CT, date=dt.date.fromisoformat(date), **options)

    def pet(self, folder: str = "pet", date: str = "2020-01-15", **options) -> list[Path]:
        return write_pet_series(self.folder / folder, PET, date=dt.date.fromisoformat(date), **options)

    def index(self, study: Path | None = None, **arguments) -> IndexSummary:
        options = Config().options_of("staging") | Config().options_of("selection")
        return index_study(study or self.folder, self.results, **{"options": options, "key": bytes(32)} | arguments)

    def table(self, name: str) -> list[dict[str, str]]:
        return read_table(self.results.index / f"{name}.csv")

    def stagings(self) -> list[str]:
        """The names of the stagings that lie in the study."""
        return [row["staging"] for row in self.table("stagings") if row["state"] == "active"]

    def ct_selection(self, staging: str = "*") -> dict:
        """The `ct_selection.json` of a staging, by default of the only one."""
        (path,) = self.results.root.glob(f"patients/*/stagings/{staging}/ct_selection.json")
        return json.loads(path.read_text("utf-8"))

    def selection(self, of: str) -> dict:
        """The `<of>_selection.json` of the only staging."""
        (path,) = self.results.root.glob(f"patients/*/stagings/*/{of}_selection.json")
        return json.loads(path.read_text("utf-8"))

    def written(self) -> dict[str, bytes]:
        """The content of every file that the index wrote, but for the database and the lock."""
        files = (path for path in self.results.root.rglob("*") if path.is_file())
        kept = (path for path in files if path != self.results.files_database and path.name != ".lock")
        return {path.relative_to(self.results.root).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture
def study(tmp_path) -> SmallStudy:
    return SmallStudy(tmp_path)
