"""A timeline is split by patient and staging; who is meant is never written."""

import json

import nibabel
import numpy as np
import pytest

from nen_imaging.contract import LESIONS_COLUMNS, Refusal, Results
from nen_imaging.stage import sha256_of, write_json
from nen_imaging.tables import write_table
from nen_imaging.timeline import TimelineError, read_timeline, split_timeline
from nen_imaging.volume import Volume, read_nifti
from tests.leaks import leaks

ANN, BOB = "PAAAAAAAAAA", "PBBBBBBBBBB"
STAGINGS = {ANN: {"2020-01-15": "2020-01-15", "2020-01-20": "2020-01-15"}, BOB: {"2021-05-05": "2021-05-05"}}
NAMED = {"ID-1": {ANN}, "ID-2": {BOB}, "ID-3": {ANN, BOB}}


def read_region(path, _name):
    """A region of as many voxels as its file has letters."""
    content = path.read_text()
    if not content:
        raise Refusal("region.unreadable", "The file is empty.")
    return Volume(np.arange(8).reshape(2, 2, 2) < len(content), np.eye(4))


def read_label_map(path):
    """As many voxels of liver as the file has letters, and no lesion."""
    return read_region(path, "").with_array(read_region(path, "").array * np.uint8(1))


class Case:
    """A timeline folder and the results it is split into."""

    def __init__(self, root):
        self.folder, self.results = root / "timeline", Results(root / "results")
        self.folder.mkdir()

    def table(self, name, content):
        (self.folder / f"{name}.csv").write_text(content, "utf-8")

    def split(self, stagings=STAGINGS, moved_days=None):
        return split_timeline(
            read_timeline(self.folder),
            self.results,
            stagings,
            lambda text: NAMED.get(text, set()) & set(stagings),
            read_region,
            read_label_map,
            moved_days,
        )

    def patient(self, patient, name):
        return json.loads((self.results.patient(patient) / name).read_text("utf-8"))

    def staging(self, patient, staging, name):
        return json.loads((self.results.staging(patient, staging) / name).read_text("utf-8"))

    def files(self):
        return {path: path.stat().st_mtime_ns for path in self.results.root.rglob("*") if path.is_file()}


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_every_file_is_there_for_an_empty_timeline(case):
    assert case.split() == []
    assert case.patient(ANN, "timeline.json") == {
        "patient": ANN, "therapies": [], "markers": [], "findings": [], "readings": [],
    }  # fmt: skip
    assert case.patient(BOB, "links.json") == {"links": []}
    assert case.staging(ANN, "2020-01-15", "corrections.json") == {"corrections": []}
    assert case.staging(BOB, "2021-05-05", "reader.json") == {"mask": None, "lesions": [], "voi": []}
    assert len(case.files()) == 8


def test_rows_reach_their_patient_without_the_id(case):
    case.table("markers", "patient,date,marker,value,unit\nID-1,2020-01,CgA,1,ug/L\nID-2,2021-05,CgA,2,ug/L\n")
    case.split()
    (marker,) = case.patient(BOB, "timeline.json")["markers"]
    assert marker == {
        "date": "2021-05", "marker": "CgA", "value": "2", "unit": "ug/L", "upper_limit_of_normal": "", "source": "",
    }  # fmt: skip
    assert not any(b"ID-" in path.read_bytes() for path in case.files())


def test_an_edit_touches_what_it_concerns_alone(case):
    case.table("therapies", "patient,kind,agent,start\nID-1,systemic,octreotide,2020-02\nID-2,PRRT,Lu,2021-06\n")
    case.split()
    before = case.files()
    case.table("therapies", "patient,kind,agent,start\nID-1,systemic,lanreotide,2020-02\nID-2,PRRT,Lu,2021-06\n")
    case.split()
    changed = [path for path, time in case.files().items() if before[path] != time]
    assert changed == [case.results.patient(ANN) / "timeline.json"]


