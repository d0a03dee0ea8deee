"""Score label maps of any origin: no network, no data set, the same figures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from nen_imaging.contract import Reason, Refusal
from nen_imaging.stage import Outcome, Stage, StageCall, StageError, exclusive_lock, write_json
from nen_imaging.validation.cases import checked_codes, fingerprint, on_grid_of
from nen_imaging.validation.overlay import draw_overlay
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
from nen_imaging.volume import Volume, read_nifti


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
    by_number = {_last_number(name): path for name, path in predictions.items()}
    results = []
    with exclusive_lock(validation.results / ".validate.lock", wait_s=0):
        for name, path in truths.items():
            other = predictions.get(name) or by_number.get(_last_number(name))
            result = _score_pair(validation, name, path, other)
            results.append(result)
            state = "done before" if result.was_done else "done"
            tell(f"{len(results)} of {len(truths)}, {name}: {result.problem or state}")
    return results


def _score_pair(validation: Validation, name: str, truth: Path, prediction: Path | None) -> CaseResult:
    def work(call: StageCall) -> Outcome:
        pair = [_read_labels(path) for path in call.inputs]
        labels, notes = on_grid_of(*pair)
        scores = score_case(pair[0], labels, compat=validation.compat)
        write_json(call.folder / "scores.json", {"case": name, "whole_liver": True, **scores})
        draw_overlay(call.folder / "overlay.png", None, pair[0], labels)
        return Outcome([Reason("truth.note", note) for note in notes])

    if prediction is None:
        return CaseResult(name, "there is no prediction for it")
    stage, target = Stage("score", SCORE_VERSION, work), validation.scored(name)
    options = {"compat": validation.compat, "files": fingerprint((truth, prediction))}
    if is_current(stage, target, options):
        return CaseResult(name, was_done=True)
    with told_problem(name) as problem:
        require_ok(run_alone(stage, target, (truth, prediction), options, validation.context))
    return CaseResult(name, problem[0] if problem else "")


def _read_labels(path: Path) -> Volume:
    try:
        volume = read_nifti(path)
    except (OSError, EOFError, ValueError) as error:
        raise Refusal("image.unreadable", f"{path.name} cannot be read: {error}") from error
    return checked_codes(volume)


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
