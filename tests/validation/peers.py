"""Every figure that a summary can hold: who else computes it, how it grows, and what it is with the masks exchanged.

A new figure is not tested until it stands here, and `test_every_figure` fails until then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev

import numpy as np
import SimpleITK
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from monai.metrics.panoptic_quality import compute_panoptic_quality
from monai.metrics.utils import get_edge_surface_distance
from scipy import stats
from scipy.spatial.distance import jaccard
from skimage.measure import label, regionprops
from skimage.metrics import mean_squared_error

from nen_imaging.volume import Volume, to_itk
from tests.validation.shapes import SPACING_MM, textbook_distances, twin_pairs

SIZES_MM = {"": (0, np.inf), ", < 10 mm": (0, 10), ", 10-20 mm": (10, 20), ", > 20 mm": (20, np.inf)}


@dataclass(frozen=True)
class Pair:
    """A truth and a prediction, the interval of the predicted load, and what only a digital patient knows."""

    truth: Volume
    prediction: Volume
    low: float = 2.0
    high: float = 6.0
    exact: tuple[float, float] = (3.0, 3.5)  # load as drawn, and as sampled

    @property
    def mm(self):
        return tuple(self.truth.spacing_mm.tolist())

    def masks(self, structure):
        lowest = {"liver": 1, "lesion": 2}[structure]
        return self.truth.array >= lowest, self.prediction.array >= lowest


def pairs(scales=(1.0, 2.0, 3.5)):
    """The twins of the LiTS sample, small and large: lesions of every size."""
    affines = [np.diag([*np.array(SPACING_MM) * scale, 1.0]) for scale in scales]
    return [Pair(*(Volume(array, affine) for array in twin)) for affine in affines for twin in twin_pairs()]


@dataclass(frozen=True)
class Known:
    """``other`` computes the figure of a list of pairs by another library, or by hand.

    ``grows``: "mm" where it doubles with the spacing, "" where it stays, None where it rests on sizes in mm.
    ``exchanged``: the figure that it becomes with truth and prediction exchanged, with a sign; None: no such rule.
    """

    other: Callable[[list[Pair]], float]
    grows: str | None = ""
    exchanged: str | None = None


# --- one mask ---------------------------------------------------------------------------------------------------------


def dice(truth, found, _mm=None):
    measure = SimpleITK.LabelOverlapMeasuresImageFilter()
    measure.Execute(*(SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in (found, truth)))
    return measure.GetDiceCoefficient()


def voe(truth, found, _mm=None):
    return jaccard(truth.ravel(), found.ravel())


def rvd(truth, found, _mm=None):
    sizes = []
    for mask in (truth, found):
        shape = SimpleITK.LabelShapeStatisticsImageFilter()
        shape.Execute(SimpleITK.GetImageFromArray(mask.astype(np.uint8)))
        sizes.append(shape.GetPhysicalSize(1))
    return sizes[1] / sizes[0] - 1


def area_weighted(truth, found, mm):
    """Distances and areas of both surfaces by MONAI: of the truth, then of what was found."""
    tensors = [torch.from_numpy(mask) for mask in (truth, found)]
    edges, distances, areas = get_edge_surface_distance(*tensors, spacing=mm, use_subvoxels=True, symmetric=True)
    return [(d.numpy(), a[e].numpy()) for e, d, a in zip(edges, distances, areas, strict=True)]


def pooled(truth, found, mm):
    return (np.concatenate(part) for part in zip(*area_weighted(truth, found, mm), strict=True))


def assd(truth, found, mm):
    distances, areas = pooled(truth, found, mm)
    return np.average(distances, weights=areas)


def rmsd(truth, found, mm):
    distances, areas = pooled(truth, found, mm)
    return np.sqrt(np.average(distances**2, weights=areas))


def msd(truth, found, mm):
    return next(pooled(truth, found, mm)).max()


def hd95(truth, found, mm):
    sides = area_weighted(truth, found, mm)
    return max(np.quantile(d, 0.95, weights=area, method="inverted_cdf") for d, area in sides)


def surface_dice(tolerance_mm, truth, found, mm):
    tensors = [torch.from_numpy(mask)[None, None] for mask in (found, truth)]
    return float(
        compute_surface_dice(*tensors, [tolerance_mm], include_background=True, spacing=mm, use_subvoxels=True)
    )


def textbook(connectivity, beyond, figure, truth, found, mm):
    """A figure of the pooled distances of voxels, by SciPy's erosion and distance transform."""
    sides = textbook_distances(truth, found, mm, connectivity=connectivity, beyond=beyond)
    return figure(np.concatenate(sides))


