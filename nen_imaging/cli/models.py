"""The bundles that can segment: list, verify, add, accept, remove."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nen_imaging.segmentation.bundle import Bundle

HELP = "list, verify, add, accept or remove the bundles that segment"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="name, kind, checksum and licence of each")
    actions.add_parser("verify", help="hold every file, and every program that is called, against the registry")
    add = actions.add_parser("add", help="copy a bundle folder of any kind into models/ and register it")
    add.add_argument("folder", type=Path)
    add.add_argument("--name", help="default: the folder's name")
    add.add_argument("--licence", required=True, help="licence of its weights, as users shall read it")
    add.add_argument("--default", action="store_true", help="make it the default")
    add.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NUMBER=liver|lesion|other",
        help="what a label of a MONAI bundle means, where its metadata does not say so; may be repeated",
    )
    accept = actions.add_parser("accept", help="register a bundle anew: its files, or its program's version, changed")
    accept.add_argument("name")
    remove = actions.add_parser("remove", help="take a bundle out of the registry and delete its folder")
    remove.add_argument("name")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked with the registry of models."""
    from nen_imaging.shipped import shipped

    actions = {"list": _list, "verify": _verify, "add": _add, "accept": _accept, "remove": _remove}
    return actions[arguments.action](arguments, shipped("models"))


def _list(_: argparse.Namespace, models: Path) -> int:
    def line(bundle: Bundle) -> str:
        mark = "*" if bundle.default else " "
        of = f" of {', '.join(member.name for member in bundle.members)}" if bundle.members else ""
        version = f" version {bundle.version}" if bundle.version else ""
        kind = f"{bundle.kind}{of}{version}"
        return f"{mark} {bundle.name}  {kind}  sha256 {bundle.sha256[:12]}  weights: {bundle.licence}"

    code = _tell_each(models, line)
    print("* default")
    return code


def _verify(_: argparse.Namespace, models: Path) -> int:
    from nen_imaging.segmentation.install import verify_installed

    def line(bundle: Bundle) -> str:
        verify_installed(bundle)
        return f"ok    {bundle.name}  {bundle.kind}"

    return _tell_each(models, line)


def _tell_each(models: Path, line: Callable[[Bundle], str]) -> int:
    """Print a line on every bundle; a broken one is told and the others go on."""
    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import BundleError, find_bundle, registered_names

    code = ExitCode.ALL_MEASURED
    for name in registered_names(models):
        try:
            print(line(find_bundle(name, models)))
        except BundleError as error:
            print(f"FAIL  {name}: {str(error).removeprefix(f'Bundle {name}: ')}")
            code = ExitCode.NOTHING_DONE
    return code


def _add(arguments: argparse.Namespace, models: Path) -> int:
    import shutil
    import tempfile

    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import BundleError
    from nen_imaging.segmentation.install import install
    from nen_imaging.stage import remove_folder

    name = arguments.name or arguments.folder.absolute().name
    if Path(name).name != name or name.startswith("."):
        raise BundleError(f"{name!r} names no folder of {models}; give --name without / and without a dot before it.")
    target = models / name
    if target.exists():
        raise BundleError(f"{target} exists already; remove that bundle first or give --name.")
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=models) as work:
        copied = Path(work) / name
        try:
            shutil.copytree(arguments.folder, copied)
            _write_labels(copied, arguments.label)
            bundle = install(
                models, copied, name=name, licence=arguments.licence, default=arguments.default, rename_to=target
            )
        except BaseException as error:
            remove_folder(target)
            if not isinstance(error, (BundleError, OSError)):
                raise
            why = str(error).replace(str(copied), str(arguments.folder))
            raise BundleError(f"{arguments.folder} is no bundle that can be added: {why}") from error
    print(f"Added {bundle.name}, {bundle.kind}, sha256 {bundle.sha256[:12]}.")
    return ExitCode.ALL_MEASURED


def _write_labels(folder: Path, labels: list[str]) -> None:
    from nen_imaging.segmentation.bundle_folder import BundleError, kind_of
    from nen_imaging.segmentation.kinds.monai_labels import LABELS
    from nen_imaging.stage import write_json

    if not labels:
        return
    if (kind := kind_of(folder)) != "monai":
        raise BundleError(f"--label is for MONAI bundles; this one, of kind {kind}, says it in its inference.json.")
    pairs = [label.partition("=")[::2] for label in labels]
    if wrong := [label for label, (number, _) in zip(labels, pairs, strict=True) if not number.isdigit()]:
        raise BundleError(f"--label {wrong[0]} must be a number, =, and liver, lesion or other, such as 2=lesion.")
    write_json(folder / LABELS, {"labels": dict(pairs)})


def _accept(arguments: argparse.Namespace, models: Path) -> int:
    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import find_bundle
    from nen_imaging.segmentation.install import install

    was = find_bundle(arguments.name, models)
    bundle = install(models, was.folder, name=was.name, licence=was.licence, default=was.default)
    what = "as before" if bundle.sha256 == was.sha256 else "what it segmented before will be segmented again"
    print(f"Accepted {bundle.name}, {bundle.kind}, sha256 {bundle.sha256[:12]}: {what}.")
    return ExitCode.ALL_MEASURED


def _remove(arguments: argparse.Namespace, models: Path) -> int:
    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import unregister_bundle
    from nen_imaging.stage import remove_folder

    folder = unregister_bundle(models, arguments.name)
    folder.unlink() if folder.is_symlink() else remove_folder(folder)
    print(f"Removed {arguments.name}.")
    return ExitCode.ALL_MEASURED
