"""Public data sets, measured as their challenges measured them: how far the numbers of this package can be trusted."""

DATASET_TITLES = {
    "lits": "LiTS",
    "msd": "MSD Task03_Liver",
    "ircadb": "3D-IRCADb-01",
    "chaos": "CHAOS CT",
    "totalsegmentator": "TotalSegmentator",
    "tcia": "TCIA: CT with a DICOM SEG of the liver",
    "csv": "a table of cases of your own",
    "phantom": "digital patients, drawn from seeds",
    "phantom_high": "digital patients whose livers are mostly tumour",
}
VARIANTS = ("synthetic", "arterial", "fatty", "noisy")
"""What `variants.py` can make of a case before it is segmented."""
CONVENTIONS = ("isbi2017", "codalab", "chaos")
