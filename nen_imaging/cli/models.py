"""The bundles that can segment: list, verify, add, accept, remove."""

from __future__ import annotations

import argparse
from pathlib import Path

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
    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import load_registry

    for bundle in load_registry(models):
        mark = "*" if bundle.default else " "
        of = f" of {', '.join(member.name for member in bundle.members)}" if bundle.members else ""
        version = f" version {bundle.version}" if bundle.version else ""
        kind = f"{bundle.kind}{of}{version}"
        print(f"{mark} {bundle.name}  {kind}  sha256 {bundle.sha256[:12]}  weights: {bundle.licence}")
    print("* default")
    return ExitCode.ALL_MEASURED


def _verify(_: argparse.Namespace, models: Path) -> int:
    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import BundleError, load_registry
    from nen_imaging.segmentation.install import verify_installed

    code = ExitCode.ALL_MEASURED
    for bundle in load_registry(models):
        try:
            verify_installed(bundle)
            print(f"ok    {bundle.name}  {bundle.kind}")
        except BundleError as error:
            print(f"FAIL  {bundle.kind}: {error}")
            code = ExitCode.NOTHING_DONE
    return code


def _add(arguments: argparse.Namespace, models: Path) -> int:
    import shutil

    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import BundleError
    from nen_imaging.segmentation.install import install
    from nen_imaging.stage import remove_folder

    name = arguments.name or arguments.folder.absolute().name
    target = models / name
    if target.exists():
        raise BundleError(f"{target} exists already; remove that bundle first or give --name.")
    try:
        shutil.copytree(arguments.folder, target)
        _write_labels(target, arguments.label)
        bundle = install(models, target, name=name, licence=arguments.licence, default=arguments.default)
    except (BundleError, OSError) as error:
        remove_folder(target)
        raise BundleError(f"{arguments.folder} is no bundle that can be added: {error}") from error
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

    bundle = unregister_bundle(models, arguments.name)
    remove_folder(bundle.folder)
    print(f"Removed {bundle.name}.")
    return ExitCode.ALL_MEASURED
