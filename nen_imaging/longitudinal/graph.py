"""The lesions of a patient over time: tracks that keep their name, and events by definition.

Stagings are taken in order of time and each is related to what came before, so that a later staging never changes
what was said of an earlier one. A track is named after the lesion in which it was first seen (``2016-07-14-3``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nen_imaging.longitudinal.groups import Groups
from nen_imaging.longitudinal.matching import BoolArray, Lesion, Match, MatchLimits, match_lesions

_MOST_OF_IT = 0.5


@dataclass(frozen=True)
class StagingLesions:
    """What a staging shows of the liver, on the reference's grid.

    ``imaged``: inside its field of view; ``liver``: its liver, grown by the uncertainty of the alignment. Both are
    flat, one value per voxel of the grid.
    """

    staging: str
    lesions: tuple[Lesion, ...]
    imaged: BoolArray
    liver: BoolArray
    slice_spacing_mm: float = 1.0
    uncertainty_mm: float = 0.0
    trusted: bool = True


@dataclass(frozen=True)
class FollowLimits:
    """When a lesion may be one seen before, and when a new one counts."""

    match: MatchLimits = field(default_factory=MatchLimits)
    new_minimum_diameter_mm: float = 10.0
    new_minimum_slices: float = 2.0


@dataclass(frozen=True)
class ReaderLink:
    """A reader says that two lesions (staging, number) are the same, or are different."""

    earlier: tuple[str, int]
    later: tuple[str, int]
    same: bool


@dataclass(frozen=True)
class Event:
    """What happened at a staging: ``kind`` as in the table of events; ``lesions`` are numbers at that staging."""

    staging: str
    kind: str
    tracks: tuple[str, ...]
    lesions: tuple[int, ...]
    text: str
    counted: bool = False


@dataclass(frozen=True)
class _PossiblyNew:
    """What was known when a track was first seen: where its place was imaged before, and what lay there."""

    first_seen: str
    stagings: tuple[StagingLesions, ...]
    lesions: tuple[Lesion, ...]


@dataclass(frozen=True)
class History:
    """Tracks and events of a patient.

    ``tracks_of`` maps each lesion to the tracks it carries: several after a merger; the fragments of a lesion carry
    the same. ``group_of`` maps a track to the group it shares identities with.
    """

    tracks_of: Mapping[tuple[str, int], tuple[str, ...]]
    events: tuple[Event, ...]
    group_of: Mapping[str, str]


def follow_lesions(
    stagings: Iterable[StagingLesions], limits: FollowLimits, links: Sequence[ReaderLink] = ()
) -> History:
    """Follow the lesions of one patient through all stagings, given in any order."""
    follower = _Follower(limits, links)
    for staging in sorted(stagings, key=lambda item: item.staging):
        follower.add(staging)
    return follower.history()


class _Follower:
    """The state after some stagings: where each track was last seen, and which of them are gone."""

    def __init__(self, limits: FollowLimits, links: Sequence[ReaderLink]) -> None:
        self._limits, self._links = limits, links
        self._tracks_of: dict[tuple[str, int], tuple[str, ...]] = {}
        self._last_seen: dict[tuple[str, int], Lesion] = {}
        self._gone: set[tuple[str, int]] = set()
        self._seen_before: list[StagingLesions] = []
        self._possibly_new: dict[str, _PossiblyNew] = {}
        self._ever_counted: set[str] = set()
        self._groups = Groups()
        self._events: list[Event] = []

    def add(self, staging: StagingLesions) -> None:
        """Relate the next staging to all before it."""
        lesions = sorted(staging.lesions, key=lambda lesion: lesion.number)
        earlier = [lesion for _, lesion in sorted(self._last_seen.items())]
        match = self._match(earlier, lesions, staging)
        pairs = [(earlier[a], lesions[b]) for a, b in sorted(match.parts)]
        near = {lesions[number].key for number in match.near}
        back = {after.key for before, after in pairs if before.key in self._gone}
        self._carry_on(pairs)
        self._clear_doubts(lesions, staging)
        for lesion in lesions:
            if lesion.key not in self._tracks_of:
                self._begin(lesion, staging, earlier, near)
        self._report(pairs, back, staging.staging)
        continued = {before.key for before, _ in pairs}
        self._resolve([lesion for lesion in earlier if lesion.key not in continued | self._gone], staging)
        self._gone -= continued
        for key in continued:
            del self._last_seen[key]
        self._ever_counted |= {
            track for lesion in lesions if not lesion.left_out for track in self._tracks_of[lesion.key]
        }
        self._last_seen |= {lesion.key: lesion for lesion in lesions}
        self._seen_before.append(staging)

    def history(self) -> History:
        return History(dict(self._tracks_of), tuple(self._events), self._groups.names())

    def _match(self, earlier: Sequence[Lesion], later: Sequence[Lesion], staging: StagingLesions) -> Match:
        return match_lesions(
            earlier,
            later,
            self._limits.match,
            uncertainty_mm=staging.uncertainty_mm,
            gone=[number for number, lesion in enumerate(earlier) if lesion.key in self._gone],
            same=self._linked(earlier, later, same=True),
            different=self._linked(earlier, later, same=False),
        )

    def _linked(self, earlier: Sequence[Lesion], later: Sequence[Lesion], *, same: bool) -> list[tuple[int, int]]:
        """A reader's links as pairs of indices: a link holds for the whole track of its earlier lesion."""
        asked = [link for link in self._links if link.same is same]
        return [
            (a, b)
            for a, before in enumerate(earlier)
            for b, after in enumerate(later)
            for link in asked
            if link.later == after.key and set(self._tracks_of.get(link.earlier, ())) & set(self._tracks_of[before.key])
        ]

    def _carry_on(self, pairs: Sequence[tuple[Lesion, Lesion]]) -> None:
        inherited: dict[tuple[str, int], set[str]] = {}
        for earlier, later in pairs:
            inherited.setdefault(later.key, set()).update(self._tracks_of[earlier.key])
        for key, tracks in inherited.items():
            self._tracks_of[key] = tuple(sorted(tracks))
            self._groups.join(tracks)

    def _begin(
        self, lesion: Lesion, staging: StagingLesions, earlier: Sequence[Lesion], near: set[tuple[str, int]]
    ) -> None:
        track = f"{lesion.staging}-{lesion.number}"
        self._tracks_of[lesion.key] = (track,)
        if not self._seen_before or lesion.left_out:
            return
        doubt = self._doubt(lesion, staging, self._seen_before, beside=lesion.key in near)
        if doubt:
            self._possibly_new[track] = _PossiblyNew(staging.staging, tuple(self._seen_before), tuple(earlier))
        kind, text = ("new?", f"Possibly new, not counted: {doubt}.") if doubt else ("new", "New lesion,")
        text += "" if doubt else f" {lesion.longest_diameter_mm:.0f} mm; its place was imaged before."
        self._tell(staging.staging, kind, [track], [lesion.number], text, counted=not doubt)

    def _clear_doubts(self, lesions: Sequence[Lesion], staging: StagingLesions) -> None:
        """Count what was possibly new once it is surely so: judged as it is now, against what came before it."""
        for lesion in lesions:
            tracks = self._tracks_of.get(lesion.key, ())
            if lesion.left_out:
                for track in tracks:
                    self._possibly_new.pop(track, None)
            found = [self._possibly_new[track] for track in tracks if track in self._possibly_new]
            if not tracks or len(found) < len(tracks):
                continue
            first = min(found, key=lambda one: one.first_seen)
            if not self._doubt(lesion, staging, first.stagings, beside=self._beside(lesion, lesions, first, staging)):
                size = f"{lesion.longest_diameter_mm:.0f} mm"
                text = f"New lesion, {size}; possibly new on {first.first_seen}, now without doubt."
                self._tell(staging.staging, "new", tracks, [lesion.number], text, counted=True)
                for track in tracks:
                    del self._possibly_new[track]

    def _beside(self, lesion: Lesion, lesions: Sequence[Lesion], first: _PossiblyNew, staging: StagingLesions) -> bool:
        """Whether it touches what lay there before it was first seen."""
        match = self._match(first.lesions, lesions, staging)
        return lesion.key in {lesions[number].key for number in match.near | {b for _, b in match.parts}}

    def _doubt(self, lesion: Lesion, staging: StagingLesions, before: Sequence[StagingLesions], *, beside: bool) -> str:
        """Why a lesion without one in the stagings before it is not surely new; empty where it is."""
        limits, diameter = self._limits, lesion.longest_diameter_mm
        smallest = max(limits.new_minimum_diameter_mm, limits.new_minimum_slices * staging.slice_spacing_mm)
        trusted = [earlier for earlier in before if earlier.trusted]
        if not staging.trusted or not trusted:
            return "the livers could not be aligned well"
        if lesion.probable_cyst:
            return "it may be a cyst"
        if diameter < smallest:
            return f"{diameter:.0f} mm is below {smallest:.0f} mm"
        if beside:
            return "it lies beside a lesion that was there before"
        imaged = [earlier for earlier in trusted if _mostly(lesion, earlier.imaged)]
        as_liver = [earlier for earlier in imaged if _mostly(lesion, earlier.imaged & earlier.liver)]
        if not as_liver:
            return "its place was not seen as liver before"
        if len(as_liver) < _MOST_OF_IT * len(imaged):
            return f"its place was seen as liver at {len(as_liver)} of {len(imaged)} stagings before"
        if as_liver[-1] is not imaged[-1]:
            return f"its place was not seen as liver on {imaged[-1].staging}, the last time before"
        return ""

    def _report(self, pairs: Sequence[tuple[Lesion, Lesion]], back: set[tuple[str, int]], staging: str) -> None:
        """Events of the lesions that continue: one-to-one, merged, split, seen again."""
        for before, after in _connected(pairs):
            tracks = sorted({track for lesion in after for track in self._tracks_of[lesion.key]})
            numbers = [lesion.number for lesion in after]
            volumes = f"{_sum_ml(before)} ml before, {_sum_ml(after)} ml now"
            if any(lesion.key in back for lesion in after):
                text = f"Seen again; last seen {max(lesion.staging for lesion in before)}."
                self._tell(staging, "reappeared", tracks, numbers, text)
            if len(before) > 1:
                self._tell(staging, "merged", tracks, numbers, f"{len(before)} lesions have become one: {volumes}.")
            if len(after) > 1:
                self._tell(staging, "split", tracks, numbers, f"{len(after)} fragments, no new lesions: {volumes}.")
            if len(before) == len(after) == 1 and after[0].key not in back:
                size = f"{before[0].longest_diameter_mm:.0f} to {after[0].longest_diameter_mm:.0f} mm"
                self._tell(staging, "same", tracks, numbers, f"{size}; {volumes}.")
            changed = len(before) > 1 or len(after) > 1
            if self._groups.identities_change(tracks, changed=changed):
                text = "Single identities change from staging to staging; followed as one group."
                self._tell(staging, "confluent", tracks, numbers, text)

    def _resolve(self, unseen: Sequence[Lesion], staging: StagingLesions) -> None:
        still = {track for lesion in staging.lesions for track in self._tracks_of[lesion.key]}
        for lesion in unseen:
            if not staging.trusted or not _mostly(lesion, staging.imaged):
                continue
            self._gone.add(lesion.key)
            tracks = [track for track in self._tracks_of[lesion.key] if track in self._ever_counted - still]
            if tracks:
                text = f"No longer seen, its place is imaged; {lesion.longest_diameter_mm:.0f} mm on {lesion.staging}."
                self._tell(staging.staging, "resolved", tracks, [], text)

    def _tell(
        self,
        staging: str,
        kind: str,
        tracks: Sequence[str],
        lesions: Sequence[int],
        text: str,
        *,
        counted: bool = False,
    ) -> None:
        self._events.append(Event(staging, kind, tuple(tracks), tuple(lesions), text, counted))


