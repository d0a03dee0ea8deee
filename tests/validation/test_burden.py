"""What an error of the load alone would do to a response."""

from __future__ import annotations

import pytest

from nen_imaging.validation.burden import is_misleading, response_if_unchanged


@pytest.mark.parametrize(
    ("truth", "predicted", "response", "misleads"),
    [
        (20.0, 21.0, "SD", False),
        (20.0, 26.0, "PD", True),  # +30 %, +6 points
        (2.0, 4.0, "SD", False),  # +100 %, but 2 points
        (20.0, 13.0, "PR", True),
        (20.0, 0.0, "CR", True),
        (0.0, 0.0, "NE", False),
        (0.0, 6.0, "PD", True),
    ],
)
def test_the_class_that_the_error_alone_would_make(truth, predicted, response, misleads):
    found = response_if_unchanged(truth, predicted)
    assert found == response
    assert is_misleading(found) is misleads
