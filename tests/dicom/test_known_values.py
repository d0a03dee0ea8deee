"""Published and recomputed figures of real series, and what is made from them: another nuclide, other dates."""

from __future__ import annotations

import datetime as dt
import io
import json

import numpy as np
import pydicom
import pytest

from nen_imaging.dicom.contours import mask_on, read_contours
from nen_imaging.dicom.real_world_value import check_mapping
from nen_imaging.dicom.series import read_pet
from nen_imaging.phantom.dicom_writer import write_pet_series
from nen_imaging.phantom.radiotracer import Injection
from nen_imaging.volume import Volume
from tests.dicom.oddities import opened, unpacked

LU177_S = 574300.0


@pytest.fixture(scope="module")
def sarcoma(shared_data, tmp_path_factory):
    """pet_ge_sts001: folder of the slices, image, and which voxels lie in GTV_Mass."""
    folder = unpacked(shared_data, "pet_ge_sts001/pet_ge_sts001", tmp_path_factory.mktemp("sts001"))
    image = read_pet(opened(folder / "image"))
    regions = {one.name: one for one in read_contours(pydicom.dcmread(next((folder / "mask").iterdir())))}
    return folder / "image", image, mask_on(regions["GTV_Mass"], image.volume)


def test_sarcoma_has_its_published_suv_in_every_normalisation(sarcoma):
    _, image, inside = sarcoma
    values = image.volume.array[inside]
    assert values.size == 5095
    assert float(values.max()) == pytest.approx(7.910675, rel=1e-6)
    assert float(values.mean(dtype=float)) == pytest.approx(2.555185, rel=1e-6)
    assert float(values.min()) == pytest.approx(0.168788, rel=1e-5)
    known = {
        "sul_james": 5.995874, "sul_janmahasatian": 5.889104, "sul_lbm120": 6.164991, "suv_ibw": 6.647195,
        "suv_bsa": 1.967625,
    }  # fmt: skip
    per_suvbw = image.provenance["per_suvbw"]
    found = {name: float(values.max()) * per_suvbw[name]["factor"] for name in known}
    assert found == pytest.approx(known, rel=2e-7)
    assert per_suvbw["suv_bsa"]["unit"] == "cm2/ml"


def test_suv_stored_as_such_is_not_converted_twice(shared_data, tmp_path):
    folder = (
        unpacked(shared_data, "pet_gml_sts001/ibsi_validation_sts001_pet_ct", tmp_path) / "dicom" / "STS_001" / "PET"
    )
    image = read_pet(opened(folder / "image"))
    (region,) = read_contours(pydicom.dcmread(next((folder / "mask").iterdir())))
    values = image.volume.array[mask_on(region, image.volume)]
    assert values.size == 5095
    assert float(values.max()) == pytest.approx(7.910674, rel=1e-6)
    assert image.provenance["factor"]["maximum"] == 1.0


def test_a_right_real_world_value_mapping_confirms_the_factor_and_a_wrong_one_is_reported(shared_data, tmp_path):
    folder = unpacked(shared_data, "petct_ge_acrin042/petct_ge_acrin042", tmp_path)
    right = pydicom.dcmread(folder / "rwv_suvbw_right.dcm")
    wrong = pydicom.dcmread(folder / "rwv_suvbw_1000_times_too_small.dcm")
    factor = 4.211100701e-4
    assert check_mapping(right, factor).agrees
    checked = check_mapping(wrong, factor)
    assert not checked.agrees
    assert checked.slope == pytest.approx(4.2111e-7)
    assert "1000" in checked.text


def test_the_same_counts_of_another_nuclide_decay_by_its_half_life(sarcoma):
    """177Lu in place of 18F: the factor differs by what the two nuclides decay until the scan, 2711 s later."""
    folder, image, _ = sarcoma
    lutetium = read_pet(_slices(folder, changed_half_life_s=LU177_S))
    ratio = lutetium.provenance["factor"]["minimum"] / image.provenance["factor"]["minimum"]
    assert ratio == pytest.approx(2 ** (2711 / LU177_S - 2711 / 6588), rel=1e-9)


def _slices(folder, *, changed_half_life_s: float):
    for file in sorted(folder.iterdir())[:4]:
        dataset = pydicom.dcmread(file)
        dataset.RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife = str(changed_half_life_s)
        stream = io.BytesIO()
        dataset.save_as(stream)
        stream.seek(0)
        yield file.name, stream


@pytest.mark.parametrize("hours", [4, 72])
def test_a_late_scan_of_a_long_lived_nuclide_gives_the_same_suv(hours, tmp_path):
    """One StudyDate, the second scan 4 h or 3 days after the injection."""
    volume = Volume(np.random.default_rng(1).uniform(0.5, 9, (6, 5, 4)).astype(np.float32), np.diag([4.0, 4, 3, 1]))
    injection = Injection(
        7.4e9, LU177_S, 3600.0 * hours, "Lu-177 DOTATATE", nuclide_code=("C-101ED", "99SDM", "177 Lutetium")
    )
    write_pet_series(tmp_path, volume, injection=injection, tags={"StudyDate": "20200115"})
    image = read_pet(opened(tmp_path))
    np.testing.assert_allclose(image.volume.array, volume.array, atol=9 / 32767)
    assert image.provenance["nuclide"] == "177Lu"


@pytest.mark.parametrize("days_later", [3, 40])
def test_a_second_acquisition_under_one_study_date_is_its_own_series_on_its_own_day(study, days_later):
    """The day of a series is that of its acquisition, never the study's; within the window the nearer PET counts."""
    late = dt.date(2020, 1, 15) + dt.timedelta(days=days_later)
    study.ct()
    study.pet()
    study.pet("late", date=f"{late}", series_number=9, tags={"StudyDate": "20200115", "SeriesDate": "20200115"})
    study.index()
    dates = sorted(row["date"] for row in study.table("series") if row["modality"] == "PT")
    assert dates == ["2020-01-15", f"{late}"]
    (path,) = study.results.root.glob("patients/*/stagings/2020-01-15/pet_selection.json")
    assert json.loads(path.read_text())["date"] == "2020-01-15"
    assert study.stagings() == ["2020-01-15"]
