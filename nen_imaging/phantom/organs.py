"""What a voxel of a digital patient can be."""

from enum import IntEnum


class Organ(IntEnum):
    """What a voxel of the organ map is."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    BONE = 3
    CORTEX = 4
    DISC = 5
    LUNG = 6
    HEART = 7
    LIVER = 8
    SPLEEN = 9
    KIDNEY_CORTEX = 10
    KIDNEY_MEDULLA = 11
    STOMACH_WALL = 12
    STOMACH_CONTENT = 13
    GAS = 14
    AORTA = 15
    CAVA = 16
    PORTAL_VEIN = 17
    HEPATIC_VEIN = 18
    BOWEL = 19
    STOOL = 20
    GALLBLADDER = 21
    PANCREAS = 22
    TABLE = 23
    SKIN = 24
    LUNG_VESSEL = 25
    PRIMARY = 26


LIVER_ORGANS = (Organ.LIVER, Organ.PORTAL_VEIN, Organ.HEPATIC_VEIN)
"""The liver and the vessels inside it; outside of it these veins are not liver."""
