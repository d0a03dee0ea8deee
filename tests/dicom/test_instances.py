"""Which images lie in a study already."""

from __future__ import annotations

import shutil

import pydicom

from nen_imaging.dicom.instances import instances_in


def uid_of(path):
    return str(pydicom.dcmread(path).SOPInstanceUID)


def test_images_count_under_any_name_and_in_archives(study):
    loose, packed = study.ct("loose"), study.ct("packed", seed=2)
    uids = [uid_of(path) for path in (*loose, *packed)]
    loose[0].rename(loose[0].with_name("a photo.jpg"))
    shutil.make_archive(str(study.folder / "old"), "zip", study.folder / "packed")
    shutil.rmtree(study.folder / "packed")
    is_present = instances_in(study.folder)
    assert all(map(is_present, uids))
    assert not is_present("1.2.3")


def test_a_file_that_was_cut_short_does_not_count(study):
    whole, cut, *_ = study.ct()
    uids = uid_of(whole), uid_of(cut)
    cut.write_bytes(cut.read_bytes()[:-10])
    assert [instances_in(study.folder)(uid) for uid in uids] == [True, False]


def test_a_study_that_is_not_there_holds_nothing(tmp_path):
    assert not instances_in(tmp_path / "none")("1.2.3")
