"""Sections begin on the grid, and return with the same bytes, or varied."""

from __future__ import annotations

import gc
import tracemalloc
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from riffusion.audio.track import Pcm, to_pcm
from riffusion.engines.clip import ClipRequest, Controls, Prompt
from riffusion.engines.protocol import Engine, EngineWrapper, never
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.jam.asset import AssetRef, make_upload
from riffusion.jam.schema import DEFAULTS
from riffusion.jam.session import JamSession
from riffusion.jam.stitcher import Samples
from riffusion.music.harmony import parse_chords
from riffusion.music.rhythm import BarGrid
from riffusion.song.model import Section, Song, Transition, parse_transition
from riffusion.song.placement import place_sections
from riffusion.song.session import SongSession, crossfade_under_ceiling
from riffusion.song.takes import fill_controls, transition_changes
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.spectrogram import Spectrogram
from tests.recording import RecordedEngine

RATE = 44100
STEP = 1 / 32768  # takes are kept in 16 bits
QUICK = partial(griffin_lim, iterations=1)
# A return has the same bytes up to here before its end, as SongSession says.
WINDOW = round(0.32 * RATE)
FADE_IN = round(0.005 * RATE)  # of the song
VERSE = Section("verse", 2, Prompt("funky piano", 1), chords="Am F C G")
CHORUS = Section("chorus", 3, Prompt("church bells", 2), key="C", transition=Transition("fill", 1))
BRIDGE = Section("bridge", 2, Prompt("jazz", 3), bpm=97.0, transition=Transition("walk", 1))
GRID = BarGrid(RATE, 120.0)
SECTIONS = (VERSE, CHORUS, BRIDGE)
ORDER = ("verse", "chorus", "verse", "chorus", "bridge", "chorus")


def song(order: tuple[str, ...] = ORDER, **values: Any) -> Song:
    return Song(SECTIONS, order, **{"bpm": 120.0, "key": "Am", "steps": 1, **values})


def play(engine: Engine, wanted: Song) -> tuple[SongSession, Samples]:
    """Return the session and all the audio that it gave out."""
    with SongSession(engine, wanted, vocoder=QUICK) as session:
        return session, np.concatenate([block.samples for block in session], axis=1)


def parts(session: SongSession, heard: Samples, name: str) -> list[Pcm]:
    """Return the audio of each section of a name, as 16-bit samples, without its fades."""
    placement = [placed for placed in session.placement if placed.section.name == name]
    return [to_pcm(heard[:, p.start + FADE_IN : p.stop - WINDOW]) for p in placement]


def trimmed(sounds: list[Pcm]) -> list[Pcm]:
    """Return all cut to the shortest: on the grid a section may be a sample longer than another."""
    length = min(sound.shape[1] for sound in sounds)
    assert all(sound.shape[1] - length <= 1 for sound in sounds)
    return [sound[:, :length] for sound in sounds]


def test_blocks_follow_each_other_to_the_end(tiny_stereo_engine: Engine) -> None:
    with SongSession(tiny_stereo_engine, song(), vocoder=QUICK) as session:
        position = 0
        for block in session:
            assert block.start == position
            assert 0 < block.samples.shape[1] <= RATE // 4
            assert np.abs(block.samples).max() <= 0.95 + STEP
            assert block.placed.start <= block.start
            position += block.samples.shape[1]
            assert position <= block.placed.stop
    assert position == session.samples == session.placement[-1].stop


def test_boundaries_are_on_the_grid_to_the_sample() -> None:
    bars = {"verse": 2, "chorus": 3, "bridge": 2}
    exact_s = 0.0
    for place in place_sections(song(bpm=101.3), RATE):
        bpm = 97.0 if place.section.name == "bridge" else 101.3
        assert abs(place.start - exact_s * RATE) <= 1.5  # at most two tempo changes, rounded
        exact_s += bars[place.section.name] * 4 * 60 / bpm
    assert song(bpm=101.3).duration_s == pytest.approx(exact_s)


@given(st.floats(60, 180), st.lists(st.sampled_from(["verse", "chorus"]), min_size=1, max_size=50))
def test_rounding_never_adds_up(bpm: float, order: list[str]) -> None:
    places = place_sections(song(tuple(order), bpm=bpm), RATE)
    for place in places:
        assert place.start == round(place.bar * 4 * 60 / bpm * RATE)
    for before, after in pairwise(places):
        assert before.stop == after.start


