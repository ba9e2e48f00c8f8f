"""A jam is endless and gapless, keeps its bar lines, and obeys changes at the next of them."""

from __future__ import annotations

import tracemalloc
from functools import partial
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riffusion.audio.mastering import Mastering
from riffusion.engines.clip import MAX_SEED, Controls, Prompt
from riffusion.engines.noise import derive_seed
from riffusion.engines.protocol import Engine, Interrupted
from riffusion.errors import InvalidInput
from riffusion.jam.block import JamBlock
from riffusion.jam.clip_window import bars_per_clip, clip_window
from riffusion.jam.session import JamSession, render
from riffusion.jam.stitcher import CROSSFADE_S, HANDOVER_S
from riffusion.jam.timeline import first_segment
from riffusion.music.rhythm import BarGrid
from riffusion.spectral.griffin_lim import griffin_lim
from tests.jamming import HOP, RATE, A, B, Grid, jam, play, settings_with, tempi
from tests.recording import RecordedEngine


def test_blocks_follow_each_other_without_a_gap(tiny_engine: Engine) -> None:
    blocks = list(islice(jam(tiny_engine, bpm=97), 40))
    assert blocks[0].start == 0
    for before, after in pairwise(blocks):
        assert after.start == before.start + before.samples.shape[1]
    assert all(block.samples.dtype == np.float32 for block in blocks)
    assert all(0 < block.samples.shape[1] <= RATE // 4 for block in blocks)
    assert all(np.isfinite(block.samples).all() for block in blocks)


def test_every_clip_is_marked_from_its_beat(tiny_engine: Engine) -> None:
    grid = BarGrid(RATE, 97)
    first_of: dict[int, JamBlock] = {}
    for block in islice(jam(tiny_engine, bpm=97, key="Cm"), 50):
        first_of.setdefault(block.clip.index, block)
    for block in first_of.values():
        mark = block.clip
        place = mark.bar + mark.beat / 4
        assert block.start == mark.start_sample == grid.bar_sample(place)
        assert (mark.prompt_a, mark.seed_b, mark.bpm) == (A.text, B.seed, 97)
        expected = (["Cm", "Ab", "Fm", "G"] * 2)[mark.bar % 4 :]
        assert mark.chords == tuple(expected[: len(mark.chords)])
    assert list(first_of) == list(range(len(first_of)))


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(length=st.integers(1, 10 * RATE), bpm=tempi)
def test_batch_mode_is_the_stream_cut_to_length(
    tiny_engine: Engine, length: int, bpm: float
) -> None:
    batch = play(jam(tiny_engine, bpm=bpm), length)
    assert batch.shape == (1, length)
    stream = np.concatenate(
        [block.samples for block in islice(jam(tiny_engine, bpm=bpm), length // 11025 + 1)], axis=1
    )
    shared = min(length, stream.shape[1])
    assert np.array_equal(batch[:, :shared], stream[:, :shared])


def test_the_loudest_sample_fits_in_16_bits(tiny_engine: Engine) -> None:
    heard = play(jam(tiny_engine), 12 * RATE)
    assert 0 < np.abs(heard).max() < 1


def test_no_sample_step_at_a_clip_boundary_is_larger_than_those_inside(
    tiny_engine: Engine,
) -> None:
    vocoder = partial(griffin_lim, iterations=8)
    # Without gain or limit: the limiter would make all large steps of this noise the same.
    bare = Mastering(ceiling=1e9, min_gain=1.0, max_gain=1.0)
    session = JamSession(tiny_engine, settings_with(), vocoder=vocoder, mastering=bare)
    blocks = list(render(session, 18 * RATE))
    heard = np.concatenate([block.samples for block in blocks], axis=1)
    steps = np.abs(np.diff(heard[0]))
    lines = sorted({block.clip.start_sample for block in blocks} - {0})
    assert len(lines) >= 4
    reach = round((CROSSFADE_S + HANDOVER_S) * RATE)
    for line in lines:
        seam = slice(line - reach - 50, line - round(HANDOVER_S * RATE) + 50)
        around = np.concatenate([steps[line - RATE : seam.start], steps[seam.stop : line + RATE]])
        assert steps[seam].max() <= around.max()


def test_a_stereo_jam(tiny_stereo_engine: Engine) -> None:
    heard = play(jam(tiny_stereo_engine), 9 * RATE)
    assert heard.shape == (2, 9 * RATE)
    assert not np.array_equal(heard[0], heard[1])


def test_a_clip_that_was_given_up_is_made_again_the_same(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    heard = play(session, 9 * RATE)
    for _ in range(2):
        while session.ready or session.has_pending_audio:
            heard = np.concatenate([heard, next(session).samples], axis=1)
        position = session.position
        with pytest.raises(Interrupted):
            session.block(interrupted=lambda: True)
        assert session.position == position
    total = session.position + 5 * RATE
    assert np.array_equal(play(session, total, heard), play(jam(tiny_engine), total))


def test_a_clip_begins_to_sound_before_all_of_it_is_sound(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    next(session)
    while session.ready:
        next(session)
    assert session.has_pending_audio
    assert RATE <= session.position < 2 * RATE  # of four seconds
    play(session, 4 * RATE - RATE // 4)
    assert not session.has_pending_audio


@settings(max_examples=200, deadline=None)
@given(tempi, st.sampled_from([3, 4]))
def test_clips_of_an_hour_start_on_the_grid_and_have_context(bpm: float, beats: int) -> None:
    engine = Grid()
    settings = settings_with(bpm=bpm, beats_per_bar=beats, loop="0", quality="fine")
    segment = first_segment(settings, RATE)
    bars = bars_per_clip(engine, segment.settings)
    last_bar = segment.grid.bar_at(3600 * RATE)
    for bar in (*range(bars, 40 * bars, bars), last_bar):
        plan = clip_window(engine, segment, bar)
        assert plan.start == round(bar * beats * 60 * RATE / bpm)
        assert plan.stop_bar - plan.bar == bars
        assert plan.context >= 100
        assert plan.context % engine.context_step == 0
        own_frame = plan.first_frame + plan.context
        assert own_frame * HOP <= plan.start < (own_frame + 1) * HOP
        sounds_until = (plan.first_frame + engine.frames - 1) * HOP
        assert sounds_until >= segment.grid.bar_sample(bar + bars)


@given(tempi, st.sampled_from([3, 4]))
def test_a_clip_is_as_many_bars_as_fit(bpm: float, beats: int) -> None:
    bars = bars_per_clip(Grid(), settings_with(bpm=bpm, beats_per_bar=beats))
    bar_s = beats * 60 / bpm
    assert bars * bar_s + 1 <= 5.12
    assert (bars + 1) * bar_s + 1.04 > 5.12 - 0.07


def test_bars_too_long_for_the_engine_are_refused_with_the_tempo_that_fits() -> None:
    with pytest.raises(InvalidInput, match=r"use 74\.\d beats per minute or more") as caught:
        bars_per_clip(Grid(), settings_with(bpm=60, beats_per_bar=5))
    assert caught.value.value == 60


def test_requests_carry_beat_chords_and_what_sounds(tiny_engine: Engine) -> None:
    engine = RecordedEngine(tiny_engine)
    play(jam(engine, bpm=100, chords="C Am", controls=Controls(drums=0.5)), 12 * RATE)
    first, second = engine.requests[:2]
    assert first.context is None
    assert first.lead_sheet is not None
    assert first.lead_sheet.beats[0] == 0
    assert first.bpm == 100
    assert first.controls == Controls(drums=0.5)
    assert second.context is not None
    assert second.lead_sheet is not None
    own = second.context.frames
    bar_s = 2.4
    assert second.lead_sheet.beats[own] == pytest.approx(4, abs=0.01 * 100 / 60)
    assert set(np.flatnonzero(second.lead_sheet.chroma[own - 2])) == {0, 4, 7}
    assert set(np.flatnonzero(second.lead_sheet.chroma[own + 2])) == {9, 0, 4}
    assert own / 100 >= min(bar_s, 1)


def test_without_a_loop_each_clip_has_its_own_noise_and_the_same_in_every_run(
    tiny_engine: Engine,
) -> None:
    first, second = RecordedEngine(tiny_engine), RecordedEngine(tiny_engine)
    for engine in (first, second):
        play(jam(engine, loop="0"), 14 * RATE)
    assert not any(request.noise for request in first.requests)
    seeds = [(request.start.seed, request.end.seed) for request in first.requests]
    assert len({seed for pair in seeds for seed in pair}) == 2 * len(seeds)
    assert seeds == [(r.start.seed, r.end.seed) for r in second.requests]


def test_the_noise_seeds_are_those_of_every_other_machine() -> None:
    assert [derive_seed(42, index) for index in range(2)] == [
        6085284259181818738,
        278651779053087998,
    ]


@given(st.integers(0, MAX_SEED), st.integers(0, 10**6))
def test_noise_seeds_are_legal(seed: int, index: int) -> None:
    assert 0 <= derive_seed(seed, index) <= MAX_SEED


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ping-pong", [0, 0.5, 1, 0.5, 0]),
        ("once", [0, 0.5, 1, 1, 1]),
        ("hold", [0, 0, 0, 0, 0]),
        ("manual", [0, 0, 0, 0, 0]),
    ],
)
def test_the_walk(tiny_engine: Engine, path: str, expected: list[float]) -> None:
    engine = RecordedEngine(tiny_engine)
    session = jam(engine, path=path, walk_bars=4)
    play(session, 17 * RATE)
    assert [request.alpha for request in engine.requests] == expected


def test_memory_does_not_grow(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)

    def kept_after(seconds: int) -> int:
        """Return the bytes in use then, after a change of the prompt every six seconds."""
        while session.position < seconds * RATE:
            session.change({"prompt_a": Prompt("more", session.position)})
            for _ in render(session, session.position + 6 * RATE):
                pass
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    kept = kept_after(48)
    grown = kept_after(96) - kept
    tracemalloc.stop()
    assert grown < 100_000


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "x" * 10_000, None, 7])
def test_a_prompt_that_says_nothing_or_too_much(text: str) -> None:
    with pytest.raises(InvalidInput, match="prompt"):
        settings_with(prompt_a=Prompt(text))


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30, "7", 1.5, True, None])
def test_a_seed_that_is_none(seed: int) -> None:
    with pytest.raises(InvalidInput, match="seed"):
        settings_with(prompt_b=Prompt("bells", seed))


@pytest.mark.parametrize("text", ["🎷🎹🔥", "موسيقى هادئة", "教会の鐘", "a" * 2000])
def test_any_script_is_a_prompt(tiny_engine: Engine, text: str) -> None:
    blocks = list(render(jam(tiny_engine, prompt_a=Prompt(text)), RATE))
    assert blocks[0].clip.prompt_a == text
