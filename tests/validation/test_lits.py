"""The official conventions of LiTS: their sample's figures, small twins of them, and every empty or tiny case."""

from __future__ import annotations

import numpy as np
import pytest

from nen_imaging.validation.components import components_of
from nen_imaging.validation.lits import ISBI2017, LARGE, codalab_scores, codalab_volume, correspond, isbi2017
from nen_imaging.volume import read_nifti
from tests.validation.shapes import SPACING_MM, label_map, twin_pairs

OFFICIAL_CODALAB = {
    "lesion_precision": 0.666667,
    "lesion_recall": 0.666667,
    "lesion_precision_greater_zero": 0.958333,
    "lesion_recall_greater_zero": 0.958333,
    "lesion_dice": 0.995739,
    "lesion_jaccard": 0.992053,
    "lesion_voe": 0.007947,
    "lesion_rvd": -0.007947,
    "lesion_assd": 0.018274,
    "lesion_rmsd": 0.053456,
    "lesion_msd": 0.302445,
    "lesion_dice_per_case": 0.669083,
    "lesion_dice_global": 0.682451,
    "liver_dice": 0.979806,
    "liver_jaccard": 0.960675,
    "liver_voe": 0.039325,
    "liver_rvd": 0.041514,
    "liver_assd": 0.709002,
    "liver_rmsd": 3.671910,
    "liver_msd": 64.492571,
    "liver_dice_per_case": 0.979806,
    "liver_dice_global": 0.989503,
    "RMSE_Tumorburden": 0.012638,
    "MAXERROR_Tumorburden": 0.000623,
}


@pytest.fixture(scope="module")
def sample(shared_data):
    """The organisers' three pairs: (truth, prediction, spacing)."""
    folder = shared_data / "lits_scoring"
    pairs = []
    for case in (0, 1, 2):
        truth, prediction = (
            read_nifti(folder / name / f"segmentation-{case}.nii.gz") for name in ("reference", "submission")
        )
        pairs.append((truth.array, prediction.array, truth.spacing_mm))
    return pairs


def test_the_15_figures_of_scores_txt(sample, shared_data):
    lines = (shared_data / "lits_scoring" / "scores.txt").read_text().splitlines()
    official = [float(line.split(":")[1]) for line in lines if line.strip()]
    found = [figures[name] for figures in (isbi2017(*pair) for pair in sample) for name in ISBI2017]
    assert len(official) == 15
    assert found == pytest.approx(official, abs=5e-7)


def test_the_24_figures_of_todays_program(sample):
    volumes = [codalab_volume(*pair) for pair in sample]
    assert codalab_scores(volumes) == pytest.approx(OFFICIAL_CODALAB, abs=5e-7)
    assert [volume.detected for volume in volumes] == [{"0": 11, "0.5": 8}, {"0": 11, "0.5": 7}, {"0": 1, "0.5": 1}]
    assert [len(volume.lesions) for volume in volumes] == [8, 8, 1]


def test_codalab_counts_of_small_twins():
    volumes = [codalab_volume(*pair, SPACING_MM) for pair in twin_pairs()]
    assert [(volume.true, volume.predicted) for volume in volumes] == [(3, 3), (2, 1), (1, 2)]
    assert [volume.detected["0"] for volume in volumes] == [2, 1, 1]  # each merged group counts as one
    assert [volume.detected["0.5"] for volume in volumes] == [2, -1, 0]  # a dropped one costs what it merged
    assert [len(volume.lesions) for volume in volumes] == [2, 0, 0]
    scores = codalab_scores(volumes)
    assert scores["lesion_recall_greater_zero"] == pytest.approx(4 / 6)
    assert scores["lesion_precision"] == pytest.approx(1 / 6)


def test_merging_a_hit_and_a_graze():
    """A prediction that covers two lesions stands for both as one group, whose overlap is that of their sum."""
    truth = np.zeros((12, 4, 4), bool)
    truth[0:4], truth[5:9] = True, True
    prediction = np.zeros_like(truth)
    prediction[0:9] = True
    parts = components_of(truth, prediction, neighbours=6)
    found = correspond(parts, 0.5)
    assert found.groups == (((1,), (1, 2)),)
    assert found.detected == 1


