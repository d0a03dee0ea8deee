"""Tracks whose identities have mixed, by mergers and splits: followed together, as a group."""

from __future__ import annotations

from collections.abc import Collection, Mapping


class Groups:
    """Sets of tracks that grow together; a group is named after its first track."""

    def __init__(self) -> None:
        self._members: dict[str, frozenset[str]] = {}
        self._changed_last: set[str] = set()

    def join(self, tracks: Collection[str]) -> None:
        """These tracks share a lesion from now on."""
        group = frozenset(tracks).union(*(self._members.get(track, frozenset()) for track in tracks))
        self._members |= dict.fromkeys(group, group)

    def identities_change(self, tracks: Collection[str], *, changed: bool) -> bool:
        """Note whether identities changed at this staging; True where they did at the one before, too."""
        twice = changed and any(track in self._changed_last for track in tracks)
        self._changed_last.difference_update(tracks)
        if changed:
            self._changed_last.update(tracks)
        return twice

    def names(self) -> Mapping[str, str]:
        """Track -> its group, for groups of several tracks."""
        return {track: min(group) for track, group in sorted(self._members.items()) if len(group) > 1}
