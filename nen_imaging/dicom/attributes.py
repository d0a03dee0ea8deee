"""Single attributes of a header as plain values; what is absent or cannot be decoded counts as not there."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pydicom

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@contextlib.contextmanager
def quiet_reading() -> Iterator[None]:
    """Read headers leniently and without pydicom's warnings and log, which quote values of the file."""
    settings, log = pydicom.config.settings, pydicom.config.logger
    before = settings.reading_validation_mode, log.disabled
    settings.reading_validation_mode, log.disabled = pydicom.config.IGNORE, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        settings.reading_validation_mode, log.disabled = before


def _value(dataset: pydicom.Dataset, keyword: str) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return dataset.get(keyword)
    except Exception:  # a value that cannot be decoded counts as absent
        return None


def text_of(dataset: pydicom.Dataset, keyword: str) -> str:
    """The value as text, without padding; "" where there is none."""
    value = _value(dataset, keyword)
    return "" if value is None else str(value).strip(" \0")


def texts_of(dataset: pydicom.Dataset, keyword: str) -> list[str]:
    """All values as text; none where there is none."""
    value = _value(dataset, keyword)
    if value is None or isinstance(value, str):
        return [str(value)] if value else []
    return [str(item) for item in value] if hasattr(value, "__iter__") else [str(value)]


def items_of(dataset: pydicom.Dataset, keyword: str) -> list[pydicom.Dataset]:
    """The items of a sequence; none where there is none."""
    value = _value(dataset, keyword)
    return list(value) if isinstance(value, pydicom.Sequence) else []


def numbers_of(dataset: pydicom.Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """Exactly so many numbers, else none at all."""
    texts = texts_of(dataset, keyword)
    if len(texts) != count or not all(_NUMBER.fullmatch(text.strip()) for text in texts):
        return ()
    return tuple(float(text) for text in texts)


def number_of(dataset: pydicom.Dataset, keyword: str) -> float | None:
    """The one number, or None."""
    return next(iter(numbers_of(dataset, keyword, 1)), None)


def integer_of(dataset: pydicom.Dataset, keyword: str) -> int | None:
    """The one number as an integer, or None."""
    number = number_of(dataset, keyword)
    return int(number) if number is not None and abs(number) < 2**53 else None
