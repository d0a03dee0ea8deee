"""HTML pages that open from disk and need nothing else: style, figure and pictures stand inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nen_imaging.report.facts import load_facts, pet_facts, response_cells, rounded, software_versions
from nen_imaging.report.sentence import percent
from nen_imaging.report.staging import StagingResult
from nen_imaging.report.table import TableRow

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_LESIONS_SHOWN = 30
MOST_PICTURE_BYTES = 200_000
_PICTURE_WIDTHS = (1600, 1200, 900, 600, 400)
_RESPONSES = (
    "line", "criterion", "response", "value", "baseline", "change_from_baseline_percent", "nadir",
    "change_from_nadir_percent", "new_lesions", "reason",
)  # fmt: skip
_LESIONS = (
    "lesion", "volume_ml", "longest_diameter_mm", "perpendicular_diameter_mm", "sphere_diameter_mm", "mean_hu",
    "measurable", "confluent", "cut_by_border", "probable_cyst",
)  # fmt: skip
_UPTAKE = (
    "lesion", "suv_max", "suv_mean", "suv_peak_local", "suv_mean_corrected", "ssr_tv_ml", "tumour_to_liver_max",
    "tumour_to_spleen_max", "krenning_modified", "status", "status_reason", "threshold_rule", "partial_volume",
)  # fmt: skip
_REGIONS = ("voi", "organ", "volume_ml", *_UPTAKE[1:4], *_UPTAKE[5:11])
_FOCI = (
    "focus", "suv_max", "tumour_to_liver_max", "volume_ml", "mean_hu", "x_mm", "y_mm", "z_mm", "nearest_organ",
    "distance_mm", "may_be",
)  # fmt: skip
_PET_VALUES = ("name", "value", "unit", "tag", "source")
_EVENTS = ("event", "tracks", "lesions", "counted", "text")
_REGISTRATION = (
    "staging", "reference", "method", "liver_dice", "surface_distance_mm", "match_uncertainty_mm", "trusted", "reason",
)  # fmt: skip
_TITLES = {
    "longest_diameter_mm": "longest [mm]", "perpendicular_diameter_mm": "perpendicular [mm]",
    "sphere_diameter_mm": "sphere [mm]", "mean_hu": "mean [HU]", "suv_max": "SUVmax", "suv_mean": "SUVmean",
    "suv_peak_local": "SUVpeak, local", "suv_mean_corrected": "SUVmean, corrected", "voi": "volume",
    "ssr_tv_ml": "SSR-TV [ml]", "tumour_to_liver_max": "tumour/liver (max)",
    "tumour_to_spleen_max": "tumour/spleen (max)", "krenning_modified": "Krenning, modified",
    "change_from_baseline_percent": "from baseline [%]", "change_from_nadir_percent": "from nadir [%]",
    "liver_dice": "liver Dice",
}  # fmt: skip
_UNITS = {"mm": "[mm]", "ml": "[ml]", "hu": "[HU]", "percent": "[%]"}
_NUMBERS_WITHOUT_UNIT = ("lesion", "focus", "suv_mean_corrected", "liver_dice", "krenning_modified")
_NUMBER_ENDINGS = ("_mm", "_ml", "_hu", "_percent", "_max", "_mean", "_local")


@dataclass(frozen=True)
class Column:
    """A column of a table on a page."""

    name: str
    title: str
    is_number: bool


@dataclass(frozen=True)
class ReportContent:
    """All that report.html shows of one patient; ``responses``, ``events``, ``registration`` are rows of their CSV."""

    patient: str
    stagings: Sequence[StagingResult]
    rows: Sequence[TableRow]
    responses: Sequence[Mapping[str, str]]
    events: Sequence[Mapping[str, str]]
    registration: Sequence[Mapping[str, str]]
    criterion: str
    figure: str


def render_staging_page(patient: str, rows: Sequence[TableRow]) -> str:
    """The staging table alone."""
    return _environment().get_template("staging.html").render(patient=patient, rows=rows, style=_style())


def render_report(content: ReportContent) -> str:
    """The whole report of a patient."""
    from markupsafe import Markup

    items = [_staging_item(staging, content) for staging in content.stagings]
    columns = {
        "responses": _columns(_RESPONSES),
        "events": _columns(_EVENTS),
        "lesions": _columns(_LESIONS),
        "uptake": _columns(_UPTAKE),
        "regions": _columns(_REGIONS),
        "foci": _columns(_FOCI),
        "pet_values": _columns(_PET_VALUES),
        "registration": _columns(_REGISTRATION),
    }
    return _environment().get_template("report.html").render(
        patient=content.patient,
        rows=content.rows,
        criterion=content.criterion,
        stagings=items,
        columns=columns,
        registration=[_all_of(row, _REGISTRATION) for row in content.registration],
        software=software_versions(content.stagings),
        figure=Markup(_without_prolog(content.figure)),  # our own figure: matplotlib escapes its texts
        style=_style(),
    )  # fmt: skip


def render_cohort(**content: Any) -> str:  # noqa: ANN401 - what the template asks for
    """The page over all patients."""
    return _environment().get_template("cohort.html").render(style=_style(), **content)


def picture_uri(path: Path) -> str | None:
    """A picture as a JPEG data URI of at most `MOST_PICTURE_BYTES`; None if there is none that can be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(path).convert("RGB")
    except (OSError, UnidentifiedImageError):
        return None
    for width in _PICTURE_WIDTHS:
        smaller = picture.copy()
        smaller.thumbnail((width, width))
        buffer = io.BytesIO()
        smaller.save(buffer, format="JPEG", quality=80, optimize=True)
        encoded = base64.b64encode(buffer.getvalue()).decode()
        if len(encoded) <= MOST_PICTURE_BYTES:
            return f"data:image/jpeg;base64,{encoded}"
    return None


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nen_imaging.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["percent"] = lambda value, like=None: percent(
        float(value), float(value if like is None else like)
    )
    environment.filters["rounded"] = rounded
    return environment


