"""Several processes that train one network together, each on its own samples and its own GPU.

`torchrun --nproc-per-node N -m nen_imaging train ...` starts them and tells each its number. After every step their
gradients are averaged, so all hold the same weights at all times, as if one process had taken N samples at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from nen_imaging.stage import StageError

if TYPE_CHECKING:
    import torch

_TORCHRUN = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}  # what it sets, and what holds without it
_PATIENCE = timedelta(days=1)  # the others wait while the first prepares the data; one that dies ends all, by torchrun


class ProcessesError(StageError):
    """The processes cannot work together."""


@dataclass(frozen=True)
class Processes:
    """One of the processes that train together: which one, of how many, on which device."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this is the one that prepares, writes and tells."""
        return self.rank == 0

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            import torch.distributed

            torch.distributed.barrier()

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put the mean over the processes into each of these tensors, in place."""
        import torch

        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        means = torch.split(flat / self.count, [tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view_as(tensor))

    def require_equal(self, tensors: Sequence[torch.Tensor]) -> None:
        """Raise ProcessesError, in every process, unless all hold the same: the sum of each tensor is compared."""
        import torch

        if self.count == 1:
            return
        low = torch.stack([tensor.double().sum() for tensor in tensors])
        high = low.clone()
        torch.distributed.all_reduce(low, op=torch.distributed.ReduceOp.MIN)
        torch.distributed.all_reduce(high, op=torch.distributed.ReduceOp.MAX)
        if not torch.equal(low, high):
            raise ProcessesError("The processes hold different weights: all must see the same data and run folder.")


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the others that `torchrun` started, if it did; with CUDA each takes the GPU of its number.

    Raises ProcessesError where there are more processes than GPUs.
    """
    count, rank, local = (int(os.environ.get(key, alone)) for key, alone in _TORCHRUN.items())
    if count == 1:
        yield Processes(device=device)
        return
    import torch

    if device == "cuda":
        if local >= torch.cuda.device_count():
            raise ProcessesError(f"Process {local + 1} finds {torch.cuda.device_count()} GPUs: start one per GPU.")
        torch.cuda.set_device(local)
        device = f"cuda:{local}"
    torch.distributed.init_process_group("gloo" if device == "cpu" else "nccl", timeout=_PATIENCE)
    try:
        yield Processes(rank, count, device)
    finally:
        torch.distributed.destroy_process_group()
