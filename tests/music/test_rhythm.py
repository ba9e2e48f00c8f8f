"""Bar lines are where they should be, to the sample, for as long as a track runs."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.errors import InvalidInput
from riffusion.music.rhythm import MAX_BPM, MIN_BPM, BarGrid

RATE = 44100
tempi = st.floats(MIN_BPM, MAX_BPM)
metres = st.sampled_from([3, 4])
bars = st.integers(0, 20_000)


@given(tempi, metres)
def test_an_hour_of_bar_lines_is_on_the_grid_to_the_sample(bpm: float, beats: int) -> None:
    grid = BarGrid(RATE, bpm, beats)
    exact_bar = Fraction(beats * 60 * RATE) / Fraction(bpm)
    count = int(3600 * RATE / exact_bar)
    for bar in (*range(100), *range(count - 100, count)):
        assert abs(grid.bar_sample(bar) - bar * exact_bar) <= Fraction(1, 2) + Fraction(1, 10**6)


def test_every_bar_line_of_an_hour_at_120() -> None:
    grid = BarGrid(RATE, 120, 4)
    assert [grid.bar_sample(bar) for bar in range(1800)] == [88200 * bar for bar in range(1800)]


@given(tempi, metres, bars)
def test_a_bar_sounds_from_its_line_to_the_next(bpm: float, beats: int, bar: int) -> None:
    grid = BarGrid(RATE, bpm, beats)
    line = grid.bar_sample(bar)
    assert grid.bar_at(line) == bar == grid.next_bar(line)
    assert grid.bar_at(line - 1) == bar - 1
    assert grid.next_bar(line + 1) == bar + 1


@given(tempi, metres, st.integers(0, 10**9))
def test_next_bar_is_the_first_one_not_before(bpm: float, beats: int, sample: int) -> None:
    grid = BarGrid(RATE, bpm, beats)
    bar = grid.next_bar(sample)
    assert grid.bar_sample(bar) >= sample > grid.bar_sample(bar - 1)


@given(tempi, metres, bars)
def test_beats_divide_a_bar(bpm: float, beats: int, bar: int) -> None:
    grid = BarGrid(RATE, bpm, beats)
    lines = [grid.beat_sample(bar, beat) for beat in range(beats + 1)]
    assert lines[0] == grid.bar_sample(bar)
    assert lines[-1] == grid.bar_sample(bar + 1)
    steps = np.diff(lines)
    assert steps.max() - steps.min() <= 1


@given(tempi, tempi, metres, st.integers(0, 2000), st.integers(0, 2000))
def test_a_tempo_change_keeps_the_past_and_its_bar_line(
    before: float, after: float, beats: int, bar: int, later: int
) -> None:
    grid = BarGrid(RATE, before, 4)
    changed = grid.changed(bar, after, beats)
    assert changed.bar_sample(bar) == grid.bar_sample(bar)
    assert changed.bar_at(changed.bar_sample(bar + later)) == bar + later
    length = changed.bar_sample(bar + 1) - changed.bar_sample(bar)
    assert abs(length - beats * 60 * RATE / after) <= 0.5


@given(tempi, metres, bars)
def test_positions_count_bars_and_their_parts(bpm: float, beats: int, bar: int) -> None:
    grid = BarGrid(RATE, bpm, beats)
    samples = np.array([grid.bar_sample(bar), grid.bar_sample(bar + 1)])
    assert grid.bar_position(samples) == pytest.approx([bar, bar + 1], abs=1e-4)


@pytest.mark.parametrize("bpm", [59.9, 180.1, 0, -90, math.nan, math.inf, "fast", None, True])
def test_a_tempo_out_of_range_is_told_the_range(bpm: float) -> None:
    with pytest.raises(InvalidInput, match="from 60 to 180"):
        BarGrid(RATE, bpm)


@pytest.mark.parametrize("beats", [0, 1, 13, -4, 3.5, "4", None])
def test_a_metre_out_of_range_is_told_the_range(beats: int) -> None:
    with pytest.raises(InvalidInput, match="from 2 to 12"):
        BarGrid(RATE, 120, beats)
