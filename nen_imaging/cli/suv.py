"""What SUV a PET series gives, and on which values that rests."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nen_imaging.dicom.image import FoundSeries

HELP = "show the SUV factor of a PET series, every value it rests on, or why it is refused"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("path", type=Path, help="a DICOM folder, an archive of one, or one file")
    parser.add_argument("--json", action="store_true", help="print JSON, one object per PET series")


def run(arguments: argparse.Namespace) -> int:
    """Print each PET series found; returns 3 if one of them is refused, 1 if there is none."""
    import json

    from nen_imaging.contract import ExitCode, Refusal
    from nen_imaging.dicom.files import open_files
    from nen_imaging.dicom.group import SeriesKind
    from nen_imaging.dicom.image import list_series
    from nen_imaging.dicom.series import read_pet_header
    from nen_imaging.dicom.suv import describe

    kinds = (SeriesKind.PET, SeriesKind.PET_UNCORRECTED)
    everything = list_series(arguments.path)
    found = [one for one in everything if one.series.kind in kinds]
    if not found:
        raise Refusal("pet.none", f"{arguments.path} holds no PET series.")
    entries: list[dict[str, Any]] = []
    for one in found:
        entry: dict[str, Any] = {"slices": one.series.slices}
        try:
            header, factor = read_pet_header(open_files(arguments.path, one.paths))
        except Refusal as refusal:
            reason = refusal.reason
            entry["refused"] = {"code": reason.code, "text": reason.text, "remedy": reason.remedy}
        else:
            entry |= describe(header, factor)
            if len(found) == 1:
                entry["real_world_value_mappings"] = _mappings(arguments.path, everything, entry["factor"]["minimum"])
        entries.append(entry)
    print(json.dumps(entries, indent=1) if arguments.json else "\n\n".join(map(_text, entries)))
    refused = any("refused" in entry for entry in entries)
    return ExitCode.SOME_NOT_MEASURED if refused else ExitCode.ALL_MEASURED


def _mappings(path: Path, everything: Sequence[FoundSeries], factor: float) -> list[str]:
    """What each real world value mapping beside the only PET says of its factor."""
    from nen_imaging.dicom.files import open_files
    from nen_imaging.dicom.real_world_value import check_mapping
    from nen_imaging.dicom.series import read_dataset

    texts = []
    for one in everything:
        if one.series.modality == "RWV":
            for _, file in open_files(path, one.paths):
                if checked := check_mapping(read_dataset(file, pixels=False), factor):
                    texts.append(checked.text)
    return texts


def _text(entry: dict[str, Any]) -> str:
    lines = [f"PET series of {entry['slices']} slices"]
    if "refused" in entry:
        refused = entry["refused"]
        return "\n".join([*lines, f"Refused ({refused['code']}): {refused['text']}", refused["remedy"]])
    factor = entry["factor"]
    same = factor["minimum"] == factor["maximum"]
    lines += [
        "SUVbw = (stored x slope + intercept) x "
        + (f"{factor['minimum']:.9e}" if same else f"{factor['minimum']:.9e} to {factor['maximum']:.9e} by slice"),
        f"Rule: {entry['rule']}",
        f"Nuclide: {entry['nuclide'] or 'not named'}, tracer: {entry['tracer'] or 'not named'}",
    ]
    for used in entry["values"]:
        value = f"{used['value']:.10g}" if isinstance(used["value"], float) else used["value"]
        lines.append(f"  {used['tag']:<48} {value} {used['unit']}".rstrip() + f"  [{used['source']}]")
    for name, other in entry["per_suvbw"].items():
        shown = (
            f"SUVbw x {other['factor']:.6g} {other['unit']}" if "factor" in other else f"refused: {other['refused']}"
        )
        lines.append(f"  {name:<20} {shown}")
    lines += [f"Check: {text}" for text in entry.get("real_world_value_mappings", [])]
    lines += [f"Missing private tag: {tag}" for tag in entry["missing_private_tags"]]
    return "\n".join(lines + [f"Note: {note}" for note in entry["notes"]])
