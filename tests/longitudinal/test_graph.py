from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nen_imaging.longitudinal.graph import FollowLimits, ReaderLink, follow_lesions
from nen_imaging.longitudinal.matching import Lesion
from tests.longitudinal.ball_lesions import SHAPE, ball, both, staging

LIMITS = FollowLimits()
A, B, C, D = "2020-01-01", "2020-04-01", "2020-07-01", "2020-10-01"
LEFT, RIGHT, FAR = (30, 50, 40), (56, 50, 40), (100, 50, 40)


def kinds(history, when):
    return sorted(event.kind for event in history.events if event.staging == when)


def event(history, when, kind):
    return next(event for event in history.events if (event.staging, event.kind) == (when, kind))


def test_what_is_new_beside_a_large_conglomerate_is_not_taken_for_a_part_of_it():
    """Its centre lies 20 mm from that of two touching balls of 40 mm, outside of both."""
    conglomerate = both(A, 1, ball(A, 1, (30, 50, 40), 40), ball(A, 2, (70, 50, 40), 40))
    still = both(B, 1, ball(B, 1, (30, 50, 40), 40), ball(B, 2, (70, 50, 40), 40))
    beside = ball(B, 2, (50, 70, 40), 14)
    assert not set(beside.voxels) & set(still.voxels)
    stagings = [staging(A, conglomerate), staging(B, still, beside, uncertainty_mm=4.0)]
    history = follow_lesions(stagings, LIMITS)
    assert kinds(history, B) == ["new", "same"]
    assert event(history, B, "new").lesions == (2,)


def test_a_lesion_that_grows_keeps_its_track():
    history = follow_lesions([staging(A, ball(A, 1, LEFT, 14)), staging(B, ball(B, 7, LEFT, 22))], LIMITS)
    assert history.tracks_of == {(A, 1): (f"{A}-1",), (B, 7): (f"{A}-1",)}
    assert kinds(history, B) == ["same"]
    assert event(history, B, "same").text.startswith("14 to 22 mm")


@pytest.mark.parametrize(
    "diameter, changes, kind, text",
    [
        (14, {}, "new", "New lesion, 14 mm"),
        (8, {}, "new?", "8 mm is below 10 mm"),
        (14, {"slice_spacing_mm": 8.0}, "new?", "14 mm is below 16 mm"),
        (14, {"trusted": False}, "new?", "could not be aligned"),
    ],
)
def test_a_new_lesion_counts_only_where_it_is_sure(diameter, changes, kind, text):
    earlier = staging(A, ball(A, 1, LEFT, 20))
    later = staging(B, ball(B, 1, LEFT, 20), ball(B, 2, FAR, diameter), **changes)
    found = event(follow_lesions([earlier, later], LIMITS), B, kind)
    assert (found.lesions, found.counted) == ((2,), kind == "new")
    assert text in found.text


def test_a_lesion_where_nothing_was_imaged_before_is_not_surely_new():
    imaged = np.ones(SHAPE, bool)
    imaged[40:] = False
    earlier = staging(A, ball(A, 1, LEFT, 20), imaged=imaged)
    history = follow_lesions([earlier, staging(B, ball(B, 1, LEFT, 20), ball(B, 2, FAR, 14))], LIMITS)
    assert "not seen as liver before" in event(history, B, "new?").text


def test_where_the_liver_has_drawn_back_nothing_is_new():
    """A liver in remission leaves its place to the stomach; fluid there is no lesion."""
    place = ball(C, 2, FAR, 20)
    elsewhere = np.ones(np.prod(SHAPE), bool)
    elsewhere[place.voxels] = False
    stagings = [staging(A, ball(A, 1, LEFT, 20)), replace(staging(B, ball(B, 1, LEFT, 20)), liver=elsewhere)]
    history = follow_lesions([*stagings, staging(C, ball(C, 1, LEFT, 20), place)], LIMITS)
    assert f"not seen as liver on {B}, the last time before" in event(history, C, "new?").text


def test_one_staging_that_took_a_neighbour_for_liver_does_not_make_a_lesion_there_new():
    """Beside the liver on most dates; fluid in the stomach, once called liver, is later called a lesion."""
    place = ball(D, 2, FAR, 20)
    elsewhere = np.ones(np.prod(SHAPE), bool)
    elsewhere[place.voxels] = False
    stagings = [replace(staging(when, ball(when, 1, LEFT, 20)), liver=elsewhere) for when in (A, B)]
    stagings += [staging(C, ball(C, 1, LEFT, 20)), staging(D, ball(D, 1, LEFT, 20), place)]
    found = event(follow_lesions(stagings, LIMITS), D, "new?")
    assert "seen as liver at 1 of 3 stagings before" in found.text
    assert event(follow_lesions(stagings[1:], LIMITS), D, "new").counted


