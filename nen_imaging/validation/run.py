"""Segment and score the cases of a data set, one after the other; what is done already is not done again.

::

    results/
      run.json                      what was run: data set, bundle with checksum, convention, versions
      cases/<case>/                 liver.nii.gz on the image's grid, load.json, stage.json
      scores/<case>/                scores.json, overlay.png, stage.json
      cases.csv  summary.csv  report.html
"""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nen_imaging.config import Config
from nen_imaging.contract import Reason, Refusal
from nen_imaging.measurement.measure import Segmented, measure_liver
from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.stage import (
    Context,
    Outcome,
    Stage,
    StageCall,
    StageError,
    StageRecord,
    digest_of_input,
    exclusive_lock,
    mismatch,
    read_record,
    run_stage,
    write_json,
)
from nen_imaging.validation.cases import Case, LabelledCt, fingerprint, grid_in_words
from nen_imaging.validation.overlay import draw_overlay
from nen_imaging.validation.scores import score_case
from nen_imaging.volume import read_nifti, write_nifti
from nen_imaging.workflow import stage_of

PREDICT_VERSION = 2
SCORE_VERSION = 2
"""Raised by whoever changes what stands in a case's folder, or in its scores: they are then made again. The versions of
the product's own stages count as well."""


@dataclass(frozen=True)
class CaseResult:
    """How a case ended; ``problem`` is empty if it was scored."""

    name: str
    problem: str = ""
    was_done: bool = False


@dataclass(frozen=True)
class Validation:
    """One validation: where its results lie, what segments, and whose figures are asked for.

    With the bundles of a cross-validation each case is segmented by one that has not seen its patient.
    """

    results: Path
    dataset: str
    bundles: tuple[Bundle, ...] = ()
    compat: str | None = None
    variant: str = ""
    config: Config = field(default_factory=Config)
    device: str = "auto"
    threads: int = 1

    @property
    def context(self) -> Context:
        return Context(self.results, self.results, self.device, self.threads)

    def bundle_of(self, case: Case) -> Bundle:
        """The only bundle, or of several the one that held the case's patient out.

        Cases that no bundle names (other hospitals', digital patients) are dealt out among those that have not seen
        them. Raises Refusal ``case.seen`` where every one of several has learnt from the patient.
        """
        if len(self.bundles) == 1:
            return self.bundles[0]
        unseen = [bundle for bundle in self.bundles if not seen_names(bundle) & set(case.known_as)]
        if not unseen:
            raise Refusal("case.seen", "Every one of the bundles has learnt from this patient.")
        held_out = [one for one in unseen if set(one.metadata.get("held_out_patients", ())) & set(case.known_as)]
        chosen = held_out or unseen
        return chosen[zlib.crc32(case.name.encode()) % len(chosen)]

    def predicted(self, case: str) -> Path:
        return self.results / "cases" / case

    def scored(self, case: str) -> Path:
        return self.results / "scores" / case


class _Reading:
    """A case's image and truth, read when first asked for."""

    def __init__(self, case: Case, import_ct: dict[str, Any]) -> None:
        self.case, self.import_ct = case, import_ct

    @cached_property
    def content(self) -> LabelledCt:
        return self.case.read(**self.import_ct)


def run_cases(validation: Validation, cases: list[Case], tell: Callable[[str], None] = print) -> list[CaseResult]:
    """Segment and score what is missing or out of date; a case that fails is told and left, the others go on.

    Raises StageError where another process works on these results.
    """
    results = []
    with exclusive_lock(validation.results / ".validate.lock", wait_s=0):
        for number, case in enumerate(cases, start=1):
            result = _run_case(validation, case)
            results.append(result)
            state = "done before" if result.was_done else "done"
            text = result.problem or f"{state}; {_in_words(validation, case)}"
            tell(f"{number} of {len(cases)}, case {case.name}: {text}")
    return results


def _in_words(validation: Validation, case: Case) -> str:
    """What one wants to see go by of a case: how it lay, what was odd about it, its figures."""
    record = read_record(validation.predicted(case.name))
    scores = json.loads((validation.scored(case.name) / "scores.json").read_text("utf-8"))
    figures = [f"{name} Dice {scores[name]['dice']:.3f}" for name in ("liver", "lesion") if scores[name]]
    notes = [reason["text"] for reason in record.reasons]
    return "; ".join([record.facts["grid"], *figures, *notes])