def largest_by_faces(truth, found, mm):
    tensors = [torch.from_numpy(mask)[None, None] for mask in (found, truth)]
    return float(compute_hausdorff_distance(*tensors, include_background=True, spacing=mm))


def root_mean_square(distances):
    return np.sqrt(np.mean(distances**2))


def mean_of(structure, figure):
    """The mean over cases of a figure of one mask."""
    return lambda cases: np.mean([figure(*case.masks(structure), case.mm) for case in cases])


def dice_global(structure, cases):
    masks = zip(*(case.masks(structure) for case in cases), strict=True)
    return dice(*(np.concatenate(side) for side in masks))


# --- lesions ----------------------------------------------------------------------------------------------------------


def instances(mask, mm, size_mm=(0, np.inf), connectivity=3):
    """Numbered lesions whose longest diameter on a slice (scikit-image) lies within the bin."""
    numbered = label(mask, connectivity=connectivity)
    for number in range(1, numbered.max() + 1):
        slices = [(numbered[:, :, k] == number).astype(np.uint8) for k in range(mask.shape[2])]
        longest = max(regionprops(one, spacing=mm[:2])[0].feret_diameter_max for one in slices if one.any())
        if not size_mm[0] <= longest < size_mm[1]:
            numbered[numbered == number] = 0
    return torch.from_numpy(numbered)


def matches(cases, iou, *, true_mm=(0, np.inf), found_mm=(0, np.inf)):
    """True and false positives, false negatives, sum of IoU over all cases, by MONAI."""
    threshold = max(iou, 1e-9)  # MONAI takes no 0
    total = np.zeros(4)
    for case in cases:
        truth, found = case.masks("lesion")
        numbered = instances(found, case.mm, found_mm), instances(truth, case.mm, true_mm)
        counted = compute_panoptic_quality(*numbered, match_iou_threshold=threshold, output_confusion_matrix=True)
        total += counted.numpy()
    return total


def recall(iou, size_mm, cases):
    hits, _, missed, _ = matches(cases, iou, true_mm=size_mm)
    return hits / (hits + missed)


def precision(iou, size_mm, cases):
    hits, invented, _, _ = matches(cases, iou, found_mm=size_mm)
    return hits / (hits + invented)


def f1(iou, size_mm, cases):
    both = recall(iou, size_mm, cases), precision(iou, size_mm, cases)
    return stats.hmean(both) if all(both) else 0.0


def panoptic_quality(cases):
    hits, invented, missed, iou = matches(cases, 0.5)
    return iou / (hits + (invented + missed) / 2)


def mean_of_detected(figure):
    """The mean of a figure over pairs of lesions (6 neighbours) with an IoU above 0.5; in the twins none is merged."""

    def of(cases):
        values = []
        for case in cases:
            truth, found = (instances(mask, case.mm, connectivity=1).numpy() for mask in case.masks("lesion"))
            for true_number in range(1, truth.max() + 1):
                for number in range(1, found.max() + 1):
                    one = truth == true_number, found == number
                    if voe(*one) < 0.5:
                        values.append(figure(*one, case.mm))
        return np.mean(values)

    return of


# --- load -------------------------------------------------------------------------------------------------------------


def loads(cases):
    """True and found load of every case in percent; volumes by SimpleITK."""
    volumes = []
    for volume in (volume for case in cases for volume in (case.truth, case.prediction)):
        shape = SimpleITK.LabelShapeStatisticsImageFilter()
        shape.Execute(to_itk(volume))
        volumes.append([shape.GetPhysicalSize(number) for number in (1, 2)])
    percent = [100 * lesion / (liver + lesion) for liver, lesion in volumes]
    return percent[::2], percent[1::2]


def of_errors(figure):
    """A figure of the errors of the loads, in points."""
    return lambda cases: figure([found - true for true, found in zip(*loads(cases), strict=True)])


def limit(side, errors):
    return stats.norm.interval(0.95, fmean(errors), stdev(errors))[side]


