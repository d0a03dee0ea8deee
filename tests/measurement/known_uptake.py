"""Digital patients with hot, iso-metabolic and cold lesions of known SUV, and how far the measured ones are off.

``python -m tests.measurement.known_uptake [--loads PERCENT ...] [--model BUNDLE] [SEED ...]`` prints the figures of
docs/uptake.md: with the true masks, or with those that a bundle finds on the CT. ``--scans COUNT [--noise PERCENT]``
scans each patient that often, and prints how much of the error is the same in all scans and how much differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.config import Config
from nen_imaging.measurement.body_edge import held_against_body
from nen_imaging.measurement.diameters import sphere_diameter_mm
from nen_imaging.measurement.lesion_uptake import suv_statistics
from nen_imaging.measurement.lesions import find_lesions
from nen_imaging.measurement.organs import coarse_abdomen
from nen_imaging.measurement.partial_volume import Corrected, correct_partial_volume
from nen_imaging.measurement.pet_grid import around, share_inside
from nen_imaging.measurement.shift import Shift, measure_shift
from nen_imaging.measurement.uptake import measure_uptake
from nen_imaging.phantom.anatomy import Anatomy, digital_patient
from nen_imaging.phantom.course import new_lesions
from nen_imaging.phantom.lesions import Lesion, lesion_map
from nen_imaging.phantom.pet import scan_pet, true_suv
from nen_imaging.phantom.staging import Staging, staging
from nen_imaging.segmentation.bundle import find_bundle
from nen_imaging.segmentation.segment import segment_volume
from nen_imaging.shipped import shipped
from nen_imaging.volume import Volume

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
    corrected_peak_still_percent: float | None = None
    """The same error on the scan without noise: what the correction itself leaves."""
    peak_still_percent: float | None = None
    """SUVpeak, global, of the scan without noise against the true SUV: what the blur makes of it."""
    corrected_mean_percent: float | None = None
    """Corrected SUVmean against the true one, without the scanner's blur."""
    corrected_mean_still_percent: float | None = None
    """The same error on the scan without noise: what the correction itself leaves."""
    corrected_mean_of_liver_percent: float | None = None
    """The error of the noisy scan, in percent of the liver's SUV."""

    @property
    def is_large(self) -> bool:
        return self.diameter_mm > 3 * FWHM_MM


def mixed_lesions(patient: Anatomy, count: int, seed: int) -> list[Lesion]:
    """As many hot as iso-metabolic and cold lesions at random places."""
    rng = np.random.default_rng([seed, 77])
    kinds = list(UPTAKE)
    drawn = new_lesions(patient, count, rng)
    return [replace(lesion, uptake=rng.uniform(*UPTAKE[kinds[n % 3]])) for n, lesion in enumerate(drawn)]


@dataclass(frozen=True)
class Scanned:
    """A patient with 15 lesions on CT and PET, and the PET without noise."""

    scan: Staging
    lesions: tuple[Lesion, ...]
    suv: Volume
    still: Volume
    painted: Volume
    """The true SUV, before the scanner."""
    suv_of: dict[int, float]
    liver_suv: float

    @classmethod
    def of(cls, patient: Anatomy, load_percent: float) -> Scanned:
        lesions = lesion_map(patient, mixed_lesions(patient, 15, 100 * patient.seed + int(load_percent)), load_percent)
        scan = staging(patient, load_percent, patient.seed, lesions=lesions)
        rng = np.random.default_rng([patient.seed, int(load_percent), 9])
        painted, suv_of = true_suv(patient, lesions, rng)
        true = patient.organs.with_array(painted)
        suv, still = (scan_pet(true, rng, fwhm_mm=FWHM_MM, noise=noise) for noise in (0.06, 0.0))
        liver_suv = float(np.median(painted[patient.liver.array & (lesions.instances == 0)]))
        return cls(scan, lesions.lesions, suv, still, true, suv_of, liver_suv)

    def measured(self, labels: Volume, instances: Volume) -> dict[int, dict[str, Any]]:
        """The rows of uptake.csv by lesion."""
        options = Config().options_of("uptake") | {"pet_fwhm_mm": FWHM_MM}
        found = measure_uptake(ct=self.scan.ct, suv=self.suv, labels=labels, instances=instances, options=options)
        return {row["lesion"]: row for row in found.lesions}

    def corrected(self, suv: Volume) -> dict[int, Corrected]:
        """The corrected SUV of each lesion on a PET of this patient, with the true masks."""
        whole = self.scan.labels.with_array(self.scan.labels.array != 0)
        masks = [(lesion.identity, whole.with_array(mask)) for lesion, mask, _ in self.masks()]
        return correct_partial_volume(around(whole, suv, 4 * FWHM_MM), whole, masks, fwhm_mm=FWHM_MM)

    def masks(self) -> Iterator[tuple[Lesion, NDArray[np.bool_], KnownLesion]]:
        """Each lesion, its true mask, and what is known of it before it is measured."""
        for lesion in self.lesions:
            mask = self.scan.instances.array == lesion.identity
            if mask.any():
                kind = "positive" if lesion.uptake > 1.2 else "iso" if lesion.uptake >= 0.8 else "negative"
                volume_ml = float(mask.sum()) * self.scan.instances.voxel_volume_ml
                yield lesion, mask, KnownLesion(kind, "", sphere_diameter_mm(volume_ml))


