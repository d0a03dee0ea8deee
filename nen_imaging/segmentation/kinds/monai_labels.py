"""What the labels of a MONAI bundle mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nen_imaging.segmentation.bundle import METADATA, Bundle, BundleError
from nen_imaging.segmentation.bundle_folder import Settings, parse_settings, read_json
from nen_imaging.segmentation.drawn import Meaning

LABELS = "configs/labels.json"
CHANNELS = "network_data_format.outputs.pred.channel_def"
_LESION = re.compile(r"(lesion|tumou?r|cancer|metastas[ei]s)s?")


class Labels(Settings):
    """The content of `configs/labels.json`: what the bundle's labels mean where its metadata does not say so."""

    labels: dict[int, Meaning]


def meanings(bundle: Bundle) -> dict[int, Meaning]:
    """What each label means: by `configs/labels.json`, else by the names in the metadata's `channel_def`.

    Raises BundleError unless there are both liver and lesions.
    """
    channels = {int(key): _words(name) for key, name in _channels(bundle).items() if str(key).isdigit()}
    path = bundle.folder / LABELS
    if path.is_file():
        found: dict[int, Meaning] = dict.fromkeys(channels, "other")
        found |= parse_settings(path, read_json(path), Labels).labels
    else:
        path = bundle.folder / METADATA
        found = {label: _meaning(name, channels) for label, name in channels.items()}
    if missing := [meaning for meaning in ("liver", "lesion") if meaning not in found.values()]:
        names = ", ".join(f"{label} {name}" for label, name in channels.items()) or "none"
        raise BundleError(
            f"{path}: no label means {' or '.join(missing)} ({CHANNELS}: {names}); a tumour load needs liver and "
            f"lesions. If one does, say so in {LABELS} (nen-imaging models add --label 2=lesion); else this bundle "
            "cannot be used alone."
        )
    return found


def _channels(bundle: Bundle) -> Mapping[str, str]:
    content: Any = bundle.metadata
    for key in CHANNELS.split("."):
        content = content.get(key, {}) if isinstance(content, dict) else {}
    return content if isinstance(content, dict) else {}


def _words(name: object) -> str:
    return re.sub(r"[\s_-]+", " ", str(name)).strip().lower()


def _meaning(name: str, channels: Mapping[int, str]) -> Meaning:
    """A name without organ (`tumor`) means the liver's only where no other organ is marked."""
    organs = {other for other in channels.values() if other != "background" and not _LESION.fullmatch(other)}
    organ, _, kind = name.rpartition(" ")
    if _LESION.fullmatch(kind) and (organ in ("liver", "hepatic") or (not organ and organs <= {"liver"})):
        return "lesion"
    return "liver" if name == "liver" else "other"
