"""Bar lines are where they should be, to the sample, for as long as a track runs."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.errors import InvalidInput
from riffusion.music.rhythm import MAX_BPM, MIN_BPM, BarGrid, ramp_duration_s

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


@st.composite
def ramps(draw: st.DrawFn) -> BarGrid:
    """A grid that continues from another one in a ramp, from a bar line or from within a bar."""
    grid = BarGrid(RATE, draw(tempi), draw(metres))
    bar = draw(bars) + draw(st.sampled_from([0, 0.25, 0.5]))
    return grid.changed(bar, draw(tempi), draw(metres), draw(st.integers(1, 64)))


@given(ramps())
def test_bar_lines_of_a_ramp_lie_where_its_tempo_says(grid: BarGrid) -> None:
    """The sum of short steps, each at its own tempo, is the closed form, bar by bar."""
    steps = 400
    exact = float(grid.origin)
    for number in range(int(grid.ramp_bars) + 3):
        bar = grid.first_bar + number
        assert abs(grid.bar_sample(bar) - exact) <= 0.55  # the sum has an error too
        tempi = [grid.tempo_at(bar + (step + 0.5) / steps) for step in range(steps)]
        exact += sum(grid.beats_per_bar * 60 * RATE / bpm / steps for bpm in tempi)


@given(ramps(), st.lists(st.floats(-4, 80), min_size=2, max_size=8))
def test_a_ramp_never_goes_back(grid: BarGrid, bars_after: list[float]) -> None:
    positions = [grid.first_bar + after for after in sorted(bars_after)]
    lines = [grid.bar_sample(position) for position in positions]
    assert lines == sorted(lines)
    found = grid.bar_position(np.array(lines))
    assert np.all(np.diff(found) >= 0)
    # Within one sample, at the fastest tempo.
    assert found == pytest.approx(positions, abs=3 / (2 * 60 * RATE / MAX_BPM))
    assert all(
        abs(grid.bar_sample(float(bar)) - line) <= 1 for bar, line in zip(found, lines, strict=True)
    )


@given(ramps(), st.integers(-3, 70))
def test_a_bar_of_a_ramp_sounds_from_its_line_to_the_next(grid: BarGrid, after: int) -> None:
    bar = math.ceil(grid.first_bar) + after
    line = grid.bar_sample(bar)
    assert grid.bar_at(line) == bar == grid.next_bar(line)
    assert grid.bar_at(line - 1) == bar - 1
    assert grid.next_bar(line + 1) == bar + 1
    lines = [grid.beat_sample(bar, beat) for beat in range(grid.beats_per_bar + 1)]
    assert (lines[0], lines[-1]) == (line, grid.bar_sample(bar + 1))
    assert lines == [grid.bar_sample(bar + b / grid.beats_per_bar) for b in range(len(lines))]


@given(ramps())
def test_tempo_and_position_are_continuous_at_both_ends_of_a_ramp(grid: BarGrid) -> None:
    begin, end, near = grid.first_bar, grid.ramp_end, 1e-7
    started = grid.bpm if grid.start_bpm is None else grid.start_bpm
    assert grid.tempo_at(begin - 3) == grid.tempo_at(begin) == started
    assert grid.tempo_at(end) == grid.tempo_at(end + 3) == grid.bpm
    for edge in (begin, end):
        assert grid.tempo_at(edge - near) == pytest.approx(grid.tempo_at(edge + near), abs=1e-4)
        assert abs(grid.bar_sample(edge + near) - grid.bar_sample(edge - near)) <= 1


@given(ramps(), st.integers(1, 2000))
def test_rounding_does_not_add_up_after_a_ramp(grid: BarGrid, later: int) -> None:
    end = grid.ramp_end
    bar = Fraction(grid.beats_per_bar * 60 * RATE) / Fraction(grid.bpm)
    assert abs(grid.bar_sample(end + later) - grid.bar_sample(end) - later * bar) <= 1.001


@given(ramps(), metres, st.floats(0, 70))
def test_another_metre_lets_a_ramp_go_on_beat_by_beat(
    grid: BarGrid, beats: int, after: float
) -> None:
    bar = grid.first_bar + after
    other = grid.with_metre(bar, beats)
    assert other.bar_sample(bar) == grid.bar_sample(bar)
    for beat in (0, 1, 7, 40, 300):
        there, here = bar + beat / beats, bar + beat / grid.beats_per_bar
        assert other.tempo_at(there) == pytest.approx(grid.tempo_at(here), abs=1e-6)
        assert abs(other.bar_sample(there) - grid.bar_sample(here)) <= 1


@given(ramps(), st.floats(0, 70), st.floats(0.1, 20))
def test_bars_of_a_ramp_are_counted_by_their_own_tempo(
    grid: BarGrid, after: float, duration_s: float
) -> None:
    bar = grid.first_bar + after
    until = bar + grid.count_bars(bar, duration_s)
    assert abs(grid.bar_sample(until) - grid.bar_sample(bar) - duration_s * RATE) <= 1.001


@given(tempi, metres, bars, st.integers(0, 64))
def test_a_ramp_to_the_same_tempo_or_of_no_bars_is_none(
    bpm: float, beats: int, bar: int, ramp_bars: int
) -> None:
    grid = BarGrid(RATE, bpm, beats)
    plain = BarGrid(RATE, bpm, beats, bar, grid.bar_sample(bar))
    assert grid.changed(bar, bpm, beats, ramp_bars) == plain
    assert BarGrid(RATE, 90, beats).changed(bar, bpm, beats, 0).ramp_bars == 0
    assert grid.count_bars(bar, 4.06) == 4.06 / (beats * 60 / bpm)


def test_a_ramp_over_eight_bars() -> None:
    """From 90 to 150 in 32 beats: 32 / 60 ln(150 / 90) minutes, the middle of it at 120."""
    grid = BarGrid(RATE, 90, 4).changed(4, 150, 4, 8)
    assert grid.tempo_at(8) == 120
    seconds = 60 * 32 / 60 * math.log(150 / 90)
    assert abs(grid.bar_sample(12) - grid.bar_sample(4) - seconds * RATE) <= 0.5
    assert ramp_duration_s(90, 150, 32) == pytest.approx(seconds)


@pytest.mark.parametrize("ramp_bars", [-1, math.inf, math.nan])
def test_a_ramp_of_no_length_is_refused(ramp_bars: float) -> None:
    with pytest.raises(InvalidInput, match="0 or more"):
        BarGrid(RATE, 120, ramp_bars=ramp_bars)


@pytest.mark.parametrize("bpm", [59.9, 180.1, 0, -90, math.nan, math.inf, "fast", None, True])
def test_a_tempo_out_of_range_is_told_the_range(bpm: float) -> None:
    with pytest.raises(InvalidInput, match="from 60 to 180"):
        BarGrid(RATE, bpm)


@pytest.mark.parametrize("beats", [0, 1, 13, -4, 3.5, "4", None])
def test_a_metre_out_of_range_is_told_the_range(beats: int) -> None:
    with pytest.raises(InvalidInput, match="from 2 to 12"):
        BarGrid(RATE, 120, beats)
