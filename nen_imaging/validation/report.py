"""`report.html` of a validation: one page that opens from disk and needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from nen_imaging.report.pages import picture_uri
from nen_imaging.validation.datasets import DATASETS
from nen_imaging.validation.figures import bland_altman, dice_by_size, found_by_size, load_against_load
from nen_imaging.validation.published import PUBLISHED
from nen_imaging.validation.summary import HEADLINES, OWN, SummaryRow, headlines

WORST = 5
_COLUMNS = (
    "case", "liver_dice", "liver_assd_mm", "liver_hd95_mm", "lesion_dice",
    "true_lesions", "lesions", "lesions_found_iou0.5", "true_load_percent", "load_percent", "load_percent_low",
    "load_percent_high", "response_if_unchanged", "seconds", "peak_memory_mb", "flags", "seen_in_training",
)  # fmt: skip


@dataclass(frozen=True)
class ReportContent:
    """What the page shows: rows of `cases.csv`, scores of the measured cases, summary, manifest, pictures."""

    dataset: str
    rows: Sequence[Mapping[str, Any]]
    scores: Sequence[Mapping[str, Any]]
    summary: Sequence[SummaryRow]
    manifest: Mapping[str, Any]
    pictures: Mapping[str, Path]


def render(content: ReportContent) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("nen_imaging.validation")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    agreement = {row.figure: row.estimate.value for row in content.summary if row.structure == "load"}
    drawn = {
        "Bland-Altman: error of the load, with bias and limits of agreement": bland_altman(content.scores, agreement),
        "Load against load; red: the interval misses the truth": load_against_load(content.scores),
        "Dice of every true lesion by size; 0: missed": dice_by_size(content.scores),
        "Lesions found, by longest diameter": found_by_size(content.scores),
    }
    cells = [_shown(row) for row in content.summary]
    return environment.get_template("validation.html").render(
        title=DATASETS[content.dataset].title if content.dataset in DATASETS else "label maps of any origin",
        manifest=content.manifest,
        measured=len(content.scores),
        seen=[row["case"] for row in content.rows if row.get("seen_in_training")],
        headlines=[_shown(row) for row in headlines(content.summary)],
        own=[row for row in cells if row["convention"] == OWN],
        official=[row for row in cells if row["convention"] != OWN],
        figures=[(caption, Markup(svg)) for caption, svg in drawn.items() if svg],  # our own SVG: its texts are ours
        published=_published(content.summary),
        worst=_worst(content),
        columns=_COLUMNS,
        rows=[
            {name: f"{cell:.3f}" if isinstance(cell, float) else cell for name, cell in row.items()}
            for row in content.rows
        ],
        run=[(name, _text(value)) for name, value in content.manifest.items() if name != "not_measured"],
        style=Markup(resources.files("nen_imaging.report").joinpath("templates/style.css").read_text("utf-8")),
    )


def _published(summary: Sequence[SummaryRow]) -> list[dict[str, str]]:
    here = {(row.structure, row.figure): row.estimate.value for row in summary if row.convention == OWN}
    return [
        {
            "structure": other.structure,
            "figure": other.figure,
            "here": f"{here[other.structure, other.figure]:.3f}",
            "value": f"{other.value:.3f}",
            "what": other.what,
            "source": other.source,
        }
        for other in PUBLISHED
        if (other.structure, other.figure) in here
    ]


def _worst(content: ReportContent) -> list[dict[str, str | None]]:
    """Cases whose lesions, or without any whose livers, agree least; those with lesions first."""

    def rank(case: Mapping[str, Any]) -> tuple[bool, float]:
        has_lesions = bool(case["lesion"] and case["lesion"]["voxels_true"])
        return not has_lesions, case["lesion"]["dice"] if has_lesions else case["liver"]["dice"]

    return [
        {"name": case["case"], "text": _dice_text(case), "picture": picture_uri(content.pictures[case["case"]])}
        for case in sorted(content.scores, key=rank)[:WORST]
    ]


def _dice_text(case: Mapping[str, Any]) -> str:
    text = f"liver Dice {case['liver']['dice']:.3f}"
    if case["lesion"]:
        text += f", lesion Dice {case['lesion']['dice']:.3f}"
    if case["load"]:
        text += f", load {case['load']['percent']:.1f} % (true {case['load']['true_percent']:.1f} %)"
    return text


def _shown(row: SummaryRow) -> dict[str, Any]:
    cells = row.cells()
    numbers = {name: f"{float(cells[name]):.3f}" for name in ("value", "low", "high") if cells[name]}
    return cells | numbers | {"meaning": HEADLINES.get((row.structure, row.figure), "")}


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
