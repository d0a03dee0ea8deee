"""What SimpleITK reads, as a volume: the other reader that ours are held against."""

import numpy as np
import SimpleITK

from nen_imaging.volume import LPS_TO_RAS, Volume


def from_itk(image: SimpleITK.Image) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return Volume(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), LPS_TO_RAS @ affine)
