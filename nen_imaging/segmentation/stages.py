"""The edge of this room: `ct/` becomes `segment/`."""

from __future__ import annotations

from typing import Any

from nen_imaging.contract import Refusal
from nen_imaging.stage import Outcome, Stage, StageCall, write_json
from nen_imaging.volume import read_nifti, write_nifti


def _segment(call: StageCall) -> Outcome:
    from nen_imaging.segmentation.bundle import find_bundle
    from nen_imaging.segmentation.qc import draw_qc
    from nen_imaging.segmentation.segment import segment_volume

    bundle = find_bundle(call.options["model"], call.context.models)
    ct = read_nifti(call.input("ct") / "ct.nii.gz")
    found = segment_volume(ct, bundle, device=call.context.device, threads=call.context.threads)
    for reason in found.reasons:
        if reason.code == "liver.absent":
            raise Refusal(reason.code, reason.text)
    write_nifti(call.folder / "liver.nii.gz", found.labels)
    write_nifti(call.folder / "probability.nii.gz", found.probability)
    spread = {"member_loads_percent": list(found.member_loads_percent), "flags": list(found.flags)}
    write_json(call.folder / "uncertainty.json", spread)
    draw_qc(call.folder / "qc.png", ct, found.labels, lines=_lines(found.member_loads_percent, found.flags))
    facts: dict[str, Any] = {"model": bundle.name, "model_sha256": bundle.sha256, "device": found.device_used}
    facts |= {"model_program": bundle.version} if bundle.version else {}
    return Outcome(list(found.reasons), facts | ({"device_note": found.device_note} if found.device_note else {}))


def _lines(loads: tuple[float, ...], flags: tuple[str, ...]) -> list[str]:
    head = f"Load {loads[0]:.1f} %"
    if len(loads) > 1:
        head += f" (at other thresholds {min(loads):.1f} to {max(loads):.1f} %)"
    return [head, *([f"Flags: {', '.join(flags)}"] if flags else [])]


SEGMENT = Stage("segment", 6, _segment)
