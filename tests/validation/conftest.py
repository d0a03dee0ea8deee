"""A validation that needs no network."""

from __future__ import annotations

import pytest

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.validation.run import Validation
from tests.validation.fakes import fake_bundle, patch_network


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    """A bundle in name."""
    return fake_bundle(tmp_path)


@pytest.fixture
def network(monkeypatch) -> list:
    """The images that the fake network has seen."""
    return patch_network(monkeypatch)


@pytest.fixture
def validation(tmp_path, bundle, network) -> Validation:  # noqa: ARG001 - the network is patched
    return Validation(tmp_path / "results", "msd", (bundle,))