@cache
def _style() -> Any:  # noqa: ANN401 - markup of a file of ours
    from markupsafe import Markup

    return Markup((Path(__file__).parent / "templates" / "style.css").read_text("utf-8"))


def _columns(names: Sequence[str]) -> list[Column]:
    return [Column(name, _title(name), _is_number(name)) for name in names]


def _is_number(column: str) -> bool:
    return column in _NUMBERS_WITHOUT_UNIT or column.endswith(_NUMBER_ENDINGS)


def _title(column: str) -> str:
    words = column.split("_")
    unit = _UNITS.get(words[-1])
    return _TITLES.get(column) or " ".join([*words[:-1], unit] if unit else words)


def _staging_item(staging: StagingResult, content: ReportContent) -> dict[str, Any]:
    picture = staging.folders["segment"] / "qc.png" if "segment" in staging.folders else None
    by_size = sorted(staging.lesions, key=lambda row: -float(row.get("volume_ml") or 0))[:MOST_LESIONS_SHOWN]
    kept = {row["lesion"] for row in by_size}
    return {
        "staging": staging,
        "sentence": next((row.staging for row in content.rows if row.staging_name == staging.name), ""),
        "facts": load_facts(staging),
        "picture": picture_uri(picture) if picture else None,
        "picture_path": f"../stagings/{staging.name}/segment/qc.png" if picture and picture.is_file() else None,
        "responses": [
            _all_of(response_cells(row), _RESPONSES) for row in content.responses if row["staging"] == staging.name
        ],
        "events": [_all_of(row, _EVENTS) for row in content.events if row["staging"] == staging.name],
        "lesions": [_all_of(row, _LESIONS) for row in by_size],
        "uptake": [_all_of(row, _UPTAKE) for row in staging.uptake if not kept or row["lesion"] in kept],
        "regions": [_all_of(row, _REGIONS) for row in staging.regions],
        "foci": [_all_of(row, _FOCI) for row in staging.foci[:MOST_LESIONS_SHOWN]],
        "pet_facts": pet_facts(staging),
        "pet_values": [_all_of(row, _PET_VALUES) for row in (staging.pet or {}).get("values", ())],
    }


def _all_of(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return {column: row.get(column, "") for column in columns}


def _without_prolog(svg: str) -> str:
    return svg[svg.index("<svg") :] if "<svg" in svg else ""