def test_readings_and_corrections_reach_their_staging(case):
    case.table(
        "readings",
        "patient,staging,lesion,reading,value,reason\n"
        "ID-1,2020-01-20,2,benign,,cyst\nID-1,2020-01-15,,response,SD,as the board saw it\n",
    )
    case.table("corrections", "patient,staging,tag,value,reason\nID-1,2020-01-20,PatientWeight,72,chart\n")
    assert case.split() == []
    assert case.staging(ANN, "2020-01-15", "reader.json")["lesions"] == [
        {"lesion": "2", "reading": "benign", "volume_ml": "", "reason": "cyst", "as_read": None}
    ]
    assert case.staging(ANN, "2020-01-15", "corrections.json")["corrections"] == [
        {"tag": "PatientWeight", "value": "72", "reason": "chart"}
    ]
    readings = case.patient(ANN, "timeline.json")["readings"]
    assert [(row["staging"], row["reading"], row["value"]) for row in readings] == [
        ("2020-01-15", "benign", ""),
        ("2020-01-15", "response", "SD"),
    ]


@pytest.mark.parametrize(("days", "pet_day"), [(0, "2020-01-20"), (-30, "2019-12-21")])
def test_a_date_reaches_the_pet_that_it_dates(case, days, pet_day):
    ct_day = "2020-01-15"
    write_json(case.results.staging(ANN, ct_day) / "pet_selection.json", {"series": "S", "date": pet_day})
    case.table(
        "corrections",
        "patient,staging,tag,value,reason\nID-1,undated-AAAAAA,AcquisitionDate,2020-01-20,letter\n"
        "ID-1,undated-BBBBBB,AcquisitionDate,2020-01-15,the CT's\nID-1,undated-CCCCCC,AcquisitionDate,1999-01-01,?\n",
    )
    moved_names = {"2020-01-15": ct_day, "2019-12-16": ct_day, pet_day: ct_day}
    assert case.split({ANN: moved_names, BOB: {}}, {ANN: days}) == [
        "corrections.csv, row 4: the patient has no such staging; not used"
    ]
    assert case.staging(ANN, ct_day, "corrections.json")["corrections"] == [
        {"tag": "AcquisitionDate", "value": pet_day, "reason": "letter"}
    ]


def readings_of_lesions(case, *rows):
    case.table(
        "readings", "patient,staging,lesion,reading,volume_ml,reason\n" + "".join(f"ID-1,{row}\n" for row in rows)
    )
    assert case.split() == []
    return [row["as_read"] for row in case.staging(ANN, "2020-01-15", "reader.json")["lesions"]]


def measured(case, volume_ml):
    """A lesions.csv with lesion 2 alone."""
    row = dict.fromkeys(LESIONS_COLUMNS, "0") | {"lesion": "2", "volume_ml": volume_ml, "centroid_z_mm": "-40.5"}
    write_table(case.results.stage_folder("measure", ANN, "2020-01-15") / "lesions.csv", LESIONS_COLUMNS, [row])
    return {"volume_ml": float(volume_ml), "centroid_mm": [0.0, 0.0, -40.5]}


def test_a_reading_keeps_how_its_lesion_was_when_its_row_was_written(case):
    benign, treated = "2020-01-15,2,benign,,cyst", "2020-01-15,2,treated,,ablated"
    first = measured(case, "12.4")
    assert readings_of_lesions(case, benign) == [first]
    second = measured(case, "3.1")
    assert readings_of_lesions(case, benign, treated) == [first, second]
    assert readings_of_lesions(case, benign.replace("cyst", "a cyst")) == [first]
    assert readings_of_lesions(case, "2020-01-15,2,benign,3.1,cyst", "2020-01-15,7,benign,,other") == [second, None]


def test_a_reading_that_was_there_before_its_staging_was_measured_changes_nothing_afterwards(case):
    row = "2020-01-15,2,benign,,cyst"
    assert readings_of_lesions(case, row) == [None]
    before = case.files()
    measured(case, "12.4")
    assert readings_of_lesions(case, row) == [None]
    assert before.items() <= case.files().items()


