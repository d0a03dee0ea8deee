"""The config: every key with its default, unit and meaning; a wrong key or value is refused with its name.

`config/default.yaml` shows all keys, `config/schema.yaml` is written from these classes. A stage never reads
the config: the part that reaches it is handed over as JSON (`Config.options_of`).
"""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo


class ConfigError(ValueError):
    """A key or value of the config is wrong; the message names it and says what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StagingConfig(_Section):
    """Which images make one staging."""

    window_days: int = Field(
        30, ge=0, le=90, description="images up to this many days before or after a CT belong to the CT's staging"
    )
    date_shift_days: int = Field(
        0,
        ge=0,
        le=36500,
        description="0: dates are shown as they are; else every patient's dates are moved back by another number of "
        "days up to this, which the key alone tells; intervals stay; a results folder keeps the value it began with",
    )


class SelectionConfig(_Section):
    """Which of several CT series of a staging is measured; index/series.csv shows the points of each."""

    preferred_phase: Literal["portal venous", "arterial", "native", "delayed"] = Field(
        "portal venous", description="contrast phase that is preferred, as far as the headers name it"
    )
    preferred_thickness_mm: float = Field(3.0, gt=0, le=10, description="distance between slices that is preferred, mm")


class ImportCtConfig(_Section):
    """From a CT series to Hounsfield units."""

    spacing_tolerance_mm: float = Field(
        0.1, gt=0, le=2, description="slices may lie this far off an even spacing, mm; beyond it the series is uneven"
    )
    resample_uneven: bool = Field(
        False,
        description="interpolate an uneven series, or one that lacks single slices, to even slices instead of refusing "
        "it; larger gaps are refused",
    )


class ImportPetConfig(_Section):
    """From a PET series to SUVbw."""

    spacing_tolerance_mm: float = Field(
        0.1, gt=0, le=2, description="slices may lie this far off an even spacing, mm; beyond it the series is refused"
    )


class SegmentConfig(_Section):
    """The network that finds liver and lesions."""

    model: str | None = Field(
        None, description="name of a bundle in models/registry.yaml; null: the one that is marked as default there"
    )


class MeasureConfig(_Section):
    """What counts as a lesion, and what goes into the load."""

    minimum_diameter_mm: float = Field(
        4.0, ge=0, description="a spot with a smaller longest diameter (in 3-D, mm) is no lesion and counts as liver"
    )
    minimum_voxels: int = Field(3, ge=1, description="a spot of fewer voxels is no lesion and counts as liver")
    cyst_below_hu: float = Field(
        20.0, description="an even lesion with a mean below this (HU) is called a probable cyst in lesions.csv"
    )
    exclude_probable_cysts: bool = Field(
        False, description="leave probable cysts out of the load; load.json tells the load without them in any case"
    )
    plausible_liver_ml: tuple[float, float] = Field(
        (600.0, 6000.0), description="a liver smaller or larger than this (ml) is flagged: look at qc.png"
    )


class UptakeConfig(_Section):
    """Uptake of the SSR tracer per lesion, on the PET."""

    threshold_rule: Literal["relative", "liver", "fixed"] = Field(
        "relative",
        description="what belongs to the SSR tumour volume of a lesion: uptake from a share of its SUVmax (relative), "
        "from the liver's SUVmean + 2 SD (liver), from an SUV (fixed)",
    )
    relative_percent: float = Field(
        45.0, gt=0, lt=100, description="with rule relative: percent of the lesion's SUVmax"
    )
    fixed_suv: float = Field(10.0, gt=0, description="with rule fixed: SUVbw")
    iso_percent: float = Field(
        20.0,
        ge=0,
        lt=100,
        description="uptake within this many percent of the liver's counts as equal to it (modified Krenning 2)",
    )
    pet_fwhm_mm: float = Field(
        6.0,
        gt=0,
        description="resolution of the PET (full width at half maximum of a point source as it is reconstructed, mm): "
        "lesions below twice this are marked partial_volume, healthy liver is measured this far from its edge",
    )
    minimum_reference_ml: float = Field(
        50.0,
        gt=0,
        description="healthy liver (ml) that must remain away from lesions, else no lesion is compared with it",
    )
    alignment_limit_mm: float = Field(
        8.0,
        gt=0,
        description="a PET of another frame of reference than the CT's is brought onto the CT; where its place remains "
        "less certain than this (mm) no SUV of a lesion is given",
    )


class FollowConfig(_Section):
    """Which lesion is which over time."""

    new_minimum_diameter_mm: float = Field(
        10.0, gt=0, description="a new lesion with a smaller longest diameter (mm) is shown, but makes no progression"
    )
    trusted_liver_dice: float = Field(
        0.85,
        ge=0,
        le=1,
        description="aligned livers that overlap less (Dice) are not trusted: nothing new is counted there",
    )
    trusted_surface_distance_mm: float = Field(
        8.0, gt=0, description="aligned livers whose surfaces lie farther apart on average (mm) are not trusted either"
    )
    match_overlap: float = Field(
        0.5,
        gt=0,
        le=1,
        description="a lesion with this share of its volume inside another is a part of it (merged, split)",
    )
    edge_overlap: float = Field(
        0.25,
        gt=0,
        le=1,
        description="two lesions may be the same one if this share of the smaller lies inside the other",
    )
    edge_distance: float = Field(
        0.5,
        ge=0,
        le=2,
        description="or if their centres lie closer than this times the smaller one's diameter (less the "
        "alignment's error)",
    )


class ReportConfig(_Section):
    """Responses, and the table that shows them. PD progression, PR partial response."""

    criterion: Literal["load", "hepatic RECIST", "volumetric"] = Field(
        "load", description="criterion whose response the tables show; response.csv holds all"
    )
    load_progression_percent: float = Field(
        20.0, gt=0, description="load: PD needs this rise above the nadir, percent of the nadir"
    )
    load_progression_points: float = Field(5.0, ge=0, description="load: PD needs this rise as well, percentage points")
    load_response_percent: float = Field(
        30.0, gt=0, lt=100, description="load: PR needs this fall below the baseline, percent of the baseline"
    )
    recist_progression_percent: float = Field(
        20.0, gt=0, description="hepatic RECIST: PD needs this rise of the sum of diameters above the nadir, percent"
    )
    recist_progression_mm: float = Field(5.0, ge=0, description="hepatic RECIST: PD needs this rise as well, mm")
    recist_response_percent: float = Field(
        30.0, gt=0, lt=100, description="hepatic RECIST: PR needs this fall of the sum below the baseline, percent"
    )
    volumetric_progression_percent: float = Field(
        73.0, gt=0, description="volumetric: PD needs this rise of the lesions' volume above the nadir, percent"
    )
    volumetric_response_percent: float = Field(
        65.0,
        gt=0,
        lt=100,
        description="volumetric: PR needs this fall of the lesions' volume below the baseline, percent",
    )
    maximum_targets: int = Field(5, ge=1, le=10, description="hepatic RECIST: target lesions at most")
    baseline_before_days: int = Field(
        90, ge=0, description="baseline of a therapy line: the last staging before its start, at most this many days"
    )
    baseline_after_days: int = Field(
        30, ge=0, description="where there is none: the first staging after its start, at most this many days"
    )
    date_format: Literal["day", "month"] = Field(
        "day", description="dates in the tables: as given (day) or as MM/YYYY (month)"
    )


class Config(_Section):
    """The whole config."""

    staging: StagingConfig = StagingConfig()
    selection: SelectionConfig = SelectionConfig()
    import_ct: ImportCtConfig = ImportCtConfig()
    import_pet: ImportPetConfig = ImportPetConfig()
    segment: SegmentConfig = SegmentConfig()
    measure: MeasureConfig = MeasureConfig()
    uptake: UptakeConfig = UptakeConfig()
    follow: FollowConfig = FollowConfig()
    report: ReportConfig = ReportConfig()

    def options_of(self, section: str) -> dict[str, Any]:
        """The options of one stage, as plain JSON values."""
        return getattr(self, section).model_dump(mode="json")


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a config file; ConfigError if it cannot be read or holds anything else."""
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"Config {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"Config {path} must hold keys and values, found {type(content).__name__}.")
    return content


