"""The cases of a public data set, made small once: what each network learns from, in the layout that training reads.

::

    <cases>/<source>/<case>/
      whole_3mm/image.nii.gz, label.nii.gz        the whole scan, for the liver network
      liver_1p25mm/image.nii.gz, label.nii.gz     the liver's box, for the lesion network
      stage.json                                  what it was made from; its patient; whether lesions are labelled

No voxel is smaller than these names say, and none is made smaller than it was. A case is prepared again if its files
changed, and goes on where it was stopped otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nen_imaging.contract import Reason
from nen_imaging.segmentation.preprocess import at_spacing, box_around, prepared
from nen_imaging.stage import Context, Outcome, Stage, StageCall, exclusive_lock
from nen_imaging.training.cases import LESION, LIVER
from nen_imaging.training.recipes import Recipe, RecipeError, SourceRecipe
from nen_imaging.validation.cases import Case, fingerprint
from nen_imaging.validation.datasets import find_cases
from nen_imaging.validation.run import is_current, require_ok, run_alone, told_problem
from nen_imaging.volume import Volume, write_nifti

PREPARE_VERSION = 1
"""Raised by whoever changes what stands in a case's folder: all are then prepared again."""
LIVER_MARGIN_MM = 25.0
FINEST_MM = {"liver": 3.0, "lesion": 1.25}
"""Voxels as large as a network can do with: no smaller than these, unless the network's own are."""
LICENCES = {
    "lits": "LiTS: CC BY-NC-SA 4.0, as copies of it say",
    "msd": "MSD Task03_Liver: CC BY-SA 4.0",
    "ircadb": "3D-IRCADb-01: CC BY-NC-ND 4.0",
    "chaos": "CHAOS: CC BY-SA 4.0; a mirror says CC BY-NC-SA 4.0",
    "totalsegmentator": "TotalSegmentator: CC BY 4.0",
    "tcia": "TCIA: that of the collection",
}
_EXTENT = {"liver": "whole", "lesion": "liver"}
_LOCK_WAIT_S = 24 * 3600.0  # another run that prepares the same cases


def form_of(recipe: Recipe, network: Literal["liver", "lesion"]) -> str:
    """The name of the form that a network of the recipe learns from."""
    return f"{_EXTENT[network]}_{_spacing_mm(recipe, network):g}mm".replace(".", "p")


def prepare(
    recipe: Recipe, root: Path, cases: Path, *, workers: int = 1, report: Callable[[str], None] = print
) -> None:
    """Prepare what is missing or out of date of the recipe's data sets, several cases at once.

    A case that cannot be read is told and left out, the others go on; the next call tries it again.

    Raises RecipeError or DatasetError where a data set is not there, RecipeError where the memory ran out.
    """
    for source in recipe.sources:
        if source.dataset is None:
            continue
        found = _cases_of(source, root)
        with exclusive_lock(cases / f".{source.label}.lock", wait_s=_LOCK_WAIT_S):
            todo = [case for case in found if not _is_prepared(case, recipe, cases / source.label)]
            if todo:
                report(f"{source.label}: {len(found)} cases, {len(todo)} to prepare in {cases / source.label}")
            broken = 0
            for number, (case, problem) in enumerate(_prepare_all(todo, recipe, cases / source.label, workers), 1):
                broken += bool(problem)
                report(f"{source.label}: {number} of {len(todo)}, case {case.name}: {problem or 'prepared'}")
            if broken:
                report(f"{source.label}: {broken} of {len(found)} cases cannot be read and are left out")


def prepared_cases(source: SourceRecipe, recipe: Recipe, root: Path, cases: Path) -> tuple[Path, ...]:
    """The folders of a data set's cases that are prepared from the files as they are now."""
    folder = cases / source.label
    return tuple(folder / case.name for case in _cases_of(source, root) if _is_prepared(case, recipe, folder))