def test_links_are_called_by_the_names_of_stagings(case):
    case.table(
        "links",
        "patient,earlier_staging,earlier_lesion,later_staging,later_lesion,relation\nID-1,2020-01-20,1,2020-01-15,2,same\n",
    )
    case.split()
    (link,) = case.patient(ANN, "links.json")["links"]
    assert link["earlier_staging"] == link["later_staging"] == "2020-01-15"


def write_mask(path, label, suffix=".nii.gz", words=b""):
    image = nibabel.nifti1.Nifti1Image(np.full((3, 3, 3), label, np.uint8), np.diag([2, 2, 3, 1]))
    image.header["descrip"] = words
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", words))
    nibabel.save(image, path.with_name(path.name + suffix))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_mask_lies_beside_its_digest_without_its_header_and_leaves_with_its_row(case, suffix):
    (case.folder / "masks").mkdir()
    write_mask(case.folder / "masks" / "Zqname", 1, suffix, b"of Zqname")
    case.table("masks", f"patient,staging,file\nID-1,2020-01-15,Zqname{suffix}\n")
    case.split()
    mask = case.results.staging(ANN, "2020-01-15") / "reader_mask.nii.gz"
    written = read_nifti(mask)
    assert (written.array == 1).all()
    assert written.spacing_mm.tolist() == [2, 2, 3]
    assert not leaks(case.results.root, ["Zqname"])
    first, before = case.staging(ANN, "2020-01-15", "reader.json")["mask"], case.files()
    assert first["sha256"] == sha256_of(mask)
    case.split()
    assert case.files() == before
    write_mask(case.folder / "masks" / "Zqname", 2, suffix)
    case.split()
    assert case.staging(ANN, "2020-01-15", "reader.json")["mask"] != first
    assert (read_nifti(mask).array == 2).all()
    case.table("masks", "patient,staging,file\n")
    case.split()
    assert case.staging(ANN, "2020-01-15", "reader.json")["mask"] is None
    assert not mask.exists()


def test_a_mask_that_cannot_be_read_is_named_by_its_row(case):
    (case.folder / "m.nii.gz").write_bytes(b"no image")
    case.table("masks", "patient,staging,file\nID-1,2020-01-15,m.nii.gz\n")
    with pytest.raises(TimelineError, match=r"masks.csv, row 2, column file: the NIfTI file cannot be read"):
        case.split()


def test_a_dicom_mask_becomes_nifti_once_and_a_bad_one_names_its_row(case):
    (case.folder / "masks").mkdir()
    (case.folder / "masks" / "ann.dcm").write_text("abc")
    case.table("masks", "patient,staging,file\nID-1,2020-01-15,ann.dcm\n")
    case.split()
    mask = case.results.staging(ANN, "2020-01-15") / "reader_mask.nii.gz"
    assert read_nifti(mask).array.sum() == 3
    before = case.files()
    case.split()
    assert case.files() == before
    (case.folder / "masks" / "ann.dcm").write_text("")
    with pytest.raises(TimelineError, match=r"masks.csv, row 2, column file: The file is empty"):
        case.split()


def test_two_masks_for_one_staging_are_refused(case):
    (case.folder / "m.nii.gz").touch()
    case.table("masks", "patient,staging,file\nID-1,2020-01-15,m.nii.gz\nID-1,2020-01-20,m.nii.gz\n")
    with pytest.raises(TimelineError, match=r"masks.csv, row 3, column file: this staging has a mask already"):
        case.split()


