"""What the stages of one staging left on disk, as one object; whatever is missing is None or empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nen_imaging.contract import Reason, State
from nen_imaging.dates import PartialDate
from nen_imaging.stage import StageError, StageRecord, read_record, reasons_of
from nen_imaging.tables import read_table

_PET_FOLDERS = ("pet", "low_dose_ct", "uptake")


@dataclass(frozen=True)
class StagingResult:
    """One staging: its numbers, and the reasons why some are missing or doubtful.

    ``load`` is the content of load.json, ``organs`` of organs.json, ``pet`` of pet.json; ``lesions`` and ``uptake``
    are rows of their tables; ``regions`` those of voi.csv, a reader's volumes, ``foci`` of foci.csv, candidates for a
    reader. ``folders`` are its stage folders by name.
    """

    name: str
    folders: Mapping[str, Path] = field(default_factory=dict)
    records: Mapping[str, StageRecord] = field(default_factory=dict)
    load: Mapping[str, Any] | None = None
    lesions: tuple[Mapping[str, str], ...] = ()
    pet: Mapping[str, Any] | None = None
    organs: Mapping[str, Any] | None = None
    uptake: tuple[Mapping[str, str], ...] = ()
    regions: tuple[Mapping[str, str], ...] = ()
    foci: tuple[Mapping[str, str], ...] = ()

    @property
    def date(self) -> PartialDate | None:
        return PartialDate.parse(self.name)

    @property
    def has_pet(self) -> bool:
        return any(name in self.records for name in _PET_FOLDERS)

    @property
    def refusals(self) -> list[Reason]:
        """Why there is no load; empty where there is one."""
        return self._reasons(of_pet=False, state=State.REFUSED) if self.load is None else []

    @property
    def pet_refusals(self) -> list[Reason]:
        """Why there is no uptake, beyond what also refuses the load; empty where there is one."""
        found = self._reasons(of_pet=True, state=State.REFUSED) if self.organs is None else []
        return [reason for reason in found if reason not in self.refusals]

    @property
    def warnings(self) -> list[Reason]:
        """What to mind about numbers that are there."""
        found = self._reasons(of_pet=False, state=State.WARNED) + self._reasons(of_pet=True, state=State.WARNED)
        return list(dict.fromkeys(found))

    def _reasons(self, *, of_pet: bool, state: State) -> list[Reason]:
        records = [record for name, record in self.records.items() if (name in _PET_FOLDERS) == of_pet]
        reasons = [reason for record in records for reason in reasons_of(record) if reason.state == state]
        return list(dict.fromkeys(reasons))


def read_staging(name: str, folders: Mapping[str, Path]) -> StagingResult:
    """Read a staging from its stage folders (``ct``, ``measure``, ...), as far as they are there.

    A folder without a record counts as not there: its stage did not end.
    """
    there = {folder: path for folder, path in folders.items() if path.is_dir()}
    records = {}
    for folder, path in there.items():
        try:
            records[folder] = read_record(path)
        except StageError:
            continue
    usable = {folder: there[folder] for folder, record in records.items() if not record.refused}
    return StagingResult(
        name=name,
        folders={folder: there[folder] for folder in records},
        records=records,
        load=_read_json(usable, "measure", "load.json"),
        lesions=_read_rows(usable, "measure", "lesions.csv"),
        pet=_read_json(usable, "pet", "pet.json"),
        organs=_read_json(usable, "uptake", "organs.json"),
        uptake=_read_rows(usable, "uptake", "uptake.csv"),
        regions=_read_rows(usable, "uptake", "voi.csv"),
        foci=_read_rows(usable, "uptake", "foci.csv"),
    )


def _read_json(folders: Mapping[str, Path], folder: str, file: str) -> Mapping[str, Any] | None:
    path = folders[folder] / file if folder in folders else None
    return json.loads(path.read_text("utf-8")) if path and path.is_file() else None


def _read_rows(folders: Mapping[str, Path], folder: str, file: str) -> tuple[Mapping[str, str], ...]:
    return tuple(read_table(folders[folder] / file)) if folder in folders else ()
