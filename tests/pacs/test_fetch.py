"""What lands in the study, against an archive that a test makes misbehave."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from nen_imaging.pacs.archive import NotFetchedError, PacsError, RemoteSeries, RemoteStudy, checked_uid
from nen_imaging.pacs.fetch import fetch_patient
from nen_imaging.stage import StageError, exclusive_lock
from tests.pacs.conftest import PATIENT, files_in, uid_of

STUDY = RemoteStudy("1.2.3", "20200115", "HERE")


@dataclasses.dataclass
class FakeArchive:
    """Holds files as one CT series of one study; ``sends`` may exchange what it sends."""

    files: dict[str, bytes]
    modalities: tuple[str, ...] = ("CT",)
    found: tuple[RemoteStudy, ...] = (STUDY,)
    sends: dict[str, bytes] = dataclasses.field(default_factory=dict)
    withholds: frozenset[str] = frozenset()
    asked: list[str] = dataclasses.field(default_factory=list)

    def studies(self, patient_id: str) -> list[RemoteStudy]:
        return list(self.found) if patient_id == PATIENT.patient_id else []

    def series(self, study: RemoteStudy) -> list[RemoteSeries]:
        return [
            RemoteSeries(study.study_uid, f"{study.study_uid}.{n}", modality, study.date)
            for n, modality in enumerate(self.modalities)
        ]

    def instances(self, series: RemoteSeries) -> list[str]:
        return list(self.files) if series.series_uid.endswith(".0") else []

    def retrieve(self, series: RemoteSeries, instances: Sequence[str], store, *, whole: bool) -> None:
        assert series.series_uid.endswith(".0")
        assert whole == (set(instances) == set(self.files))
        self.asked += instances
        for uid in instances:
            if uid not in self.withholds:
                store(uid, self.sends.get(uid, self.files[uid]))
        if self.withholds:
            raise NotFetchedError("it withholds some")


@pytest.fixture
def files(holdings) -> dict[str, bytes]:
    return {uid: path.read_bytes() for uid, path in list(holdings.patient.items())[:6]}


def fetch(archive: FakeArchive, study: Path, present: Sequence[str] = (), **options):
    return fetch_patient(archive, PATIENT.patient_id, study, is_present=lambda uid: uid in present, **options)


def test_images_lie_by_study_and_series_as_they_were_sent(files, tmp_path):
    done = fetch(FakeArchive(files), tmp_path)
    assert (done.series, done.images, done.fetched, done.missing) == (1, 6, 6, 0)
    assert {path.stem: path.read_bytes() for path in (tmp_path / "1.2.3" / "1.2.3.0").iterdir()} == files


def test_what_is_present_is_not_asked_for(files, tmp_path):
    archive = FakeArchive(files)
    first, *others = files
    done = fetch(archive, tmp_path, present=[first])
    assert archive.asked == others
    assert (done.present, done.fetched) == (1, 5)


def test_progress_counts_every_image(files, tmp_path):
    told = []
    fetch(FakeArchive(files), tmp_path, present=list(files)[:2], progress=told.append)
    assert [one.fetched for one in told] == [0, 1, 2, 3, 4]
    assert {(one.images, one.present, one.number, one.of) for one in told} == {(6, 2, 1, 1)}


def test_half_an_answer_is_told_and_the_rest_comes_later(files, tmp_path):
    last = list(files)[-1]
    done = fetch(FakeArchive(files, withholds=frozenset({last})), tmp_path)
    assert done.missing == 1
    assert done.problems == ["CT of 20200115: 1 images did not come; it withholds some."]
    again = FakeArchive(files)
    assert fetch(again, tmp_path, present=[path.stem for path in tmp_path.rglob("*.dcm")]).missing == 0
    assert again.asked == [last]


@pytest.mark.parametrize("modalities", [("MR", "DX"), ("SEG",), ()])
def test_a_patient_without_ct_and_pet_is_told(files, tmp_path, modalities):
    with pytest.raises(PacsError, match="Nothing to fetch: the 1 studies of the patient hold no CT or PET"):
        fetch(FakeArchive(files, modalities), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_what_readers_drew_comes_along_and_nothing_else(files, tmp_path):
    assert fetch(FakeArchive(files, ("CT", "PT", "SEG", "RTSTRUCT", "RWV", "PR", "SR", "OT")), tmp_path).series == 5


def test_two_issuers_of_one_id_are_never_mixed(files, tmp_path):
    archive = FakeArchive(files, found=(STUDY, RemoteStudy("1.2.4", "20200116", "THERE")))
    with pytest.raises(PacsError, match="choose with --issuer: HERE, THERE"):
        fetch(archive, tmp_path)
    fetch(archive, tmp_path, issuer="THERE")
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"1.2.4"}
    with pytest.raises(PacsError, match="by that issuer; known: HERE, THERE"):
        fetch(archive, tmp_path, issuer="NOWHERE")


def test_neither_another_image_nor_another_patient_is_written(files, holdings, tmp_path):
    first, second, *_ = files
    other = holdings.others[0]
    for sent, named in ((files[second], "another image"), (b"no DICOM", "no DICOM file")):
        with pytest.raises(PacsError, match=named):
            fetch(FakeArchive(files, sends={first: sent}), tmp_path)
    with pytest.raises(PacsError, match="of another PatientID"):
        fetch(FakeArchive({uid_of(other): other.read_bytes()}), tmp_path)
    assert not files_in(tmp_path)


def test_a_full_disk_is_told_and_leaves_no_half_file(files, tmp_path, monkeypatch):
    write = Path.write_bytes
    came = 0

    def full(path: Path, content: bytes) -> int:
        nonlocal came
        came += 1
        if came < 4:
            return write(path, content)
        write(path, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PacsError, match=f"disk is full: {tmp_path} cannot be written to. Make room"):
        fetch(FakeArchive(files), tmp_path)
    assert [path.read_bytes() for path in files_in(tmp_path)] == [files[path.stem] for path in files_in(tmp_path)]
    assert len(files_in(tmp_path)) == 3


def test_two_fetches_into_one_study_wait_for_each_other(files, tmp_path):
    with (
        exclusive_lock(tmp_path / ".fetch.lock", wait_s=0),
        pytest.raises(StageError, match="is held by process"),
    ):
        fetch(FakeArchive(files), tmp_path)


@pytest.mark.parametrize("uid", ["", "../../etc", "1.2/3", "1." * 40, "a.b"])
def test_a_uid_cannot_lead_out_of_the_study(uid):
    with pytest.raises(PacsError, match="a UID that is none"):
        checked_uid(uid)
