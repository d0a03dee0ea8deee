"""Files and archives as a reader of a series takes them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path


def opened(path: Path) -> Iterator[tuple[str, io.BytesIO]]:
    """The file, or every file below the folder, each with its stream."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        yield file.name, io.BytesIO(file.read_bytes())


def unpacked(shared_data: Path, archive: str, folder: Path) -> Path:
    """Unpack ``<data set>/<name>`` (.tar.xz or .zip) of the real data; returns its folder."""
    name = archive.rpartition("/")[2]
    target = folder / name
    if (zipped := shared_data / f"{archive}.zip").is_file():
        with zipfile.ZipFile(zipped) as file:
            file.extractall(target)
        return target
    with tarfile.open(shared_data / f"{archive}.tar.xz") as tar:
        tar.extractall(target, filter="data")
    return target / name if (target / name).is_dir() else target
