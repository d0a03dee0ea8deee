"""From which ranges digital patients are drawn: the many that networks learn from, and the one of the case.

The case (`sample_data/`) tests a network that never saw its like: every range of `CASE` is disjoint from that of
`GENERAL`, from which training draws, but for those of `ALIKE`. A test holds this.
"""

from __future__ import annotations

from dataclasses import dataclass

Interval = tuple[float, float]
ALIKE = ("enhancement", "steatosis_hu")
"""Ranges that overlap: the same physics and the same disease, told apart by nothing."""


@dataclass(frozen=True)
class Ranges:
    """What differs between kinds of patients; each value is drawn evenly from its interval."""

    liver_volume_ml: Interval
    liver_mode: Interval
    """Of the shape model's first mode: wide with a long left lobe (negative) to deep and compact."""
    bend_mm: Interval
    """How far the body's shape departs from the textbook's."""
    lesion_bend_mm: Interval
    """How far a lesion's outline departs from an ellipsoid."""
    lesion_fade_mm: Interval
    """Width of the zone in which a lesion blends into the liver."""
    texture_hu: Interval
    """Deviation of fine texture inside organs, before noise."""
    texture_mm: Interval
    """Grain of that texture."""
    unevenness_hu: Interval
    """Deviation of an organ's slow changes in enhancement."""
    resolution_mm: Interval
    """In-plane width (FWHM) at which the scanner shows a point."""
    noise_hu: Interval
    """At this pixel size and slices of 3 mm."""
    subslices: Interval
    """Painted slices that one slice of the scan averages over."""
    enhancement: Interval
    """By the contrast medium, relative to the usual."""
    steatosis_hu: Interval
    """How much darker a fatty liver is."""


GENERAL = Ranges(
    liver_volume_ml=(1200, 2500),
    liver_mode=(-1.4, 1.6),
    bend_mm=(4.5, 5.5),
    lesion_bend_mm=(1.0, 2.4),
    lesion_fade_mm=(2.0, 7.0),
    texture_hu=(2.0, 3.6),
    texture_mm=(5.5, 7.0),
    unevenness_hu=(1.8, 3.2),
    resolution_mm=(1.4, 2.4),
    noise_hu=(7.5, 14),
    subslices=(1, 1),
    enhancement=(0.8, 1.2),
    steatosis_hu=(0, 45),
)
CASE = Ranges(
    liver_volume_ml=(2650, 2950),
    liver_mode=(-1.9, -1.5),
    bend_mm=(3.4, 4.2),
    lesion_bend_mm=(2.8, 3.6),
    lesion_fade_mm=(0.8, 1.6),
    texture_hu=(4.0, 5.0),
    texture_mm=(4.0, 5.0),
    unevenness_hu=(0.8, 1.5),
    resolution_mm=(1.0, 1.3),
    noise_hu=(5.0, 7.0),
    subslices=(2, 2),
    enhancement=(0.95, 1.15),
    steatosis_hu=(0, 3),
)
