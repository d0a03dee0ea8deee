"""The edge of this room: `ct/` and `segment/` become `measure/`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from nen_imaging.contract import LESIONS_COLUMNS, Reason, Refusal
from nen_imaging.measurement.lesions import find_lesions, lesion_table
from nen_imaging.measurement.load import Load, is_truncated, measure_load
from nen_imaging.measurement.phase import measure_phase
from nen_imaging.measurement.uptake_stage import UPTAKE
from nen_imaging.stage import Outcome, Stage, StageCall, sha256_of, write_json
from nen_imaging.volume import GridMismatchError, Volume, read_nifti, require_same_grid, resample, write_nifti

__all__ = ["MEASURE", "UPTAKE"]

READER_MASK = "reader_mask.nii.gz"


def _measure(call: StageCall) -> Outcome:
    ct = read_nifti(call.input("ct") / "ct.nii.gz")
    segment = call.input("segment")
    uncertainty = json.loads((segment / "uncertainty.json").read_text("utf-8"))
    network = read_nifti(segment / "liver.nii.gz")
    probability = read_nifti(segment / "probability.nii.gz")
    reader = json.loads(call.input("reader.json").read_text("utf-8"))
    mask = _reader_mask(call.input("reader.json").with_name(READER_MASK), reader["mask"], ct)
    measured = mask or network
    if not np.any(measured.array):
        raise Refusal("liver.absent", "The label map holds no liver.")
    instances, labels = find_lesions(
        measured,
        minimum_voxels=call.options["minimum_voxels"],
        minimum_diameter_mm=call.options["minimum_diameter_mm"],
    )
    rows = lesion_table(ct, labels, instances, call.options)
    left_out = _left_out(rows, reader["lesions"], call.options)
    counted = labels.with_array(_without(labels, instances, left_out))
    certainty, members = (_certain(mask), []) if mask else (probability, uncertainty["member_loads_percent"])
    load = measure_load(counted, certainty, members)
    reasons = _reasons(counted, load, call.options, by_reader=mask is not None)
    cysts = {row["lesion"] for row in rows if row["probable_cyst"] == "yes"}
    without_cysts = replace(load, lesion_volume_ml=_lesion_ml(_without(labels, instances, left_out | cysts), labels))
    content = _load_json(load, reasons, truncated=is_truncated(counted)) | {
        "source": "reader" if mask else "network",
        "lesions": len(rows) - len(left_out),
        "left_out": sorted(left_out),
        "largest_lesion_mm": max((row["longest_diameter_mm"] for row in rows), default=0.0),
        "load_without_probable_cysts_percent": round(100 * without_cysts.lesion_volume_ml / load.liver_volume_ml, 3),
        "phase": measure_phase(ct, counted).as_dict(),
    }
    if mask or left_out:
        content["network"] = _numbers(measure_load(network, probability, uncertainty["member_loads_percent"]))
    write_json(call.folder / "load.json", content)
    _write_csv(call.folder / "lesions.csv", rows)
    write_nifti(call.folder / "instances.nii.gz", instances)
    write_nifti(call.folder / "liver.nii.gz", labels)
    return Outcome(reasons)


def _reader_mask(path: Path, stated: Mapping[str, str] | None, ct: Volume) -> Volume | None:
    """The reader's label map on the CT's grid, or None; it must be the file that the index saw."""
    if stated is None:
        return None
    if not path.is_file() or sha256_of(path) != stated["sha256"]:
        raise FileNotFoundError(f"{path.name} of this staging changed since the study was indexed: run again.")
    mask = read_nifti(path)
    try:
        require_same_grid(mask, ct)
    except GridMismatchError:
        mask = resample(mask, ct.shape, ct.affine, nearest=True)
    return mask.with_array(mask.array.astype(np.uint8))


def _certain(mask: Volume) -> Volume:
    return mask.with_array(np.where(mask.array == 2, 255, 0).astype(np.uint8))


def _left_out(
    rows: list[dict[str, Any]], readings: Iterable[Mapping[str, str]], options: Mapping[str, Any]
) -> set[int]:
    """Lesions that do not count: read as benign, or probable cysts where the config says so."""
    benign = {int(reading["lesion"]) for reading in readings if reading["reading"] == "benign"}
    cysts = {row["lesion"] for row in rows if row["probable_cyst"] == "yes"}
    return (benign | (cysts if options["exclude_probable_cysts"] else set())) & {row["lesion"] for row in rows}


def _without(labels: Volume, instances: Volume, numbers: set[int]) -> Any:  # noqa: ANN401 - an array
    return np.where(np.isin(instances.array, list(numbers)), 1, labels.array).astype(np.uint8)


def _lesion_ml(array: Any, labels: Volume) -> float:  # noqa: ANN401 - an array
    return float(np.count_nonzero(array == 2)) * labels.voxel_volume_ml


def _reasons(labels: Volume, load: Load, options: Mapping[str, Any], *, by_reader: bool) -> list[Reason]:
    reasons = []
    if is_truncated(labels):
        text = f"The liver reaches the edge of the image; {load.liver_volume_ml:.0f} ml are in view."
        reasons.append(Reason("liver.truncated", text))
    low, high = options["plausible_liver_ml"]
    if not low <= load.liver_volume_ml <= high:
        reasons.append(Reason("liver.volume_implausible", f"The liver measures {load.liver_volume_ml:.0f} ml."))
    if by_reader:
        reasons.append(Reason("reader.mask", "A reader's mask was measured in place of the network's."))
    return reasons


def _load_json(load: Load, reasons: list[Reason], *, truncated: bool) -> dict[str, Any]:
    flags = [reason.code for reason in reasons]
    return _numbers(load) | {"interval_level": 0.9, "bands": load.bands, "truncated": truncated, "flags": flags}


def _numbers(load: Load) -> dict[str, float]:
    return {key: round(value, 3) for key, value in asdict(load).items()}


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, LESIONS_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


MEASURE = Stage("measure", 1, _measure)
