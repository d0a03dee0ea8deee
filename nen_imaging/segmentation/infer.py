"""Networks on a device: build, load, choose CUDA or CPU, slide over a volume."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nen_imaging.segmentation.bundle import Bundle, BundleError, Inference, NetworkInference, read_inference, verify
from nen_imaging.stage import StageError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
NETWORK_MODULES = ("monai.networks.nets", "nen_imaging.segmentation.networks")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """A bundle's networks in memory, with how to run them."""

    inference: Inference
    liver: torch.nn.Module
    lesion: torch.nn.Module


def build_network(definition: Mapping[str, Any]) -> torch.nn.Module:
    """A network from its definition: `_target_` names a class of `NETWORK_MODULES`, the rest are its arguments.

    Only classes of these modules are built: a bundle's JSON cannot call anything else.
    """
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    module, _, name = str(definition.get("_target_", "")).rpartition(".")
    network = getattr(importlib.import_module(module), name, None) if module in NETWORK_MODULES else None
    if not isinstance(network, type):
        raise BundleError(f"`_target_` {definition.get('_target_')!r} is no network of {' or '.join(NETWORK_MODULES)}.")
    return network(**arguments)


def load_model(bundle: Bundle) -> Model:
    """Verify a bundle and load its networks onto the CPU; a bundle loaded before is not read again."""
    return load_once(bundle, "", lambda: _load(bundle))


def load_once(bundle: Bundle, variant: str, load: Callable[[], T]) -> T:
    """What was loaded for a bundle before, or else load it now, once the bundle is verified.

    What belongs to other bundles is dropped, but for those that are used together (see `used_together`): it would only
    cost memory.
    """
    key = (bundle.sha256, variant)
    if key not in _LOADED:
        verify(bundle)
        loaded = load()
        for other in [other for other in _LOADED if other[0] not in _TOGETHER]:
            del _LOADED[other]
        _LOADED[key] = loaded
    return _LOADED[key]


@contextmanager
def used_together(bundles: Iterable[Bundle]) -> Iterator[None]:
    """While this lasts, loading one of these bundles leaves the others in memory."""
    added = {bundle.sha256 for bundle in bundles} - _TOGETHER
    _TOGETHER.update(added)
    try:
        yield
    finally:
        _TOGETHER.difference_update(added)


_LOADED: dict[tuple[str, str], Any] = {}
_TOGETHER: set[str] = set()


def _load(bundle: Bundle) -> Model:
    inference = read_inference(bundle)
    liver, lesion = (_load_network(bundle, part) for part in (inference.liver, inference.lesion))
    return Model(inference, liver, lesion)


def read_weights(bundle: Bundle, name: Literal["liver", "lesion"]) -> dict[str, torch.Tensor]:
    """The weights of one network of a bundle, stored with 16 bits, in float32.

    Raises BundleError where the bundle averages several networks: there is no one set of weights then.
    """
    part: NetworkInference = getattr(read_inference(bundle), name)
    if part.further:
        raise BundleError(f"Bundle {bundle.name} averages several {name} networks: name a bundle of one of them.")
    return _read_file(bundle.folder / part.weights)


def _read_file(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {key: value.float() for key, value in load_file(path).items()}


def _load_network(bundle: Bundle, part: NetworkInference) -> torch.nn.Module:
    import torch

    from nen_imaging.segmentation.networks import MeanOfNetworks, put_weights

    networks = []
    for file in part.networks:
        networks.append(build_network(file.network_def))
        try:
            put_weights(networks[-1], _read_file(bundle.folder / file.weights))
        except RuntimeError as error:
            raise BundleError(f"Bundle {bundle.name}: {file.weights} does not fit its network_def. {error}") from error
    network = networks[0] if len(networks) == 1 else MeanOfNetworks(networks)
    return network.eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def choose_device(requested: str) -> tuple[str, str]:
    """The device to use for `auto`, `cpu` or `cuda`, and a note where `auto` had to settle for the CPU.

    Raises StageError where CUDA was asked for by name and is not there.
    """
    import torch

    if requested == "cpu":
        return "cpu", ""
    if torch.cuda.is_available():
        return "cuda", ""
    if requested == "auto":
        return "cpu", "no CUDA device"
    raise StageError("CUDA was asked for, but torch finds no CUDA device. Use --device auto or cpu.")


def with_fallback(device: str, work: Callable[[str], T]) -> tuple[T, str, str]:
    """Do the work on a device, or again on the CPU if the device's memory ran out.

    Returns its result, the device it was done on, and a note if that is not the one that was meant.
    """
    import torch

    try:
        return work(device), device, ""
    except torch.cuda.OutOfMemoryError:
        note = f"{device} ran out of memory"
        logger.warning("%s: segmenting on the CPU instead, which takes longer.", note)
    torch.cuda.empty_cache()
    return work("cpu"), "cpu", note


def predict(
    network: torch.nn.Module, channels: torch.Tensor, patch: tuple[int, int, int], overlap: float, device: str
) -> torch.Tensor:
    """Logits (outputs, i, j, k), float32 on the CPU, of an image (channels, i, j, k) at least as large as the patch.

    As few patches as ``overlap`` (at least this much of each patch) allows, evenly spread. One patch at a time: the
    networks normalise over what they see at once.
    """
    import torch
    from monai.inferers import sliding_window_inference

    network = network.to(device)
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bf16_is_fast(device)):
        logits = sliding_window_inference(
            channels[None],
            patch,
            sw_batch_size=1,
            predictor=lambda window: network(window.to(memory_format=torch.channels_last_3d)).float(),
            overlap=even_overlap(channels.shape[1:], patch, overlap),
            mode="gaussian",
            sw_device=device,
            device="cpu",
        )
    return logits[0]


def even_overlap(shape: Sequence[int], patch: Sequence[int], least: float) -> list[float]:
    """Per axis, the overlap with which MONAI's sliding window spreads the fewest possible patches evenly.

    Told the least overlap itself, it puts the last patch wherever room is left: of the three patches of 96 along 170
    voxels, which a quarter asks for, two would lie 2 voxels apart.
    """
    return [_even_overlap(length, size, least) for length, size in zip(shape, patch, strict=True)]


def _even_overlap(length: int, size: int, least: float) -> float:
    gaps = ceil((length - size) / (size * (1 - least)))
    if gaps <= 0:
        return least
    distance = ceil((length - size) / gaps)
    return 1 - (distance + 0.5) / size  # MONAI rounds down to whole voxels


def bf16_is_fast(device: str) -> bool:
    """Whether the device computes with 16-bit floats; elsewhere they are emulated, slowly."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    has_instructions = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(has_instructions())
