"""Any MONAI bundle: its own preprocessing, network, inferer and postprocessing, on a NIfTI in a temporary folder.

Its configuration names Python classes, and expressions, that MONAI's parser calls: running a foreign bundle is running
foreign code. Its weights are read as plain tensors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nen_imaging.segmentation.bundle import INFERENCE, METADATA, Bundle, BundleError
from nen_imaging.segmentation.bundle_folder import MONAI_YAML, read_json, read_yaml
from nen_imaging.segmentation.drawn import Mask, Meaning, aligned, masks_of, segmentation_of
from nen_imaging.segmentation.infer import choose_device, load_once, with_fallback
from nen_imaging.segmentation.kinds.monai_labels import CHANNELS, LABELS, meanings
from nen_imaging.segmentation.preprocess import prepared
from nen_imaging.segmentation.result import Segmentation
from nen_imaging.stage import StageError
from nen_imaging.volume import Volume, write_nifti

if TYPE_CHECKING:
    import torch

Transforms = Callable[[dict[str, Any]], Any]
WEIGHTS = ("models/model.safetensors", "models/model.pt")


@dataclass(frozen=True)
class _Model:
    preprocessing: Transforms
    network: torch.nn.Module
    inferer: Callable[..., Any]
    postprocessing: Transforms


def check(bundle: Bundle) -> str:
    """See `Kind`; none of the bundle's classes is called."""
    path = _config(bundle)
    content = read_json(path) if path.suffix == ".json" else read_yaml(path)
    missing = [key for key in ("preprocessing", "postprocessing") if key not in content]
    missing += [] if {"network_def", "network"} & content.keys() else ["network_def"]
    if missing:
        raise BundleError(f"{path}: {', '.join(missing)} is missing; a MONAI bundle for inference has it.")
    meanings(bundle)
    _weights(bundle)
    return ""


def segment(ct: Volume, bundle: Bundle, *, device: str, threads: int | None) -> Segmentation:
    """See `segment_volume`; the bundle is loaded at its first use."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    chosen, note = choose_device(device)
    meant, image = meanings(bundle), prepared(ct)

    def drawn(where: str) -> tuple[Mask, Mask]:
        model = load_once(bundle, where, lambda: _load(bundle, where))
        with tempfile.TemporaryDirectory(prefix="nen_imaging_") as folder:
            write_nifti(Path(folder) / "ct.nii.gz", image)
            return _masks(bundle, meant, _predict(bundle, model, Path(folder) / "ct.nii.gz", where), image)

    (liver, lesion), used, fallback = with_fallback(chosen, drawn)
    return segmentation_of(ct, image, liver, lesion, device_used=used, device_note=fallback or note)


def _config(bundle: Bundle) -> Path:
    found = [bundle.folder / name for name in (INFERENCE, *MONAI_YAML) if (bundle.folder / name).is_file()]
    if not found:
        raise BundleError(f"Bundle {bundle.name}: {bundle.folder / INFERENCE} is missing, and so is its YAML.")
    return found[0]


def _weights(bundle: Bundle) -> Path:
    for name in WEIGHTS:
        if (bundle.folder / name).is_file():
            return bundle.folder / name
    raise BundleError(
        f"Bundle {bundle.name}: neither {' nor '.join(WEIGHTS)} is in {bundle.folder}. Put the weights there; a "
        "TorchScript archive (.ts) is not run."
    )


def _load(bundle: Bundle, device: str) -> _Model:
    import torch
    from monai.bundle import ConfigParser
    from monai.inferers import SimpleInferer

    path = _config(bundle)
    parser = ConfigParser()
    parser.read_config(str(path))
    parser.read_meta(str(bundle.folder / METADATA))
    parser["bundle_root"], parser["device"] = str(bundle.folder.absolute()), torch.device(device)

    def parsed(key: str) -> Any:  # noqa: ANN401 - whatever the bundle names
        try:
            return parser.get_parsed_content(key)
        except Exception as error:  # its own code raises whatever it likes
            raise BundleError(f"{path}: {key}: {type(error).__name__}: {error}") from error

    network = parsed("network_def" if "network_def" in parser else "network")
    try:
        network.load_state_dict(_read_weights(_weights(bundle)))
    except RuntimeError as error:
        raise BundleError(f"{_weights(bundle)} does not fit the network of {path}. {error}") from error
    inferer = parsed("inferer") if "inferer" in parser else SimpleInferer()
    return _Model(parsed("preprocessing"), network.eval(), inferer, _without_saving(parsed("postprocessing")))


def _read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """The state of the network, also out of a checkpoint that holds it under `model` or `state_dict`."""
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle raises many kinds
        raise BundleError(
            f"{path} holds more than plain weights, or is damaged ({type(error).__name__}); it is not loaded, since "
            "that could run code. Save the network's state_dict alone, best as models/model.safetensors."
        ) from error
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return content


def _without_saving(transforms: Transforms) -> Transforms:
    """A chain of transforms without those that write files: the result is taken from memory."""
    from monai.transforms import Compose, SaveImage, SaveImaged

    if isinstance(transforms, Compose):
        kept = [one for one in transforms.transforms if not isinstance(one, (SaveImage, SaveImaged))]
        return Compose(kept)
    return transforms


def _predict(bundle: Bundle, model: _Model, ct: Path, device: str) -> torch.Tensor:
    """What the postprocessing makes of the prediction: an image (channels, i, j, k) with its affine.

    The steps are those of MONAI's evaluator: collate, infer, take the batch apart, postprocess.
    """
    import torch
    from monai.data import decollate_batch, list_data_collate

    key = next(iter(bundle.metadata.get("network_data_format", {}).get("inputs", {})), "image")
    try:
        with torch.no_grad():
            batch = list_data_collate([model.preprocessing({key: str(ct)})])
            prediction = model.inferer(batch[key].to(device), model.network.to(device))
            (one,) = decollate_batch({**batch, "pred": prediction.cpu()})
            return model.postprocessing(one)["pred"]
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # its own code raises whatever it likes
        raise StageError(f"Bundle {bundle.name} failed on this CT: {type(error).__name__}: {error}") from error


def _masks(bundle: Bundle, meant: Mapping[int, Meaning], found: torch.Tensor, image: Volume) -> tuple[Mask, Mask]:
    what, where = f"The prediction of bundle {bundle.name}", f"{CHANNELS} of {bundle.folder / METADATA} or {LABELS}"
    affine = np.asarray(getattr(found, "affine", image.affine), float)
    channels: NDArray[Any] = np.asarray(found)
    if channels.ndim != 4:
        raise StageError(f"{what} must be of shape (channels, i, j, k), found {channels.shape}.")
    remedy = "The bundle's `postprocessing` must bring it back (Invertd)."
    aligned_channels = [aligned(Volume(channel, affine), image, what, remedy) for channel in channels]
    if len(aligned_channels) == 1:
        if meant.get(0, "other") != "other":
            raise StageError(f"{what} has one channel, a label map, in which 0 is background; {where} say {meant[0]}.")
        return masks_of(aligned_channels[0], meant, what, where)
    if max(meant) >= len(aligned_channels):
        raise StageError(f"{what} has {len(aligned_channels)} channels, but {where} name channel {max(meant)}.")
    liver, lesion = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    for label, meaning in meant.items():
        if meaning != "other":
            mask = liver if meaning == "liver" else lesion
            mask |= aligned_channels[label] >= 0.5
    return liver, lesion
