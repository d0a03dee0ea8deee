"""Pseudonyms, the key, and the one table that says who is who."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nen_imaging.contract import Results
from nen_imaging.dicom.privacy import (
    PrivacyError,
    Pseudonymiser,
    file_label,
    hold_to_key,
    key_path,
    load_key,
    pseudonyms,
    write_linkage,
)

PSEUDONYMISER = Pseudonymiser(b"one key")
ANN, BOB = PSEUDONYMISER.identity("id", "1"), PSEUDONYMISER.identity("id", "2")
HERE, THERE = PSEUDONYMISER.issuer("here"), PSEUDONYMISER.issuer("there")


@pytest.fixture
def key_file(tmp_path, monkeypatch):
    path = tmp_path / "home" / "key"
    monkeypatch.setenv("NEN_IMAGING_KEY_FILE", str(path))
    return path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@given(st.text(), st.text())
def test_a_pseudonym_is_p_and_ten_base32_letters(identity, issuer):
    pseudonym = PSEUDONYMISER.patient(identity, issuer)
    assert len(pseudonym) == 11
    assert pseudonym[0] == "P"
    assert set(pseudonym[1:]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    assert pseudonym == PSEUDONYMISER.patient(identity, issuer)
    assert pseudonym != Pseudonymiser(b"another key").patient(identity, issuer)


def test_an_id_a_name_and_a_study_of_the_same_text_are_three_patients():
    identities = {PSEUDONYMISER.identity(kind, "4711") for kind in ("id", "name", "study")}
    assert len(set(pseudonyms(PSEUDONYMISER, [(one, "") for one in identities]).values())) == 3


def test_a_missing_issuer_joins_the_only_one_known():
    found = pseudonyms(PSEUDONYMISER, [(ANN, ""), (ANN, HERE), (BOB, "")])
    assert found[ANN, ""] == found[ANN, HERE]
    assert found[BOB, ""] != found[ANN, HERE]


def test_a_missing_issuer_joins_none_of_two():
    found = pseudonyms(PSEUDONYMISER, [(ANN, ""), (ANN, HERE), (ANN, THERE)])
    assert len(set(found.values())) == 3


def test_a_collision_stops():
    class Careless(Pseudonymiser):
        def patient(self, *_):
            return "PAAAAAAAAAA"

    with pytest.raises(PrivacyError, match="share the pseudonym PAAAAAAAAAA"):
        pseudonyms(Careless(b"one key"), [(ANN, ""), (BOB, "")])


def test_the_key_is_made_once_for_its_owner_alone(key_file):
    key = load_key()
    assert len(key) >= 32
    assert load_key() == key
    assert mode(key_file) == 0o600
    assert list(key_file.parent.iterdir()) == [key_file]


def test_the_key_lies_in_the_users_config_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("NEN_IMAGING_KEY_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert key_path() == tmp_path / "nen_imaging" / "key"


def test_a_key_that_others_may_read_is_refused(key_file):
    load_key()
    key_file.chmod(0o640)
    with pytest.raises(PrivacyError, match="chmod 600"):
        load_key()


@pytest.mark.parametrize("content", ["", "no key", "abcd"])
def test_a_file_that_is_no_key_is_refused(key_file, content):
    key_file.parent.mkdir()
    key_file.write_text(content)
    key_file.chmod(0o600)
    with pytest.raises(PrivacyError, match="holds no key"):
        load_key()


def test_a_key_inside_the_study_or_the_results_is_refused_before_it_is_made(key_file, tmp_path):
    with pytest.raises(PrivacyError, match="lies inside"):
        load_key(outside=[tmp_path / "elsewhere", tmp_path / "home"])
    assert not key_file.exists()


def test_results_hold_to_their_key(tmp_path):
    results = Results(tmp_path)
    hold_to_key(results, PSEUDONYMISER)
    hold_to_key(results, PSEUDONYMISER)
    assert b"one key" not in results.key_fingerprint.read_bytes()
    with pytest.raises(PrivacyError, match="start a new results folder"):
        hold_to_key(results, Pseudonymiser(b"another key"))


def test_the_linkage_table_grows_beside_the_key(key_file):
    load_key()
    for patient, name in (("PB", "Smith^Bob"), ("PA", "Jones^Ann"), ("PB", "Smith^Robert")):
        path = write_linkage(
            [{"patient": patient, "patient_id": "1", "issuer": "", "patient_name": name, "birth_date": ""}]
        )
    assert path.parent == key_file.parent
    assert mode(path) == 0o600
    assert path.read_text("utf-8").splitlines()[1:] == ["PA,1,,Jones^Ann,", "PB,1,,Smith^Robert,"]


def test_a_file_is_called_by_a_hash_a_common_suffix_and_its_size():
    label = file_label(PSEUDONYMISER, "Jones Ann/report of Jones.TXT", 12)
    assert label.endswith(".txt (12 bytes)")
    assert "ones" not in label.casefold()
    assert file_label(PSEUDONYMISER, "scan.Jones", 1).endswith(" (1 bytes)")
    assert "jones" not in file_label(PSEUDONYMISER, "scan.Jones", 1)


@given(st.text(), st.integers(1, 5000))
def test_dates_of_a_patient_move_back_alike_and_by_no_more_than_asked(identity, most):
    pseudonymiser = Pseudonymiser(b"one key", most)
    days = pseudonymiser.moved_days(identity)
    assert -most <= days <= -1
    assert days == Pseudonymiser(b"one key", most).moved_days(identity)
    assert Pseudonymiser(b"one key").moved_days(identity) == 0


def test_each_patient_and_each_key_moves_dates_by_another_number():
    found = {Pseudonymiser(key, 3000).moved_days(who) for key in (b"one", b"two") for who in (ANN, BOB)}
    assert len(found) == 4


def test_results_hold_to_their_shift_of_dates(tmp_path):
    hold_to_key(Results(tmp_path), Pseudonymiser(b"one key", 100))
    with pytest.raises(PrivacyError, match="date_shift_days"):
        hold_to_key(Results(tmp_path), Pseudonymiser(b"one key", 101))