def test_same_name_same_bytes(tiny_stereo_engine: Engine) -> None:
    session, heard = play(tiny_stereo_engine, song((*ORDER, "verse"), bpm=119.7))
    for name in ("verse", "chorus"):
        first, *others = trimmed(parts(session, heard, name)[:3])
        assert first.any()
        assert others
        for other in others[: 1 if name == "verse" else 2]:
            np.testing.assert_array_equal(first, other)
    verse, chorus = parts(session, heard, "verse")[0], parts(session, heard, "chorus")[0]
    assert not np.array_equal(verse, chorus[:, : verse.shape[1]])


def test_music_is_where_the_section_says(tiny_engine: Engine) -> None:
    """A section is the same wherever it stands, also where it is alone."""
    session, heard = play(tiny_engine, song(("verse", "chorus", "verse")))
    chorus = parts(session, heard, "chorus")[0]
    alone_session, alone = play(tiny_engine, song(("verse", "verse", "chorus", "verse")))
    again = parts(alone_session, alone, "chorus")[0]
    chorus, again = trimmed([chorus, again])
    np.testing.assert_array_equal(chorus, again)


def test_walk_to_elsewhere_changes_only_the_bars_of_the_walk(tiny_engine: Engine) -> None:
    order = ("bridge", "verse", "bridge", "chorus", "verse")
    session, heard = play(tiny_engine, song(order))
    first, second = trimmed(parts(session, heard, "bridge"))
    walk = round(4 * 60 / 97 * RATE) - WINDOW - FADE_IN
    np.testing.assert_array_equal(first[:, :walk], second[:, :walk])
    assert not np.array_equal(first[:, walk:], second[:, walk:])


def test_variation_changes_returns_and_not_the_first(tiny_engine: Engine) -> None:
    order = ("verse", "chorus", "verse", "chorus", "verse", "chorus")
    plain_session, plain = play(tiny_engine, song(order))
    session, heard = play(tiny_engine, song(order, variation=0.3))
    verses, before = parts(session, heard, "verse"), parts(plain_session, plain, "verse")
    np.testing.assert_array_equal(verses[0], before[0])
    assert not np.array_equal(verses[0], verses[1])
    assert not np.array_equal(verses[1], verses[2])


