"""How a lesion was when a reader named it: numbers are those of one segmentation, and another one counts anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nen_imaging.tables import read_table

_CENTROID = ("centroid_x_mm", "centroid_y_mm", "centroid_z_mm")


def with_lesions_as_read(
    readings: Iterable[Mapping[str, str]], before: Iterable[Mapping[str, Any]], lesions_table: Path
) -> list[dict[str, Any]]:
    """Readings of lesions, each with ``as_read``: volume and centroid (LPS) of its lesion when the row was written.

    A row that `before` has keeps what was recorded then. One that is new, or whose number or volume was edited, is
    held to lesions.csv as it is now: the reader looked at it. None where it has no such lesion, or is not there yet.

    Parameters
    ----------
    readings
        Rows of readings.csv.
    before
        What this function returned the last time.
    lesions_table
        The staging's lesions.csv.
    """
    recorded = {_key(row): row["as_read"] for row in before if "as_read" in row}
    now = {row["lesion"]: _place_and_size(row) for row in read_table(lesions_table)}
    return [{**row, "as_read": recorded.get(_key(row), now.get(row["lesion"]))} for row in readings]


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["lesion"], row["reading"], row["volume_ml"]  # a mended reason is no new look at the lesion


def _place_and_size(row: Mapping[str, str]) -> dict[str, Any]:
    return {"volume_ml": float(row["volume_ml"]), "centroid_mm": [float(row[column]) for column in _CENTROID]}