def test_a_probable_cyst_is_not_counted_as_new():
    later = staging(B, ball(B, 1, LEFT, 20), ball(B, 2, FAR, 20, cyst=True))
    history = follow_lesions([staging(A, ball(A, 1, LEFT, 20)), later], LIMITS)
    assert "cyst" in event(history, B, "new?").text


def test_a_lesion_that_is_gone_is_resolved_and_may_reappear_under_its_name():
    small = ball(A, 2, FAR, 14)
    kept = [ball(when, 1, LEFT, 20) for when in (A, B, C)]
    history = follow_lesions(
        [staging(A, kept[0], small), staging(B, kept[1]), staging(C, kept[2], ball(C, 2, FAR, 12))], LIMITS
    )
    assert event(history, B, "resolved").tracks == (f"{A}-2",)
    assert kinds(history, C) == ["reappeared", "same"]
    assert history.tracks_of[C, 2] == (f"{A}-2",)


def test_a_lesion_outside_the_image_is_neither_resolved_nor_seen_again_as_new():
    imaged = np.ones(SHAPE, bool)
    imaged[40:] = False
    history = follow_lesions(
        [
            staging(A, ball(A, 1, LEFT, 20), ball(A, 2, FAR, 14)),
            staging(B, ball(B, 1, LEFT, 20), imaged=imaged),
            staging(C, ball(C, 1, LEFT, 20), ball(C, 2, FAR, 14)),
        ],
        LIMITS,
    )
    assert kinds(history, B) == ["same"]
    assert history.tracks_of[C, 2] == (f"{A}-2",)


def test_lesions_that_merge_are_followed_by_their_sum():
    parts = [ball(A, 1, LEFT, 24), ball(A, 2, RIGHT, 24)]
    history = follow_lesions([staging(A, *parts), staging(B, both(B, 1, *parts))], LIMITS)
    assert kinds(history, B) == ["merged"]
    assert history.tracks_of[B, 1] == (f"{A}-1", f"{A}-2")
    assert history.group_of == {f"{A}-1": f"{A}-1", f"{A}-2": f"{A}-1"}


def test_fragments_of_a_lesion_are_not_new():
    parts = [ball(B, 1, LEFT, 20), ball(B, 2, RIGHT, 20)]
    whole = both(A, 1, ball(A, 1, LEFT, 26), ball(A, 1, RIGHT, 26))
    history = follow_lesions([staging(A, whole), staging(B, *parts)], LIMITS)
    assert kinds(history, B) == ["split"]
    assert history.tracks_of[B, 1] == history.tracks_of[B, 2] == (f"{A}-1",)


def test_identities_that_change_at_every_staging_are_one_confluent_group():
    def apart(when):
        return [ball(when, 1, LEFT, 26), ball(when, 2, RIGHT, 26)]

    def joined(when):
        return both(when, 1, *apart(when))

    history = follow_lesions(
        [staging(A, *apart(A)), staging(B, joined(B)), staging(C, *apart(C)), staging(D, joined(D))], LIMITS
    )
    assert kinds(history, B) == ["merged"]
    assert kinds(history, C) == ["confluent", "split"]
    assert kinds(history, D) == ["confluent", "merged"]


def test_a_reader_parts_what_overlaps_and_joins_what_does_not():
    stagings = [staging(A, ball(A, 1, LEFT, 20)), staging(B, ball(B, 1, LEFT, 20), ball(B, 2, FAR, 20))]
    links = [ReaderLink((A, 1), (B, 1), same=False), ReaderLink((A, 1), (B, 2), same=True)]
    history = follow_lesions(stagings, LIMITS, links)
    assert history.tracks_of == {(A, 1): (f"{A}-1",), (B, 1): (f"{B}-1",), (B, 2): (f"{A}-1",)}
    assert kinds(history, B) == ["new", "same"]


def test_a_good_match_is_not_given_up_to_find_partners_for_its_neighbours():
    """Two lesions side by side; the second vanishes while a third appears on the other side of the first."""
    earlier = staging(A, ball(A, 1, (60, 50, 40), 16), ball(A, 2, (76, 50, 40), 16))
    later = staging(B, ball(B, 1, (60, 50, 40), 16), ball(B, 2, (44, 50, 40), 16))
    history = follow_lesions([earlier, later], LIMITS)
    assert history.tracks_of[B, 1] == (f"{A}-1",)


