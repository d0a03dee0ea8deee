"""Who is who stands beside the key, for every patient, and nowhere else."""

from __future__ import annotations

from nen_imaging.dicom.linkage import link
from nen_imaging.dicom.privacy import KEY_FILE_VARIABLE
from nen_imaging.phantom.series_options import PatientTags
from nen_imaging.tables import read_table


def test_names_every_patient_once(study, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "home" / "key"))
    study.ct("a", patient=PatientTags("4711", "Jones^Ann", "19510203", issuer="Hospital"))
    study.ct("b", patient=PatientTags("4712", "Müller^Bob", "19520304"))
    study.pet("b", patient=PatientTags("4712", "Müller^Bob", "19520304"))
    summary = study.index()
    before = study.written()
    path = link(study.results)
    rows = {row["patient_id"]: row for row in read_table(path)}
    assert {row["patient"] for row in rows.values()} == set(summary.patients)
    assert rows["4711"]["issuer"] == "Hospital"
    assert (rows["4712"]["patient_name"], rows["4712"]["birth_date"]) == ("Müller^Bob", "19520304")
    assert path.parent == tmp_path / "home"
    assert path.stat().st_mode & 0o077 == 0
    assert study.written() == before
