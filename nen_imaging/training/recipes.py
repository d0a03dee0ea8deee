"""The recipe of a training run: typed, read from YAML, wrong keys refused."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.preprocess import InputScaling
from nen_imaging.stage import StageError
from nen_imaging.validation import DATASET_TITLES

PLAIN_CONTRAST_HU = -35.0


class RecipeError(StageError):
    """A recipe cannot be read, or a key of it is wrong."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecipe(_Part):
    """Labelled CT: a folder of cases as training reads them, or a public data set as its publisher lays it out.

    The former holds `<folder>/<case>/<form>/{image,label or organs}.nii.gz`. Labels are 0, 1 liver, 2 lesion; in
    `organs` 1 is the liver and all else background. With ``dataset`` the folder is the one that `nen-imaging validate`
    takes as its root; cases are prepared first (see `prepare`) and are called `<name>_<case>`.
    """

    folder: str
    dataset: str | None = Field(None, description="lits, msd, ircadb, chaos, totalsegmentator, tcia or csv")
    name: str = Field("", description="of a data set's cases, to tell two sources of one kind apart; default: dataset")
    forms: dict[Literal["liver", "lesion"], list[str]] = Field(
        {}, description="for each network the forms it learns from; the first that a case has is used"
    )
    lesions_known: bool = Field(True, description="false: lesions are not (all) labelled, so `no lesion` weighs less")
    lesions_unknown_in: list[str] = Field([], description="cases of this source whose lesions are not all labelled")
    leave_out: dict[Literal["liver", "lesion"], list[str]] = {}
    weight: float = Field(1.0, gt=0, description="how often a case is drawn, relative to other sources")
    licence: str = Field("", description="for the model card, where neither the cases nor the data set tell")
    prepared: tuple[Path, ...] | None = Field(
        None, exclude=True, description="not for the file: where a data set's cases lie, once they are prepared"
    )

    @property
    def label(self) -> str:
        """What a data set's cases are called before their own name."""
        return self.name or self.dataset or ""

    @field_validator("dataset")
    @classmethod
    def _is_a_data_set(cls, name: str | None) -> str | None:
        known = [one for one in DATASET_TITLES if not one.startswith("phantom")]  # these are `digital`
        if name is not None and name not in known:
            raise ValueError(f"{name!r} is none of {', '.join(known)}")
        return name

    @model_validator(mode="after")
    def _has_forms_or_needs_none(self) -> Self:
        if bool(self.forms) == bool(self.dataset):
            raise ValueError("a source has either `forms`, or a `dataset` whose cases are prepared for each network")
        return self


class DigitalRecipe(_Part):
    """Digital patients beside the real ones."""

    patients: int = Field(0, ge=0)
    first_seed: int = Field(1000, description="patient n has this seed + n; the tests' patients have seeds below 1000")
    weight: float = Field(0.5, gt=0, description="how often one is drawn, relative to a real case")
    without_liver: int = Field(0, ge=0, description="thighs and heads beside them, for the liver network")


class LesionRecipe(_Part):
    """Synthetic lesions: how many, how large, how they look (HU relative to the parenchyma)."""

    share: float = Field(0.65, ge=0, le=1, description="share of the samples that get synthetic lesions")
    transplanted_share: float = Field(0.0, ge=0, le=1, description="share that gets real lesions of another patient")
    mass_share: float = Field(0.0, ge=0, le=1, description="share that gets masses beside the liver, which are none")
    diameter_mm: tuple[float, float] = (3.0, 120.0)
    maximum_count: int = Field(80, ge=1)
    high_load_share: float = Field(0.45, ge=0, le=1, description="share of synthetic livers with a high load")
    low_load_percent: tuple[float, float] = (0.1, 12.0)
    high_load_percent: tuple[float, float] = (12.0, 75.0)
    hyperdense_share: float = Field(0.15, ge=0, le=1)
    bright_below_percent: float = Field(
        25.0,
        description="bright lesions up to this load only: beyond, a bright tumour beside dark parenchyma looks like "
        "parenchyma beside a dark tumour, which is far more frequent",
    )
    hypodense_hu: tuple[float, float] = (-80.0, -12.0)
    hyperdense_hu: tuple[float, float] = (15.0, 80.0)
    subcapsular_share: float = 0.35
    lobulated_share: float = 0.3
    necrosis_share: float = 0.25
    rim_share: float = 0.35
    calcified_share: float = 0.04
    phase_share: float = Field(0.6, ge=0, le=1, description="share of the samples in another contrast phase")
    fatty_share: float = Field(0.0, ge=0, le=1, description="share of these that are a fatty liver")
    wash_in_share: float = Field(
        0.15, ge=0, le=1, description="share of these whose lesions, real ones too, are bright"
    )

    def at(self, hardness: float) -> LesionRecipe:
        """The recipe early in a training (0: dark lesions of plain contrast only) up to itself (1).

        A network that meets bright and nearly isodense lesions from the first step on learns none for thousands.
        """
        dark, faint = self.hypodense_hu
        plain = min(faint, PLAIN_CONTRAST_HU)
        return self.model_copy(
            update={
                "hypodense_hu": (dark, plain + hardness * (faint - plain)),
                "hyperdense_share": hardness * self.hyperdense_share,
                "phase_share": hardness * self.phase_share,
            }
        )


