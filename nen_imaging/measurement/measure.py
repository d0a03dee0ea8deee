"""One staging's CT and label map become its load, lesions, phase and the reasons to mistrust them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nen_imaging.contract import Reason, Refusal
from nen_imaging.measurement.lesions import SeparateLesions, box_of, find_lesions, lesion_table
from nen_imaging.measurement.load import INTERVAL_LEVEL, Load, measure_load
from nen_imaging.measurement.phase import measure_phase, unlike_header
from nen_imaging.measurement.reader import LesionReading, apply_readings
from nen_imaging.measurement.truncation import cut_faces
from nen_imaging.volume import Volume, require_same_grid


@dataclass(frozen=True)
class Segmented:
    """What a network says: labels, lesion probability x 255, loads of its members, reason codes."""

    labels: Volume
    probability: Volume
    member_loads_percent: tuple[float, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class MeasuredLiver:
    """The content of load.json and lesions.csv; instances and labels on the CT's grid."""

    load: dict[str, Any]
    lesions: list[dict[str, Any]]
    instances: Volume
    labels: Volume
    reasons: list[Reason]


@dataclass(frozen=True)
class _Source:
    """Whose label map is measured, cut to the box around the liver."""

    name: str
    lesions: SeparateLesions
    probability: Volume | None
    member_loads_percent: tuple[float, ...]

    def load(self, left_out: Collection[int], flags: Collection[str]) -> Load:
        of = self.lesions
        return measure_load(
            of.labels, of.instances, self.probability, self.member_loads_percent, left_out=left_out, flags=flags
        )


def measure_liver(
    ct: Volume,
    network: Segmented,
    options: Mapping[str, Any],
    *,
    reader_mask: Volume | None = None,
    readings: Collection[LesionReading] = (),
    named_phase: str = "unknown",
) -> MeasuredLiver:
    """Measure a staging; a reader's mask replaces the network's, and both loads are told.

    ``options`` are those of the config's section `measure`; lesions that ``readings`` call benign count as
    liver; ``named_phase`` is the contrast phase by the CT's header.

    Raises
    ------
    Refusal
        The label map holds no liver.
    GridMismatchError
        Labels and CT do not share a grid.
    """
    labels = reader_mask or network.labels
    require_same_grid(labels, ct)
    box = box_of(labels.array != 0)
    if box is None:
        raise Refusal("liver.absent", "The label map holds no liver.")
    lesions = _separate(labels, options)
    rows = lesion_table(ct, lesions, cyst_below_hu=options["cyst_below_hu"])
    cysts = {row["lesion"] for row in rows if row["probable_cyst"] == "yes"}
    read = apply_readings(readings, rows)
    left_out = read.benign | (cysts if options["exclude_probable_cysts"] else set())
    by_reader = reader_mask is not None
    cut = cut_faces(ct, labels)
    volume_ml = float(np.count_nonzero(labels.array)) * labels.voxel_volume_ml
    phase = measure_phase(ct, lesions.labels)
    reasons = _reasons(cut, volume_ml, options, by_reader=by_reader) + unlike_header(phase, named_phase)
    reasons += read.reasons
    flags = {reason.code for reason in reasons} | (set() if by_reader else set(network.flags))
    source = _source(lesions, None if by_reader else network)
    load = source.load(left_out, flags)
    content = _numbers(load) | {
        "source": source.name,
        "interval_level": INTERVAL_LEVEL,
        "truncated": bool(cut),
        "too_small_components": lesions.too_small,
        "left_out_lesions": sorted(left_out & {row["lesion"] for row in rows}),
        "flags": sorted(flags),
        **_summary(rows, left_out),
        "load_without_probable_cysts_percent": round(source.load(left_out | cysts, flags).load_percent, 3),
        "phase": phase.as_dict(),
        "liver_hu": phase.as_dict()["liver_hu"],
    }
    if content["left_out_lesions"]:
        content["load_with_left_out_percent"] = round(source.load((), flags).load_percent, 3)
    if by_reader and np.any(network.labels.array):
        of_network = _separate(network.labels, options)
        content["network"] = _numbers(_source(of_network, network).load((), network.flags))
    return MeasuredLiver(content, rows, lesions.instances, lesions.labels, reasons)


def _separate(labels: Volume, options: Mapping[str, Any]) -> SeparateLesions:
    return find_lesions(
        labels, minimum_voxels=options["minimum_voxels"], minimum_diameter_mm=options["minimum_diameter_mm"]
    )


def _source(lesions: SeparateLesions, network: Segmented | None) -> _Source:
    box = box_of(lesions.labels.array != 0)
    assert box is not None
    start = np.maximum([part.start - 1 for part in box], 0)  # one voxel of margin: the liver's surface is inside
    stop = np.minimum([part.stop + 1 for part in box], lesions.labels.shape)
    cut = SeparateLesions(
        lesions.instances.cropped(start, stop), lesions.labels.cropped(start, stop), lesions.too_small
    )
    if network is None:
        return _Source("reader", cut, None, ())
    return _Source("network", cut, network.probability.cropped(start, stop), network.member_loads_percent)


def _summary(rows: list[dict[str, Any]], left_out: Collection[int]) -> dict[str, Any]:
    longest = [row["longest_diameter_mm"] for row in rows if row["lesion"] not in left_out]
    return {"lesions": len(longest), "largest_lesion_mm": max(longest, default=0.0)}


def _numbers(load: Load) -> dict[str, Any]:
    return {name: round(value, 3) for name, value in asdict(load).items()} | {"bands": load.bands}


def _reasons(cut: list[str], volume_ml: float, options: Mapping[str, Any], *, by_reader: bool) -> list[Reason]:
    reasons = []
    if cut:
        where = ", ".join(cut)
        text = f"The liver is cut at the image's {where}; {volume_ml:.0f} ml are in view."
        reasons.append(Reason("liver.truncated", text))
    low, high = options["plausible_liver_ml"]
    if not low <= volume_ml <= high:
        text = f"The liver measures {volume_ml:.0f} ml; plausible are {low:.0f} to {high:.0f} ml."
        reasons.append(Reason("liver.volume_implausible", text))
    if by_reader:
        reasons.append(Reason("reader.mask", "A reader's mask was measured in place of the network's."))
    return reasons
