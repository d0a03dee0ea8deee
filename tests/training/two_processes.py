"""What each of two processes does for `test_processes`: train, stop, go on; each writes down what it holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from nen_imaging.training.cases import Case
from nen_imaging.training.loop import train_network
from nen_imaging.training.processes import Processes, ProcessesError, joined
from nen_imaging.training.recipes import NetworkRecipe, Recipe
from nen_imaging.training.samples import StepSamples
from tests.training.conftest import NETWORK, make_liver


class Writing(Processes):
    """One that writes what only the first would."""

    first = True


def main(folder: Path) -> None:
    """Write `<folder>/<rank>/`: told.json, and the checkpoints of a whole run and of one in two parts."""
    torch.set_num_threads(1)
    network = NetworkRecipe(spacing_mm=8.0, patch=(16, 16, 16), network=NETWORK, steps=6, checkpoint_every=3)
    recipe = Recipe(name="tiny", seed=5, sources=[], liver=network, lesion=network)
    case = Case("one", "A", *make_liver(), lesions_known=True)
    with joined("cpu") as processes:
        mine = folder / str(processes.rank)
        for name, options in (("whole", [{}]), ("parts", [{"stop_at": 3}, {"resume": True}])):
            for some in options:
                samples = StepSamples([case], recipe, "liver", processes.rank, processes.count)
                this = Writing(processes.rank, processes.count)
                train_network(network, samples, mine / name, seed=1, processes=this, workers=0, **some)
        (mine / "told.json").write_text(json.dumps({"average": averaged(processes), "objection": objection(processes)}))


def averaged(processes: Processes) -> list:
    """The mean of 0 and 2 in a number, and of voxels in channels-last order."""
    number = torch.tensor(2.0 * processes.rank)
    weights = (torch.arange(2.0 * 3 * 8).reshape(2, 3, 2, 2, 2) * (1 + 2 * processes.rank)).contiguous(
        memory_format=torch.channels_last_3d
    )
    processes.average([number, weights])
    return [float(number), weights.flatten().tolist()]


def objection(processes: Processes) -> str:
    """What is said where they hold different weights."""
    processes.require_equal([torch.ones(3)])
    try:
        processes.require_equal([torch.ones(3), torch.ones(1) * processes.rank])
    except ProcessesError as error:
        return str(error)
    return ""


main(Path(sys.argv[1]))
