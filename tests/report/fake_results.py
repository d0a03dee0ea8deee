"""The founding case as a results folder, with the loads of the paper: no image, but every file the report reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nen_imaging.contract import (
    FOCI_COLUMNS,
    LESIONS_COLUMNS,
    REGISTRATION_COLUMNS,
    STAGINGS_COLUMNS,
    TIMELINE,
    UPTAKE_COLUMNS,
    VOI_COLUMNS,
    Reason,
    Results,
    worst_state,
)
from nen_imaging.stage import StageRecord, sha256_of, write_json
from nen_imaging.tables import write_table

PATIENT = "PABCDEFGH23"
LOADS = {
    "2016-07-14": 50.0, "2016-11-10": 60.0, "2017-05-16": 70.0, "2017-11-14": 43.0, "2018-02-13": 42.0,
    "2018-04-17": 41.0, "2018-09-11": 40.0, "2019-03-12": 30.0, "2019-09-10": 30.0,
}  # fmt: skip
THERAPIES = [
    ("1", "systemic", "octreotide LAR", "30 mg", "every 28 d", "2016-08", "2016-11", "somatostatin analogue (SSA)"),
    ("", "surgery", "laparoscopic right-sided hemicolectomy and ureterolysis", "", "", "2016-11", "2016-11",
     "histology: Ki-67 up to 17 %, pT4 pN1(1/12) G2 R0 L0 V0; peritoneal metastases seen"),
    ("2", "systemic", "octreotide LAR", "30 mg", "every 21 d", "2016-12", "", "goes on under line 3"),
    ("3", "systemic", "peginterferon alfa-2a", "135 ug/wk", "weekly", "2017-05", "", "add-on to line 2"),
]  # fmt: skip
FINDINGS = [
    ("2016-07", "primary tumour", "ileum", "present"),
    ("2016-11", "peritoneal carcinomatosis", "peritoneum", "new"),
    ("2016-11", "primary tumour", "ileum", "resected"),
    ("2017-02", "Hedinger syndrome", "heart", "excluded"),
    ("2017-05", "peritoneal carcinomatosis", "peritoneum", "present"),
    *((month, "peritoneal carcinomatosis", "peritoneum", "stable")
      for month in ("2017-11", "2018-02", "2018-04", "2018-09", "2019-03", "2019-09")),
]  # fmt: skip
MARKERS = [
    ("2016-07", "chromogranin A", "29924", "ug/L", "100", "published"),
    ("2016-11", "chromogranin A", "27500", "ug/L", "100", "illustrative"),
    ("2017-05", "chromogranin A", "31800", "ug/L", "100", "illustrative"),
    ("2017-11-14", "chromogranin A", "4100", "ug/L", "100", "illustrative"),
    ("2018-09-11", "chromogranin A", "2900", "ug/L", "100", "illustrative"),
    ("2016-07", "5-HIAA (urine)", "10915", "mg/24 h", "", "published"),
    ("2017-11-14", "5-HIAA (urine)", "900", "mg/24 h", "", "illustrative"),
]
PET = {
    "kind": "SUVbw", "unit": "g/ml", "rule": "BQML, decay-corrected to scan start", "tracer": "68Ga-DOTATOC",
    "values": [
        {"name": "PatientWeight", "value": 72.0, "unit": "kg", "tag": "(0010,1030)", "source": "corrections.csv"},
        {"name": "RadionuclideTotalDose", "value": 1.5e8, "unit": "Bq", "tag": "(0018,1074)", "source": "header"},
    ],
}  # fmt: skip
OPTIONS = {
    "criterion": "load", "date_format": "month", "load_progression_percent": 20.0, "load_progression_points": 5.0,
    "load_response_percent": 30.0, "recist_progression_percent": 20.0, "recist_progression_mm": 5.0,
    "recist_response_percent": 30.0, "volumetric_progression_percent": 73.0, "volumetric_response_percent": 65.0,
    "maximum_targets": 5, "baseline_before_days": 90, "baseline_after_days": 30,
}  # fmt: skip


def timeline(patient: str = PATIENT) -> dict[str, Any]:
    """The founding case's timeline.json."""
    therapy_keys = ("line", "kind", "agent", "dose", "schedule", "start", "end", "note")
    finding_keys = ("date", "finding", "organ", "status")
    marker_keys = ("date", "marker", "value", "unit", "upper_limit_of_normal", "source")
    return {
        "patient": patient,
        "therapies": [dict(zip(therapy_keys, row, strict=True)) for row in THERAPIES],
        "findings": [dict(zip(finding_keys, row, strict=True)) | {"source": "reader", "note": ""} for row in FINDINGS],
        "markers": [dict(zip(marker_keys, row, strict=True)) for row in MARKERS],
        "readings": [],
    }


