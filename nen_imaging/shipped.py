"""Where the files that ship beside the code lie: in the clone's top folder, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """The path of `Snakefile`, `config`, `profiles`, `models` or `sample_data`.

    Raises FileNotFoundError where neither the clone nor the wheel has it: the installation is broken.
    """
    for base in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (base / name).exists():
            return base / name
    raise FileNotFoundError(f"{name} belongs to nen_imaging but is missing from this installation; install it again.")
