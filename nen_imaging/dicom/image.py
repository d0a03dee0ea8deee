"""One CT from whatever a person names: a DICOM folder, an archive of one, a single file, or NIfTI.

DICOM goes the way of a whole study (scan, group, score), in a temporary index; series have the keys of `series.csv`.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.filebasedimages import ImageFileError

from nen_imaging.contract import Reason, Refusal, Results
from nen_imaging.dicom.database import FilesDatabase, files_of_series
from nen_imaging.dicom.files import open_files
from nen_imaging.dicom.group import IMAGE_MISSING, Series, SeriesKind, group_series
from nen_imaging.dicom.index_rows import REASON_OF_KIND, nothing_readable
from nen_imaging.dicom.pixels import AIR_HU, hounsfield_reasons
from nen_imaging.dicom.privacy import Pseudonymiser, key_for_showing, pseudonyms
from nen_imaging.dicom.scan import scan_study
from nen_imaging.dicom.select import Score, SelectionRules, choose, score_ct
from nen_imaging.dicom.series import CtImage, read_ct, slice_facts, slice_reasons
from nen_imaging.volume import Volume, read_nifti, slice_axis


@dataclass(frozen=True)
class FoundSeries:
    """A series of an image that was named, and the paths of its files there."""

    series: Series
    paths: list[str]


def read_image(
    path: Path,
    *,
    series: str | None = None,
    rules: SelectionRules | None = None,
    tell: Callable[[str], None] | None = None,
    spacing_tolerance_mm: float = 0.1,
    resample_uneven: bool = False,
) -> CtImage:
    """Read the CT that a path names.

    Of several CT series of one patient the best is taken, by the same points for headers as in a study, and said so.

    Parameters
    ----------
    path
        A DICOM folder, an archive of one, a single file, or NIfTI.
    series
        Key of the series to take instead.
    rules
        How points are given.
    tell
        Gets a line on every CT series, with key and points: which was taken, which not; and what else there was.
    spacing_tolerance_mm, resample_uneven
        See `geometry.arrange`.

    Raises
    ------
    Refusal
        ``image.unreadable``, ``image.several_patients``, ``image.missing``, ``image.series_unknown``, ``ct.none``,
        ``ct.localizer``, ``ct.not_hu`` and whatever `series.read_ct` refuses.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        if series:
            raise Refusal("image.series_unknown", f"{path.name} is NIfTI, and holds no series to choose from.")
        return _from_nifti(path)
    found = list_series(path)
    scores = {
        one.series.key: score_ct(one.series, rules or SelectionRules())
        for one in found
        if one.series.kind == SeriesKind.CT
    }
    chosen = _choose(found, scores, series)
    if tell:
        for line in _described(found, scores, chosen):
            tell(line)
    image = read_ct(
        open_files(path, chosen.paths), spacing_tolerance_mm=spacing_tolerance_mm, resample_uneven=resample_uneven
    )
    others = len(scores) - 1
    if others and not series:
        text = f"The CT of {image.volume.shape[2]} slices was taken, {others} other CT series were left."
        image.reasons.append(Reason("image.several_series", text))
    return image


def list_series(path: Path) -> list[FoundSeries]:
    """Every DICOM series under a path, with its files.

    Raises
    ------
    Refusal
        ``image.unreadable`` where there is no such path, see `index_rows.nothing_readable` where it holds no DICOM.
    """
    if not path.exists():
        raise Refusal("image.unreadable", f"There is no {path}.")
    pseudonymiser = Pseudonymiser(key_for_showing())
    with tempfile.TemporaryDirectory(prefix="nen-imaging-") as folder:
        results = Results(Path(folder))
        with FilesDatabase(results.files_database) as database:
            scan_study(path, database, pseudonymiser)
            patients = pseudonyms(pseudonymiser, database.issuers())
            series = list(group_series(database, pseudonymiser, patients))
            not_used = list(database.quarantined())
        found = [FoundSeries(one, files_of_series(results, one.key)[1]) for one in series]
    if not found:
        raise nothing_readable(f"Nothing in {path} could be read as a DICOM image", not_used)
    return found


def _choose(found: list[FoundSeries], scores: Mapping[str, Score], named: str | None) -> FoundSeries:
    """The CT series with most points, or the one that is named."""
    candidates = {one.series.key: one for one in found if one.series.key in scores}
    if not candidates:
        kinds = {one.series.kind for one in found}
        lacking = sorted({one.series.modality for one in found if one.series.lacks_images})
        code = {SeriesKind.NOT_HU: "ct.not_hu", SeriesKind.LOCALIZER: "ct.localizer"}
        raise Refusal(
            next((code[kind] for kind in code if kind in kinds), IMAGE_MISSING if lacking else "ct.none"),
            f"None of {len(found)} series is a CT; they are: {', '.join(sorted(kinds))}."
            + (f" The images that {', '.join(lacking)} were made on are not there." if lacking else ""),
        )
    if named:
        if named not in candidates:
            raise Refusal("image.series_unknown", f"There is no CT series {named}; there are: {', '.join(candidates)}.")
        return candidates[named]
    patients = {one.series.patient for one in candidates.values()}
    if len(patients) > 1:
        raise Refusal("image.several_patients", f"There are CT series of {len(patients)} patients.")
    best = choose([one.series for one in candidates.values()], scores, {}, None).series
    assert best is not None  # there is a candidate, and none is banned
    return candidates[best.key]


def _described(found: list[FoundSeries], scores: Mapping[str, Score], chosen: FoundSeries) -> Iterator[str]:
    """A line per CT series, the best first; then one for each kind of others. Descriptions may name a patient."""
    candidates = [one.series for one in found if one.series.key in scores]
    for one in sorted(candidates, key=lambda one: (-scores[one.key].points, -one.slices, one.key)):
        verdict = "taken" if one.key == chosen.series.key else "left"
        score = scores[one.key]
        about = f"{one.slices} slices, {one.date or 'no date'}"
        yield f"CT series {one.key} {verdict}: {about}; {score.points:g} points: {score.reason}"
    others = Counter(one.series.kind for one in found if one.series.key not in scores)
    for kind, count in sorted(others.items()):
        yield f"{count} series {REASON_OF_KIND.get(kind, f'skipped: {kind}')}"


def _from_nifti(path: Path) -> CtImage:
    """A CT from NIfTI: finite, in int16; a sheared grid cannot be resampled and is refused."""
    try:
        volume = read_nifti(path)
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise Refusal("image.unreadable", f"{path.name} cannot be read: {error}") from error
    directions = volume.affine[:3, :3] / volume.spacing_mm
    if np.abs(directions.T @ directions - np.eye(3)).max() > 1e-3:
        raise Refusal("geometry.inconsistent", "The axes of the NIfTI file are not at right angles.")
    values = np.nan_to_num(volume.array.astype(np.float32), nan=AIR_HU)
    array = np.clip(np.rint(values), AIR_HU, np.iinfo(np.int16).max).astype(np.int16)
    ct, axis = Volume(array, volume.affine), slice_axis(volume.affine)
    return CtImage(ct, slice_reasons(ct, axis) + hounsfield_reasons(array), slice_facts(ct, axis))