def write_stage(
    folder: Path, stage: str, *, reasons: tuple[Reason, ...] = (), files: Mapping[str, Any] | None = None,
    facts: dict[str, Any] | None = None, options: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """A stage folder as the stage itself would leave it; dicts become JSON, bytes are written as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files or {}).items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif isinstance(content, tuple):
            write_table(folder / name, *content)
        else:
            write_json(folder / name, content)
    written = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.iterdir())
        if path.name != "stage.json"
    }
    record = StageRecord(
        stage=stage, version=1, state=worst_state(list(reasons)),
        reasons=[{**asdict(reason), "remedy": reason.remedy} for reason in reasons],
        options=options or {}, facts=facts or {}, read={}, written=written,
        software={"nen_imaging": "0.1.0", "python": "3.11"}, seconds=1.0, peak_memory_mb=100,
    )  # fmt: skip
    write_json(folder / "stage.json", asdict(record))


def load_json(percent: float, **changes: Any) -> dict[str, Any]:
    """A load.json of a liver of 2 litres."""
    return {
        "source": "network", "liver_volume_ml": 2000.0, "lesion_volume_ml": 20 * percent,
        "expected_lesion_volume_ml": 20 * percent, "load_percent": percent, "load_percent_low": percent * 0.93,
        "load_percent_high": percent * 1.07, "interval_level": 0.9, "bands": ["> 25-50"], "truncated": False,
        "lesions": 3, "largest_lesion_mm": 41.2, "liver_hu": 101.0, "flags": [],
        "phase": {"measured": "portal venous", "liver_hu": 101, "aorta_hu": 150, "spleen_hu": 120, "reason": "x"},
        "load_without_probable_cysts_percent": percent,
    } | changes  # fmt: skip


def write_staging(
    results: Results, name: str, percent: float, *, patient: str = PATIENT, pet: bool = False,
    reasons: tuple[Reason, ...] = (), **load: Any,
) -> None:  # fmt: skip
    """The stage folders of one staging, measured."""
    of = lambda stage: results.stage_folder(stage, patient, name)  # noqa: E731
    ct_facts = {"date": name, "slice_spacing_mm": 3.0, "phase_header": "portal venous"}
    write_stage(of("import_ct"), "import_ct", facts=ct_facts, files={"ct.nii.gz": b"x"})
    write_stage(of("segment"), "segment", files={"qc.png": picture(), "uncertainty.json": {"flags": []}},
                options={"model": "liver_lesion", "model_sha256": "0123456789abcdef"})  # fmt: skip
    lesions = [dict.fromkeys(LESIONS_COLUMNS, "1") | {"lesion": n, "volume_ml": 20 * percent / n / 2,
               "longest_diameter_mm": 40 / n, "measurable": "yes", "confluent": "no"} for n in (1, 2, 3)]  # fmt: skip
    files = {"load.json": load_json(percent, **load), "lesions.csv": (LESIONS_COLUMNS, lesions)}
    write_stage(of("measure"), "measure", reasons=reasons, files=files)
    if pet:
        uptake = [dict.fromkeys(UPTAKE_COLUMNS, "1.5") | {"lesion": n, "status": "negative"} for n in (1, 2, 3)]
        organs = {
            "liver": {"suv_mean": 5.2, "suv_sd": 0.8, "volume_ml": 600}, "spleen": {"refused": "not in the image"},
            "blood_pool": {"suv_mean": 1.4, "suv_sd": 0.2, "volume_ml": 3},
            "shift": {"x_mm": 1, "y_mm": 2, "z_mm": 4, "length_mm": 4.6, "uncertainty_mm": 1.5, "method": "edges"},
            "totals": {"ssr_tv_ml": 0.0, "tl_ssr_ml": 0.0, "hottest_lesion": 1, "coldest_lesion": 3,
                       "ssr_negative_share_percent": 100.0, "ssr_status": "negative"},
        }  # fmt: skip
        primary = dict.fromkeys(VOI_COLUMNS, "1.5") | {"voi": "ileal primary", "organ": "ileum", "suv_max": "24.13",
                  "krenning_modified": "4", "status": "positive"}  # fmt: skip
        focus = dict.fromkeys(FOCI_COLUMNS, "3.5") | {"focus": "1", "may_be": "bone"}
        write_stage(of("import_pet"), "import_pet", files={"pet.json": PET})
        write_stage(of("uptake"), "uptake", files={
            "organs.json": organs, "uptake.csv": (UPTAKE_COLUMNS, uptake), "voi.csv": (VOI_COLUMNS, [primary]),
            "foci.csv": (FOCI_COLUMNS, [focus])})  # fmt: skip


def refuse_staging(results: Results, name: str, reason: Reason, *, patient: str = PATIENT) -> None:
    """The stage folders of one staging whose CT was refused."""
    for stage in ("import_ct", "segment", "measure"):
        write_stage(results.stage_folder(stage, patient, name), stage, reasons=(reason,))


def write_follow(results: Results, patient: str = PATIENT) -> None:
    """An empty follow-up with one registration."""
    row = dict.fromkeys(REGISTRATION_COLUMNS, "") | {"staging": "2016-11-10", "reference": "2016-07-14",
        "method": "affine", "liver_dice": "0.95", "trusted": "yes"}  # fmt: skip
    write_stage(results.stage_folder("follow", patient), "follow", files={
        "registration.csv": (REGISTRATION_COLUMNS, [row]), "tracks.csv": ((), []), "events.csv": ((), [])})  # fmt: skip


def write_index(results: Results, stagings: Mapping[str, Mapping[str, str]], patient: str = PATIENT) -> None:
    """index/stagings.csv of one patient: the columns that differ, by staging."""
    rows = [
        dict.fromkeys(STAGINGS_COLUMNS, "")
        | {"patient": patient, "staging": name, "date": name, "state": "active", "has_ct": "yes", "has_pet": "no"}
        | changes
        for name, changes in stagings.items()
    ]
    write_table(results.stagings_table, STAGINGS_COLUMNS, rows)


def write_founding_case(root: Path) -> Results:
    """The whole case: nine stagings, the first with PET."""
    results = Results(root)
    for name, percent in LOADS.items():
        write_staging(results, name, percent, pet=name == "2016-07-14")
    write_follow(results)
    write_json(results.patient(PATIENT) / TIMELINE, timeline())
    write_index(results, {name: {"has_pet": "yes"} if name == "2016-07-14" else {} for name in LOADS})
    return results


def report_inputs(results: Results, patient: str = PATIENT) -> tuple[Path, ...]:
    """What the workflow hands to the stage `report`."""
    folders = [
        path
        for staging in sorted((results.patient(patient) / "stagings").iterdir())
        for name in ("ct", "segment", "measure", "pet", "uptake")
        if (path := staging / name).is_dir()
    ]
    return (*folders, results.stage_folder("follow", patient), results.patient(patient) / TIMELINE)


def picture() -> bytes:
    """A PNG of a few pixels."""
    import io

    buffer = io.BytesIO()
    Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (80, 1))).save(buffer, format="PNG")
    return buffer.getvalue()