def _run_case(validation: Validation, case: Case) -> CaseResult:
    reading = _Reading(case, validation.config.options_of("import_ct"))
    with told_problem() as problem:
        bundle = validation.bundle_of(case)
    if problem:
        return CaseResult(case.name, problem[0])
    predicting: dict[str, Any] = {
        "files": fingerprint(case.files),
        "variant": case.variant,
        "model": bundle.name,
        "model_sha256": bundle.sha256,
        **{name: validation.config.options_of(name) for name in ("import_ct", "measure")},
        "versions": {name: stage_of(name).version for name in ("import_ct", "segment", "measure")},
    }
    scoring = {
        "files": fingerprint(case.files),
        "variant": case.variant,
        "compat": validation.compat,
        "lesions_labelled": case.lesions_labelled,
        "whole_liver": case.whole_liver,
    }
    predict = Stage("predict", PREDICT_VERSION, lambda call: _predict(call, reading, bundle))
    score = Stage("score", SCORE_VERSION, lambda call: _score(call, reading, validation.compat))
    done_before = True
    with told_problem() as problem:
        for stage, target, inputs, wanted in (
            (predict, validation.predicted(case.name), (), predicting),
            (score, validation.scored(case.name), (validation.predicted(case.name),), scoring),
        ):
            if not done_before or not is_current(stage, target, wanted, inputs):
                done_before = False
                require_ok(run_alone(stage, target, inputs, wanted, validation.context))
    return CaseResult(case.name, problem[0] if problem else "", done_before)


def _predict(call: StageCall, reading: _Reading, bundle: Bundle) -> Outcome:
    from nen_imaging.segmentation.segment import segment_volume

    ct = reading.content.ct
    found = segment_volume(ct, bundle, device=call.context.device, threads=call.context.threads)
    labels, load = found.labels, None
    if labels.array.any():
        network = Segmented(labels, found.probability, found.member_loads_percent, found.flags)
        measured = measure_liver(ct, network, call.options["measure"])
        labels, load = measured.labels, measured.load
    write_nifti(call.folder / "liver.nii.gz", labels)
    write_json(call.folder / "load.json", load)
    facts = {
        "model": bundle.name,
        "model_sha256": bundle.sha256,
        "device": found.device_used,
        "grid": grid_in_words(reading.content.truth),
        "seen_in_training": sorted(seen_names(bundle) & set(reading.case.known_as)),
        "flags": list(found.flags),
    }
    return Outcome([Reason("truth.note", note) for note in reading.content.notes], facts)


def _score(call: StageCall, reading: _Reading, compat: str | None) -> Outcome:
    case, content = reading.case, reading.content
    prediction = read_nifti(call.inputs[0] / "liver.nii.gz")
    load = json.loads((call.inputs[0] / "load.json").read_text("utf-8"))
    scores = score_case(
        content.truth,
        content.truth.with_array(prediction.array),
        load=load,
        lesions_labelled=case.lesions_labelled and content.lesions_labelled,
        exact=content.exact,
        compat=compat,
    )
    write_json(call.folder / "scores.json", {"case": case.name, "whole_liver": case.whole_liver, **scores})
    draw_overlay(call.folder / "overlay.png", content.ct, content.truth, prediction)
    return Outcome()


def seen_names(bundle: Bundle) -> set[str]:
    """Whom a bundle learnt from, by the names that its model card uses and by their numbers in LiTS."""
    rows = bundle.metadata.get("training_data", ())
    names = {str(name) for name in bundle.metadata.get("seen_patients", ())}
    for row in rows:
        names |= {str(row.get("patient", "")), *(f"LiTS {n}" for n in re.findall(r"lits(\d+)", str(row.get("case"))))}
    return names


def is_current(stage: Stage, folder: Path, options: dict[str, Any], inputs: tuple[Path, ...] = ()) -> bool:
    """Whether a folder holds what is wanted, made of the stage folders ``inputs`` as they are now.

    What was refused is tried again, since a file may have come since.
    """
    try:
        record = read_record(folder)
    except StageError:
        return False
    same = (record.version, record.options) == (stage.version, json.loads(json.dumps(options)))
    same = same and all(digest_of_input(path) in record.read.values() for path in inputs)
    return same and not record.refused and mismatch(folder, record, hashes=False) is None


def run_alone(
    stage: Stage, target: Path, inputs: tuple[Path, ...], options: dict[str, Any], context: Context
) -> StageRecord:
    """Run a stage with the process's memory peak set back, where the system allows it: a record tells its own."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return run_stage(stage, target, inputs, options, context)


def require_ok(record: StageRecord) -> None:
    """Raise the refusal that a stage ended with."""
    if record.refused:
        reason = record.reasons[0]
        raise Refusal(reason["code"], reason["text"])


@contextlib.contextmanager
def told_problem() -> Iterator[list[str]]:
    """Catch what goes wrong with one case, so that the others go on; a bug shows its kind as well."""
    problem: list[str] = []
    try:
        yield problem
    except Refusal as refusal:
        problem.append(f"{refusal.reason.text} ({refusal.reason.code})")
    except MemoryError:
        problem.append("not enough memory")
    except Exception as error:  # a decoder raises whatever it likes
        problem.append(f"{type(error).__name__}: {error}")
