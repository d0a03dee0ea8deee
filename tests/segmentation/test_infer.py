"""Few patches, evenly spread, and nothing left out."""

from itertools import pairwise

import torch
from hypothesis import example, given
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices
from monai.inferers.utils import _get_scan_interval

from nen_imaging.segmentation.infer import even_overlap, predict


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


def test_the_networks_see_patches_that_are_spread_evenly():
    seen = []

    def network(window):
        seen.append(int(window[0, 0, 0, 0, 0]))
        return window

    along = torch.arange(85.0)[None, :, None, None].expand(1, 85, 16, 16)
    logits = predict(Watched(network), along, (48, 16, 16), 0.25, "cpu")
    assert seen == [0, 19, 37]
    torch.testing.assert_close(logits, along, rtol=0, atol=0.5)  # 16 bits where the processor has them


class Watched(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, window):
        return self.network(window)