def rmse(cases):
    return np.sqrt(mean_squared_error(*map(np.array, loads(cases))))


def misleading(cases):
    """Progression from 20 % and 5 points on, response from -30 % on; no twin loses its whole load."""
    changes = [(found - true, 100 * (found / true - 1)) for true, found in zip(*loads(cases), strict=True)]
    return fmean((points >= 5 and percent >= 20) or percent <= -30 for points, percent in changes)


def coverage(cases):
    return fmean(case.low <= true <= case.high for true, case in zip(loads(cases)[0], cases, strict=True))


def dice_over(smallest_ml, cases):
    chosen = [case for case in cases if case.masks("lesion")[0].sum() * case.truth.voxel_volume_ml > smallest_ml]
    return mean_of("lesion", dice)(chosen)


def recall_of_large(cases):
    return recall(0.5, (10, np.inf), cases)


def false_lesions(cases):
    return matches(cases, 0.0)[1] / len(cases)


def part_of_error(part, figure, cases):
    parts = {
        "segmentation": of_errors(list)(cases),
        "discretisation": [case.exact[1] - case.exact[0] for case in cases],
        "partial_volume": [true - case.exact[1] for true, case in zip(loads(cases)[0], cases, strict=True)],
    }
    return fmean(map(figure, parts[part]))


def chaos_score(cases):
    figures = [KNOWN["chaos", "", name].other for name in ("dice", "ravd_percent", "assd_mm", "mssd_mm")]
    scores = [
        [100 * share if share >= 0.8 else 0, *(np.interp(value, [0, worst], [100, 0]) for value, worst in rest)]
        for share, *rest in (
            (figures[0]([case]), *zip((one([case]) for one in figures[1:]), (5, 15, 60), strict=True)) for case in cases
        )
    ]
    return np.mean(scores)


# --- the table --------------------------------------------------------------------------------------------------------

KNOWN: dict[tuple[str, str, str], Known] = {}
for _structure in ("liver", "lesion"):
    for _name, _figure, _grows, _exchanged in (
        ("dice", dice, "", "dice"),
        ("voe", voe, "", "voe"),
        ("rvd", rvd, "", None),
        ("assd_mm", assd, "mm", "assd_mm"),
        ("rmsd_mm", rmsd, "mm", "rmsd_mm"),
        ("msd_mm", msd, "mm", "msd_mm"),
        ("hd95_mm", hd95, "mm", "hd95_mm"),
        ("surface_dice_1mm", partial(surface_dice, 1.0), None, "surface_dice_1mm"),
        ("surface_dice_3mm", partial(surface_dice, 3.0), None, "surface_dice_3mm"),
    ):
        KNOWN["own", _structure, _name] = Known(mean_of(_structure, _figure), _grows, _exchanged)
    KNOWN["own", _structure, "dice_global"] = Known(partial(dice_global, _structure), "", "dice_global")
KNOWN["own", "lesion", "dice_where_present"] = Known(mean_of("lesion", dice), "", "dice_where_present")
KNOWN |= {
    ("own", "liver", "dice_lowest"): Known(
        lambda cases: min(dice(*case.masks("liver")) for case in cases), "", "dice_lowest"
    ),
    ("own", "lesion", "dice_over_1_ml"): Known(partial(dice_over, 1), None),
    ("own", "lesion", "dice_over_5_ml"): Known(partial(dice_over, 5), None),
    ("own", "lesion", "recall_iou0.5, >= 10 mm"): Known(recall_of_large, None),
    ("own", "lesion", "false_per_case"): Known(false_lesions),
}
for _iou in (0.0, 0.5):
    for _size, _size_mm in SIZES_MM.items():
        for _name, _figure, _other in (
            ("precision", precision, "recall"),
            ("recall", recall, "precision"),
            ("f1", f1, "f1"),
        ):
            _suffix = f"_iou{_iou:g}{_size}"
            _known = Known(partial(_figure, _iou, _size_mm), None if _size else "", _other + _suffix)
            KNOWN["own", "lesion", _name + _suffix] = _known