@pytest.mark.parametrize(
    ("table", "columns", "rows", "told"),
    [
        ("corrections", "tag,value,reason", ("PatientWeight,72,a", "PatientWeight,80,b"), "'80', but row 2 says '72'"),
        ("readings", "reading,value,reason", ("response,SD,a", "response,PD,b"), "'PD', but row 2 says 'SD'"),
        (
            "links",
            "earlier_staging,earlier_lesion,later_lesion,relation",
            ("2020-01-15,1,2,same", "2020-01-20,1,2,different"),
            "'different', but row 2 says 'same'",
        ),
    ],
)
def test_rows_that_contradict_each_other_are_refused_whatever_their_staging_is_called(case, table, columns, rows, told):
    staging = "later_staging" if table == "links" else "staging"
    first, second = rows

    def write(*lines):
        case.table(table, "\n".join((f"patient,{staging},{columns}", *lines)) + "\n")

    write(f"ID-1,2020-01-15,{first}", f"ID-1,2020-01-20,{second}")
    with pytest.raises(TimelineError, match=rf"{table}\.csv, row 3, column \w+: found {told}; keep one"):
        case.split()
    assert not case.files()
    write(f"ID-1,2020-01-15,{first}", f"ID-1,2020-01-20,{first}")
    assert case.split() == []


def test_a_link_that_contradicts_another_the_other_way_round_is_refused(case):
    columns = "patient,earlier_staging,earlier_lesion,later_staging,later_lesion,relation"
    stagings = {ANN: {day: day for day in ("2020-01-15", "2020-07-01")}, BOB: {}}
    one, other = "ID-1,2020-01-15,1,2020-07-01,2", "ID-1,2020-07-01,2,2020-01-15,1"
    case.table("links", f"{columns}\n{one},same\n{other},different\n")
    with pytest.raises(TimelineError, match=r"links\.csv, row 3, column relation: found 'different', but row 2 says"):
        case.split(stagings)
    case.table("links", f"{columns}\n{one},same\n{other},same\n")
    assert case.split(stagings) == []


def test_one_patient_may_be_left_out_two_not(case):
    case.table("markers", "date,marker,value,unit\n2020-01,CgA,1,ug/L\n")
    assert case.split({ANN: STAGINGS[ANN]}) == []
    assert len(case.patient(ANN, "timeline.json")["markers"]) == 1
    with pytest.raises(
        TimelineError, match=r"markers.csv, row 2, column patient: no patient is given, but the study holds 2"
    ):
        case.split()


def test_an_id_of_several_issuers_is_refused_without_naming_it(case):
    case.table("markers", "patient,date,marker,value,unit\nID-3,2020-01,CgA,1,ug/L\n")
    with pytest.raises(TimelineError, match="several issuers; write the pseudonym") as error:
        case.split()
    assert "ID-3" not in str(error.value)


def test_rows_without_a_place_are_told_without_naming_anyone(case):
    case.table("markers", "patient,date,marker,value,unit\nID-9,2020-01,CgA,1,ug/L\n")
    case.table("readings", "patient,staging,reading,reason\nID-1,1999-01-01,sign-off,seen\n")
    assert case.split() == [
        "markers.csv, row 2: this patient has no staging in the study; not used",
        "readings.csv, row 2: the patient has no such staging; not used",
    ]


def test_a_volume_of_interest_lies_beside_its_staging_as_nifti_and_goes_when_it_is_no_longer_named(case):
    (case.folder / "primary.dcm").write_text("abc")
    case.table("voi", "patient,staging,name,file,organ\nID-1,2020-01-15,primary,primary.dcm,ileum\n")
    case.split()
    (row,) = case.staging(ANN, "2020-01-15", "reader.json")["voi"]
    assert (row["name"], row["organ"]) == ("primary", "ileum")
    path = case.results.staging(ANN, "2020-01-15") / row["file"]
    assert int(read_nifti(path).array.sum()) == 3
    before = case.files()
    case.split()
    assert case.files() == before
    (case.folder / "primary.dcm").write_text("abcd")
    case.split()
    (changed,) = case.staging(ANN, "2020-01-15", "reader.json")["voi"]
    assert changed["sha256"] != row["sha256"]
    assert not path.exists()


def test_a_volume_of_interest_that_cannot_be_read_is_named_by_its_row(case):
    (case.folder / "primary.dcm").write_text("")
    case.table("voi", "patient,staging,name,file\nID-1,2020-01-15,primary,primary.dcm\n")
    with pytest.raises(TimelineError, match=r"voi.csv, row 2, column file: The file is empty"):
        case.split()