def test_exactly_half_is_not_detected():
    truth, prediction = np.zeros((4, 3, 3), bool), np.zeros((4, 3, 3), bool)
    truth[:2], prediction[:1] = True, True
    parts = components_of(truth, prediction, neighbours=6)
    assert correspond(parts, 0.5).groups == ()
    assert correspond(parts, 0.49).detected == 1


CLEAN = label_map(liver=14)
DISEASED = label_map(liver=14, lesions=[((20, 18, 10), 4.0)])
LESION_ONLY = np.where(DISEASED == 2, 2, 0).astype(np.uint8)
NOTHING = np.zeros_like(CLEAN)
BURDEN = (DISEASED == 2).sum() / (DISEASED > 0).sum()


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        pytest.param(
            CLEAN,
            CLEAN,
            {
                "lesion_precision": 0, "lesion_recall": 0, "lesion_dice": 0, "lesion_assd": LARGE,
                "lesion_dice_per_case": 1, "lesion_dice_global": 0, "RMSE_Tumorburden": 0,
            },
            id="no lesion, none predicted",
        ),
        pytest.param(
            CLEAN,
            DISEASED,
            {
                "lesion_precision": 0, "lesion_recall": 0, "lesion_dice_per_case": 0,
                "RMSE_Tumorburden": BURDEN, "MAXERROR_Tumorburden": -BURDEN,
            },
            id="no lesion, one predicted",
        ),
        pytest.param(
            DISEASED,
            CLEAN,
            {"lesion_precision": 0, "lesion_recall": 0, "lesion_assd": LARGE, "lesion_dice_per_case": 0},
            id="lesion missed",
        ),
        pytest.param(
            DISEASED,
            LESION_ONLY,
            {
                "lesion_precision": 1, "lesion_recall": 1, "lesion_dice": 1, "lesion_assd": 0, "liver_dice": 0,
                "liver_assd": LARGE, "liver_dice_per_case": 0, "RMSE_Tumorburden": LARGE - BURDEN,
                "MAXERROR_Tumorburden": BURDEN - LARGE,
            },
            id="lesions without a liver",
        ),
        pytest.param(
            DISEASED,
            NOTHING,
            {
                "lesion_precision": 0, "lesion_recall": 0, "lesion_dice": 0, "lesion_assd": LARGE, "liver_dice": 0,
                "liver_assd": LARGE, "liver_voe": 1, "RMSE_Tumorburden": LARGE - BURDEN,
            },
            id="nothing predicted",
        ),
        pytest.param(
            NOTHING,
            DISEASED,
            {"liver_dice": 0, "liver_assd": LARGE, "lesion_dice_per_case": 0, "RMSE_Tumorburden": np.nan},
            id="nothing in the truth (the program crashes)",
        ),
    ],
)  # fmt: skip
def test_empty_masks_as_codalab_has_them(truth, prediction, expected):
    scores = codalab_scores([codalab_volume(truth, prediction, SPACING_MM)])
    assert {name: scores[name] for name in expected} == pytest.approx(expected, nan_ok=True)


def test_a_volume_without_detection_adds_nothing_to_the_pooled_figures():
    alone = codalab_scores([codalab_volume(DISEASED, DISEASED, SPACING_MM)])
    volumes = [codalab_volume(DISEASED, other, SPACING_MM) for other in (DISEASED, CLEAN)]
    both = codalab_scores(volumes)
    assert (both["lesion_dice"], both["lesion_assd"]) == (alone["lesion_dice"], alone["lesion_assd"]) == (1, 0)
    assert both["lesion_recall"] == 0.5


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        (CLEAN, CLEAN, (1, 0, 0, 0, 0)),
        (DISEASED, CLEAN, (0, 1, -1, 0, 0)),  # a miss scores a perfect distance: that is the convention
    ],
)
def test_empty_masks_as_isbi2017_has_them(truth, prediction, expected):
    assert tuple(isbi2017(truth, prediction, SPACING_MM).values()) == expected


def test_isbi2017_puts_a_voxel_into_an_empty_reference():
    found = isbi2017(CLEAN, DISEASED, SPACING_MM)
    voxels = (DISEASED == 2).sum()
    assert (found["dice"], found["rvd"]) == (0, voxels - 1)
    corner = np.argwhere(DISEASED == 2) * SPACING_MM
    assert found["mssd"] == pytest.approx(np.linalg.norm(corner, axis=1).max())


def test_no_volume_is_no_score():
    with pytest.raises(ValueError, match="no volume"):
        codalab_scores([])
