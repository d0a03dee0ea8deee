"""What rooms that align images share: the optimiser as it is set here, and rigid and affine maps in RAS.

A 4 x 4 ``matrix`` maps a point of the fixed image (RAS mm) to the same place of the moving one. All points of the
region take part and one thread adds them up, so that a result does not vary.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK

from nen_imaging.volume import LPS_TO_RAS, FloatArray, Volume

Metric = Callable[[SimpleITK.ImageRegistrationMethod], None]


def mean_squares(method: SimpleITK.ImageRegistrationMethod) -> None:
    """For pictures of one kind."""
    method.SetMetricAsMeanSquares()


def correlation(method: SimpleITK.ImageRegistrationMethod) -> None:
    """For pictures that differ in scale and offset."""
    method.SetMetricAsCorrelation()


def mutual_information(method: SimpleITK.ImageRegistrationMethod) -> None:
    """For pictures of different kinds (Mattes 2003)."""
    method.SetMetricAsMattesMutualInformation(32)


def optimised(
    fixed: SimpleITK.Image,
    moving: SimpleITK.Image,
    region: SimpleITK.Image,
    start: SimpleITK.Transform,
    metric: Metric = mean_squares,
    coarser: int = 1,
) -> SimpleITK.Transform:
    """The transform near ``start`` under which the images fit best inside ``region``, a mask of the fixed one.

    With ``coarser`` above 1 a round on a grid that many times coarser comes first, which finds what lies far away.
    """
    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # the order of summation, and with it the last digits, depends on it
    metric(method)
    method.SetMetricFixedMask(region)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0,
        minStep=0.01,  # of a mm: finer steps cost five times as long and change Dice by 0.002
        numberOfIterations=200,
        gradientMagnitudeTolerance=1e-6,
        estimateLearningRate=method.EachIteration,  # else one step of 3 "units" may turn the liver inside out
        maximumStepSizeInPhysicalUnits=2.0,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    if coarser > 1:
        method.SetShrinkFactorsPerLevel([coarser, 1])
        method.SetSmoothingSigmasPerLevel([coarser / 2 * min(fixed.GetSpacing()), 0.0])
    method.SetInitialTransform(start, inPlace=False)
    found = method.Execute(fixed, moving)
    return found.GetNthTransform(0) if isinstance(found, SimpleITK.CompositeTransform) else found


def rigid_transform(
    centre_mm: FloatArray, shift_mm: FloatArray, turn_radians: FloatArray | None = None
) -> SimpleITK.Euler3DTransform:
    """Turned about a centre by Euler angles (LPS), then shifted; centre and shift in RAS."""
    rigid = SimpleITK.Euler3DTransform()
    rigid.SetCenter((LPS_TO_RAS[:3, :3] @ centre_mm).tolist())
    rigid.SetTranslation((LPS_TO_RAS[:3, :3] @ shift_mm).tolist())
    if turn_radians is not None:
        rigid.SetRotation(*np.asarray(turn_radians, float).tolist())
    return rigid


def ras_matrix(transform: SimpleITK.Euler3DTransform | SimpleITK.AffineTransform) -> FloatArray:
    """ITK's map of fixed to moving points (LPS, about a centre) as a 4 x 4 matrix in RAS."""
    linear, centre = np.array(transform.GetMatrix()).reshape(3, 3), np.array(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - linear @ centre
    return LPS_TO_RAS @ matrix @ LPS_TO_RAS


def in_reference(volume: Volume, matrix: FloatArray) -> Volume:
    """The same voxels, placed where they lie in the fixed image (nothing is resampled; an affine map shears axes)."""
    return Volume(volume.array, np.linalg.inv(matrix) @ volume.affine)


def centroid_mm(mask: Volume) -> FloatArray:
    """The centre of a mask, RAS."""
    return mask.affine[:3, :3] @ np.argwhere(mask.array).mean(axis=0) + mask.affine[:3, 3]