def _mostly(lesion: Lesion, region: BoolArray) -> bool:
    return bool(len(lesion.voxels)) and float(region[lesion.voxels].mean()) >= _MOST_OF_IT


def _sum_ml(lesions: Sequence[Lesion]) -> str:
    return f"{sum(lesion.volume_ml for lesion in lesions):.3g}"


def _connected(pairs: Sequence[tuple[Lesion, Lesion]]) -> list[tuple[list[Lesion], list[Lesion]]]:
    """Pairs as connected groups of earlier and later lesions, in order of the later ones."""
    if not pairs:
        return []
    lesions = {lesion.key: lesion for pair in pairs for lesion in pair}
    index = {key: n for n, key in enumerate(sorted(lesions))}
    links = np.array([(index[a.key], index[b.key]) for a, b in pairs])
    ones = np.ones(len(links), np.int8)
    _, part = connected_components(coo_array((ones, (links[:, 0], links[:, 1])), shape=(len(index),) * 2))
    groups: dict[int, tuple[list[Lesion], list[Lesion]]] = {}
    newest = {later.key for _, later in pairs}
    for key, n in index.items():
        before_after = groups.setdefault(int(part[n]), ([], []))
        before_after[key in newest].append(lesions[key])
    return sorted(groups.values(), key=lambda group: group[1][0].key)
