"""A recipe and a folder of cases -> trained networks in a run folder, each of which can be resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.infer import read_weights
from nen_imaging.training.data import NETWORKS as NETWORKS
from nen_imaging.training.data import NetworkName, load_cases, scans
from nen_imaging.training.loop import train_network
from nen_imaging.training.processes import ALONE, Processes
from nen_imaging.training.recipes import Recipe, RecipeError
from nen_imaging.training.samples import StepSamples


def train(
    recipe: Recipe,
    data: Path,
    run: Path,
    *,
    networks: tuple[NetworkName, ...] = NETWORKS,
    resume: bool = False,
    start_from: Bundle | None = None,
    processes: Processes = ALONE,
    workers: int = 1,
    report: Callable[[str], None] = print,
) -> dict[NetworkName, Path]:
    """Train the networks one after the other; returns the checkpoint of each, `<run>/<network>/checkpoint.pt`.

    With ``start_from`` the networks begin from a bundle's weights: more training, or training for one's own scanner.
    With ``resume`` a network goes on from its checkpoint where it has one, and starts where it has none.
    A recipe with data sets must know its data (`data.with_data`), one that begins from weights whom these have seen.

    Raises RecipeError where these have seen a held-out patient.
    """
    if known := set(recipe.held_out) & {row["patient"] for row in recipe.learnt_before}:
        raise RecipeError(
            f"The weights to begin from have learnt from held-out patients, {', '.join(sorted(known))}: begin from "
            "others, or hold others out."
        )
    if absent := set(recipe.held_out) - {scan.patient for name in NETWORKS for scan in scans(recipe, name, data)}:
        report(f"Held out, but not in the data: {', '.join(sorted(absent))}.")
    checkpoints: dict[NetworkName, Path] = {}
    for name in networks:
        cases = load_cases(recipe, name, data)
        patients = len({case.patient for case in cases})
        report(f"{name}: {len(cases)} scans of {patients} patients, {getattr(recipe, name).steps} steps")
        checkpoints[name] = train_network(
            getattr(recipe, name),
            StepSamples(cases, recipe, name, processes.rank, processes.count),
            run / name,
            seed=recipe.seed,
            resume=resume and (run / name / "checkpoint.pt").is_file(),
            weights=read_weights(start_from, name) if start_from else None,
            processes=processes,
            workers=workers,
            report=lambda step, loss, name=name: report(f"{name}: step {step}, loss {loss:.4f}"),  # type: ignore[misc]
        )
    return checkpoints
