"""Surface distances against the peers, on one pair of masks, interleaved in one session.

    python3.11 -m venv peers
    peers/bin/pip install "numpy<2.3" torch monai scipy nibabel panoptica==2.1.7 surface-distance-based-measures==0.1
    PYTHONPATH=. peers/bin/python benchmarks/surface_distances.py [--truth T.nii.gz --pred P.nii.gz] [--rounds 5]

The peers need an older NumPy than ours, hence an environment of their own; our module runs in it as it is. Without
files the pair is synthetic, 512 x 512 x 600 (`--shape` for another): a liver, its prediction with a wavy edge, and a
false lesion far away. Every round measures each program once, one after the other, each in a process of its own, so
that what else the machine does strikes all alike; seconds are the median over rounds, ratios the median of each
round's ratio, gigabytes the largest peak, masks included. Equality is checked under each peer's own convention.

panoptica takes part in the first round alone, since on the full pair it needs 11 GB and a quarter of an hour: its
seconds are of one run. `--skip panoptica` leaves it out where the memory is short.

Prints the table that docs/validation.md holds. Ends with 1 where a limit is missed: 10 s, 2 GB, 1.5 times the fastest
peer, equal figures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from nen_imaging.validation.surface import Surface, surface_distances

SHAPE, FIELD_MM = (512, 512, 600), (384.0, 384.0, 600.0)
LARGEST_S, LARGEST_GB, LARGEST_RATIO, TOLERANCE = 10.0, 2.0, 1.5, 1e-4
Figures = dict[str, float]


@dataclass(frozen=True)
class Run:
    """What one program made of the pair in one round."""

    figures: Figures
    seconds: float
    gigabytes: float


def synthetic_pair(shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    spacing_mm = tuple(mm / n for mm, n in zip(FIELD_MM, shape, strict=True))
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    x, y, z = ((axis - n / 2) * mm for axis, n, mm in zip(grid, shape, spacing_mm, strict=True))
    truth = ((x + 40) / 95) ** 2 + (y / 75) ** 2 + ((z - 60) / 85) ** 2 < 1
    wave = 1 + 0.04 * np.sin(x / 9) * np.cos(y / 7) * np.sin(z / 11)
    prediction = ((x + 41) / 94) ** 2 + (y / 76) ** 2 + ((z - 62) / 84) ** 2 < wave
    return truth, prediction | ((x - 120) ** 2 + y**2 + (z + 230) ** 2 < 100), spacing_mm


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


COMPARED = {
    "ours": ours,
    "deepmind": deepmind,
    "ours, faces": ours_by_faces,
    "monai": monai,
    "panoptica": panoptica,
}
CONVENTION = {"deepmind": "ours", "monai": "ours, faces", "panoptica": "ours, faces"}
ONCE = ("panoptica",)


def measured(function: Callable[..., Figures], *pair: object) -> Run:
    """One call in a process of its own, after a first small one that loads the library."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_work, args=(there, function, *pair))
    process.start()
    there.close()
    answer = here.recv()
    process.join()
    return answer


def _work(pipe: Connection, function: Callable[..., Figures], *pair: object) -> None:
    small = np.zeros((8, 8, 8), bool)
    small[2:5, 2:5, 2:5] = True
    function(small, np.roll(small, 1, 0), (1.0, 1.0, 1.0))
    started = time.perf_counter()
    figures = function(*pair)
    seconds = time.perf_counter() - started
    pipe.send(Run(figures, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--pred", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE, help="of the synthetic pair")
    parser.add_argument("--skip", nargs="*", default=(), choices=CONVENTION)
    arguments = parser.parse_args()
    pair = _read(arguments.truth, arguments.pred) if arguments.truth else synthetic_pair(arguments.shape)
    runs: dict[str, list[Run]] = {name: [] for name in COMPARED if name not in arguments.skip}
    for number in range(arguments.rounds):
        for name in runs:
            if number == 0 or name not in ONCE:
                runs[name].append(measured(COMPARED[name], *pair))
                print(f"round {number + 1}, {name}: {runs[name][-1].seconds:.2f} s", file=sys.stderr, flush=True)
    print(f"{' x '.join(map(str, pair[0].shape))}, {len(os.sched_getaffinity(0))} cores, {arguments.rounds} rounds\n")
    print("| | seconds | times ours | GB |\n| --- | --- | --- | --- |")
    for name, of in runs.items():
        ratio = f"{1 / _ratio(runs, CONVENTION[name], name):.1f}" if name in CONVENTION else ""
        seconds = statistics.median(one.seconds for one in of)
        print(f"| {name} | {seconds:.1f} | {ratio} | {max(one.gigabytes for one in of):.1f} |")
    return int(not _verdict(runs))


def _ratio(runs: dict[str, list[Run]], name: str, peer: str) -> float:
    """Our seconds over a peer's: the median over the rounds that have both."""
    return statistics.median(mine.seconds / other.seconds for mine, other in zip(runs[name], runs[peer], strict=False))


def _verdict(runs: dict[str, list[Run]]) -> bool:
    peers = [peer for peer in CONVENTION if peer in runs]
    fastest = min(peers, key=lambda peer: statistics.median(one.seconds for one in runs[peer]))
    lines = [("gigabytes", max(one.gigabytes for one in runs["ours"]), LARGEST_GB)]
    lines += [("seconds", statistics.median(one.seconds for one in runs["ours"]), LARGEST_S)]
    lines += [(f"times {fastest}, the fastest peer", _ratio(runs, "ours", fastest), LARGEST_RATIO)]
    for peer in peers:
        theirs, mine = runs[peer][0].figures, runs[CONVENTION[peer]][0].figures
        apart = max(abs(theirs[key] - mine[key]) for key in set(theirs) & set(mine))
        lines.append((f"largest difference to {peer}, {', '.join(theirs)}", apart, TOLERANCE))
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
