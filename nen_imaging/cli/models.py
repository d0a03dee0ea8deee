"""The bundles that can segment: list, verify, add, remove."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "list, verify, add or remove the bundles that segment"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="name, licence and checksum of each")
    actions.add_parser("verify", help="hold every file against its checksum")
    add = actions.add_parser("add", help="copy a bundle folder into models/ and register it")
    add.add_argument("folder", type=Path)
    add.add_argument("--name", help="default: the folder's name")
    add.add_argument("--licence", required=True, help="licence of its weights, as users shall read it")
    add.add_argument("--default", action="store_true", help="make it the default")
    remove = actions.add_parser("remove", help="take a bundle out of the registry and delete its folder")
    remove.add_argument("name")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked with the registry of models."""
    from nen_imaging.shipped import shipped

    actions = {"list": _list, "verify": _verify, "add": _add, "remove": _remove}
    return actions[arguments.action](arguments, shipped("models"))


def _list(_: argparse.Namespace, models: Path) -> int:
    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import load_registry

    for bundle in load_registry(models):
        mark = "*" if bundle.default else " "
        print(f"{mark} {bundle.name}  sha256 {bundle.sha256[:12]}  weights: {bundle.licence}")
    print("* default")
    return ExitCode.ALL_MEASURED


def _verify(_: argparse.Namespace, models: Path) -> int:
    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import BundleError, load_registry, verify

    code = ExitCode.ALL_MEASURED
    for bundle in load_registry(models):
        try:
            verify(bundle)
            print(f"ok    {bundle.name}")
        except BundleError as error:
            print(f"FAIL  {error}")
            code = ExitCode.NOTHING_DONE
    return code


def _add(arguments: argparse.Namespace, models: Path) -> int:
    import shutil

    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import BundleError, read_inference, register_bundle
    from nen_imaging.stage import remove_folder

    name = arguments.name or arguments.folder.absolute().name
    target = models / name
    if target.exists():
        raise BundleError(f"{target} exists already; remove that bundle first or give --name.")
    try:
        shutil.copytree(arguments.folder, target)
        bundle = register_bundle(models, target, name=name, licence=arguments.licence, default=arguments.default)
        read_inference(bundle)
    except (BundleError, OSError) as error:
        remove_folder(target)
        raise BundleError(f"{arguments.folder} is no bundle that can be added: {error}") from error
    print(f"Added {bundle.name}, sha256 {bundle.sha256[:12]}.")
    return ExitCode.ALL_MEASURED


def _remove(arguments: argparse.Namespace, models: Path) -> int:
    from nen_imaging.contract import ExitCode
    from nen_imaging.segmentation.bundle import unregister_bundle
    from nen_imaging.stage import remove_folder

    bundle = unregister_bundle(models, arguments.name)
    remove_folder(bundle.folder)
    print(f"Removed {bundle.name}.")
    return ExitCode.ALL_MEASURED
