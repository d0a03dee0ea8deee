"""Weights into and out of a bundle's networks."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DynUNet

from nen_imaging.segmentation.networks import put_weights, weights_once


def network(seed: int) -> DynUNet:
    """It holds every weight under two names."""
    torch.manual_seed(seed)
    return DynUNet(3, 1, 2, [3, 3, 3], [1, 2, 2], [2, 2], filters=[2, 4, 4])


def test_a_weight_with_two_names_is_kept_once_and_put_under_both():
    one, other = network(1), network(2)
    kept = weights_once(one, one.state_dict())
    assert sum(value.numel() for value in kept.values()) == sum(value.numel() for value in one.parameters())
    assert len(kept) < len(one.state_dict())
    put_weights(other, kept)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value)


def test_weights_of_another_network_are_refused():
    kept = weights_once(network(1), network(1).state_dict())
    name = next(iter(kept))
    with pytest.raises(RuntimeError, match="1 weights are missing, or belong to another network, such as"):
        put_weights(network(2), {key: value for key, value in kept.items() if key != name})
    with pytest.raises(RuntimeError, match="such as strange"):
        put_weights(network(2), {**kept, "strange": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        put_weights(network(2), {**kept, name: torch.zeros(7)})
