"""Score label maps of any origin: no network, no data set, the same figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from nen_imaging.contract import Reason
from nen_imaging.stage import Outcome, Stage, StageCall, StageError, exclusive_lock, write_json
from nen_imaging.validation.cases import checked_codes, fingerprint, grid_in_words, on_grid_of
from nen_imaging.validation.overlay import draw_overlay
from nen_imaging.validation.readers import read_labels
from nen_imaging.validation.run import (
    SCORE_VERSION,
    CaseResult,
    Validation,
    is_current,
    require_ok,
    run_alone,
    told_problem,
)
from nen_imaging.validation.scores import score_case


def score_pairs(
    validation: Validation, truth: Path, prediction: Path, tell: Callable[[str], None] = print
) -> list[CaseResult]:
    """Score label maps of any origin: NIfTI files in two folders, paired by name, or by the last number in it.

    The prediction's folder may also be `cases/` of a validation. Raises StageError where the truth has no file.
    """
    truths = _label_maps(truth)
    if not truths:
        raise StageError(f"There is no NIfTI file in {truth}.")
    predictions = _label_maps(prediction)
    true_numbers, numbers = (Counter(map(_last_number, names)) for names in (truths, predictions))
    by_number = {_last_number(name): path for name, path in predictions.items()}
    results = []
    with exclusive_lock(validation.results / ".validate.lock", wait_s=0):
        for name, path in truths.items():
            number = _last_number(name)
            if name not in predictions and number not in numbers:
                result = CaseResult(name, "there is no prediction for it")
            elif name not in predictions and true_numbers[number] + numbers[number] > 2:
                result = CaseResult(name, f"no prediction has its name, and several files have the number {number}")
            else:
                result = _score_pair(validation, name, path, predictions.get(name) or by_number[number])
            results.append(result)
            state = "done before" if result.was_done else "done"
            tell(f"{len(results)} of {len(truths)}, {name}: {result.problem or state}")
    return results


def _score_pair(validation: Validation, name: str, truth: Path, prediction: Path) -> CaseResult:
    def work(call: StageCall) -> Outcome:
        true, found = (checked_codes(read_labels(path)) for path in call.inputs)
        labels, notes = on_grid_of(true, found)
        scores = score_case(true, labels, compat=validation.compat)
        write_json(call.folder / "scores.json", {"case": name, "whole_liver": True, **scores})
        draw_overlay(call.folder / "overlay.png", None, true, labels)
        return Outcome([Reason("truth.note", note) for note in notes], {"grid": grid_in_words(true)})

    stage, target = Stage("score", SCORE_VERSION, work), validation.scored(name)
    options = {"compat": validation.compat, "files": fingerprint((truth, prediction))}
    if is_current(stage, target, options):
        return CaseResult(name, was_done=True)
    with told_problem() as problem:
        require_ok(run_alone(stage, target, (truth, prediction), options, validation.context))
    return CaseResult(name, problem[0] if problem else "")


def _label_maps(folder: Path) -> dict[str, Path]:
    """NIfTI files of a folder by name without ending; in `cases/` of a validation by the case's name."""
    if not folder.is_dir():
        raise StageError(f"There is no folder {folder}.")
    files = sorted([*folder.glob("*.nii"), *folder.glob("*.nii.gz")])
    found = {path.name.removesuffix(".gz").removesuffix(".nii"): path for path in files}
    return found | {path.parent.name: path for path in sorted(folder.glob("*/liver.nii.gz"))}


def _last_number(name: str) -> str:
    numbers = re.findall(r"\d+", name)
    return numbers[-1].lstrip("0") or "0" if numbers else name
