"""Fixtures that every room's tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("repository", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("repository")

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does; before torch is imported

_REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the clone (or in NEN_IMAGING_SHARED); the test is skipped without it."""
    shared = Path(os.environ.get("NEN_IMAGING_SHARED", _REPOSITORY.parent / "shared"))
    data = shared / "data"
    if not data.is_dir():
        pytest.skip(f"no real data at {data}; set NEN_IMAGING_SHARED to the folder that holds data/")
    return data


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for the real data is marked `shared`: `-m "not shared"` leaves it out."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)
