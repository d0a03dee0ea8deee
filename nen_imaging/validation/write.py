"""The files of a validation: `cases.csv`, `summary.csv`, `run.json`, `report.html`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nen_imaging.stage import StageError, StageRecord, read_record, write_json
from nen_imaging.tables import write_table, write_text
from nen_imaging.validation.metrics import FIGURES
from nen_imaging.validation.report import ReportContent, render
from nen_imaging.validation.run import CaseResult, Validation
from nen_imaging.validation.summary import COLUMNS, SummaryRow, summarize

CASES_COLUMNS = (
    "case", "problem", "lesions_labelled", "whole_liver", "model", "seen_in_training",
    *(f"liver_{name}" for name in FIGURES), *(f"lesion_{name}" for name in FIGURES),
    "true_lesions", "lesions", "lesions_found_iou0", "lesions_found_iou0.5",
    "true_liver_ml", "liver_ml", "true_lesion_ml", "lesion_ml",
    "true_load_percent", "load_percent", "load_percent_low", "load_percent_high", "load_error_points",
    "response_if_unchanged", "discretisation_points", "partial_volume_points", "segmentation_points",
    "seconds", "peak_memory_mb", "device", "flags", "grid", "notes",
)  # fmt: skip


def write_report(validation: Validation, done: Sequence[CaseResult]) -> list[SummaryRow]:
    """Write the tables and the page over the cases that were asked for, and return the summary."""
    scores = {case.name: _scores(validation, case.name) for case in done if not case.problem}
    folder_of = validation.predicted if validation.bundles else validation.scored
    records = {case.name: _record(folder_of(case.name)) for case in done}
    rows = [_case_row(case, scores.get(case.name), records[case.name]) for case in done]
    summary = summarize(list(scores.values()), validation.compat)
    manifest = _manifest(validation, done, records)
    write_table(validation.results / "cases.csv", CASES_COLUMNS, rows)
    write_table(validation.results / "summary.csv", COLUMNS, [row.cells() for row in summary])
    write_json(validation.results / "run.json", manifest)
    pictures = {name: validation.scored(name) / "overlay.png" for name in scores}
    content = ReportContent(validation.dataset, rows, list(scores.values()), summary, manifest, pictures)
    write_text(validation.results / "report.html", render(content))
    return summary


def _scores(validation: Validation, case: str) -> dict[str, Any]:
    return json.loads((validation.scored(case) / "scores.json").read_text("utf-8"))


def _record(folder: Path) -> StageRecord | None:
    """The record of the work on a case: the network's, or the scoring of masks alone; none where none was made."""
    try:
        return read_record(folder)
    except StageError:
        return None


def _case_row(case: CaseResult, scores: Mapping[str, Any] | None, record: StageRecord | None) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case.name, "problem": case.problem}
    if record is not None:
        row |= {
            "model": record.facts.get("model", ""),
            "seen_in_training": " ".join(record.facts.get("seen_in_training", ())),
            "seconds": record.seconds,
            "peak_memory_mb": record.peak_memory_mb,
            "device": record.facts.get("device", ""),
            "flags": " ".join(record.facts.get("flags", ())),
            "grid": record.facts.get("grid", ""),
            "notes": " ".join(reason["text"] for reason in record.reasons),
        }
    if scores is None:
        return row
    row |= {name: "yes" if scores[name] else "no" for name in ("lesions_labelled", "whole_liver")}
    row |= {name: _rounded(value) for name, value in scores["volumes"].items()}
    for structure in ("liver", "lesion"):
        found = scores[structure] or {}
        row |= {f"{structure}_{name}": _rounded(found.get(name)) for name in FIGURES}
    if scores["detection"]:
        truth = scores["detection"]["truth"]
        row |= {"true_lesions": len(truth), "lesions": len(scores["detection"]["prediction"])}
        for key in ("0", "0.5"):
            row[f"lesions_found_iou{key}"] = sum(lesion["match_iou"][key] > 0 for lesion in truth)
    if scores["load"]:
        load = scores["load"]
        row |= {
            "true_load_percent": _rounded(load["true_percent"]),
            "load_percent": _rounded(load["percent"]),
            "load_percent_low": _rounded(load["low"]),
            "load_percent_high": _rounded(load["high"]),
            "load_error_points": _rounded(load["percent"] - load["true_percent"]),
            "response_if_unchanged": load["response_if_unchanged"],
        }
    return row | {f"{name}_points": _rounded(value) for name, value in (scores["split"] or {}).items()}


def _manifest(
    validation: Validation, done: Sequence[CaseResult], records: Mapping[str, StageRecord | None]
) -> dict[str, Any]:
    """What was run; the software of the cases' own records, since a resumed run may mix versions."""
    known = [record for record in records.values() if record is not None]
    software: dict[str, set[str]] = {}
    for record in known:
        for name, version in record.software.items():
            software.setdefault(name, set()).add(version)
    bundles = validation.bundles
    return {
        "dataset": validation.dataset,
        "compat": validation.compat,
        "variant": validation.variant or None,
        "model": _joined(bundle.name for bundle in bundles),
        "model_sha256": _joined(bundle.sha256 for bundle in bundles),
        "model_version": _joined(dict.fromkeys(str(bundle.metadata.get("version", "")) for bundle in bundles)),
        **{name: validation.config.options_of(name) if bundles else None for name in ("import_ct", "measure")},
        "software": {name: ", ".join(sorted(versions)) for name, versions in sorted(software.items())},
        "devices": sorted({str(record.facts.get("device", "")) for record in known}),
        "cases": len(done),
        "not_measured": [{"case": case.name, "problem": case.problem} for case in done if case.problem],
        "seconds_in_total": round(sum(record.seconds for record in known), 1),
        "peak_memory_mb": max((record.peak_memory_mb for record in known), default=0),
    }


def _joined(parts: Iterable[str]) -> str | None:
    return ", ".join(parts) or None


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 6)