def test_returns_start_from_the_clips_of_the_first(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    play(engine, song(("verse", "verse"), variation=0.3))
    half = len(engine.generated) // 2
    for (plain, clip), (varied, _) in zip(
        engine.generated[:half], engine.generated[half:], strict=True
    ):
        assert plain.anchor is None
        assert varied.anchor is not None
        assert torch.equal(varied.anchor.magnitudes, clip.magnitudes)
        assert varied.strength == 0.3
        assert varied.start.seed != plain.start.seed


def test_without_variation_nothing_is_made_twice(tiny_engine: Engine) -> None:
    once, often = RecordedEngine(tiny_engine), RecordedEngine(tiny_engine)
    play(once, song(("verse", "chorus")))
    play(often, song(("verse", "chorus") * 10))
    assert len(once.generated) == len(often.generated)


def test_song_is_the_same_each_time(tiny_engine: Engine) -> None:
    wanted = song(variation=0.4)
    np.testing.assert_array_equal(play(tiny_engine, wanted)[1], play(tiny_engine, wanted)[1])


def test_memory_does_not_grow_with_the_song(tiny_engine: Engine) -> None:
    order = ("verse", "chorus", "bridge") * 20
    with SongSession(tiny_engine, song(order), vocoder=QUICK) as session:
        assert session.samples > 4 * 60 * RATE
        assert len(list(islice(session, 80))) == 80  # all takes have begun
        tracemalloc.start()
        try:
            last = deque(session, maxlen=1)[0]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert last.start > 4 * 60 * RATE
    assert peak < 8_000_000  # the song has over 42 MB


def test_sections_that_are_over_keep_no_jam(tiny_engine: Engine) -> None:
    names = tuple("abcd")
    sections = tuple(replace(VERSE, name=name, prompt=Prompt(name, 1)) for name in names)
    gc.collect()
    before = jams()
    with SongSession(tiny_engine, Song(sections, names, bpm=120.0), vocoder=QUICK) as session:
        deque(session, maxlen=0)
        assert jams() == before


def jams() -> int:
    return sum(type(thing) is JamSession for thing in gc.get_objects())


def test_song_fades_in_and_out(tiny_engine: Engine) -> None:
    _, heard = play(tiny_engine, song(("verse",)))
    assert np.all(heard[:, 0] == 0)
    assert not heard[:, -round(0.12 * RATE) :].any()
    bar = RATE * 2
    loud, quiet = heard[:, -bar : -bar + RATE // 4], heard[:, -RATE // 3 : -RATE // 5]
    assert 0 < np.abs(quiet).mean() < 0.2 * np.abs(loud).mean()


@given(st.integers(0, 2**31), st.floats(0.01, 0.95))
@hypothesis_settings(max_examples=25)
def test_joins_stay_under_the_ceiling(seed: int, loudness: float) -> None:
    old, new = np.random.default_rng(seed).uniform(-loudness, loudness, (2, 2, 1323))
    joined = crossfade_under_ceiling(old.astype(np.float32), new.astype(np.float32), 0.95)
    assert np.abs(joined).max() <= 0.95 + STEP


def test_first_bar_of_a_section_has_its_first_chord(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    with SongSession(engine, song(("verse",)), vocoder=QUICK) as session:
        session.block()
    sheet = engine.requests[0].lead_sheet
    assert sheet is not None
    sounding = [sheet.chroma[sheet.beats >= beat][0] for beat in (0, 4)]
    expected = [parse_chords(name)[0].chroma() for name in ("G", "Am")]  # the pickup has the last
    np.testing.assert_array_equal(sounding, expected)


def test_marks_lie_on_the_bars_of_their_clips(tiny_engine: Engine) -> None:
    """A section has a bar of pickup, then clips of two bars; the fill has a clip of its own."""
    with SongSession(tiny_engine, song(("verse", "chorus", "verse")), vocoder=QUICK) as session:
        blocks = list(session)
    bar_samples = 2 * RATE
    marks = [block.clip for block in blocks]
    places = {(mark.section, mark.bar, mark.chords) for mark in marks}  # type: ignore[attr-defined]
    assert places == {
        ("verse", 0, ("Am", "F")),
        ("chorus", 2, ("C", "Am")),
        ("chorus", 4, ("F", "G")),
        ("verse", 5, ("Am", "F")),
    }
    for block, mark in zip(blocks, marks, strict=True):
        assert mark.start_sample == mark.bar * bar_samples
        # A block is of the clip that sounds where it begins.
        sounds = range(mark.bar, mark.bar + len(mark.chords))
        assert block.start // bar_samples in sounds


class SilentEngine(EngineWrapper):
    """An engine that fails a test when it is asked for a clip."""

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        raise AssertionError("a getter generated a clip")


def test_getters_make_nothing(tiny_engine: Engine) -> None:
    """They answer although the anchor of the first section cannot be read."""
    broken = replace(VERSE, anchor=make_upload(b"no sound"))
    wanted = Song((broken,), ("verse",), bpm=120.0, steps=1)
    with SongSession(SilentEngine(tiny_engine), wanted, vocoder=QUICK) as session:
        assert not session.ready
        assert not session.has_pending_audio
        assert (session.position, session.finished) == (0, False)
        with pytest.raises(InvalidAudio):
            session.block()


def test_getters_say_what_is_there(tiny_engine: Engine) -> None:
    with SongSession(tiny_engine, song(("verse", "chorus")), vocoder=QUICK) as session:
        seen = set()
        for _ in session:
            seen.add((session.ready, session.has_pending_audio))
        assert seen >= {(True, True), (True, False), (False, False)}
        assert not session.ready
        assert not session.has_pending_audio


def test_fill_is_in_the_last_bars() -> None:
    (change,) = transition_changes(CHORUS, VERSE.prompt, GRID)
    assert change.bar == 1 + 3 - 1
    assert change.changes == {"controls": Controls(density=0.8, drums=1.0)}
    assert fill_controls(Controls(density=0.9)).density == 1.0


def test_an_anchor_lets_the_drums_of_a_fill_in() -> None:
    held = replace(CHORUS, anchor=AssetRef("marimba"), strength=0.2)
    (change,) = transition_changes(held, VERSE.prompt, GRID)
    assert change.changes["strength"] == DEFAULTS["strength"]


def test_walk_goes_to_the_next_prompt() -> None:
    (change,) = transition_changes(BRIDGE, VERSE.prompt, GRID)
    assert change.changes["prompt_b"] == VERSE.prompt
    assert change.changes["position"] == 0.5
    assert change.changes["anchor"] is None  # nothing holds it back
    assert transition_changes(BRIDGE, None, GRID) == ()


@pytest.mark.parametrize("text", ["cut", "fill 1", "walk 4"])
def test_transition_is_read_as_it_is_written(text: str) -> None:
    assert str(parse_transition(text)) == text


@pytest.mark.parametrize("text", ["", "jump", "fill 0", "walk 1.5", "cut 2", "walk 99999", "FILL"])
def test_bad_transition(text: str) -> None:
    with pytest.raises(InvalidInput, match="use"):
        parse_transition(text)


def test_tempo_that_the_engine_cannot_play_is_refused_before_anything(tiny_engine: Engine) -> None:
    with pytest.raises(InvalidInput, match=r"tempo of section 'verse' is .*a bar of 12 beats"):
        SongSession(tiny_engine, song(beats_per_bar=12))