def known_lesions(patient: Anatomy, load_percent: float) -> list[KnownLesion]:
    """Measure with the true masks, and compare."""
    scanned = Scanned.of(patient, load_percent)
    rows, known = scanned.measured(scanned.scan.labels, scanned.scan.instances), []
    without_noise = scanned.corrected(scanned.still)
    for lesion, mask, one in scanned.masks():
        row, true = rows[lesion.identity], scanned.suv_of[lesion.identity]
        known.append(replace(one, status=row["status"]))
        if one.is_large:
            share = share_inside(scanned.scan.instances.with_array(mask), scanned.still)
            still, corrected = suv_statistics(scanned.still, share), row["suv_mean_corrected"]
            known[-1] = replace(
                known[-1],
                mean_percent=100 * (row["suv_mean"] / still["suv_mean"] - 1),
                peak_percent=100 * (row["suv_peak_global"] / still["suv_peak_global"] - 1),
                corrected_peak_percent=100 * (row["suv_peak_corrected"] / true - 1),
                corrected_peak_still_percent=100 * (without_noise[lesion.identity].suv_peak / true - 1),
                peak_still_percent=100 * (still["suv_peak_global"] / true - 1),
                corrected_mean_percent=100 * (corrected / true - 1),
                corrected_mean_still_percent=100 * (without_noise[lesion.identity].suv_mean / true - 1),
                corrected_mean_of_liver_percent=100 * (corrected - true) / scanned.liver_suv,
            )
    return known


@dataclass(frozen=True)
class Repeated:
    """Errors of a large lesion's corrected SUV in percent of the true one, over scans that differ by their noise."""

    kind: str
    mean_percent: NDArray[np.float64]
    peak_percent: NDArray[np.float64]


def repeated_scans(patient: Anatomy, load_percent: float, scans: int, noise: float) -> list[Repeated]:
    """Scan a patient again and again, and measure with the true masks."""
    scanned = Scanned.of(patient, load_percent)
    rng = np.random.default_rng([patient.seed, int(load_percent), 10])
    found = [scanned.corrected(scan_pet(scanned.painted, rng, fwhm_mm=FWHM_MM, noise=noise)) for _ in range(scans)]
    repeated = []
    for lesion, _, one in scanned.masks():
        if one.is_large:
            mean, peak = np.array([(of[lesion.identity].suv_mean, of[lesion.identity].suv_peak) for of in found]).T
            true = scanned.suv_of[lesion.identity]
            repeated.append(Repeated(one.kind, 100 * (mean / true - 1), 100 * (peak / true - 1)))
    return repeated


def found_lesions(patient: Anatomy, load_percent: float, segment: Callable[[Volume], Volume]) -> list[KnownLesion]:
    """The same with the masks that ``segment`` finds on the CT; a lesion that is not found has no status.

    Found is one that shares more than half of what it and a single found lesion cover together.
    """
    scanned, options, known = Scanned.of(patient, load_percent), Config().options_of("measure"), []
    found = find_lesions(
        segment(scanned.scan.ct), minimum_voxels=options["minimum_voxels"],
        minimum_diameter_mm=options["minimum_diameter_mm"],
    )  # fmt: skip
    rows, sizes = scanned.measured(found.labels, found.instances), np.bincount(found.instances.array.ravel())
    for lesion, mask, one in scanned.masks():
        shared = np.bincount(found.instances.array[mask], minlength=len(sizes))
        best = int(shared[1:].argmax()) + 1 if len(sizes) > 1 else 0
        if best and shared[best] > 0.5 * (mask.sum() + sizes[best] - shared[best]):
            corrected = rows[best]["suv_mean_corrected"]
            error = 100 * (corrected / scanned.suv_of[lesion.identity] - 1) if corrected else None
            one = replace(one, status=rows[best]["status"], corrected_mean_percent=error)
        known.append(one)
    return known


