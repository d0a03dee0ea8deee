"""Few patches, evenly spread, and nothing left out."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices
from monai.inferers.utils import _get_scan_interval

from nen_imaging.segmentation.infer import even_overlap


@given(st.integers(8, 128), st.integers(0, 500), st.sampled_from((0.0, 0.1, 0.2, 0.25, 0.5, 0.75)))
@example(96, 74, 0.2)
def test_patches_cover_the_image_with_the_least_overlap_and_no_more_of_them_than_that_needs(size, more, least):
    overlap = even_overlap([size + more], [size], least)
    distance = _get_scan_interval([size + more], [size], 1, overlap)
    starts = [along.start for (along,) in dense_patch_slices([size + more], [size], distance)]
    assert (starts[0], starts[-1]) == (0, more)
    steps = [after - before for before, after in pairwise(starts)]
    assert all(0 < step <= max(1, size * (1 - least) + 1) for step in steps)
    assert len(starts) <= 2 + more / (size * (1 - least))


def test_patches_are_spread_evenly():
    distance = _get_scan_interval([170], [96], 1, even_overlap([170], [96], 0.25))
    assert [along.start for (along,) in dense_patch_slices([170], [96], distance)] == [0, 37, 74]
