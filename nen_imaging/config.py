"""The config: every key with its default, unit and meaning; a wrong key or value is refused with its name.

`config/default.yaml` shows all keys, `config/schema.yaml` is written from these classes. A stage never reads
the config: the part that reaches it is handed over as JSON (`Config.options_of`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ConfigError(ValueError):
    """A key or value of the config is wrong; the message names it and says what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StagingConfig(_Section):
    """Which images make one staging."""

    window_days: int = Field(
        30, ge=0, le=90, description="days around the CT's date whose images belong to the staging"
    )


class SelectionConfig(_Section):
    """Which of several CT series of a staging is measured."""

    preferred_phase: Literal["portal venous", "arterial", "native", "delayed"] = Field(
        "portal venous", description="contrast phase that is preferred, as far as headers tell"
    )
    preferred_thickness_mm: float = Field(3.0, gt=0, le=10, description="slice spacing that is preferred")


class ImportCtConfig(_Section):
    """CT series to Hounsfield units."""

    spacing_tolerance_mm: float = Field(0.1, gt=0, le=2, description="largest deviation of a slice from even spacing")
    resample_uneven: bool = Field(
        False, description="resample a series of uneven spacing (gaps below 2 slices) instead of refusing it"
    )


class ImportPetConfig(_Section):
    """PET series to SUVbw."""

    spacing_tolerance_mm: float = Field(0.1, gt=0, le=2, description="largest deviation of a slice from even spacing")


class SegmentConfig(_Section):
    """The network."""

    model: str | None = Field(None, description="bundle of models/registry.yaml; empty: its default")


class MeasureConfig(_Section):
    """Loads and lesions."""

    minimum_diameter_mm: float = Field(4.0, ge=0, description="a component below this longest diameter is not a lesion")
    minimum_voxels: int = Field(3, ge=1, description="a component below this number of voxels is not a lesion")
    cyst_below_hu: float = Field(20.0, description="a lesion of lower mean HU is flagged probable_cyst")
    exclude_probable_cysts: bool = Field(False, description="leave probable cysts out of the load")
    plausible_liver_ml: tuple[float, float] = Field((600.0, 6000.0), description="liver volumes outside are flagged")


class UptakeConfig(_Section):
    """SSR uptake per lesion."""

    threshold_rule: Literal["relative", "liver", "fixed"] = Field(
        "relative", description="rule of the SSR tumour volume"
    )
    relative_percent: float = Field(45.0, gt=0, lt=100, description="rule relative: share of the lesion's SUVmax")
    fixed_suv: float = Field(10.0, gt=0, description="rule fixed: SUVbw")
    iso_percent: float = Field(
        20.0, ge=0, lt=100, description="modified Krenning 2: within this of the liver's SUVmean"
    )
    pet_fwhm_mm: float = Field(6.0, gt=0, description="resolution of the PET, full width at half maximum")
    minimum_reference_ml: float = Field(50.0, gt=0, description="healthy liver that must remain as a reference")


class FollowConfig(_Section):
    """Lesions over time."""

    new_minimum_diameter_mm: float = Field(10.0, gt=0, description="smaller new lesions are shown, not counted")
    trusted_liver_dice: float = Field(
        0.85, ge=0, le=1, description="alignment below this overlap of livers is not trusted"
    )
    trusted_surface_distance_mm: float = Field(
        8.0, gt=0, description="alignment with liver surfaces farther apart than this, on average, is not trusted"
    )
    match_overlap: float = Field(
        0.5, gt=0, le=1, description="share of a lesion inside another that makes it a part of it"
    )
    edge_overlap: float = Field(
        0.25, gt=0, le=1, description="share of the smaller lesion inside the other from which two may be one"
    )
    edge_distance: float = Field(
        0.5, ge=0, le=2, description="or centroids closer than this times their mean diameter, beyond the uncertainty"
    )


class ReportConfig(_Section):
    """Responses and the table."""

    criterion: Literal["load", "hepatic RECIST", "volumetric"] = Field(
        "load", description="criterion of the table's response"
    )
    load_progression_percent: float = Field(20.0, gt=0, description="relative to the nadir")
    load_progression_points: float = Field(5.0, ge=0, description="and at least this many points of load")
    load_response_percent: float = Field(30.0, gt=0, lt=100, description="decrease relative to the baseline")
    recist_progression_percent: float = Field(20.0, gt=0, description="sum of diameters, relative to the nadir")
    recist_progression_mm: float = Field(5.0, ge=0, description="and at least this increase")
    recist_response_percent: float = Field(30.0, gt=0, lt=100, description="decrease relative to the baseline")
    volumetric_progression_percent: float = Field(73.0, gt=0, description="lesion volume, relative to the nadir")
    volumetric_response_percent: float = Field(
        65.0, gt=0, lt=100, description="lesion volume, relative to the baseline"
    )
    maximum_targets: int = Field(5, ge=1, le=10, description="target lesions of hepatic RECIST")
    baseline_before_days: int = Field(90, ge=0, description="a line's baseline lies at most this long before its start")
    baseline_after_days: int = Field(30, ge=0, description="or else at most this long after it")
    date_format: Literal["day", "month"] = Field("day", description="how dates of imaging are shown")


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


def load_config(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a config file (None: all defaults), then lay overrides of single keys over it.

    Raises ConfigError, naming the key, what it holds and what is allowed.
    """
    content = read_yaml(path) if path else {}
    for section, values in (overrides or {}).items():
        content[section] = {**(content.get(section) or {}), **values} if isinstance(values, Mapping) else values
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        source = str(path) if path else "the command line"
        raise ConfigError("\n".join(_explain(item, source) for item in error.errors())) from None


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
            lines.append(f"  {key}: {value}  # {field.description}")
    return "\n".join(lines) + "\n"


def schema_yaml() -> str:
    """The JSON schema of the config, as YAML: the text of `config/schema.yaml`."""
    return yaml.safe_dump(Config.model_json_schema(), sort_keys=False, width=120)


def write_files(folder: Path) -> None:
    """Write `default.yaml` and `schema.yaml` into the config folder (`make config`)."""
    (folder / "default.yaml").write_text(commented_yaml(), "utf-8")
    (folder / "schema.yaml").write_text(schema_yaml(), "utf-8")
