"""What codes and free texts of a header mean: nuclide with its half life, tracer, manufacturer, scanner.

Texts are typed by people and may hold anything: only words that are known here leave this module.

Half lives and codes: REFERENCE section 2 (SNOMED RT values of DICOM PS3.16 CID 4020; DDEP evaluations). A header's
own half life is used for decay; this table only checks it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Nuclide:
    """A radionuclide: its short name, its half life, and how headers name it."""

    name: str
    half_life_s: float
    codes: tuple[str, ...]
    pattern: str


NUCLIDES = (
    Nuclide("18F", 6586.2, ("C-111A1", "77004003"), r"\^?18\^?F|F\W*18|fluor"),
    Nuclide("68Ga", 4062.6, ("C-131A3", "80751004"), r"\^?68\^?Ga|Ga\W*68|gal+ium"),
    Nuclide("64Cu", 45720.0, ("C-127A2", "35321007"), r"\^?64\^?Cu|Cu\W*64|copper"),
    Nuclide("89Zr", 282240.0, ("C-168A4", "45980000"), r"\^?89\^?Zr|Zr\W*89|zirconium"),
    Nuclide("177Lu", 574300.0, ("C-101ED", "C-1018C"), r"177\W*Lu|Lu\W*177|lutetium"),
)

TRACERS = {
    "DOTATOC": r"dota-?toc|edotreotide",
    "DOTATATE": r"dota-?tate|oxodotreotide",
    "DOTANOC": r"dota-?noc",
    "SiTATE": r"si-?tate",
    "FDG": r"fdg|fluorodeoxyglucose|C-B1031",
    "FDOPA": r"f-?dopa|fluorodopa",
    "PSMA": r"psma|piflufolastat|gozetotide",
}

_MANUFACTURERS = ("GE", "SIEMENS", "CPS", "PHILIPS", "TOSHIBA", "CANON", "HITACHI", "UIH", "MEDISO")
_SCANNERS = re.compile(
    r"(?:Discovery|LightSpeed|HiSpeed|Revolution|Optima|BrightSpeed|SOMATOM|Sensation|Definition|Emotion|Force"
    r"|Volume ?Zoom|Biograph ?\w*|Brilliance|Ingenuity|Gemini ?\w*|iCT|IQon|Aquilion|Vereos|Spectral CT|uMI|uEXPLORER)"
    r"(?: (?:[A-Z0-9]{1,6}|Flash|Edge|Ultra|One|Prime|PET/CT|Vision|mCT))*",
    re.IGNORECASE,
)


def nuclide_of(code: str | None, text: str | None) -> Nuclide | None:
    """The nuclide that a code names or, where there is none, a text (code meaning, radiopharmaceutical)."""
    for nuclide in NUCLIDES:
        if code and code.strip() in nuclide.codes:
            return nuclide
    for nuclide in NUCLIDES:
        if text and re.search(nuclide.pattern, text, re.IGNORECASE):
            return nuclide
    return None


def tracer_of(text: str | None) -> str | None:
    """The tracer that a free text names; never the text itself, which may hold anything."""
    for name, pattern in TRACERS.items():
        if text and re.search(pattern, text, re.IGNORECASE):
            return name
    return None


def manufacturer_of(text: str | None) -> str | None:
    """A known manufacturer, in capitals."""
    words = re.split(r"[\W_]+", (text or "").upper())
    return next((name for name in _MANUFACTURERS if name in words), None)


def scanner_of(text: str | None) -> str | None:
    """A known family of scanners with its type."""
    found = _SCANNERS.match((text or "").strip())
    return found[0] if found else None
