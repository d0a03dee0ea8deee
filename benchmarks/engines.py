"""Which engine runs the fine network fastest on a CPU, and does it draw the same masks?

    pip install --target engines --no-deps openvino openvino-telemetry onnxruntime onnx flatbuffers protobuf ml_dtypes onnxscript onnx_ir
    PYTHONPATH=engines python benchmarks/engines.py [--image CT.nii.gz] [--threads 2] [--rounds 3]

Without an image a digital patient is drawn. The engines take turns in every round, so that what else the machine does
strikes all alike; seconds are medians over the rounds. Masks (logit above 0, liver and lesion) are held against
torch's with 32 bits. Prints a table in Markdown.
"""  # noqa: E501 - a command is one line

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from nen_imaging.phantom.anatomy import digital_patient
from nen_imaging.phantom.staging import staging
from nen_imaging.segmentation.bundle import find_bundle
from nen_imaging.segmentation.infer import Model, load_model
from nen_imaging.segmentation.preprocess import AIR_HU, at_spacing, lesion_channels, padded, prepared
from nen_imaging.segmentation.two_stage import floats, look_coarsely
from nen_imaging.segmentation.uncertainty import overlap
from nen_imaging.shipped import shipped
from nen_imaging.volume import Volume, read_nifti, resample

Engine = Callable[[torch.Tensor], torch.Tensor]


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    model = load_model(find_bundle(None, shipped("models")))
    image = read_nifti(arguments.image) if arguments.image else staging(digital_patient(5, 2.0), 20.0, 5).ct
    channels = _box_of_liver(image.with_array(np.asarray(image.array).round().astype(np.int16)), model)
    patch = model.inference.lesion.patch
    engines = _engines(model.lesion, torch.zeros(1, channels.shape[0], *patch), arguments.threads)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    logits: dict[str, torch.Tensor] = {}
    for _ in range(arguments.rounds):
        for name, engine in engines.items():
            started = time.perf_counter()
            with torch.inference_mode():
                logits[name] = sliding_window_inference(channels[None], patch, 1, engine, overlap=0.5, mode="gaussian")[
                    0
                ]
            seconds[name].append(time.perf_counter() - started)
    print(f"Box of {' x '.join(map(str, channels.shape[1:]))} voxels, {arguments.threads} threads\n")
    print("| engine | seconds | times faster | liver Dice | lesion Dice |\n| --- | --- | --- | --- | --- |")
    plain = logits["torch, 32 bits"]
    for name, found in logits.items():
        dice = [overlap((found[n] > 0).numpy(), (plain[n] > 0).numpy()) for n in (0, 1)]
        ratio = statistics.median(a / b for a, b in zip(seconds["torch, 32 bits"], seconds[name], strict=True))
        print(f"| {name} | {statistics.median(seconds[name]):.1f} | {ratio:.1f} | {dice[0]:.4f} | {dice[1]:.4f} |")


def _box_of_liver(image: Volume, model: Model) -> torch.Tensor:
    """The fine network's input for the whole image, cut to the liver that the coarse one finds."""
    image = prepared(image)
    coarse = look_coarsely(image, model, "cpu")
    if coarse is None:
        raise SystemExit("No liver is found in this image.")
    settings = model.inference.lesion
    where = np.argwhere(coarse.liver.array >= 0.5)
    box = coarse.liver.cropped(where.min(0), where.max(0) + 1)
    fine = at_spacing(box, settings.spacing_mm)
    grid = padded(resample(image, fine.shape, fine.affine, outside=AIR_HU), settings.patch, AIR_HU)
    prior = floats(resample(coarse.liver, grid.shape, grid.affine))
    hu = torch.from_numpy(floats(grid))
    return lesion_channels(hu, torch.from_numpy(prior), coarse.reference_hu, model.inference.scaling)


def _engines(network: torch.nn.Module, example: torch.Tensor, threads: int) -> dict[str, Engine]:
    def channels_last(window: torch.Tensor) -> torch.Tensor:
        return window.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]

    def plain(window: torch.Tensor) -> torch.Tensor:
        return network(channels_last(window))  # type: ignore[no-any-return]

    def autocast(window: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return network(channels_last(window)).float()  # type: ignore[no-any-return]

    return {"torch, 32 bits": plain, "torch, bf16 autocast": autocast} | _exported(network, example, threads)


def _exported(network: torch.nn.Module, example: torch.Tensor, threads: int) -> dict[str, Engine]:
    """The engines that take ONNX, where they are installed."""
    try:
        import onnxruntime
        import openvino
    except ImportError:
        print("OpenVINO and ONNX Runtime are not installed: torch alone.")
        return {}
    file = io.BytesIO()
    torch.onnx.export(network, (example,), file, dynamo=False, opset_version=17)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    core = openvino.Core()
    read = core.read_model(file.getvalue())

    def of_openvino(precision: str) -> Engine:
        compiled = core.compile_model(
            read, "CPU", {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
        )
        return lambda window: torch.from_numpy(np.array(compiled(window.numpy())[0], np.float32))

    return {
        "ONNX Runtime": lambda window: torch.from_numpy(session.run(None, {name: window.numpy()})[0]),
        "OpenVINO, 32 bits": of_openvino("f32"),
        "OpenVINO, bf16": of_openvino("bf16"),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