def laid_over(content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a config with overrides of single keys; a section without keys counts as an empty one.

    What is no section although keys are laid over it stays, for the check that names it.
    """
    together: dict[str, Any] = {name: {} if value is None else value for name, value in content.items()}
    for name, values in overrides.items():
        before = together.get(name, {})
        if not isinstance(values, Mapping):
            together[name] = {} if values is None else values
        elif isinstance(before, Mapping):
            together[name] = {**before, **values}
    return together


def load_config(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None, *, source: Path | None = None
) -> Config:
    """Read a config file (None: all defaults), then lay overrides of single keys over it.

    ``source`` is the file that the overrides were read from already; without any they may come from Snakemake's
    ``--configfile`` or ``--config``, which it merges. Raises ConfigError, naming the key, where it comes from, what it
    holds and what is allowed.
    """
    content = laid_over(read_yaml(path) if path else {}, overrides or {})
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        place = str(path or source or "a config file or the command line")
        raise ConfigError("\n".join(_explain(item, place) for item in error.errors())) from None


def _explain(item: Any, source: str) -> str:  # noqa: ANN401 - pydantic's error details
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"Config key {key} (from {source}) is {item['input']!r}: {item['msg']}."
    section: type[BaseModel] = Config
    for part in item["loc"][:-1]:
        section = type(getattr(section(), str(part)))
    close = difflib.get_close_matches(str(item["loc"][-1]), section.model_fields, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(section.model_fields)}."
    return f"Config key {key} (from {source}) is unknown; {hint}"


def commented_yaml() -> str:
    """All keys with their defaults, each with its meaning: the text of `config/default.yaml`."""
    lines = ["# Every key with its default. Give only those that differ, in a file of your own: --config FILE."]
    for name, section in Config.model_fields.items():
        kind = type(section.default)
        lines += ["", f"# {(kind.__doc__ or '').strip()}", f"{name}:"]
        for key, field in kind.model_fields.items():
            value = json.dumps(section.default.model_dump(mode="json")[key])
            lines += [f"  # {line}" for line in textwrap.wrap(_meaning(field), width=110)] + [f"  {key}: {value}"]
    return "\n".join(lines) + "\n"


def _meaning(field: FieldInfo) -> str:
    """What a key means, with the words it takes where these are listed."""
    words = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return f"{field.description}" + (f"; one of: {', '.join(words)}" if words else "")


def schema_yaml() -> str:
    """The JSON schema of the config, as YAML: the text of `config/schema.yaml`."""
    return yaml.safe_dump(Config.model_json_schema(), sort_keys=False, width=120)


def write_files(folder: Path) -> None:
    """Write `default.yaml` and `schema.yaml` into the config folder (`make config`)."""
    (folder / "default.yaml").write_text(commented_yaml(), "utf-8")
    (folder / "schema.yaml").write_text(schema_yaml(), "utf-8")