KNOWN["own", "lesion", "panoptic_quality"] = Known(panoptic_quality, "", "panoptic_quality")
KNOWN |= {
    ("own", "load", "bias_points"): Known(of_errors(fmean), "", "-bias_points"),
    ("own", "load", "rmse_points"): Known(rmse, "", "rmse_points"),
    ("own", "load", "limit_low_points"): Known(of_errors(partial(limit, 0)), "", "-limit_high_points"),
    ("own", "load", "limit_high_points"): Known(of_errors(partial(limit, 1)), "", "-limit_low_points"),
    ("own", "load", "largest_error_points"): Known(of_errors(partial(max, key=abs)), "", "-largest_error_points"),
    ("own", "load", "mean_error_points"): Known(
        of_errors(lambda errors: fmean(map(abs, errors))), "", "mean_error_points"
    ),
    ("own", "load", "slope"): Known(lambda cases: stats.linregress(*loads(cases)).slope),
    ("own", "load", "misleading_response"): Known(misleading),
    ("own", "load", "interval_coverage"): Known(coverage),
    ("own", "load", "interval_width_points"): Known(lambda cases: fmean(case.high - case.low for case in cases)),
}
for _part in ("segmentation", "discretisation", "partial_volume"):
    KNOWN["own", "load", f"{_part}_bias_points"] = Known(partial(part_of_error, _part, float))
    KNOWN["own", "load", f"{_part}_mean_size_points"] = Known(partial(part_of_error, _part, abs))

KNOWN |= {
    ("isbi2017", "", "dice"): Known(mean_of("lesion", dice), "", "dice"),
    ("isbi2017", "", "voe"): Known(mean_of("lesion", voe), "", "voe"),
    ("isbi2017", "", "rvd"): Known(mean_of("lesion", rvd)),
    ("isbi2017", "", "assd"): Known(mean_of("lesion", partial(textbook, 2, 0, np.mean)), "mm", "assd"),
    ("isbi2017", "", "mssd"): Known(mean_of("lesion", largest_by_faces), "mm", "mssd"),
    ("chaos", "", "dice"): Known(mean_of("liver", dice), "", "dice"),
    ("chaos", "", "ravd_percent"): Known(mean_of("liver", lambda *pair: 100 * abs(rvd(*pair)))),
    ("chaos", "", "assd_mm"): Known(mean_of("liver", partial(textbook, 1, 1, np.mean)), "mm", "assd_mm"),
    ("chaos", "", "mssd_mm"): Known(mean_of("liver", partial(textbook, 1, 1, np.max)), "mm", "mssd_mm"),
    ("chaos", "", "score"): Known(chaos_score, None),
}
for _structure, _mean in (("lesion", mean_of_detected), ("liver", partial(mean_of, "liver"))):
    for _name, _figure, _grows in (
        ("dice", dice, ""),
        ("jaccard", lambda *pair: 1 - voe(*pair), ""),
        ("voe", voe, ""),
        ("rvd", rvd, ""),
        ("assd", partial(textbook, 2, 0, np.mean), "mm"),
        ("rmsd", partial(textbook, 2, 0, root_mean_square), "mm"),
        ("msd", partial(textbook, 2, 0, np.max), "mm"),
    ):
        _exchanged = None if _name == "rvd" else f"{_structure}_{_name}"
        KNOWN["codalab", "", f"{_structure}_{_name}"] = Known(_mean(_figure), _grows, _exchanged)
    _name = f"{_structure}_dice_per_case"
    KNOWN["codalab", "", _name] = Known(mean_of(_structure, dice), "", _name)
    _name = f"{_structure}_dice_global"
    KNOWN["codalab", "", _name] = Known(partial(dice_global, _structure), "", _name)
KNOWN |= {  # counts: of 6 lesions in the twins 4 are touched; 2 are detected, and dropping two merged ones costs 1
    ("codalab", "", "lesion_precision"): Known(lambda _: 1 / 6),
    ("codalab", "", "lesion_recall"): Known(lambda _: 1 / 6),
    ("codalab", "", "lesion_precision_greater_zero"): Known(lambda _: 4 / 6, "", "lesion_recall_greater_zero"),
    ("codalab", "", "lesion_recall_greater_zero"): Known(lambda _: 4 / 6, "", "lesion_precision_greater_zero"),
    ("codalab", "", "RMSE_Tumorburden"): Known(lambda cases: rmse(cases) / 100, "", "RMSE_Tumorburden"),
    ("codalab", "", "MAXERROR_Tumorburden"): Known(of_errors(lambda errors: -min(errors) / 100)),
}
