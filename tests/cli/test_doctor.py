"""`nen-imaging doctor` and the verbs agree on what is wrong."""

from __future__ import annotations

import pytest

from nen_imaging.cli import doctor
from nen_imaging.dicom.privacy import PrivacyError, load_key


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o604])
def test_a_key_is_good_where_the_verbs_take_it(tmp_path, monkeypatch, mode):
    monkeypatch.setenv("NEN_IMAGING_KEY_FILE", str(tmp_path / "key"))
    load_key()
    (tmp_path / "key").chmod(mode)
    try:
        load_key()
    except PrivacyError:
        taken = False
    else:
        taken = True
    _, good, text = doctor._key()
    assert good == taken
    assert ("chmod 600" in text) != taken
