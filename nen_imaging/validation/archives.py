"""Folders that are distributed as archives, opened for as long as they are read."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from nen_imaging.contract import Refusal


@contextlib.contextmanager
def opened(path: Path, part: str = "") -> Iterator[Path]:
    """A folder as it is; of a zip archive, and of archives within it, the unpacked content.

    ``part`` names a folder or archive within the outermost archive: all else stays packed.

    Raises Refusal ``image.unreadable`` where an archive is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="nen-imaging-") as name:
        temporary = Path(name)
        if path.is_dir() and not any(path.glob("*.zip")):
            yield path
            return
        if path.is_dir():
            for inner in path.iterdir():
                (temporary / inner.name).symlink_to(inner.absolute())
        else:
            _unpack(path, temporary, part)
        while archives := [inner for inner in temporary.rglob("*.zip") if inner.is_file()]:
            for inner in archives:
                _unpack(inner, inner.parent)
                inner.unlink()
        yield temporary


def _unpack(archive: Path, folder: Path, part: str = "") -> None:
    try:
        with zipfile.ZipFile(archive) as content:
            members = [name for name in content.namelist() if not part or part in name.split("/")]
            content.extractall(folder, members)
    except (zipfile.BadZipFile, OSError) as error:
        raise Refusal("image.unreadable", f"{archive.name} cannot be unpacked: {error}") from error