places = st.tuples(st.integers(16, 100), st.integers(16, 80), st.integers(16, 60))
lesion_sets = st.lists(st.tuples(places, st.integers(8, 26)), max_size=4)
courses = st.lists(lesion_sets, min_size=1, max_size=4)


def stagings_of(course):
    names = (A, B, C, D)
    return [
        staging(names[n], *(ball(names[n], number, *found) for number, found in enumerate(lesions, 1)))
        for n, lesions in enumerate(course)
    ]


@settings(max_examples=25, deadline=None)
@given(courses, st.randoms())
def test_order_of_input_does_not_matter(course, random):
    stagings = stagings_of(course)
    shuffled = [replace(item, lesions=tuple(random.sample(item.lesions, len(item.lesions)))) for item in stagings]
    random.shuffle(shuffled)
    assert follow_lesions(shuffled, LIMITS) == follow_lesions(stagings, LIMITS)


@settings(max_examples=25, deadline=None)
@given(courses)
def test_a_later_staging_changes_nothing_that_was_said_before(course):
    stagings = stagings_of(course)
    whole = follow_lesions(stagings, LIMITS)
    for n in range(1, len(stagings)):
        before = follow_lesions(stagings[:n], LIMITS)
        names = {item.staging for item in stagings[:n]}
        assert before.tracks_of == {key: tracks for key, tracks in whole.tracks_of.items() if key[0] in names}
        assert before.events == tuple(found for found in whole.events if found.staging in names)


@settings(max_examples=20, deadline=None)
@given(lesion_sets, st.floats(0.5, 3.0))
def test_matching_does_not_depend_on_the_scale(lesions, factor):
    """Voxels stay, millimetres grow: the same lesions on a larger liver are matched alike."""
    both_stagings = stagings_of([lesions, list(reversed(lesions))])
    scaled = [replace(item, lesions=tuple(_scaled(x, factor) for x in item.lesions)) for item in both_stagings]
    limits = replace(LIMITS, new_minimum_diameter_mm=0.0, new_minimum_slices=0.0)
    assert follow_lesions(scaled, limits).tracks_of == follow_lesions(both_stagings, limits).tracks_of


def _scaled(lesion: Lesion, factor: float) -> Lesion:
    return replace(lesion, centroid_mm=lesion.centroid_mm * factor, volume_ml=lesion.volume_ml * factor**3)


@settings(max_examples=20, deadline=None)
@given(lesion_sets)
def test_every_lesion_has_a_track_and_an_unchanged_liver_has_no_new_ones(lesions):
    history = follow_lesions(stagings_of([lesions, lesions]), LIMITS)
    assert set(history.tracks_of) == {(when, n) for when in (A, B) for n in range(1, len(lesions) + 1)}
    assert {found.kind for found in history.events} & {"new", "resolved"} == set()


def test_a_lesion_that_comes_back_beside_a_larger_one_is_no_fragment_of_it():
    """As in a real course: a small one vanishes, its large neighbour moves up, then both are apart again."""
    history = follow_lesions(
        [
            staging(A, ball(A, 1, (40, 50, 40), 24), ball(A, 2, (62, 50, 40), 12)),
            staging(B, ball(B, 1, (44, 50, 40), 28)),
            staging(C, ball(C, 1, (40, 50, 40), 24), ball(C, 2, (57, 50, 40), 12)),
        ],
        LIMITS,
    )
    assert kinds(history, B) == ["resolved", "same"]
    assert history.tracks_of[C, 2] == (f"{A}-2",)
    assert kinds(history, C) == ["reappeared", "same"]


def test_what_had_vanished_does_not_go_into_a_lesion_that_is_anothers():
    small = (62, 50, 40)
    history = follow_lesions(
        [
            staging(A, ball(A, 1, (40, 50, 40), 24), ball(A, 2, small, 12)),
            staging(B, ball(B, 1, (40, 50, 40), 24)),
            staging(C, ball(C, 1, (46, 50, 40), 44)),
        ],
        LIMITS,
    )
    assert history.tracks_of[C, 1] == (f"{A}-1",)


def growing(diameters_mm, place=FAR, **changes_at_first):
    """A stable lesion and one that is first seen at the second staging."""
    found = [staging(A, ball(A, 1, LEFT, 30))]
    for when, diameter_mm in zip((B, C, D), diameters_mm, strict=True):
        lesions = ball(when, 1, LEFT, 30), ball(when, 2, place, diameter_mm)
        found.append(staging(when, *lesions, **(changes_at_first if when == B else {})))
    return follow_lesions(found, LIMITS)


