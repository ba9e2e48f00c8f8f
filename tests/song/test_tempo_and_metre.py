"""Sections of a song have their own metre, and reach their own tempo in a ramp."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.engines.clip import Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput, InvalidPlan
from riffusion.jam.stitcher import Samples
from riffusion.song.markers import cue_sheet
from riffusion.song.model import Section, Song, Transition
from riffusion.song.placement import PlacedSection, change_placement, place_sections
from riffusion.song.plan import plan_text, read_plan
from riffusion.song.session import SongChange, SongSession
from riffusion.song.takes import PICKUP_BARS, count_clips, section_settings, take_grid
from riffusion.spectral.griffin_lim import griffin_lim
from tests.recording import RecordedEngine

RATE = 44100
QUICK = partial(griffin_lim, iterations=1)
WINDOW = round(0.32 * RATE)  # a return has the same bytes up to here before its end
SLOW = Section("slow", 2, Prompt("jazz", 1))
WALTZ = Section("waltz", 2, Prompt("waltz", 2), beats_per_bar=3)
RISE = Section("rise", 4, Prompt("techno", 3), bpm=180, ramp_bars=3)
PLAN = """
bpm: 120
order: [a, b, a]
sections:
  a: {bars: 4, prompt: jazz}
  b: {bars: 4, prompt: waltz, beats_per_bar: 3, bpm: 150, ramp_bars: 2}
