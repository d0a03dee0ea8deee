"""A bundle's networks: MONAI's U-Net with an end of its own; several as one. Import late: it loads torch and MONAI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from monai.networks.blocks import Convolution
from monai.networks.nets import UNet
from torch import nn


class PlainEndUNet(UNet):  # type: ignore[misc]
    """MONAI's residual U-Net, its logits taken by one convolution straight from the last features.

    With residual units MONAI's own ends in a normalised layer of as many channels as there are classes: normalised
    over one patch, every patch would seem to hold the same share of lesion (measured: probabilities in the liver
    stayed near 0.36, whatever was in it).
    """

    def _get_up_layer(self, in_channels: int, out_channels: int, strides: int, is_top: bool) -> nn.Module:
        if not is_top:
            layer: nn.Module = super()._get_up_layer(in_channels, out_channels, strides, is_top)
            return layer
        return Convolution(
            self.dimensions,
            in_channels,
            out_channels,
            strides=strides,
            kernel_size=self.up_kernel_size,
            conv_only=True,
            is_transposed=True,
        )


class MeanOfNetworks(nn.Module):
    """The mean of the logits of several networks, which learnt from different patients."""

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of an image, summed with 32 bits."""
        logits = [network(image).float() for network in self.networks]
        return torch.stack(logits).mean(dim=0)


def weights_once(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A network's weights without those that it holds under a second name, as `DynUNet` does."""
    names = _names(network)
    return {name: value for name, value in weights.items() if name in names}


def put_weights(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Put weights into a network, each under all its names; RuntimeError where one is missing, foreign or misshapen."""
    found = network.load_state_dict(dict(weights), strict=False)
    if wrong := [*found.unexpected_keys, *sorted(_names(network) - weights.keys())]:
        raise RuntimeError(f"{len(wrong)} weights are missing, or belong to another network, such as {wrong[0]}.")


def _names(network: nn.Module) -> set[str]:
    """The names of its weights, of those with several names one."""
    return {name for named in (network.named_parameters(), network.named_buffers()) for name, _ in named}
