"""Headers as a test needs them."""

from __future__ import annotations

from pydicom import Dataset


def changed(image: Dataset, changes: dict[str, object]) -> Dataset:
    """The same dataset with these values by keyword; None deletes the attribute."""
    for keyword, value in changes.items():
        if value is None:
            del image[keyword]
        else:
            setattr(image, keyword, value)
    return image