"""


def song(*order: str, **values: Any) -> Song:
    return Song((SLOW, WALTZ, RISE), order, **{"bpm": 120.0, "key": "Am", "steps": 1, **values})


def play(engine: Engine, wanted: Song) -> tuple[SongSession, Samples]:
    with SongSession(engine, wanted, vocoder=QUICK) as session:
        return session, np.concatenate([block.samples for block in session], axis=1)


def parts(session: SongSession, heard: Samples, name: str) -> list[Samples]:
    """Return the bytes of each place of a section that do not belong to its crossfade."""
    places = [placed for placed in session.placement if placed.name == name]
    return [heard[:, placed.start : placed.stop - WINDOW] for placed in places]


def test_a_plan_says_metre_and_ramp() -> None:
    wanted = read_plan(PLAN)
    waltz = wanted.section("b")
    assert (waltz.beats_per_bar, waltz.ramp_bars, wanted.beats_of(waltz)) == (3, 2, 3)
    assert (wanted.section("a").beats_per_bar, wanted.beats_of(wanted.section("a"))) == (None, 4)
    assert read_plan(plan_text(wanted)) == wanted
    assert "beats_per_bar" not in plan_text(wanted).split("sections:")[1].split("b:")[0]


def test_a_ramp_longer_than_its_section_is_refused() -> None:
    with pytest.raises(InvalidPlan, match="'b' has 4 bars; use at most as many"):
        read_plan(PLAN.replace("ramp_bars: 2", "ramp_bars: 5"))


def test_sections_keep_their_metre_on_one_grid() -> None:
    slow, waltz, again = place_sections(song("slow", "waltz", "slow"), RATE)
    beat = RATE // 2
    assert [placed.start for placed in (slow, waltz, again)] == [0, 8 * beat, 14 * beat]
    assert again.stop == 22 * beat
    assert [waltz.grid.bar_sample(bar) for bar in (2, 3, 4)] == [8 * beat, 11 * beat, 14 * beat]
    sheet = cue_sheet((slow, waltz, again), RATE, "song.wav", "")
    assert [line[-8:] for line in sheet.splitlines() if "INDEX" in line] == [
        "00:00:00",
        "00:04:00",
        "00:07:00",
    ]


def test_a_ramp_starts_from_the_tempo_of_the_section_before_it() -> None:
    first, slow, rise, more = place_sections(song("rise", "slow", "rise", "rise"), RATE)
    assert [placed.start_bpm for placed in (first, slow, rise, more)] == [180, 120, 120, 180]
    assert [rise.grid.tempo_at(rise.bar + bar) for bar in (0, 1, 2, 3, 4)] == pytest.approx(
        [120, 140, 160, 180, 180]
    )
    assert more.stop - more.start == 4 * 58800


sections = st.builds(
    lambda bars, bpm, beats, ramp: Section(
        "x", bars, Prompt("jazz"), bpm=bpm, beats_per_bar=beats, ramp_bars=min(ramp, bars)
    ),
    st.integers(1, 64),
    st.none() | st.floats(60, 180),
    st.none() | st.sampled_from([3, 4]),
    st.integers(0, 64),
)


@settings(deadline=None)
@given(st.lists(sections, min_size=1, max_size=4), st.data())
def test_a_song_lasts_as_long_as_it_is_placed(found: list[Section], data: st.DataObject) -> None:
    made = tuple(replace(section, name=f"s{n}") for n, section in enumerate(found))
    names = st.sampled_from([section.name for section in made])
    wanted = Song(made, tuple(data.draw(st.lists(names, min_size=1, max_size=8))))
    placement = place_sections(wanted, RATE)
    assert placement[-1].stop / RATE == pytest.approx(wanted.duration_s, abs=len(placement) / RATE)
    for before, after in pairwise(placement):
        assert after.start == before.stop
        assert after.grid.tempo_at(after.bar + after.bars) == wanted.bpm_of(after.section)
        ramps = after.section.ramp_bars > 0
        assert after.start_bpm == wanted.bpm_of(before.section if ramps else after.section)


def test_a_waltz_between_sections_of_four_beats_is_played(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session, heard = play(engine, song("slow", "waltz", "slow", "waltz", "slow"))
    assert heard.shape[1] == session.samples == RATE // 2 * (3 * 8 + 2 * 6)
    metres = {request.lead_sheet.beats_per_bar for request in engine.requests if request.lead_sheet}
    assert metres == {3, 4}
    first, again = parts(session, heard, "waltz")
    assert np.array_equal(first, again)
    first, again, _ = parts(session, heard, "slow")
    assert np.array_equal(first[:, RATE // 10 :], again[:, RATE // 10 :])


def test_a_ramp_is_the_same_where_it_starts_from_the_same_tempo(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    session, heard = play(engine, song("slow", "rise", "waltz", "rise", "rise", "slow"))
    first, again, steady = parts(session, heard, "rise")
    assert np.array_equal(first, again)
    assert steady.shape[1] < first.shape[1]
    tempi = [request.bpm for request in engine.requests if request.start.text == "techno"]
    # A clip of pickup at the tempo before, those of the ramp, and the take without a ramp.
    assert tempi[0] == 120
    assert any(tempo is not None and 120 < tempo < 180 for tempo in tempi)
    assert tempi[-1] == 180


def test_the_marks_of_a_ramp_lie_on_the_bars_of_the_song(tiny_engine: Engine) -> None:
    with SongSession(tiny_engine, song("slow", "rise", "slow"), vocoder=QUICK) as session:
        blocks = [*session]
    rise = session.placement[1]
    marks = [block.clip for block in blocks if rise.start <= block.start < rise.stop]
    assert marks
    for mark in marks:
        assert mark.start_sample == rise.grid.bar_sample(mark.bar)
    tempi = [mark.bpm for mark in marks]
    assert tempi == sorted(tempi)
    assert 120 < tempi[0] < tempi[-1] <= 180


@pytest.mark.parametrize("kind", ["fill", "walk"])
def test_a_ramp_and_a_transition_go_together(tiny_engine: Engine, kind: Any) -> None:
    """Also where both begin with the first bar of the section."""
    section = replace(RISE, ramp_bars=4, transition=Transition(kind, 4))
    wanted = replace(song("slow", "rise", "slow"), sections=(SLOW, section))
    engine = RecordedEngine(tiny_engine)
    _, heard = play(engine, wanted)
    assert heard.shape[1] == place_sections(wanted, RATE)[-1].stop
    asked = [request for request in engine.requests if request.start.text == "techno"]
    assert asked[0].bpm == 120
    assert all(request.bpm is not None and 120 < request.bpm <= 180 for request in asked[1:])
    if kind == "fill":
        assert [request.controls.drums for request in asked] == [None] + [1.0] * (len(asked) - 1)


def test_returns_of_a_ramp_vary_from_the_clips_of_the_first(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    play(engine, song("slow", "rise", "slow", "rise", variation=0.3))
    made = [(asked, clip) for asked, clip in engine.generated if asked.start.text == "techno"]
    half = len(made) // 2
    for (_, clip), (varied, _) in zip(made[:half], made[half:], strict=True):
        assert varied.anchor is not None
        assert np.array_equal(varied.anchor.magnitudes, clip.magnitudes)


def test_a_jump_out_of_a_ramp_starts_from_its_tempo_there(tiny_engine: Engine) -> None:
    wanted = song("slow", "rise", "slow", "rise")
    with SongSession(tiny_engine, wanted, vocoder=QUICK) as session:
        rise = session.placement[1]
        while session.position < rise.start + RATE // 2:
            session.block()
        line = session.change(SongChange(wanted, jump=3))
        assert line is not None
        assert line < rise.stop
        cut, again = session.placement[1:3]
        assert again.start == line
        assert again.start_bpm == cut.grid.tempo_at(again.bar) != 120
        back = session.change(SongChange(wanted, jump=2))
        assert back is not None
        (slow,) = (placed for placed in session.placement if placed.start == back)
        assert (slow.start_bpm, slow.grid.ramp_bars) == (120, 0)


def test_a_section_that_cuts_into_a_ramp_to_its_own_tempo_has_it_at_once() -> None:
    fast = Section("fast", 2, Prompt("house", 4), bpm=180)
    wanted = Song((SLOW, RISE, fast), ("slow", "rise", "fast"), bpm=120)
    placement = place_sections(wanted, RATE)
    rise = placement[1]
    early = rise.grid.bar_sample(rise.bar + 1) + 100
    *_, cut, after = change_placement(placement, wanted, 2, early)
    assert cut.bars == 2
    assert cut.grid.tempo_at(after.bar) == pytest.approx(160)
    assert (after.start_bpm, after.grid.ramp_bars, after.start) == (180, 0, cut.stop)


@pytest.mark.parametrize("bpm", [97, 150])
@pytest.mark.parametrize(("bars", "arc"), [(4, "none"), (5, "none"), (6, "none"), (9, "build")])
def test_the_clips_of_a_take_are_as_many_as_were_counted(
    tiny_engine: Engine, bpm: float, bars: int, arc: str
) -> None:
    engine = RecordedEngine(tiny_engine)
    wanted = replace(song("slow", "rise"), bpm=bpm)
    section = replace(RISE, bars=bars, arc=arc, arc_bars="8")
    wanted = replace(wanted, sections=(SLOW, section))
    session, _ = play(engine, wanted)
    rise = session.placement[1]
    settings = section_settings(wanted, rise.section)
    made = [request for request in engine.requests if request.start.text == "techno"]
    grid = take_grid(settings, bpm, RATE)
    assert count_clips(engine, grid, PICKUP_BARS + bars, settings) == len(made)


def test_a_ramp_that_begins_too_slowly_is_refused(tiny_engine: Engine) -> None:
    fast = Section("fast", 4, Prompt("jazz"), bpm=180, beats_per_bar=12, ramp_bars=2)
    wanted = Song((SLOW, fast), ("slow", "fast"), bpm=60, steps=1)
    with pytest.raises(InvalidInput, match=r"tempo of section 'fast'.*12 beats"):
        SongSession(tiny_engine, wanted)
    alone = replace(wanted, order=("fast",))
    with SongSession(tiny_engine, alone) as session:
        (placed,) = session.placement
        assert isinstance(placed, PlacedSection)
        assert placed.start_bpm == 180
