"""Bundles of the kinds that are not ours, made in moments: each draws the liver and lesions of `tests` by HU alone."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import numpy as np
import torch

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.install import install
from nen_imaging.volume import Volume

LIVER_HU, LESION_HU = 100, 200


def planted() -> Volume:
    """A liver of 100 HU with a lesion of 200 HU in it and one at its edge, in a body of 0 HU; LPS, 4 x 4 x 5 mm."""
    shape = (40, 36, 30)
    index = np.indices(shape).transpose(1, 2, 3, 0).astype(float)

    def ball(*centre: float, radius: float):
        return ((index - np.array(centre)) ** 2).sum(-1) < radius**2

    hu = np.full(shape, -1000, np.int16)
    hu[4:36, 4:32] = 0
    hu[ball(15, 16, 14, radius=8.5)] = LIVER_HU
    hu[ball(14, 15, 15, radius=2.5)] = LESION_HU
    hu[ball(23, 16, 14, radius=2.2)] = LESION_HU  # half of it bulges out of the liver
    affine = np.diag([-4.0, -4.0, 5.0, 1.0])
    affine[:3, 3] = 80, 70, -300
    return Volume(hu, affine)


def truth(ct: Volume):
    """Labels of the planted liver: 1 liver, 2 lesion."""
    return np.select([ct.array > 150, ct.array > 50], [2, 1]).astype(np.uint8)


def write(folder: Path, inference: dict | str, metadata: dict | None = None, *, yaml: bool = False) -> Path:
    """A bundle folder with its two files."""
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    text = inference if isinstance(inference, str) else json.dumps(inference)
    (folder / "configs" / f"inference.{'yaml' if yaml else 'json'}").write_text(text)
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata or {"version": "1"}))
    return folder


def installed(folder: Path) -> Bundle:
    """Registered in the folder above."""
    return install(folder.parent, folder, name=folder.name, licence="none")


def monai_inference(**changes) -> dict:
    """A network of one voxel: HU decides between body, liver and lesion."""
    return {
        "imports": ["$import os"],
        "bundle_root": "/nowhere",
        "output_dir": "$os.path.join(@bundle_root, 'eval')",
        "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in os.listdir('/nowhere')]"},
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 3, "kernel_size": 1},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [4.0, 4.0, 5.0], "mode": "bilinear"},
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [24, 24, 24], "overlap": 0.25},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "nearest_interp": False,
                    "to_tensor": True,
                },
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
            ],
        },
        "evaluator": {"_target_": "SupervisedEvaluator", "network": "@network"},
        **changes,
    }


def monai_metadata(**channels: str) -> dict:
    """`_0="background"` names channel 0."""
    names = {key.lstrip("_"): name for key, name in channels.items()}
    image = {"inputs": {"image": {"num_channels": 1}}, "outputs": {"pred": {"channel_def": names}}}
    return {"version": "1", "network_data_format": image}


LITS_CHANNELS = {"_0": "background", "_1": "Liver", "_2": "liver_tumor"}


def monai_weights() -> dict[str, torch.Tensor]:
    """Class k wins from (k - 1/2) x 100 HU on."""
    slope = torch.tensor([0.0, 1.0, 2.0])
    edges = torch.tensor([0.0, 50.0, 50.0 + 150.0])
    return {"weight": slope.reshape(3, 1, 1, 1, 1), "bias": -edges}


def write_monai(folder: Path, *, weights: bool = True, yaml: bool = False, **changes) -> Path:
    """A MONAI bundle with its weights in `models/model.pt`."""
    write(folder, json.dumps(monai_inference(**changes)), monai_metadata(**LITS_CHANNELS), yaml=yaml)
    (folder / "models").mkdir(exist_ok=True)
    if weights:
        torch.save(monai_weights(), folder / "models" / "model.pt")
    return folder


STAND_IN = '''#!{python}
"""A segmenter that marks by HU; its last argument says how it misbehaves."""
import subprocess, sys, time
from pathlib import Path
if sys.argv[1] == "--version":
    print(Path(__file__).with_name("version").read_text())
    sys.exit()
import nibabel, numpy as np
image, output, how = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
if Path(image).is_dir():
    image = str(next(Path(image).glob("*_0000.nii.gz")))
ct = nibabel.load(image)
hu = np.asanyarray(ct.dataobj)
affine = ct.affine
if how == "crash":
    print("all is well so far")
    print("no license found", file=sys.stderr)
    sys.exit(3)
if how == "slow":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(__file__).with_name("child").write_text(str(child.pid))
    print("still loading weights", file=sys.stderr, flush=True)
    time.sleep(60)
labels = np.select([hu > 250, hu > 150, hu > 50], [3, 2, 1]).astype(np.uint8)
if how == "turned":
    turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, affine))
    labels, affine = np.asanyarray(turned.dataobj), turned.affine
if how == "coarse":
    labels, affine = labels[::2, ::2, ::2], affine @ np.diag([2, 2, 2, 1])
if how == "empty":
    labels[:] = 0
if how == "separate":
    nibabel.save(nibabel.Nifti1Image((labels == 1).astype(np.uint8), affine), output / "liver.nii.gz")
    if labels.any():
        nibabel.save(nibabel.Nifti1Image((labels == 2).astype(np.uint8), affine), output / "liver_lesions.nii.gz")
elif how != "nothing":
    nibabel.save(nibabel.Nifti1Image(labels, affine), output / "ct.nii.gz")
'''


def write_command(folder: Path, how: str = "", **changes) -> Path:
    """A bundle that calls a stand-in for an installed segmenter, which lies beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder.parent / f"{folder.name}_program"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    inference = {
        "kind": "command",
        "commands": [[str(program), "{input}", "{output}", how]],
        "outputs": [{"file": "ct.nii.gz", "labels": {"1": "liver", "2": "lesion"}}],
        **changes,
    }
    return write(folder, inference)
