"""Which images lie in a study folder already, by their SOPInstanceUID, wherever and under whatever name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from nen_imaging.contract import Results
from nen_imaging.dicom.database import FilesDatabase
from nen_imaging.dicom.privacy import Pseudonymiser
from nen_imaging.dicom.scan import scan_study


def instances_in(study: Path) -> Callable[[str], bool]:
    """Whether an image lies in a study (archives included), as a function of its SOPInstanceUID.

    A file that is cut short, or cannot be read, does not count. A study that is not there yet holds none.
    """
    if not study.exists():
        return lambda _: False
    pseudonymiser = Pseudonymiser(os.urandom(32))
    with (
        tempfile.TemporaryDirectory(prefix="nen-imaging-") as folder,
        FilesDatabase(Results(Path(folder)).files_database) as database,
    ):
        scan_study(study, database, pseudonymiser)
        present = database.instances()
    return lambda uid: pseudonymiser.digest("instance", uid) in present