@pytest.mark.parametrize("diameters_mm, changes", [((9, 24, 36), {}), ((30, 30, 30), {"trusted": False})])
def test_a_possibly_new_lesion_is_new_once_the_doubt_is_gone(diameters_mm, changes):
    history = growing(diameters_mm, **changes)
    assert kinds(history, B) == ["new?", "same"]
    found = event(history, C, "new")
    assert (found.tracks, found.lesions, found.counted) == ((f"{B}-2",), (2,), True)
    assert found.text == f"New lesion, {diameters_mm[1]} mm; possibly new on {B}, now without doubt."
    assert kinds(history, D) == ["same", "same"]


def test_a_lesion_that_was_possibly_new_stays_so_while_the_doubt_lasts():
    """It stays small, or lies beside what was there before, or where nothing was imaged before it."""
    assert "new" not in {found.kind for found in growing((9, 9, 9)).events}
    beside = growing((14, 14, 14), (46, 50, 40))
    assert "beside a lesion" in event(beside, B, "new?").text
    assert "new" not in {found.kind for found in beside.events}
    imaged = np.ones(SHAPE, bool)
    imaged[40:] = False
    stagings = [staging(A, ball(A, 1, LEFT, 30), imaged=imaged)]
    stagings += [staging(when, ball(when, 1, LEFT, 30), ball(when, 2, FAR, 20)) for when in (B, C)]
    assert "new" not in {found.kind for found in follow_lesions(stagings, LIMITS).events}


def test_fragments_of_a_possibly_new_lesion_are_new_once():
    stagings = [staging(A, ball(A, 1, FAR, 30)), staging(B, both(B, 1, ball(B, 1, LEFT, 26), ball(B, 2, RIGHT, 26)))]
    stagings[1] = replace(stagings[1], trusted=False)
    stagings.append(staging(C, ball(C, 1, LEFT, 26), ball(C, 2, RIGHT, 26)))
    history = follow_lesions(stagings, LIMITS)
    assert kinds(history, C).count("new") == 1


@pytest.mark.parametrize("left_out_at", [A, B])
def test_what_is_left_out_at_one_staging_is_neither_new_nor_resolved_at_the_next(left_out_at):
    stagings = [
        staging(when, ball(when, 1, LEFT, 30), replace(ball(when, 2, FAR, 20), left_out=when == left_out_at))
        for when in (A, B, C)
    ]
    history = follow_lesions(stagings, LIMITS)
    assert {found.kind for found in history.events} == {"same"}
    assert history.tracks_of[C, 2] == (f"{A}-2",)


def test_what_is_always_left_out_comes_and_goes_without_a_word_but_what_once_counted_resolves():
    def with_it(when, *, left_out):
        return staging(when, ball(when, 1, LEFT, 30), replace(ball(when, 2, FAR, 20), left_out=left_out))

    first, last = (staging(when, ball(when, 1, LEFT, 30)) for when in (A, D))
    assert kinds(follow_lesions([first, with_it(B, left_out=True), last], LIMITS), B) == ["same"]
    assert kinds(follow_lesions([first, with_it(B, left_out=True), last], LIMITS), D) == ["same"]
    counted = follow_lesions([with_it(B, left_out=False), with_it(C, left_out=True), last], LIMITS)
    assert event(counted, D, "resolved").tracks == (f"{B}-2",)


def test_a_possibly_new_lesion_that_is_left_out_never_becomes_new():
    stagings = [staging(A, ball(A, 1, LEFT, 30)), staging(B, ball(B, 1, LEFT, 30), ball(B, 2, FAR, 9))]
    stagings.append(staging(C, ball(C, 1, LEFT, 30), replace(ball(C, 2, FAR, 20), left_out=True)))
    stagings.append(staging(D, ball(D, 1, LEFT, 30), ball(D, 2, FAR, 20)))
    assert [found.kind for found in follow_lesions(stagings, LIMITS).events].count("new") == 0


def test_a_possibly_new_lesion_that_goes_into_a_known_one_is_not_new():
    parts = [ball(B, 1, LEFT, 24), ball(B, 2, RIGHT, 24)]
    stagings = [staging(A, ball(A, 1, LEFT, 24)), staging(B, *parts, trusted=False), staging(C, both(C, 1, *parts))]
    history = follow_lesions(stagings, LIMITS)
    assert history.tracks_of[C, 1] == (f"{A}-1", f"{B}-2")
    assert kinds(history, C) == ["merged"]
