"""From the scans of one patient to aligned livers, tracks and events, and to the rows that tables hold of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nen_imaging.longitudinal.graph import FollowLimits, History, ReaderLink, StagingLesions, follow_lesions
from nen_imaging.longitudinal.matching import Lesion
from nen_imaging.longitudinal.registration import (
    Liver,
    Registration,
    RegistrationLimits,
    liver_box,
    liver_of,
    register,
    same_place,
)
from nen_imaging.registration import in_reference
from nen_imaging.volume import LPS_TO_RAS, Array, FloatArray, Volume, grid_with_spacing, resample

_GRID_MM = 2.0
_GRID_MARGIN_MM = 40.0
_CUT_MARGIN_MM = 250.0
_CUT_MM = 5.0
"""A liver that ends this close to the image's edge may go on beyond it."""


@dataclass(frozen=True)
class ScannedStaging:
    """One staging as measured: CT (HU), liver (1, lesions 2), instances, and the rows of its lesions.csv.

    ``left_out`` are the numbers of lesions that do not count in its load.
    """

    staging: str
    ct: Volume
    liver: Volume
    instances: Volume
    lesions: Sequence[Mapping[str, str]]
    left_out: Collection[int] = ()


@dataclass(frozen=True)
class FollowedPatient:
    """All that was found of a patient, by staging."""

    reference: str
    registrations: Mapping[str, Registration]
    lesions: Mapping[tuple[str, int], Lesion]
    history: History

    def registration_rows(self) -> Iterator[dict[str, object]]:
        """Rows of registration.csv."""
        for staging, found in self.registrations.items():
            yield {
                "staging": staging,
                "reference": self.reference,
                "method": found.method,
                "liver_dice": f"{found.liver_dice:.3f}",
                "surface_distance_mm": f"{found.surface_distance_mm:.2f}",
                "match_uncertainty_mm": f"{found.match_uncertainty_mm:.2f}",
                "trusted": "yes" if found.trusted else "no",
                "reason": found.reason,
                "matrix": json.dumps(np.round(found.matrix, 6).tolist()),
            }

    def track_rows(self) -> Iterator[dict[str, object]]:
        """Rows of tracks.csv: a lesion once for every track it carries."""
        for key, tracks in sorted(self.history.tracks_of.items()):
            lesion = self.lesions[key]
            for track in tracks:
                yield {
                    "track": track,
                    "staging": lesion.staging,
                    "lesion": lesion.number,
                    "volume_ml": f"{lesion.volume_ml:.3f}",
                    "longest_diameter_mm": f"{lesion.longest_diameter_mm:.1f}",
                    "group": self.history.group_of.get(track, ""),
                }

    def event_rows(self) -> Iterator[dict[str, object]]:
        """Rows of events.csv; several tracks or lesions are parted by spaces."""
        for event in self.history.events:
            yield {
                "staging": event.staging,
                "event": event.kind,
                "tracks": " ".join(event.tracks),
                "lesions": " ".join(map(str, event.lesions)),
                "counted": "yes" if event.counted else "no",
                "text": event.text,
            }


def follow_patient(
    scans: Iterable[ScannedStaging],
    registration_limits: RegistrationLimits,
    limits: FollowLimits,
    links: Sequence[ReaderLink] = (),
) -> FollowedPatient:
    """Align all livers to the first staging's and follow the lesions.

    Parameters
    ----------
    scans
        In order of time; each is read once and let go, so that a generator keeps memory small.
    registration_limits, limits
        When an alignment is trusted, and when lesions are one.
    links
        What a reader says of pairs of lesions.
    """
    grid: Volume | None = None
    reference: tuple[str, Liver] | None = None
    registrations: dict[str, Registration] = {}
    seen: list[StagingLesions] = []
    for scan in scans:
        liver = liver_of(scan.ct, scan.liver)
        if reference is None or grid is None:
            reference, grid = (scan.staging, liver), reference_grid(scan.liver)
            registrations[scan.staging] = same_place(liver)
        else:
            registrations[scan.staging] = register(reference[1], liver, registration_limits)
        seen.append(on_reference(scan, registrations[scan.staging], grid))
    lesions = {lesion.key: lesion for staging in seen for lesion in staging.lesions}
    history = follow_lesions(seen, limits, links)
    return FollowedPatient(reference[0] if reference else "", registrations, lesions, history)


def on_reference(scan: ScannedStaging, registration: Registration, grid: Volume) -> StagingLesions:
    """Bring a staging's lesions, liver and field of view to the reference's grid."""
    instances, liver = (
        resample(in_reference(volume, registration.matrix), grid.shape, grid.affine, nearest=True).array
        for volume in (scan.instances, scan.liver)
    )
    everywhere = scan.ct.with_array(np.ones(scan.ct.shape, np.uint8))
    imaged = resample(
        in_reference(everywhere, registration.matrix), grid.shape, grid.affine, nearest=True
    ).array.astype(bool)
    outside_mm = ndimage.distance_transform_edt(liver == 0, sampling=grid.spacing_mm) if liver.any() else np.inf
    return StagingLesions(
        staging=scan.staging,
        lesions=tuple(_lesion(scan, row, instances, registration.matrix) for row in scan.lesions),
        imaged=imaged.ravel(),
        liver=np.broadcast_to(outside_mm <= registration.match_uncertainty_mm, grid.shape).ravel(),
        slice_spacing_mm=float(scan.ct.spacing_mm[2]),
        uncertainty_mm=registration.match_uncertainty_mm,
        trusted=registration.trusted,
    )


def _lesion(scan: ScannedStaging, row: Mapping[str, str], instances: Array, matrix: FloatArray) -> Lesion:
    number = int(row["lesion"])
    lps = np.array([*(float(row[f"centroid_{axis}_mm"]) for axis in "xyz"), 1.0])
    return Lesion(
        staging=scan.staging,
        number=number,
        voxels=np.flatnonzero(instances.ravel() == number),
        centroid_mm=(np.linalg.inv(matrix) @ LPS_TO_RAS @ lps)[:3],
        volume_ml=float(row["volume_ml"]),
        longest_diameter_mm=float(row["longest_diameter_mm"]),
        probable_cyst=row["probable_cyst"] == "yes",
        left_out=number in scan.left_out,
    )


def reference_grid(liver: Volume) -> Volume:
    """An even grid around the reference's liver; its array says nothing.

    It may reach past the reference's image. Where the image cuts the liver the grid goes on by the height of one, so
    that the rest of it has a place when a later staging shows it.
    """
    start, stop = liver_box(liver, 0.0)
    spacing_mm = liver.spacing_mm
    before, after = (
        np.ceil(np.where(to_edge * spacing_mm < _CUT_MM, _CUT_MARGIN_MM, _GRID_MARGIN_MM) / spacing_mm).astype(int)
        for to_edge in (start, np.array(liver.shape) - stop)
    )
    affine = liver.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (start - before)
    box = Volume(np.broadcast_to(np.uint8(0), tuple(stop + after - start + before)), affine)
    shape, affine = grid_with_spacing(box, np.full(3, _GRID_MM))
    return Volume(np.zeros(shape, np.uint8), affine)
