"""Only known words leave the free text of headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nen_imaging.dicom import vocabulary


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("Abdomen portal venous 3.0 B30f", "portal venous"),
        ("ABD_PV_3mm", "portal venous"),
        ("Oberbauch portalvenös", "portal venous"),
        ("Abd 70s", "portal venous"),
        ("Liver late arterial", "arterial"),
        ("LEBER ARTERIELL 1.5", "arterial"),
        ("Abdomen nativ", "native"),
        ("non-contrast", "native"),
        ("CT AC 3.75mm", "native"),
        ("Liver delayed 180 sec", "delayed"),
        ("Spätphase", "delayed"),
        ("arterial and venous", "unknown"),
        ("Thorax-Abdomen", "unknown"),
        ("Transport report", "unknown"),
        ("Abdomen  5.0  B30s", "unknown"),
        ("Thorax 5.0 B70s", "unknown"),
        ("ABD_5.0B30S", "unknown"),
        ("Topogram 0.6 T20s", "unknown"),
        ("Abdomen venous 5.0 B30s", "portal venous"),
        ("Abdomen 70s 5.0 B30s", "portal venous"),
        ("PV70s", "portal venous"),
        ("ABD 35s Br40d", "arterial"),
        ("CT ABDOMEN WITH AND WITHOUT CONTRAST", "unknown"),
        ("CT ABD W/WO IV CONTRAST", "unknown"),
        ("CT LIVER W WO", "unknown"),
        ("CT liver w/ and w/o contrast", "unknown"),
        ("CT without and with contrast", "unknown"),
        ("Abdomen with contrast and without contrast", "unknown"),
        ("CT Abdomen mit und ohne KM", "unknown"),
        ("CT W/WO CONTRAST ARTERIAL", "arterial"),
        ("CT ABDOMEN W/O CONTRAST", "native"),
        ("CT ABDOMEN WO CONTRAST", "native"),
        ("Abdomen ohne KM", "native"),
        ("", "unknown"),
    ],
)
def test_phase_of_a_description(text, phase):
    assert vocabulary.phase_of([text]) == phase


def test_the_first_description_that_names_a_phase_counts():
    assert vocabulary.phase_of(["Abdomen", "arterial", "portal venous"]) == "arterial"


@pytest.mark.parametrize(
    ("seconds", "phase"),
    [(0, "unknown"), (35, "arterial"), (50, "unknown"), (70, "portal venous"), (180, "delayed"), (86_390, "unknown")],
)
def test_phase_by_the_time_since_the_bolus(seconds, phase):
    assert vocabulary.phase_after(seconds) == phase


@pytest.mark.parametrize("text", ["Topogram 0.6 T20s", "SCOUT", "Surview", "localizer ap"])
def test_scouts_are_known_by_name(text):
    assert vocabulary.names_localizer([text])
    assert not vocabulary.names_localizer(["Abdomen"])


@pytest.mark.parametrize(
    ("value", "kernel", "sharp"),
    [
        ("B30f", "B30f", False),
        ("Br40d", "Br40d", False),
        ("STANDARD", "STANDARD", False),
        ("FC08", "FC08", False),
        ("I30f 3", "I30f", False),
        ("B", "B", False),
        ("B70f", "B70f", True),
        ("BONEPLUS", "BONEPLUS", True),
        ("LUNG", "LUNG", True),
        ("for Mrs Jones", "", False),
    ],
)
def test_kernel(value, kernel, sharp):
    assert vocabulary.kernel_word(value) == kernel
    assert vocabulary.is_sharp(vocabulary.kernel_word(value)) == sharp


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ^ -0123456789", min_size=3))
def test_words_that_are_not_known_stay_inside(text):
    assert vocabulary.image_type_words([f"ZQ{text}", "ORIGINAL"]) == ("ORIGINAL",)
    assert vocabulary.correction_words([f"ZQ{text}", "attn"]) == ("ATTN",)
    assert vocabulary.modality_word(f"ZQ{text}") == "OTHER"
    assert "ZQZ" not in vocabulary.kernel_word(f"ZQZ{text}")
