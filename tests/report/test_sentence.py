from __future__ import annotations

from dataclasses import replace

import pytest

from nen_imaging.contract import Reason, Results
from nen_imaging.report.sentence import finding_part, region_part, staging_sentence
from nen_imaging.report.staging import StagingResult, read_staging
from tests.report.fake_results import refuse_staging, write_stage, write_staging

PERITONEUM = {"finding": "peritoneal carcinomatosis", "organ": "peritoneum", "status": "stable"}
NAME = "2018-09-11"


def measured(percent: float = 40.0, low: float = 36.0, high: float = 44.0, **load: object) -> StagingResult:
    ends = {"load_percent": percent, "load_percent_low": low, "load_percent_high": high}
    return StagingResult(NAME, load={"source": "network", "truncated": False, **ends, **load})


def on_disk(results: Results) -> StagingResult:
    folder = next(iter((results.root / "patients").glob(f"*/stagings/{NAME}")))
    return read_staging(NAME, {name: folder / name for name in ("ct", "segment", "measure", "pet", "uptake")})


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("PR", "Hepatic partial remission."),
        ("SD", "Hepatic stable disease."),
        ("PD", "Hepatic progressive disease."),
        ("CR", "Hepatic complete remission."),
        ("baseline", "Baseline."),
    ],
)
def test_reads_like_a_radiologist_wrote_it(code, words):
    sentence = staging_sentence(measured(), {"response": code}, [PERITONEUM])
    assert sentence == f"{words} Hepatic tumour load 40 % (36-44). Peritoneal carcinomatosis stable."


def test_without_a_judged_response_the_load_remains():
    assert staging_sentence(measured(), None, []) == "Hepatic tumour load 40 % (36-44)."


def test_small_loads_keep_a_decimal_in_value_and_interval():
    assert "7.1 % (5.9-10.2)" in staging_sentence(measured(7.1, 5.9, 10.2), None, [])


def test_borderline_reader_and_truncation_are_said():
    sentence = staging_sentence(
        measured(source="reader", truncated=True), {"response": "SD", "borderline": "yes"}, []
    )  # fmt: skip
    assert "stable disease (borderline)" in sentence
    assert "by a reader's mask" in sentence and "cut by the edge" in sentence


def test_ne_response_carries_its_reason():
    response = {"response": "NE", "reason": "no baseline within 90 days."}
    assert "not evaluable (NE): no baseline within 90 days." in staging_sentence(measured(), response, [])


def test_refused_ct_says_why_and_what_to_do_and_keeps_the_findings(tmp_path):
    refuse_staging(Results(tmp_path), NAME, Reason("slices.missing", "Slices 13-78 are missing."))
    sentence = staging_sentence(on_disk(Results(tmp_path)), None, [PERITONEUM])
    assert sentence.startswith("Not evaluable (NE): Slices 13-78 are missing. Fetch the series again")
    assert sentence.endswith("Peritoneal carcinomatosis stable.")
    assert sentence.count("Slices 13-78") == 1


def test_ssr_status_stands_there_when_a_pet_was_done(tmp_path):
    write_staging(Results(tmp_path), NAME, 50.0, pet=True)
    assert "Liver metastases SSR-negative." in staging_sentence(on_disk(Results(tmp_path)), None, [])


def test_no_status_of_metastases_where_there_are_none(tmp_path):
    write_staging(Results(tmp_path), NAME, 50.0, pet=True)
    staging = on_disk(Results(tmp_path))
    none = replace(staging, load={**staging.load, "lesions": 0}, organs={"totals": {"ssr_status": "not evaluable"}})
    assert "metastases" not in staging_sentence(none, None, [])
    unseen = replace(none, load=staging.load)
    assert "SSR status of liver metastases not evaluable." in staging_sentence(unseen, None, [])


def test_a_readers_volume_stands_behind_the_livers_status(tmp_path):
    write_staging(Results(tmp_path), NAME, 50.0, pet=True)
    sentence = staging_sentence(on_disk(Results(tmp_path)), None, [PERITONEUM])
    expected = "SSR-negative. Ileal primary SSR-positive (SUVmax 24.1, modified Krenning 4). Peritoneal"
    assert expected in sentence


def test_a_readers_volume_that_cannot_be_judged_says_why():
    region = {"voi": "node", "suv_max": "", "krenning_modified": "", "status": "not evaluable"}
    text = region_part(region | {"status_reason": "the PET does not cover it"})
    assert text == "Node: SSR status not evaluable (the PET does not cover it)."
    assert "SUVmax 3.2" in region_part(region | {"suv_max": "3.21", "status_reason": "no reference in the liver"})


def test_refused_pet_does_not_take_the_load_away(tmp_path):
    results = Results(tmp_path)
    write_staging(results, NAME, 50.0)
    reason = Reason("pet.weight_missing", "PatientWeight is 0 kg.")
    for stage, folder in (("import_pet", "pet"), ("uptake", "uptake")):
        write_stage(results.root / "patients" / "PABCDEFGH23" / "stagings" / NAME / folder, stage, reasons=(reason,))
    sentence = staging_sentence(on_disk(results), None, [])
    assert "Hepatic tumour load 50 %" in sentence
    assert "SSR status not evaluable (NE): PatientWeight is 0 kg. Give (0010,1030)" in sentence


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (PERITONEUM, "Peritoneal carcinomatosis stable."),
        ({"finding": "Hedinger syndrome", "organ": "heart", "status": "excluded"}, "Exclusion of Hedinger syndrome."),
        ({"finding": "primary tumour", "organ": "ileum", "status": "present"}, "Primary tumour (ileum) present."),
        ({"finding": "ascites"}, "Ascites."),
        ({"finding": "metastases", "organ": "bone", "status": "new"}, "Metastases (bone) new."),
        ({"finding": "bone metastases", "organ": "Bones", "status": "new"}, "Bone metastases new."),
        ({"finding": "mass", "organ": "head", "status": "new"}, "Mass (head) new."),
        ({"finding": "metastasis", "organ": "lung", "status": "excluded"}, "Exclusion of metastasis (lung)."),
        ({"finding": "Primary tumour", "organ": "ileum", "status": "present"}, "Primary tumour (ileum) present."),
        ({"finding": "carcinoid heart disease", "organ": "heart", "status": "Excluded"},
         "Exclusion of carcinoid heart disease."),
    ],
)  # fmt: skip
def test_findings(finding, text):
    assert finding_part(finding) == text