def measured_shift(patient: Anatomy, load_percent: float, moved_mm: tuple[float, float, float]) -> Shift:
    """The shift that is measured where the patient moved (RAS) between CT and PET, held against the body's edge."""
    lesions = lesion_map(patient, mixed_lesions(patient, 15, 100 * patient.seed + int(load_percent)), load_percent)
    scan = staging(patient, load_percent, patient.seed, lesions=lesions, with_pet=True, pet_shift_mm=moved_mm)
    assert scan.suv is not None
    liver, lesion = (
        share_inside(scan.labels.with_array(part), scan.suv)
        for part in (scan.labels.array != 0, scan.labels.array == 2)
    )
    shift = measure_shift(scan.suv, liver, lesion, fwhm_mm=FWHM_MM)
    return held_against_body(shift, scan.suv, coarse_abdomen(scan.ct, scan.labels.array != 0), fwhm_mm=FWHM_MM)


def share_within(errors: Iterable[float | None], limit: float = 5.0) -> float:
    """The share of errors within a limit; what was not measured is not."""
    return float(np.mean([error is not None and abs(error) <= limit for error in errors]))


def share_right(lesions: Sequence[KnownLesion]) -> float:
    """The share of evaluable lesions that have their true status."""
    return float(np.mean([one.status == one.kind for one in lesions if one.status != "not evaluable"]))


def _print_found(seeds: Sequence[int], loads_percent: Sequence[float], model: str) -> None:
    bundle = find_bundle(model, shipped("models"))
    known = []
    for seed in seeds:
        patient = digital_patient(seed, 3.0)
        for load in loads_percent:
            known += found_lesions(patient, load, lambda ct: segment_volume(ct, bundle).labels)
    for kind in UPTAKE:
        large = [one for one in known if one.kind == kind and one.is_large]
        found = [one for one in large if one.status]
        evaluable = [one for one in found if one.status != "not evaluable"]
        print(f"{kind}: {len(found)} of {len(large)} above 3 x FWHM found; of {len(evaluable)} evaluable status right "
              f"{sum(one.status == kind for one in evaluable)}; corrected SUVmean within 5 % "
              f"{100 * share_within(one.corrected_mean_percent for one in found):.0f} %, within 10 % "
              f"{100 * share_within((one.corrected_mean_percent for one in found), 10):.0f} %")  # fmt: skip


def _print_repeated(seeds: Sequence[int], loads_percent: Sequence[float], scans: int, noise: float) -> None:
    repeated = []
    for seed in seeds:
        patient = digital_patient(seed, 3.0)
        for load in loads_percent:
            repeated += repeated_scans(patient, load, scans, noise)
    for kind in UPTAKE:
        print(f"{kind}: {sum(one.kind == kind for one in repeated)} above 3 x FWHM, {scans} scans, "
              f"noise {100 * noise:g} %")  # fmt: skip
        for name in ("mean_percent", "peak_percent"):
            errors = np.array([getattr(one, name) for one in repeated if one.kind == kind])
            bias, scatter = errors.mean(axis=1), errors.std(axis=1, ddof=1)
            print(f"  {name}: single scans within 5 % {100 * share_within(errors.ravel()):.0f} %; mean of the scans "
                  f"within 5 % {100 * share_within(bias):.0f} %, median {np.median(bias):+.1f}, "
                  f"largest {max(bias, key=abs):+.1f}; SD between scans {np.median(scatter):.1f}, "
                  f"largest {scatter.max():.1f}")  # fmt: skip


def _print_figures(seeds: Sequence[int], loads_percent: Sequence[float]) -> None:
    known = []
    for seed in seeds:
        patient = digital_patient(seed, 3.0)
        for load in loads_percent:
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
            "peak_still_percent",
            "corrected_peak_percent",
            "corrected_peak_still_percent",
            "corrected_mean_percent",
            "corrected_mean_still_percent",
            "corrected_mean_of_liver_percent",
        ):
            errors = [getattr(one, name) for one in large]
            print(f"  {name}: within 5 % {100 * share_within(errors):.0f} %, median {np.median(errors):+.1f}, "
                  f"largest {max(errors, key=abs):+.1f}")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument("--loads", nargs="+", type=float, default=LOADS_PERCENT)
    parser.add_argument("--model")
    parser.add_argument("--scans", type=int, default=1)
    parser.add_argument("--noise", type=float, default=6.0)
    chosen = parser.parse_args()
    if chosen.model:
        _print_found(chosen.seeds, chosen.loads, chosen.model)
    elif chosen.scans > 1:
        _print_repeated(chosen.seeds, chosen.loads, chosen.scans, chosen.noise / 100)
    else:
        _print_figures(chosen.seeds, chosen.loads)
