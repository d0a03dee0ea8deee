"""What is true of a staging, as files that lie beside a study and never inside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy import ndimage

from nen_imaging.phantom.staging import Staging
from nen_imaging.tables import write_table, write_text
from nen_imaging.volume import write_nifti

LESION_COLUMNS = ("identity", "conglomerate", "volume_ml", "sphere_diameter_mm", "suv")


def write_truth(folder: Path, staging: Staging) -> None:
    """Write ``labels.nii.gz`` (1 liver, 2 lesion), ``instances.nii.gz``, ``lesions.csv`` and ``truth.json``.

    Lesions of one `conglomerate` touch: those that share a number at one staging and not at the one before merged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_nifti(folder / "labels.nii.gz", staging.labels)
    write_nifti(folder / "instances.nii.gz", staging.instances)
    write_table(folder / "lesions.csv", LESION_COLUMNS, _lesion_rows(staging))
    truth = staging.truth
    content = {
        "load_percent": truth.load_percent,
        "liver_volume_ml": truth.liver_volume_ml,
        "lesion_volume_ml": truth.lesion_volume_ml,
        "phase": staging.phase.value,
    }
    write_text(folder / "truth.json", json.dumps(content, indent=1) + "\n")


def _lesion_rows(staging: Staging) -> list[dict[str, object]]:
    parts, _ = ndimage.label(staging.labels.array == 2, np.ones((3, 3, 3)))
    rows: list[dict[str, object]] = []
    for identity, volume_ml in staging.truth.volume_ml_of_lesion.items():
        inside = parts[staging.instances.array == identity]
        suv = staging.truth.suv_of_lesion.get(identity)
        rows.append(
            {
                "identity": identity,
                "conglomerate": int(np.bincount(inside).argmax()),
                "volume_ml": round(volume_ml, 3),
                "sphere_diameter_mm": round(float(np.cbrt(6000 * volume_ml / np.pi)), 1),
                "suv": "" if suv is None else round(suv, 2),
            }
        )
    return rows
