"""Published figures to stand beside one's own, with their source and what they were measured on.

Only what was read in the source named; test sets differ, so none is a target and none is beaten by a number alone.
"""

from __future__ import annotations

from dataclasses import dataclass

_BILIC = "Bilic et al., Med Image Anal 2023;84:102680"
_NNUNET = "nnU-Net, Medical Segmentation Decathlon, test set"
_WESDORP = "Wesdorp et al., Eur Radiol Exp 2023, doi 10.1186/s41747-023-00383-4"


@dataclass(frozen=True)
class Published:
    """A published figure; ``structure`` and ``figure`` name ours, ``what`` says on what and by whom."""

    structure: str
    figure: str
    value: float
    what: str
    source: str


PUBLISHED = (
    Published("liver", "dice", 0.963, "best of three LiTS events, 70 hidden test volumes", _BILIC),
    Published("lesion", "dice", 0.674, "winner of LiTS ISBI 2017, 70 hidden test volumes", _BILIC),
    Published("lesion", "dice", 0.702, "winner of LiTS MICCAI 2017, 70 hidden test volumes", _BILIC),
    Published("lesion", "dice", 0.739, "winner of LiTS MICCAI 2018, 70 hidden test volumes", _BILIC),
    Published("lesion", "recall_iou0.5", 0.458, "best recall of LiTS ISBI 2017", _BILIC),
    Published("lesion", "recall_iou0.5", 0.515, "best recall of LiTS MICCAI 2017", _BILIC),
    Published("lesion", "recall_iou0.5", 0.554, "best recall of LiTS MICCAI 2018", _BILIC),
    Published("liver", "dice", 0.9575, "mean over test cases", _NNUNET),
    Published("lesion", "dice", 0.7597, "mean over test cases", _NNUNET),
    Published("liver", "dice_global", 0.96, "colorectal metastases, 122 test CT", _WESDORP),
    Published("lesion", "dice_global", 0.86, "colorectal metastases, 122 test CT", _WESDORP),
    Published("lesion", "dice_global", 0.82, "colorectal metastases, 72 external CT", _WESDORP),
)
