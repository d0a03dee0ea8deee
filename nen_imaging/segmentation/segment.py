"""A CT in any orientation -> liver and lesions on its own grid, whatever kind of bundle segments it."""

from __future__ import annotations

from nen_imaging.segmentation.bundle import Bundle
from nen_imaging.segmentation.kinds import KINDS
from nen_imaging.segmentation.result import Segmentation
from nen_imaging.volume import Volume

__all__ = ["Segmentation", "segment_volume"]


def segment_volume(ct: Volume, bundle: Bundle, *, device: str = "auto", threads: int | None = None) -> Segmentation:
    """Segment liver and lesions of one CT.

    Parameters
    ----------
    ct
        HU in any orientation, spacing and size; voxels that are not a number count as air.
    bundle
        What segments; it is verified before its first use.
    device
        `auto` takes CUDA if there is one, and the CPU if there is none or its memory runs out.
    threads
        On the CPU; None leaves torch's setting alone.

    Raises
    ------
    BundleError
        A file of the bundle is missing or not what the registry says, or its program or a setting is wrong.
    StageError
        CUDA was asked for by name and is not there, or a segmenter that is not ours failed on this CT.
    """
    return KINDS[bundle.kind].segment(ct, bundle, device=device, threads=threads)