class NetworkRecipe(_Part):
    """One of the two networks and how it is trained."""

    spacing_mm: float = Field(gt=0)
    patch: tuple[int, int, int] = Field(description="voxels; multiples of the network's total stride")
    network: dict[str, Any] = Field(description="MONAI network: `_target_` and its arguments")
    steps: int = Field(ge=1)
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    warm_up_steps: int = 50
    clip_norm: float = 5.0
    dice_weight: float = Field(
        1.0,
        ge=0,
        description="of soft Dice beside the cross-entropy at the first step; Dice finds lesions early on, and draws "
        "uncertain edges too far out, so it fades",
    )
    last_dice_weight: float | None = Field(None, ge=0, description="of it at the last step (null: as at the first)")
    ema: float = Field(0.995, ge=0, lt=1, description="decay of the moving average of the weights that is exported")
    patches_per_variant: int = Field(4, ge=1, description="patches drawn from one synthetic variant of a case")
    easy_steps: int = Field(0, ge=0, description="steps over which lesions go from plain to as hard as `lesions` says")
    checkpoint_every: int = 250

    def hardness(self, step: int) -> float:
        """How hard lesions are at a step, see `LesionRecipe.at`."""
        return min(1.0, step / self.easy_steps) if self.easy_steps else 1.0

    def dice_weight_at(self, step: int) -> float:
        """The weight of soft Dice at a step: it goes from the first to the last in a straight line."""
        last = self.dice_weight if self.last_dice_weight is None else self.last_dice_weight
        return self.dice_weight + (last - self.dice_weight) * step / self.steps


class Recipe(_Part):
    """A bundle's whole training."""

    name: str
    seed: int = 0
    sources: list[SourceRecipe]
    digital: DigitalRecipe = DigitalRecipe()
    held_out: list[str] = Field([], description="patients that no network sees")
    folds: list[list[str]] = Field(
        [],
        description="patients that the runs of a cross-validation hold out; or the number of folds, into which the "
        "patients of the data are dealt (see `dealt`)",
    )
    fold_count: int = Field(0, ge=0, description="not for the file: that number")
    learnt_before: tuple[dict[str, str], ...] = Field(
        (), exclude=True, description="not for the file: what the bundle whose weights it begins from has learnt from"
    )
    scaling: InputScaling = InputScaling()
    lesions: LesionRecipe = LesionRecipe()
    liver: NetworkRecipe
    lesion: NetworkRecipe

    @model_validator(mode="before")
    @classmethod
    def _folds_may_be_a_number(cls, content: Any) -> Any:  # noqa: ANN401 - whatever the YAML holds
        if isinstance(content, dict) and isinstance(content.get("folds"), int):
            return {**content, "folds": [], "fold_count": content["folds"]}
        return content

    @model_validator(mode="after")
    def _data_sets_can_be_told_apart(self) -> Self:
        labels = Counter(source.label for source in self.sources if source.dataset)
        if double := [label for label, count in labels.items() if count > 1]:
            raise ValueError(f"several sources are called {double[0]}: give each a `name`")
        return self

    def beginning_from(self, bundle: Bundle) -> Recipe:
        """The recipe of a run that begins from a bundle's weights: what that has learnt from has been seen."""
        return self.model_copy(update={"learnt_before": tuple(bundle.metadata.get("training_data", ()))})

    def dealt(self, patients: Iterable[str]) -> Recipe:
        """With `folds` as a number: the patients dealt into that many folds, by a hash of each one's name.

        So a patient stays in the same fold whoever else is there: a scan that comes later, or cannot be read one day,
        moves none of the others into a run that has not held them out.

        Raises RecipeError if a fold has no patient.
        """
        if not self.fold_count:
            return self
        folds: list[list[str]] = [[] for _ in range(self.fold_count)]
        for patient in sorted(set(patients) - set(self.held_out)):
            folds[int(hashlib.sha256(patient.encode()).hexdigest(), 16) % self.fold_count].append(patient)
        if not all(folds):
            empty = folds.index([]) + 1
            raise RecipeError(f"No patient fell into fold {empty} of {self.fold_count}: ask for fewer, or list them.")
        return self.model_copy(update={"folds": folds})

    def for_fold(self, number: int) -> Recipe:
        """The recipe of one run of the cross-validation, counted from 1; RecipeError if there is no such fold."""
        if not 1 <= number <= len(self.folds):
            raise RecipeError(f"Recipe {self.name} has {len(self.folds)} folds; there is no fold {number}.")
        held_out = [*self.held_out, *self.folds[number - 1]]
        return self.model_copy(update={"name": f"{self.name}_fold{number}", "held_out": held_out})


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; RecipeError names the file, the key and what is wrong with it.

    A recipe that `extends` another file beside it holds only what differs.
    """
    try:
        return Recipe.model_validate(_content(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"Recipe {path} cannot be read: {error}") from error
    except RecursionError:
        raise RecipeError(f"Recipe {path} extends itself.") from None
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise RecipeError(f"Recipe {path}: " + "; ".join(lines)) from None


def _content(path: Path) -> Any:  # noqa: ANN401 - whatever the YAML holds
    content = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(content, dict) or "extends" not in content:
        return content
    return _merged(_content(path.parent / str(content.pop("extends"))), content)


def _merged(base: Any, changes: Any) -> Any:  # noqa: ANN401 - whatever the YAML holds
    if not (isinstance(base, dict) and isinstance(changes, dict)) or "_target_" in changes:
        return changes  # arguments of one class are none of another's
    return base | {key: _merged(base.get(key), value) for key, value in changes.items()}
