"""Free text of headers brought down to known words.

Descriptions, kernels and image types are typed by people and may name a patient; only words listed here, or of a
form that can be no name, leave this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

Phase = Literal["portal venous", "arterial", "native", "delayed", "unknown"]

_PHASES: tuple[tuple[Phase, str], ...] = (
    ("native", r"nativ|unenhanced|non[ -]?(?:contrast|enhanced)|without contrast|w/?o[ _-]?(?:iv|contrast|c\b)"
               r"|pre[ _-]?contrast|ohne km|\bplain\b|low[ _-]?dose|\bct ?ac\b|\bac[ _-]?ct\b|\bnc\b"),
    ("arterial", r"arteri|\bart\b|\bhap\b|(?<!\d)(?:2[05]|3[05])[ _-]?s(?:ec)?\b"),
    ("delayed", r"delay|\blate\b(?! ?art)|sp[aä]t|equilib|nephrogen|excret"
                r"|(?<!\d)(?:1[2-9]0|[2-3][0-9]0)[ _-]?s(?:ec)?\b|(?<!\d)(?:3|5|10)[ _-]?min"),
    ("portal venous", r"portal|porto|\bpvp?\b|venous|ven[oö]s|\bven\b|(?<!\d)(?:6[05]|7[05]|80|90)[ _-]?s(?:ec)?\b"),
)  # fmt: skip
_KERNEL_IN_TEXT = re.compile(  # Siemens': the "30s" of "B30s" are no seconds
    r"(?<![a-z])(?:[BCHIJQSTU]|B[flrv]|H[cfprv]|Q[fr]|S[adp]|Tr|U[bhr])\d\d[a-z]?\b", re.IGNORECASE
)
_WITHOUT, _AND = r"(?:without|w/?o|ohne)", r"(?:[ /&+,-]|and|und|\b(?:iv )?contrast\b|\bkm\b)*"
_WITH_AND_WITHOUT = re.compile(  # an examination of several phases: which one this is, it does not say
    rf"\b(?:(?:with|w|mit){_AND}{_WITHOUT}|{_WITHOUT}{_AND}(?:with|w|mit))\b", re.IGNORECASE
)
_PHASE_PATTERNS = tuple((phase, re.compile(pattern, re.IGNORECASE)) for phase, pattern in _PHASES)
_PHASE_AFTER_S: tuple[tuple[Phase, float, float], ...] = (  # what lies between two phases is neither
    ("arterial", 15, 45), ("portal venous", 55, 100), ("delayed", 120, 900),
)  # fmt: skip
_LOCALIZER = re.compile(r"topogram|scout|localizer|surview|scanogram", re.IGNORECASE)

_IMAGE_TYPES = (
    "ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "HELIX", "HELICAL", "REFORMATTED", "MPR",
    "AVERAGE", "MIP", "MINIP", "PROJECTION", "STATIC", "DYNAMIC", "GATED", "WHOLE_BODY", "IMAGE", "REPROJECTION",
    "VOLUME", "MIXED", "SEGMENTATION", "PERFUSION", "SUBTRACTION", "DIVISION", "MULTIPLICATION", "STD_DEVIATION",
)  # fmt: skip
NOT_DENSITY = frozenset(("PERFUSION", "SUBTRACTION", "DIVISION", "MULTIPLICATION", "STD_DEVIATION"))
"""The words of an ImageType that say: these pixels were computed to show something else than a CT's density."""

CORRECTIONS = frozenset(
    ("DECY", "ATTN", "SCAT", "DTIM", "MOTN", "PMOT", "CLN", "RAN", "RADL", "DCAL", "NORM", "SLSENS", "RANSNG", "UNIF")
)
"""The words of a PET's CorrectedImage."""

_KERNEL_WORDS = ("STANDARD", "SOFT", "BONE", "BONEPLUS", "LUNG", "DETAIL", "EDGE", "CHEST", "SMOOTH", "SHARP", "BODY")
_KERNEL_FORM = re.compile(r"(?:[A-Z]{1,2}[a-z]?\d{2,3}[a-z]?|[A-EL])")
_SHARP_KERNEL = re.compile(r"BONE|LUNG|EDGE|SHARP|DETAIL|[A-Z][a-z]?[5-9]\d|FC[3589]\d|^[CDEL]$")


def phase_of(texts: Iterable[str]) -> Phase:
    """The contrast phase that descriptions name, the first that says so; ``unknown`` if none or several do."""
    for text in texts:
        plain = _WITH_AND_WITHOUT.sub(" ", _KERNEL_IN_TEXT.sub(" ", text.replace("_", " ")))
        named = [phase for phase, pattern in _PHASE_PATTERNS if pattern.search(plain)]
        if named:
            return named[0] if len(named) == 1 else "unknown"
    return "unknown"


def phase_after(seconds: float) -> Phase:
    """The phase of a liver that is scanned so long after the injection of contrast medium began."""
    return next((phase for phase, first, last in _PHASE_AFTER_S if first <= seconds <= last), "unknown")


def names_localizer(texts: Iterable[str]) -> bool:
    """Whether a description speaks of a scout."""
    return any(_LOCALIZER.search(text) for text in texts)


def image_type_words(values: Iterable[str]) -> tuple[str, ...]:
    """The known words of an ImageType, in order."""
    words = (value.strip().upper().replace(" ", "_") for value in values)
    return tuple(word for word in words if word in _IMAGE_TYPES)


def correction_words(values: Iterable[str]) -> tuple[str, ...]:
    """The known words of a CorrectedImage."""
    return tuple(value for value in map(str.upper, values) if value in CORRECTIONS)


def modality_word(value: str) -> str:
    """A Modality as the standard writes it, else ``OTHER``."""
    return value if re.fullmatch(r"[A-Z]{2}|SEG|REG|RWV|RTSTRUCT|RTDOSE|RTPLAN|RTIMAGE|KO|PR", value) else "OTHER"


def kernel_word(value: str) -> str:
    """A convolution kernel (``B30f``, ``STANDARD``), empty when it has no known form."""
    for word in re.split(r"[\s\\/]+", value.strip()):
        if word.upper() in _KERNEL_WORDS:
            return word.upper()
        if _KERNEL_FORM.fullmatch(word):
            return word
    return ""


def is_sharp(kernel: str) -> bool:
    """Whether a kernel is one for bone or lung, too noisy for the liver."""
    return bool(_SHARP_KERNEL.search(kernel))