def _cases_of(source: SourceRecipe, root: Path) -> list[Case]:
    folder = root / source.folder
    if not folder.exists():
        raise RecipeError(f"Source {folder} is missing. Give the folder that holds it with --data.")
    return find_cases(source.dataset or "", folder)


def _spacing_mm(recipe: Recipe, network: Literal["liver", "lesion"]) -> float:
    return min(FINEST_MM[network], getattr(recipe, network).spacing_mm)


def _wanted(case: Case, recipe: Recipe) -> dict[str, Any]:
    """All that decides what stands in a case's folder."""
    return {
        "files": fingerprint(case.files),
        "patient": case.patient,
        "lesions_labelled": case.lesions_labelled,
        "whole_mm": _spacing_mm(recipe, "liver"),
        "liver_mm": _spacing_mm(recipe, "lesion"),
    }


def _is_prepared(case: Case, recipe: Recipe, folder: Path) -> bool:
    return is_current(_stage(case, recipe), folder / case.name, _wanted(case, recipe))


def _stage(case: Case, recipe: Recipe) -> Stage:
    return Stage("prepare", PREPARE_VERSION, partial(_work, case, recipe))


def _prepare_all(todo: list[Case], recipe: Recipe, folder: Path, workers: int) -> Iterator[tuple[Case, str]]:
    """Each case as it is done, with what was wrong with it."""
    if workers <= 1 or len(todo) <= 1:
        yield from ((case, _prepare(case, recipe, folder)) for case in todo)
        return
    # A process keeps the memory of the largest scan that it has read: after eight there is a new one.
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver"), max_tasks_per_child=8) as pool:
        running = {pool.submit(_prepare, case, recipe, folder): case for case in todo}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BrokenExecutor as error:
            raise RecipeError(
                "A process that prepared a case was killed, probably for want of memory: run again with fewer "
                "--workers; what is prepared stays."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # stopped: what has not begun need not


def _prepare(case: Case, recipe: Recipe, folder: Path) -> str:
    """Prepare one case; returns what is wrong with it, or nothing."""
    with told_problem() as problem:
        record = run_alone(_stage(case, recipe), folder / case.name, (), _wanted(case, recipe), Context(folder, folder))
        require_ok(record)
    return problem[0] if problem else ""


def _work(case: Case, recipe: Recipe, call: StageCall) -> Outcome:
    content = case.read()
    image, label = prepared(content.ct), content.truth.oriented("LPS")
    _write(call.folder / form_of(recipe, "liver"), image, label, _spacing_mm(recipe, "liver"))
    margin = np.ceil(LIVER_MARGIN_MM / image.spacing_mm).astype(int)
    start, stop = box_around(np.greater(label.array, 0), margin)
    image, label = image.cropped(start, stop), label.cropped(start, stop)
    _write(call.folder / form_of(recipe, "lesion"), image, label, _spacing_mm(recipe, "lesion"))
    facts = {"patient": case.patient, "lesions_known": case.lesions_labelled and content.lesions_labelled}
    return Outcome([Reason("truth.note", note) for note in content.notes], facts)


def _write(folder: Path, image: Volume, label: Volume, finest_mm: float) -> None:
    folder.mkdir()
    spacing_mm = np.maximum(image.spacing_mm, finest_mm)
    small = at_spacing(image, spacing_mm)
    liver, lesion = (
        at_spacing(label.with_array(np.greater_equal(label.array, code)), spacing_mm) for code in (LIVER, LESION)
    )
    # A voxel is liver, or lesion, where that fills at least half of it: volumes stay what they are.
    classes = np.where(np.greater_equal(lesion.array, 0.5), LESION, np.greater_equal(liver.array, 0.5))
    write_nifti(folder / "image.nii.gz", small.with_array(np.asarray(small.array).round().astype(np.int16)))
    write_nifti(folder / "label.nii.gz", small.with_array(classes.astype(np.uint8)))
