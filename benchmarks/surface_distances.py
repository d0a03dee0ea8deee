"""Surface distances against the peers, on one pair of masks, interleaved in one session.

    python3.11 -m venv peers
    peers/bin/pip install "numpy<2.3" torch monai scipy nibabel panoptica==2.1.7 surface-distance-based-measures==0.1
    PYTHONPATH=. peers/bin/python benchmarks/surface_distances.py [--truth T.nii.gz --pred P.nii.gz] [--rounds 3]

The peers need an older NumPy than ours, hence an environment of their own; our module runs in it as it is. Without
files the pair is synthetic, 512 x 512 x 600: a liver, its prediction with a wavy edge, and a false lesion far away.
Each measurement runs in a process of its own; memory is its peak, masks included. Equality is checked under each
peer's own convention. Ends with 1 where a limit is missed: 10 s, 2 GB, 1.5 times the fastest peer, equal figures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nen_imaging.validation.surface import Surface, surface_distances

SHAPE, SPACING_MM = (512, 512, 600), (0.75, 0.75, 1.0)
LARGEST_S, LARGEST_GB, LARGEST_RATIO, TOLERANCE = 10.0, 2.0, 1.5, 1e-4
Figures = dict[str, float]


def synthetic_pair() -> tuple[np.ndarray, np.ndarray]:
    grid = np.ogrid[tuple(slice(n) for n in SHAPE)]
    x, y, z = ((axis - n / 2) * mm for axis, n, mm in zip(grid, SHAPE, SPACING_MM, strict=True))
    truth = ((x + 40) / 95) ** 2 + (y / 75) ** 2 + ((z - 60) / 85) ** 2 < 1
    wave = 1 + 0.04 * np.sin(x / 9) * np.cos(y / 7) * np.sin(z / 11)
    prediction = ((x + 41) / 94) ** 2 + (y / 76) ** 2 + ((z - 62) / 84) ** 2 < wave
    return truth, prediction | ((x - 120) ** 2 + y**2 + (z + 230) ** 2 < 100)


def ours(truth: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]) -> Figures:
    found = surface_distances(truth, prediction, spacing_mm)
    forth, back = found.directed_means_mm
    return {"asd": forth, "asd back": back, "hd95": found.hausdorff_mm(95), "nsd 1 mm": found.surface_dice(1.0)}


def ours_by_faces(truth: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]) -> Figures:
    found = surface_distances(truth, prediction, spacing_mm, Surface.FACES)
    forth, back = found.directed_means_mm
    return {"asd": forth, "asd back": back, "assd of means": (forth + back) / 2, "hd": found.msd_mm}


def deepmind(truth: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]) -> Figures:
    import surface_distance as library

    found = library.compute_surface_distances(truth, prediction, spacing_mm)
    forth, back = library.compute_average_surface_distance(found)
    hd95 = library.compute_robust_hausdorff(found, 95)
    nsd = library.compute_surface_dice_at_tolerance(found, 1.0)
    return {"asd": float(forth), "asd back": float(back), "hd95": float(hd95), "nsd 1 mm": float(nsd)}


def monai(truth: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]) -> Figures:
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    pair = [torch.from_numpy(mask)[None, None] for mask in (truth, prediction)]
    options = {"include_background": True, "spacing": spacing_mm}
    return {
        "asd": float(compute_average_surface_distance(*pair, **options)),
        "asd back": float(compute_average_surface_distance(*pair[::-1], **options)),
        "hd": float(compute_hausdorff_distance(*pair, **options)),
    }


def panoptica(truth: np.ndarray, prediction: np.ndarray, spacing_mm: tuple[float, ...]) -> Figures:
    from panoptica.metrics import Metric

    masks = truth.astype(np.uint8), prediction.astype(np.uint8)
    return {
        "assd of means": float(Metric.ASSD(*masks, voxelspacing=spacing_mm)),
        "hd": float(Metric.HD(*masks, voxelspacing=spacing_mm)),
    }


COMPARED = (
    ("ours", ours),
    ("deepmind", deepmind),
    ("ours, faces", ours_by_faces),
    ("monai", monai),
    ("panoptica", panoptica),
)
CONVENTION = {"deepmind": "ours", "monai": "ours, faces", "panoptica": "ours, faces"}


def measured(function: Callable[..., Figures], *pair: object) -> tuple[Figures, float, float]:
    """Figures, seconds and peak gigabytes of one call in a process of its own, after a first small call."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_work, args=(there, function, *pair))
    process.start()
    there.close()
    answer = here.recv()
    process.join()
    return answer


def _work(pipe: object, function: Callable[..., Figures], *pair: object) -> None:
    small = np.zeros((8, 8, 8), bool)
    small[2:5, 2:5, 2:5] = True
    function(small, np.roll(small, 1, 0), (1.0, 1.0, 1.0))
    started = time.perf_counter()
    figures = function(*pair)
    seconds = time.perf_counter() - started
    pipe.send((figures, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--pred", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--skip", nargs="*", default=(), choices=CONVENTION, help="panoptica needs 11 GB and 15 minutes"
    )
    arguments = parser.parse_args()
    pair = _read(arguments.truth, arguments.pred) if arguments.truth else (*synthetic_pair(), SPACING_MM)
    best: dict[str, tuple[Figures, float, float]] = {}
    for _ in range(arguments.rounds):
        for name, function in COMPARED:
            if name in arguments.skip:
                continue
            answer = measured(function, *pair)
            best[name] = min(answer, best.get(name, answer), key=lambda one: one[1])
    for name, (figures, seconds, gigabytes) in best.items():
        shown = "  ".join(f"{key} {value:.6f}" for key, value in figures.items())
        print(f"{name:<12}{seconds:>8.2f} s {gigabytes:>6.2f} GB   {shown}")
    return int(not _verdict(best))


def _verdict(best: dict[str, tuple[Figures, float, float]]) -> bool:
    peers = {peer: name for peer, name in CONVENTION.items() if peer in best}
    fastest = min(best[peer][1] for peer in peers)
    lines = [
        ("seconds", best["ours"][1], LARGEST_S),
        ("gigabytes", best["ours"][2], LARGEST_GB),
        ("times the fastest peer", best["ours"][1] / fastest, LARGEST_RATIO),
    ]
    for peer, name in peers.items():
        both = set(best[peer][0]) & set(best[name][0])
        apart = max(abs(best[peer][0][key] - best[name][0][key]) for key in both)
        lines.append((f"largest difference to {peer}", apart, TOLERANCE))
    for text, value, limit in lines:
        print(f"{'ok  ' if value <= limit else 'MISS'} {text}: {value:.4g} (limit {limit:g})")
    return all(value <= limit for _, value, limit in lines)


def _read(truth: Path, prediction: Path) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    import nibabel

    images = [nibabel.load(path) for path in (truth, prediction)]
    first, second = (np.asanyarray(image.dataobj) > 0 for image in images)
    return first, second, tuple(float(mm) for mm in images[0].header.get_zooms()[:3])


if __name__ == "__main__":
    sys.exit(main())
