"""Several processes train one network as one process with larger steps would."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from nen_imaging.training.processes import ALONE, ProcessesError, joined
from nen_imaging.training.samples import StepSamples

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder of two processes, started as torchrun starts them."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in ("0", "1"):
        (folder / rank).mkdir()
        torchrun = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        command = [sys.executable, "-m", "tests.training.two_processes", str(folder)]
        started.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ, **torchrun}))
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    return folder


def test_what_makes_samples_ends_where_the_training_is_killed(data, recipe, tmp_path):
    endless = recipe.model_copy(update={"liver": recipe.liver.model_copy(update={"steps": 1_000_000})})
    path = tmp_path / "endless.yaml"
    path.write_text(yaml.safe_dump(endless.model_dump(mode="json")))
    command = ["train", str(path), "--data", str(data), "--out", str(tmp_path / "run"), "--device", "cpu"]
    training = subprocess.Popen([sys.executable, "-m", "nen_imaging", *command], cwd=ROOT)
    try:
        wait_until(lambda: (tmp_path / "run" / "liver" / "checkpoint.pt").is_file())
        helpers = below(training.pid)
        assert helpers
    finally:
        training.kill()
        training.wait()
    wait_until(lambda: not any(Path(f"/proc/{helper}").exists() for helper in helpers))


def below(pid):
    """The numbers of all processes that it started, and those that they did."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [*children, *(found for child in children for found in below(child))]


def wait_until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def told(folder, rank):
    return json.loads((folder / str(rank) / "told.json").read_text())


def checkpoint(folder, rank, name):
    return torch.load(folder / str(rank) / name / "checkpoint.pt", weights_only=True)


def test_both_end_with_the_same_weights_also_where_they_were_stopped(two):
    first, *others = (checkpoint(two, rank, name) for rank in (0, 1) for name in ("whole", "parts"))
    assert first["step"] == 6
    for other in others:
        for part in ("network", "ema"):
            for name, value in first[part].items():
                torch.testing.assert_close(other[part][name], value, rtol=0, atol=0)


def test_the_loss_that_is_told_is_that_of_all(two):
    first, second = (list(csv.DictReader((two / rank / "whole" / "log.csv").open())) for rank in ("0", "1"))
    assert [row["loss"] for row in first] == [row["loss"] for row in second]
    assert len(first) == 2


def test_the_mean_of_tensors_is_put_into_each(two):
    for rank in (0, 1):
        number, weights = told(two, rank)["average"]
        assert number == 1
        assert weights == [2.0 * one for one in range(48)]


def test_different_weights_are_noticed_by_both(two):
    for rank in (0, 1):
        assert "hold different weights" in told(two, rank)["objection"]


def test_two_draw_what_one_draws_in_twice_as_many_steps(case, recipe):
    block = 6 * recipe.liver.patches_per_variant
    alone = StepSamples([case, case], recipe, "liver")
    for rank in (0, 1):
        one_of_two = StepSamples([case, case], recipe, "liver", rank, 2)
        for step in (1, block + 1):
            same = step + rank * block + step // block * block
            np.testing.assert_array_equal(one_of_two[step]["input"].numpy(), alone[same]["input"].numpy())


def test_by_itself_a_process_changes_nothing():
    with joined("cpu") as processes:
        assert processes == ALONE
        value = torch.ones(2)
        processes.average([value])
        processes.require_equal([value])
        processes.wait()
        assert value.tolist() == [1, 1]


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for key, value in {"WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ProcessesError, match="Process 3 finds 2 GPUs"), joined("cuda"):
        pass
