"""Is this installation able to work?"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "check the installation: software, device, models, key, disk"

_SOFTWARE = ("torch", "monai", "snakemake", "SimpleITK", "pydicom", "nibabel")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--results", type=Path, default=Path(), help="where results shall lie (disk space)")


def run(arguments: argparse.Namespace) -> int:
    """Print one line per check; returns 1 if one of them fails."""
    from nen_imaging.contract import ExitCode

    checks = [_software(), _device(), _model(), _key(), _disk(arguments.results)]
    for name, good, text in checks:
        print(f"{'ok  ' if good else 'FAIL'}  {name}: {text}")
    return ExitCode.ALL_MEASURED if all(good for _, good, _ in checks) else ExitCode.NOTHING_DONE


def _software() -> tuple[str, bool, str]:
    from importlib.metadata import PackageNotFoundError, version

    found, missing = [], []
    for name in _SOFTWARE:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    text = ", ".join(found) + (f"; missing: {', '.join(missing)}: install nen_imaging again" if missing else "")
    return "software", not missing, text


def _device() -> tuple[str, bool, str]:
    from nen_imaging.segmentation.infer import choose_device

    device, note = choose_device("auto")
    return "device", True, f"{device}" + (f" ({note})" if note else "")


def _model() -> tuple[str, bool, str]:
    from nen_imaging.segmentation.bundle import BundleError, find_bundle, verify
    from nen_imaging.shipped import shipped

    try:
        bundle = find_bundle(None, shipped("models"))
        verify(bundle)
    except (BundleError, FileNotFoundError) as error:
        return "model", False, str(error)
    return "model", True, f"{bundle.name}, checksum right, licence {bundle.licence}"


def _key() -> tuple[str, bool, str]:
    from nen_imaging.dicom.privacy import key_path

    path = key_path()
    if not path.exists():
        return "key", True, f"{path} will be made at first use"
    mode = path.stat().st_mode & 0o777
    private = not mode & 0o077
    return "key", private, f"{path}" + ("" if private else f" has mode {mode:o}: run chmod 600 on it")


def _disk(folder: Path) -> tuple[str, bool, str]:
    import shutil

    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    return "disk", free_gb > 2, f"{free_gb:.0f} GB free at {existing}; a staging takes about 50 MB"
