"""Every figure of a summary against another library, and how it behaves: see the table `peers.KNOWN`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nen_imaging.validation import CONVENTIONS
from nen_imaging.validation.scores import score_case
from nen_imaging.validation.summary import OWN, summarize
from nen_imaging.volume import Volume
from tests.validation import peers

PAIRS = peers.pairs()


def every_figure(where=lambda _known: True):
    chosen = [figure for figure, known in peers.KNOWN.items() if where(known)]
    return pytest.mark.parametrize("figure", chosen, ids=" ".join)


def figures(pairs):
    """Every figure of our own and of the official conventions: (convention, structure, figure) -> value."""
    found = {}
    for compat in CONVENTIONS:
        cases = [
            {"whole_liver": True}
            | score_case(
                pair.truth,
                pair.prediction,
                load={"load_percent_low": pair.low, "load_percent_high": pair.high},
                exact=dict(zip(("exact_load_percent", "sampled_load_percent"), pair.exact, strict=True)),
                compat=compat,
            )
            for pair in pairs
        ]
        for row in summarize(cases, compat):
            convention = "own" if row.convention == OWN else row.convention
            found[convention, row.structure, row.figure] = row.estimate.value
    return found


@pytest.fixture(scope="module")
def found():
    return figures(PAIRS)


def changed(change):
    """The figures with every volume of every pair changed."""
    return figures([replace(pair, truth=change(pair.truth), prediction=change(pair.prediction)) for pair in PAIRS])


@pytest.fixture(scope="module")
def turned():
    return [changed(lambda volume, codes=codes: volume.oriented(codes)) for codes in ("PIR", "SLA")]


@pytest.fixture(scope="module")
def doubled():
    return changed(lambda volume: Volume(volume.array, volume.affine @ np.diag([2.0, 2.0, 2.0, 1.0])))


@pytest.fixture(scope="module")
def exchanged():
    return figures([replace(pair, truth=pair.prediction, prediction=pair.truth) for pair in PAIRS])


def test_the_table_knows_every_figure(found):
    assert set(peers.KNOWN) == set(found)


@every_figure()
def test_another_library_says_the_same(found, figure):
    expected = peers.KNOWN[figure].other(PAIRS)
    assert np.isfinite(expected)
    assert found[figure] == pytest.approx(expected, rel=3e-5, abs=1e-9)  # MONAI keeps 32 bits; 1.96 is rounded


@every_figure()
def test_axes_and_flips_do_not_matter(found, turned, figure):
    assert [other[figure] for other in turned] == pytest.approx([found[figure]] * 2)


@every_figure(lambda known: known.grows is not None)
def test_what_the_spacing_scales(found, doubled, figure):
    assert doubled[figure] == pytest.approx((2 if peers.KNOWN[figure].grows == "mm" else 1) * found[figure])


@every_figure(lambda known: known.exchanged is not None)
def test_truth_and_prediction_exchanged(found, exchanged, figure):
    becomes = peers.KNOWN[figure].exchanged
    sign = -1 if becomes.startswith("-") else 1
    assert found[figure] == pytest.approx(sign * exchanged[(*figure[:2], becomes.removeprefix("-"))])
