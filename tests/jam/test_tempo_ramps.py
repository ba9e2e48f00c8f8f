"""A new tempo can be reached over bars. Bar lines, clips and sessions follow it to the sample."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.clip_window import clip_room_s, clip_window
from riffusion.jam.session import render
from riffusion.jam.timeline import Timeline, first_segment
from tests.jamming import HOP, RATE, Grid, jam, settings_with, tempi
from tests.recording import RecordedEngine


def with_changes(*changes: tuple[float, dict[str, Any]]) -> Timeline:
    timeline = Timeline((first_segment(settings_with(), RATE),))
    for bar, values in changes:
        timeline = timeline.changed(bar, timeline.segments[-1].settings.changed(values))
    return timeline


def test_a_new_tempo_is_reached_in_a_ramp() -> None:
    timeline = with_changes((4, {"bpm": 180, "ramp_bars": 8}))
    (_, ramp) = timeline.segments
    assert [ramp.grid.tempo_at(bar) for bar in (3, 4, 8, 12, 20)] == [120, 120, 150, 180, 180]
    assert timeline.bar_sample(4) == 4 * 88200
    lines = np.diff([timeline.bar_sample(bar) for bar in range(20)])
    assert np.all(lines[:4] == 88200)
    assert np.all(np.diff(lines[3:12]) < 0)
    assert np.all(lines[12:] == 58800)
    samples = np.array([timeline.bar_sample(bar) for bar in range(4, 20)])
    beats = timeline.lead_sheet(samples, ramp.start).beats
    assert beats == pytest.approx(4 * np.arange(4, 20), abs=1e-3)


def test_another_change_lets_a_ramp_go_on() -> None:
    alone = with_changes((4, {"bpm": 180, "ramp_bars": 8}))
    for values in ({"key": "Am"}, {"ramp_bars": 2}, {"walk_bars": 3, "swing": 0.5}):
        other = with_changes((4, {"bpm": 180, "ramp_bars": 8}), (7, values))
        assert [other.bar_sample(b) for b in range(20)] == [alone.bar_sample(b) for b in range(20)]
    waltz = with_changes((4, {"bpm": 180, "ramp_bars": 8}), (7, {"beats_per_bar": 3}))
    # Four bars of three beats are as many as three bars of four.
    grids = [timeline.segments[-1].grid for timeline in (waltz, alone)]
    assert grids[0].tempo_at(7 + 4) == pytest.approx(grids[1].tempo_at(7 + 3))
    for bars in range(12):
        until = alone.segments[-1].grid.bar_sample(7 + bars * 3 / 4)
        assert abs(waltz.bar_sample(7 + bars) - until) <= 1


def test_another_tempo_in_a_ramp_starts_from_the_tempo_there() -> None:
    timeline = with_changes(
        (4, {"bpm": 180, "ramp_bars": 8}), (8, {"bpm": 90}), (10, {"bpm": 60, "ramp_bars": 0})
    )
    *_, back, at_once = timeline.segments
    assert [back.grid.tempo_at(bar) for bar in (8, 12, 16)] == [150, 120, 90]
    assert (back.grid.tempo_at(10), at_once.grid.tempo_at(10)) == (135, 60)
    assert at_once.start == back.grid.bar_sample(10)


@given(
    st.lists(
        st.tuples(
            st.integers(1, 36).map(lambda quarters: quarters / 4),
            st.fixed_dictionaries(
                {},
                optional={
                    "bpm": st.floats(60, 180),
                    "beats_per_bar": st.sampled_from([3, 4]),
                    "ramp_bars": st.integers(0, 64),
                    "swing": st.floats(0, 1),
                },
            ),
        ),
        max_size=6,
    )
)
def test_a_replay_of_its_changes_has_the_same_ramps(
    steps: list[tuple[float, dict[str, Any]]],
) -> None:
    bars = np.cumsum([0, *(step for step, _ in steps)])[1:].tolist()
    changes = [(bar, values) for bar, (_, values) in zip(bars, steps, strict=True)]
    timeline = with_changes(*changes)
    again = with_changes(*((change.bar, dict(change.changes)) for change in timeline.changes()))
    assert again.segments == timeline.segments
    for before, after in pairwise(timeline.segments):
        assert after.start == before.grid.bar_sample(after.bar)
        if after.settings.ramp_bars or after.settings.bpm == before.settings.bpm:
            tempi = [segment.grid.tempo_at(after.bar) for segment in (before, after)]
            assert tempi[0] == pytest.approx(tempi[1])
    lines = [timeline.bar_sample(bar) for bar in range(80)]
    assert [timeline.next_place(line, "bar") for line in lines] == list(range(80))


@given(tempi, tempi, st.sampled_from([2, 3, 4]), st.integers(1, 64))
def test_the_clips_of_a_ramp_fit_their_windows(
    before: float, after: float, beats: int, ramp_bars: int
) -> None:
    engine = Grid()
    first = first_segment(settings_with(bpm=before, beats_per_bar=beats, loop="0"), RATE)
    segment = first.changed(4, {"bpm": after, "ramp_bars": ramp_bars})
    bar = 4
    while bar < 4 + ramp_bars + 8:
        plan = clip_window(engine, segment, bar)
        bars = (bar, plan.stop_bar, plan.stop_bar + 1)
        start, stop, more = (segment.grid.bar_sample(line) for line in bars)
        assert plan.start == start
        assert (stop - start) / RATE <= clip_room_s(engine) + 1 / RATE
        assert (more - start) / RATE >= clip_room_s(engine) - 1 / RATE
        assert plan.context >= 100
        assert (plan.first_frame + engine.frames - 1) * HOP >= stop
        assert plan.bpm == segment.grid.tempo_at((bar + plan.stop_bar) / 2)
        bar = plan.stop_bar


def test_a_ramp_whose_first_bar_is_too_long_is_refused(tiny_engine: Engine) -> None:
    """Twelve beats at 180 last four seconds; the ramp to them would begin at 60."""
    session = jam(tiny_engine, bpm=60, ramp_bars=4)
    with pytest.raises(InvalidInput, match=r"a bar of 12 beats then lasts 12\.00 s"):
        session.change({"bpm": 180, "beats_per_bar": 12})
    assert session.settings.bpm == 60
    assert session.change({"bpm": 180, "beats_per_bar": 12, "ramp_bars": 0}) == 0


def test_clips_of_a_ramp_are_asked_for_at_their_own_tempo(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, ramp_bars=8)
    next(session)
    line = session.change({"bpm": 180})
    assert line is not None
    blocks = [*render(session, 20 * RATE)]
    marks = list(dict.fromkeys(block.clip for block in blocks if block.start >= line))
    asked = {request.bpm for request in engine.requests}
    assert len(marks) > 5
    assert {mark.bpm for mark in marks} <= asked
    assert [mark.bpm for mark in marks] == sorted(mark.bpm for mark in marks)
    assert 120 < marks[0].bpm < 130
    assert marks[-1].bpm == 180
    for request in engine.requests:
        assert request.lead_sheet is not None
        seconds = COMPACT_PARAMS.frame_s * (len(request.lead_sheet.beats) - 1)
        mean = (request.lead_sheet.beats[-1] - request.lead_sheet.beats[0]) / seconds * 60
        assert request.bpm == pytest.approx(mean, abs=8)
