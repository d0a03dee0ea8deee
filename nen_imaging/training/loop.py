"""Train one network: bf16 where it is fast, cosine schedule, moving average of the weights, checkpoint and resume."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nen_imaging.training.processes import ALONE, Processes
from nen_imaging.training.recipes import NetworkRecipe, RecipeError

if TYPE_CHECKING:
    import torch
    from torch.utils.data import Dataset

    from nen_imaging.training.samples import StepSamples

_LOG_COLUMNS = ("step", "loss", "learning_rate", "seconds")


def train_network(
    recipe: NetworkRecipe,
    samples: Dataset[dict[str, Any]] | StepSamples,
    folder: Path,
    *,
    seed: int,
    resume: bool = False,
    weights: Mapping[str, torch.Tensor] | None = None,
    processes: Processes = ALONE,
    workers: int = 1,
    stop_at: int | None = None,
    report: Callable[[int, float], None] | None = None,
) -> Path:
    """Train for ``recipe.steps`` (or until ``stop_at``), writing `checkpoint.pt` and `log.csv` to ``folder``.

    With ``weights`` it begins from these instead of random ones (not when it resumes).
    The sample of a step depends on the step alone, so a resumed run ends with the weights of an uninterrupted one.
    Several ``processes`` each take their own samples and one mean step; the first writes and reports, also for the
    others the mean loss. ``workers`` is how many further processes make the samples of each.

    Returns
    -------
    Path
        The checkpoint; its `ema` are the weights to export.

    Raises
    ------
    RecipeError
        To resume: there is no checkpoint, or it was made by another recipe. To begin from weights: they do not fit.
    ProcessesError
        The processes hold different weights.
    """
    import torch

    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    state = _State(recipe, processes)
    if resume:
        state.load(folder / "checkpoint.pt")
    elif weights:
        state.begin_from(weights)
    state.require_equal()
    last = min(recipe.steps, stop_at or recipe.steps)
    loader = torch.utils.data.DataLoader(
        samples,  # type: ignore[arg-type]
        batch_size=1,
        sampler=range(state.step, last),
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        # A fork of a process with threads may hang; what a fork server starts outlives this process if it is killed.
        multiprocessing_context="spawn" if workers else None,
    )
    started, losses = time.perf_counter(), []
    for batch in loader:
        losses.append(state.advance(batch))
        if state.step % recipe.checkpoint_every == 0 or state.step == last:
            state.require_equal()
            mean = sum(losses) / len(losses)
            if processes.first:
                _log(folder / "log.csv", state.step, mean, state.learning_rate, time.perf_counter() - started)
                state.save(folder / "checkpoint.pt")
                if report:
                    report(state.step, mean)
            losses = []
    processes.wait()
    return folder / "checkpoint.pt"


class _State:
    """Everything that a checkpoint holds."""

    def __init__(self, recipe: NetworkRecipe, processes: Processes) -> None:
        import torch

        from nen_imaging.segmentation.infer import bf16_is_fast, build_network

        self.recipe = recipe
        self.processes = processes
        self.device = torch.device(processes.device)
        self.network = build_network(recipe.network).to(self.device).train()
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.bf16 = bf16_is_fast(self.device.type)
        self.step = 0
        self.learning_rate = 0.0

    def begin_from(self, weights: Mapping[str, torch.Tensor]) -> None:
        from nen_imaging.segmentation.networks import put_weights

        try:
            put_weights(self.network, weights)
        except RuntimeError as error:
            raise RecipeError(
                "The weights to begin from do not fit the recipe's network: train this one without --start-from, the "
                f"other with it (`--network`). {error}"
            ) from error
        self.ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def advance(self, batch: dict[str, torch.Tensor]) -> float:
        """One optimiser step, on the mean gradient of all processes; returns their mean loss."""
        import torch

        self.learning_rate = self.recipe.learning_rate * _schedule(self.step, self.recipe)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        image = batch["input"].to(self.device, memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            logits = self.network(image)
        target, weight = (batch[key].to(self.device)[:, : logits.shape[1]] for key in ("target", "weight"))
        loss = segmentation_loss(logits.float(), target, weight, self.recipe.dice_weight_at(self.step))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        mean_loss = loss.detach().clone()
        self.processes.average([mean_loss, *(one.grad for one in self.network.parameters() if one.grad is not None)])
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimiser.step()
        self._average()
        self.step += 1
        return float(mean_loss)

    def require_equal(self) -> None:
        import torch

        self.processes.require_equal([torch.tensor(float(self.step), device=self.device), *self.ema.values()])

    def _average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.ema[name].lerp_(value.detach(), 1 - decay)

    def save(self, path: Path) -> None:
        import torch

        content = {
            "recipe": self.recipe.model_dump(mode="json"),
            "step": self.step,
            "network": self.network.state_dict(),
            "ema": self.ema,
            "optimiser": self.optimiser.state_dict(),
        }
        temporary = path.with_suffix(".tmp")
        torch.save(content, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        import torch

        if not path.is_file():
            raise RecipeError(f"There is no checkpoint at {path} to resume from; start without --resume.")
        content = torch.load(path, map_location=self.device, weights_only=True)
        if content["recipe"] != self.recipe.model_dump(mode="json"):
            raise RecipeError(f"{path} was made by another recipe; start without --resume, in another folder.")
        self.step = int(content["step"])
        self.network.load_state_dict(content["network"])
        self.ema = content["ema"]
        self.optimiser.load_state_dict(content["optimiser"])


def segmentation_loss(
    logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, dice_weight: float = 1.0
) -> torch.Tensor:
    """Twice the weighted binary cross-entropy plus soft Dice; channels: liver with lesions, lesions if asked for."""
    import torch
    from monai.losses import DiceLoss

    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, weight=weight)
    if not dice_weight:
        return 2.0 * entropy
    return 2.0 * entropy + dice_weight * DiceLoss(sigmoid=True, smooth_nr=10.0, smooth_dr=10.0)(logits, target)


def _schedule(step: int, recipe: NetworkRecipe) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < recipe.warm_up_steps:
        return (step + 1) / recipe.warm_up_steps
    done = (step - recipe.warm_up_steps) / max(1, recipe.steps - recipe.warm_up_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _log(path: Path, step: int, loss: float, learning_rate: float, seconds: float) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(_LOG_COLUMNS)
        writer.writerow([step, f"{loss:.5f}", f"{learning_rate:.3g}", f"{seconds:.1f}"])
