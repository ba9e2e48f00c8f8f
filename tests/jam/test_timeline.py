"""A timeline says which settings apply where, and what continues through a change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.clip import Prompt
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import Change, Segment, Timeline, first_segment

RATE = 44100
START = JamSettings(Prompt("a"), Prompt("b"), bpm=120.0, key="C", walk_bars=8)


def begun(**changes: Any) -> Segment:
    return first_segment(START.changed(changes), RATE)


def with_changes(*changes: tuple[int, dict[str, Any]]) -> Timeline:
    timeline = Timeline((begun(),))
    for bar, values in changes:
        timeline = timeline.changed(bar, timeline.segments[-1].settings.changed(values))
    return timeline


@given(
    st.lists(st.tuples(st.integers(1, 9), st.floats(60, 180), st.sampled_from([3, 4])), max_size=6)
)
def test_bars_go_on_through_every_change_of_tempo(
    steps: list[tuple[int, float, int]],
) -> None:
    bars = np.cumsum([0, *(step for step, _, _ in steps)])[1:].tolist()
    timeline = with_changes(
        *(
            (bar, {"bpm": bpm, "beats_per_bar": beats})
            for bar, (_, bpm, beats) in zip(bars, steps, strict=True)
        )
    )
    lines = [timeline.bar_sample(bar) for bar in range(60)]
    assert (np.diff(lines) >= RATE).all()
    assert [timeline.next_place(line, "bar") for line in lines] == list(range(60))
    assert [timeline.next_place(line - 1, "bar") for line in lines] == list(range(60))
    assert [timeline.next_place(line + 1, "bar") for line in lines] == list(range(1, 61))
    for segment in timeline.segments:
        assert timeline.at(segment.start).bar == segment.bar


def test_a_change_replaces_those_that_were_to_come_later() -> None:
    timeline = with_changes((8, {"bpm": 90}), (4, {"key": "Am"}))
    assert [segment.bar for segment in timeline.segments] == [0, 4]
    assert timeline.segments[-1].settings.bpm == 90
    again = with_changes((4, {"bpm": 90}), (4, {"key": "Am"}))
    assert again.segments == timeline.segments


def test_the_next_change_is_known() -> None:
    timeline = with_changes((4, {"bpm": 90}), (6, {"key": "Am"}))
    fourth = timeline.bar_sample(4)
    change = timeline.change_after(0)
    assert change is not None
    assert change.bar == 4
    after = timeline.change_after(fourth)
    assert after is not None
    assert after.bar == 6
    assert timeline.change_after(10**9) is None


def test_a_timeline_says_what_changed_and_where() -> None:
    timeline = with_changes((4, {"bpm": 90}), (6, {"key": "Am", "bpm": 90.0}))
    assert timeline.changes() == (
        Change(4, 8 * RATE, {"bpm": 90}),
        Change(6, 8 * RATE + 2 * round(4 * 60 / 90 * RATE), {"key": "Am"}),
    )
    assert (timeline.first, timeline.last.key) == (START, "Am")


def test_a_lead_sheet_is_the_same_however_much_came_before() -> None:
    """A window that begins after many changes has the beats and chords of the same window alone."""
    changes = tuple((bar, {"chords": "Dm" if bar % 2 else "C Am"}) for bar in range(1, 60))
    long, short = with_changes(*changes), with_changes(*changes[-4:])
    line = long.bar_sample(59)
    samples = np.arange(line - 400 * 441, line + 100 * 441, 441)
    expected, found = short.lead_sheet(samples, line), long.lead_sheet(samples, line)
    assert np.array_equal(found.beats, expected.beats)
    for bar in (57, 58, 59):
        at = int(np.searchsorted(samples, long.bar_sample(bar)))
        chord = {2, 5, 9} if bar % 2 else {0, 4, 7}
        assert set(np.flatnonzero(found.chroma[at])) == chord


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"guidance": 5.0}, 0.5),
        ({"bpm": 90}, 0.5),
        ({"path": "hold"}, 0.5),
        ({"path": "once"}, 0.5),
        ({"walk_bars": 2}, 0.5),
        ({"position": 0.25}, 0.25),
        ({"path": "manual", "position": 1.0}, 1.0),
    ],
)
def test_the_walk_goes_on_from_where_it_is(changes: dict[str, Any], expected: float) -> None:
    assert begun().changed(4, changes).position(4) == expected


def test_a_new_speed_keeps_the_direction() -> None:
    on_the_way_back = begun().changed(12, {"walk_bars": 4})
    assert [on_the_way_back.position(bar) for bar in (12, 13, 14, 15)] == [0.5, 0.25, 0, 0.25]


def test_once_goes_to_b_from_where_ping_pong_was() -> None:
    on_the_way_back = begun().changed(12, {"path": "once"})
    assert [on_the_way_back.position(bar) for bar in (12, 14, 16, 20)] == [0.5, 0.75, 1, 1]


def test_chords_play_one_a_bar_and_start_again_when_they_change() -> None:
    segment = begun(chords="C Am F G")
    assert [segment.chord(bar).name for bar in range(6)] == ["C", "Am", "F", "G", "C", "Am"]
    changed = segment.changed(5, {"chords": "Dm E"})
    assert [changed.chord(bar).name for bar in (5, 6, 7)] == ["Dm", "E", "Dm"]
    same = segment.changed(5, {"bpm": 90})
    assert same.chord(6).name == "F"


def test_the_lead_sheet_tells_the_past_in_its_own_tempo_and_chords() -> None:
    timeline = with_changes((2, {"bpm": 60, "chords": "Dm"}))
    line = timeline.bar_sample(2)
    samples = np.arange(line - 100 * 441, line + 400 * 441, 441)
    sheet = timeline.lead_sheet(samples, line)
    assert sheet.beats[0] == pytest.approx(8 - 2)  # a second of 120
    assert sheet.beats[100] == pytest.approx(8)
    assert sheet.beats[400] == pytest.approx(11)  # three seconds of 60
    assert set(np.flatnonzero(sheet.chroma[99])) == {9, 0, 4}  # Am, the second of C's default
    assert set(np.flatnonzero(sheet.chroma[100])) == {2, 5, 9}
    assert sheet.beats_per_bar == 4
    assert sheet.frames == 500
    assert not sheet.beats.flags.writeable
    assert not sheet.chroma.flags.writeable


def test_the_lead_sheet_is_the_same_whether_or_not_a_later_change_is_known() -> None:
    samples = np.arange(0, 500 * 441, 441)
    unknowing = with_changes().lead_sheet(samples, 0)
    knowing = with_changes((1, {"bpm": 61, "chords": "F#"})).lead_sheet(samples, 0)
    assert np.array_equal(unknowing.beats, knowing.beats)
    assert np.array_equal(unknowing.chroma, knowing.chroma)


def test_a_new_metre_keeps_bar_lines_whole() -> None:
    timeline = with_changes((3, {"beats_per_bar": 3}))
    line = timeline.bar_sample(3)
    sheet = timeline.lead_sheet(np.array([line - 88200, line, timeline.bar_sample(4)]), line)
    assert sheet.beats / sheet.beats_per_bar == pytest.approx([2, 3, 4])


@pytest.mark.parametrize(("swing", "off_beat"), [(0.5, 7 / 12), (1.0, 2 / 3)])
def test_swing_delays_the_off_beat_eighths(swing: float, off_beat: float) -> None:
    timeline = Timeline((begun(bpm=60, swing=swing),))
    places = np.array([0, 1, 1 + off_beat / 2, 1 + off_beat, 1 + (1 + off_beat) / 2, 2, 7])
    sheet = timeline.lead_sheet(np.round(places * RATE).astype(np.int64), 0)
    assert sheet.beats == pytest.approx([0, 1, 1.25, 1.5, 1.75, 2, 7], abs=1e-4)
    assert (np.diff(sheet.beats) > 0).all()


def test_without_swing_the_lead_sheet_has_the_same_bits() -> None:
    samples = np.arange(0, 2000 * 441, 441)
    plain = Timeline((begun(bpm=97.3),)).lead_sheet(samples, 0)
    grid = begun(bpm=97.3).grid
    assert np.array_equal(plain.beats, grid.bar_position(samples) * 4)
    swung = Timeline((begun(bpm=97.3, swing=0.6),)).lead_sheet(samples, 0)
    assert not np.array_equal(plain.beats, swung.beats)
    assert np.array_equal(plain.chroma, swung.chroma)


def test_the_past_keeps_its_own_swing() -> None:
    timeline = with_changes((2, {"swing": 1.0}))
    line = timeline.bar_sample(2)
    samples = np.arange(0, line + 400 * 441, 441)
    straight = with_changes().lead_sheet(samples, line).beats
    swung = timeline.lead_sheet(samples, line).beats
    assert np.array_equal(straight[samples < line], swung[samples < line])
    assert not np.array_equal(straight[samples >= line], swung[samples >= line])
