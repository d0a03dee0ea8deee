"""Single values as DICOM writes them."""

from __future__ import annotations

import datetime as dt

from pydicom import Dataset
from pydicom.valuerep import DSfloat


def da(date: dt.date) -> str:
    """A Date."""
    return date.strftime("%Y%m%d")


def tm(time: dt.time) -> str:
    """A Time."""
    return time.strftime("%H%M%S.%f")


def ds(value: float) -> DSfloat:
    """A Decimal String; rounded to the 16 characters that DICOM allows."""
    return DSfloat(float(value), auto_format=True)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """The item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
