"""Digital patients with hot, iso-metabolic and cold lesions of known SUV, and how far the measured ones are off.

``python -m tests.measurement.known_uptake [SEED ...]`` prints the figures of docs/uptake.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from nen_imaging.config import Config
from nen_imaging.measurement.peak import suv_peaks
from nen_imaging.measurement.pet_grid import share_inside
from nen_imaging.measurement.shift import Shift, measure_shift
from nen_imaging.measurement.uptake import measure_uptake
from nen_imaging.phantom.anatomy import Anatomy, digital_patient
from nen_imaging.phantom.course import new_lesions
from nen_imaging.phantom.lesions import Lesion, lesion_map
from nen_imaging.phantom.pet import scan_pet, true_suv
from nen_imaging.phantom.staging import staging

UPTAKE = {"positive": (2.0, 6.0), "iso": (0.9, 1.1), "negative": (0.2, 0.6)}  # over that of the liver
LOADS_PERCENT = (10, 30, 50, 70)
FWHM_MM = 6.0


@dataclass(frozen=True)
class KnownLesion:
    """A lesion's true status and the one it was given, and errors in percent (None: not measured)."""

    kind: str
    status: str
    diameter_mm: float
    mean_percent: float | None = None
    """SUVmean of the scan against that of the scan without noise, in the same mask."""
    peak_percent: float | None = None
    """SUVpeak, global, against that of the scan without noise, on the same grid in the same mask."""
    corrected_peak_percent: float | None = None
    """Corrected SUVpeak against the true SUV: a lesion is even, so that its highest 1 ml has its SUV."""
    corrected_mean_percent: float | None = None
    """Corrected SUVmean against the true one, without the scanner's blur."""
    corrected_mean_of_liver_percent: float | None = None
    """The same error, in percent of the liver's SUV."""

    @property
    def is_large(self) -> bool:
        return self.diameter_mm > 3 * FWHM_MM


def mixed_lesions(patient: Anatomy, count: int, seed: int) -> list[Lesion]:
    """As many hot as iso-metabolic and cold lesions at random places."""
    rng = np.random.default_rng([seed, 77])
    kinds = list(UPTAKE)
    drawn = new_lesions(patient, count, rng)
    return [replace(lesion, uptake=rng.uniform(*UPTAKE[kinds[n % 3]])) for n, lesion in enumerate(drawn)]


def known_lesions(patient: Anatomy, load_percent: float) -> list[KnownLesion]:
    """Scan a patient with 15 lesions, measure with the true masks, and compare."""
    lesions = lesion_map(patient, mixed_lesions(patient, 15, 100 * patient.seed + int(load_percent)), load_percent)
    scan = staging(patient, load_percent, patient.seed, lesions=lesions)
    rng = np.random.default_rng([patient.seed, int(load_percent), 9])
    painted, suv_of = true_suv(patient, lesions, rng)
    true = patient.organs.with_array(painted)
    found = measure_uptake(
        ct=scan.ct, suv=scan_pet(true, rng, fwhm_mm=FWHM_MM), labels=scan.labels, instances=scan.instances,
        options=Config().options_of("uptake") | {"pet_fwhm_mm": FWHM_MM},
    )  # fmt: skip
    still = scan_pet(true, rng, fwhm_mm=FWHM_MM, noise=0.0)
    blurred = true.with_array(ndimage.gaussian_filter(painted, FWHM_MM / 2.355 / true.spacing_mm))
    liver = float(np.median(painted[patient.liver.array & (lesions.instances == 0)]))
    rows, known = {row["lesion"]: row for row in found.lesions}, []
    for lesion in lesions.lesions:
        mask = scan.instances.array == lesion.identity
        if not mask.any():
            continue
        row, volume_ml = rows[lesion.identity], float(mask.sum()) * scan.instances.voxel_volume_ml
        kind = "positive" if lesion.uptake > 1.2 else "iso" if lesion.uptake >= 0.8 else "negative"
        one = KnownLesion(kind, row["status"], float(np.cbrt(6000 * volume_ml / np.pi)))
        if one.is_large:
            box = ndimage.find_objects(mask.astype(np.uint8))[0]
            start = np.maximum([part.start - 6 for part in box], 0)
            stop = np.minimum([part.stop + 6 for part in box], mask.shape)
            near, inside = blurred.cropped(start, stop), blurred.with_array(mask).cropped(start, stop).array
            true_mean, corrected = suv_of[lesion.identity], row["suv_mean_corrected"]
            still_peak = suv_peaks(still, share_inside(scan.instances.with_array(mask), still) >= 0.5)[1]
            one = replace(
                one,
                mean_percent=100 * (row["suv_mean"] / float(near.array[inside].mean()) - 1),
                peak_percent=100 * (row["suv_peak_global"] / still_peak - 1),
                corrected_peak_percent=100 * (row["suv_peak_corrected"] / true_mean - 1),
                corrected_mean_percent=100 * (corrected / true_mean - 1),
                corrected_mean_of_liver_percent=100 * (corrected - true_mean) / liver,
            )
        known.append(one)
    return known


def measured_shift(patient: Anatomy, load_percent: float, moved_mm: tuple[float, float, float]) -> Shift:
    """The shift that is measured where the patient moved (RAS) between CT and PET."""
    lesions = lesion_map(patient, mixed_lesions(patient, 15, 100 * patient.seed + int(load_percent)), load_percent)
    scan = staging(patient, load_percent, patient.seed, lesions=lesions, with_pet=True, pet_shift_mm=moved_mm)
    assert scan.suv is not None
    liver, lesion = (
        share_inside(scan.labels.with_array(part), scan.suv)
        for part in (scan.labels.array != 0, scan.labels.array == 2)
    )
    return measure_shift(scan.suv, liver, lesion, fwhm_mm=FWHM_MM)


def share_within(errors: Iterable[float | None], limit: float = 5.0) -> float:
    """The share of errors within a limit; what was not measured is not."""
    return float(np.mean([error is not None and abs(error) <= limit for error in errors]))


def share_right(lesions: Sequence[KnownLesion]) -> float:
    """The share of evaluable lesions that have their true status."""
    return float(np.mean([one.status == one.kind for one in lesions if one.status != "not evaluable"]))


def _print_figures(seeds: Sequence[int]) -> None:
    known = []
    for seed in seeds:
        patient = digital_patient(seed, 3.0)
        for load in LOADS_PERCENT:
            known += (of_load := known_lesions(patient, load))
            print(f"patient {seed}, load {load} %: status right {100 * share_right(of_load):.0f} %", flush=True)
    for kind in UPTAKE:
        all_of = [one for one in known if one.kind == kind]
        large = [one for one in all_of if one.is_large]
        evaluable = [one for one in all_of if one.status != "not evaluable"]
        print(f"{kind}: {len(large)} above 3 x FWHM; of {len(evaluable)} of {len(all_of)} evaluable, status right "
              f"{100 * share_right(all_of):.0f} %")  # fmt: skip
        for name in (
            "mean_percent",
            "peak_percent",
            "corrected_peak_percent",
            "corrected_mean_percent",
            "corrected_mean_of_liver_percent",
        ):
            errors = [getattr(one, name) for one in large]
            print(f"  {name}: within 5 % {100 * share_within(errors):.0f} %, median {np.median(errors):+.1f}, "
                  f"largest {max(errors, key=abs):+.1f}")  # fmt: skip


if __name__ == "__main__":
    _print_figures([int(seed) for seed in sys.argv[1:]] or [1, 2, 3])
