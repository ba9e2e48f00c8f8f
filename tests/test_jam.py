"""A jam is endless and gapless, keeps its bar lines, and obeys changes at the next of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riffusion.clip import LARGEST_SEED, ClipRequest, Controls, Prompt
from riffusion.engines.base import Engine, Interrupted, never
from riffusion.engines.compact import COMPACT_PARAMS
from riffusion.errors import InvalidInput
from riffusion.jam import JamBlock, JamSession, bars_per_clip, clip_seed, plan_clip, render
from riffusion.mastering import Samples
from riffusion.phase import griffin_lim
from riffusion.rhythm import BarGrid
from riffusion.settings import JamSettings
from riffusion.spectrogram import Spectrogram, SpectrogramParams
from riffusion.timeline import first_segment
from tests.listening import Listening

RATE, HOP = 44100, 441
A, B = Prompt("church bells", 1), Prompt("electronic beats", 2)
QUICK = partial(griffin_lim, iterations=1)
tempi = st.floats(60, 180)


def settings_with(**changes: Any) -> JamSettings:
    return JamSettings(A, B, steps=1).changed(changes)


def jam(engine: Engine, **changes: Any) -> JamSession:
    return JamSession(engine, settings_with(**changes), vocoder=QUICK)


def play(session: JamSession, samples: int, heard: Samples | None = None) -> Samples:
    """What a listener has after the session played up to ``samples``, splices overwritten."""
    pieces = [np.zeros((session.channels, 0), np.float32) if heard is None else heard]
    pieces += [block.samples for block in render(session, samples)]
    return np.concatenate(pieces, axis=1)


class Grid:
    """Only the sizes of the shipped engine, for arithmetic without sound."""

    name = "grid"
    params: SpectrogramParams = COMPACT_PARAMS
    channels = 1
    frames = 512
    context_step = 8

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        raise NotImplementedError


# The iterator


def test_blocks_follow_each_other_without_a_gap(tiny_engine: Engine) -> None:
    blocks = list(islice(jam(tiny_engine, bpm=97), 40))
    assert blocks[0].start == 0
    for before, after in pairwise(blocks):
        assert after.start == before.start + before.samples.shape[1]
    assert all(block.samples.dtype == np.float32 for block in blocks)
    assert all(0 < block.samples.shape[1] <= RATE // 4 for block in blocks)
    assert all(np.isfinite(block.samples).all() for block in blocks)


def test_every_clip_is_marked_from_its_bar_line(tiny_engine: Engine) -> None:
    grid = BarGrid(RATE, 97)
    first_of: dict[int, JamBlock] = {}
    for block in islice(jam(tiny_engine, bpm=97, key="Cm"), 50):
        first_of.setdefault(block.clip.index, block)
    for block in first_of.values():
        mark = block.clip
        assert block.start == mark.start_sample == grid.bar_sample(mark.bar)
        assert (mark.prompt_a, mark.seed_b, mark.bpm) == (A.text, B.seed, 97)
        assert mark.chords == (["Cm", "Ab", "Eb", "Bb"][mark.bar % 4],)
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
    session = JamSession(tiny_engine, settings_with(), vocoder=vocoder)
    blocks = list(render(session, 18 * RATE))
    heard = np.concatenate([block.samples for block in blocks], axis=1)
    steps = np.abs(np.diff(heard[0]))
    lines = sorted({block.clip.start_sample for block in blocks} - {0})
    near = np.zeros(len(steps), bool)
    for line in lines:
        near[line - 4000 : line + 441] = True
    assert len(lines) >= 4
    assert steps[near].max() <= steps[~near].max()


def test_a_stereo_jam(tiny_stereo_engine: Engine) -> None:
    heard = play(jam(tiny_stereo_engine), 9 * RATE)
    assert heard.shape == (2, 9 * RATE)
    assert not np.array_equal(heard[0], heard[1])


def test_a_clip_that_was_given_up_is_made_again_the_same(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    heard = play(session, 9 * RATE)
    for _ in range(2):
        while session.ready or session.unfinished:
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
    assert session.unfinished
    assert RATE <= session.position < 2 * RATE  # of four seconds
    play(session, 4 * RATE - RATE // 4)
    assert not session.unfinished


# What is asked of the engine


@settings(max_examples=200, deadline=None)
@given(tempi, st.sampled_from([3, 4]))
def test_clips_of_an_hour_start_on_the_grid_and_have_context(bpm: float, beats: int) -> None:
    engine = Grid()
    segment = first_segment(settings_with(bpm=bpm, beats_per_bar=beats), RATE)
    bars = bars_per_clip(engine, segment.settings)
    last_bar = segment.grid.bar_at(3600 * RATE)
    for bar in (*range(bars, 40 * bars, bars), last_bar):
        plan = plan_clip(engine, segment, bar)
        assert plan.start == round(bar * beats * 60 * RATE / bpm)
        assert plan.bars == bars
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
    engine = Listening(tiny_engine)
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


def test_each_clip_has_its_own_noise_and_the_same_in_every_run(tiny_engine: Engine) -> None:
    first, second = Listening(tiny_engine), Listening(tiny_engine)
    for engine in (first, second):
        play(jam(engine), 14 * RATE)
    seeds = [(request.start.seed, request.end.seed) for request in first.requests]
    assert len({seed for pair in seeds for seed in pair}) == 2 * len(seeds)
    assert seeds == [(r.start.seed, r.end.seed) for r in second.requests]


def test_the_noise_seeds_are_those_of_every_other_machine() -> None:
    assert [clip_seed(42, index) for index in range(2)] == [
        6085284259181818738,
        278651779053087998,
    ]


@given(st.integers(0, LARGEST_SEED), st.integers(0, 10**6))
def test_noise_seeds_are_legal(seed: int, index: int) -> None:
    assert 0 <= clip_seed(seed, index) <= LARGEST_SEED


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
    engine = Listening(tiny_engine)
    session = jam(engine, path=path, walk_bars=4)
    play(session, 17 * RATE)
    assert [request.alpha for request in engine.requests] == expected


# Changes


def apply(session: JamSession, changes: dict[str, Any], not_before: int, heard: Samples) -> Samples:
    """Change, and cut what a listener has to where the session starts again."""
    session.change(changes, not_before)
    return heard[:, : session.position]


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "prompt_a": st.builds(Prompt, st.sampled_from(["jazz", "rock"]), st.integers(0, 9)),
        "bpm": st.sampled_from([60, 72.5, 90, 128, 180]),
        "beats_per_bar": st.sampled_from([3, 4]),
        "key": st.sampled_from(["Cm", "F#", "A minor"]),
        "chords": st.sampled_from(["", "Am F C G", "Dm7 | G7"]),
        "path": st.sampled_from(["ping-pong", "once", "hold", "manual"]),
        "position": st.floats(0, 1),
        "walk_bars": st.integers(1, 16),
        "controls": st.builds(Controls, st.floats(0, 1)),
        "guidance": st.floats(0, 10),
        "steps": st.integers(1, 2),
    },
)
MOVES = st.lists(
    st.tuples(st.integers(0, 30), CHANGES, st.integers(-15 * RATE, 8 * RATE)), max_size=4
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=MOVES)
def test_a_jam_steered_live_equals_the_same_changes_known_beforehand(
    tiny_engine: Engine, moves: list[tuple[int, dict[str, Any], int]]
) -> None:
    live = jam(tiny_engine)
    heard = np.zeros((1, 0), np.float32)
    for blocks, changes, offset in moves:
        for block in islice(live, blocks):
            assert block.start == heard.shape[1]
            heard = np.concatenate([heard, block.samples], axis=1)
        not_before = live.position + offset
        at = live.change(changes, not_before)
        assert at >= not_before
        assert live.position >= min(not_before, heard.shape[1])
        heard = heard[:, : live.position]
    total = live.position + 3 * RATE
    heard = play(live, total, heard)

    known = JamSession(tiny_engine, settings_with(), changes=live.changes, vocoder=QUICK)
    assert np.array_equal(play(known, total), heard)
    assert known.changes == live.changes


def test_a_change_sounds_from_the_next_bar_line_on(tiny_engine: Engine) -> None:
    session, plain = jam(tiny_engine), jam(tiny_engine)
    heard = play(session, 7 * RATE)
    at = session.change({"prompt_a": Prompt("something else", 9)}, not_before=5 * RATE)
    assert at == 6 * RATE  # bars are two seconds
    resumed = session.position
    assert at - 4500 < resumed < at
    heard = play(session, 12 * RATE, heard[:, :resumed])
    unchanged = play(plain, 12 * RATE)
    assert np.array_equal(heard[:, :resumed], unchanged[:, :resumed])
    assert not np.array_equal(heard[:, at:], unchanged[:, at:])


def test_a_change_inside_a_clip_to_come_cuts_it_short(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    heard = play(session, RATE)
    at = session.change({"bpm": 90}, not_before=9 * RATE)
    assert at == 10 * RATE  # the third clip runs from 8 s to 12 s
    assert session.position == heard.shape[1]
    marks = {block.clip for block in render(session, 13 * RATE)}
    starts = sorted(mark.start_sample for mark in marks)
    assert starts == [0, 4 * RATE, 8 * RATE, 10 * RATE, 10 * RATE + 117600]  # bars of 90


@pytest.mark.parametrize(("early_by", "bar"), [(0, 4), (3000, 4), (4410, 3), (5000, 3)])
def test_nothing_before_the_asked_sample_is_rewritten(
    tiny_engine: Engine, early_by: int, bar: int
) -> None:
    session = jam(tiny_engine)
    play(session, 11 * RATE)
    not_before = 6 * RATE - early_by  # bar 3 begins at 6 s, and a clip fades in before it
    assert session.change({"key": "Am"}, not_before) == bar * 2 * RATE
    assert session.position >= not_before


def test_nothing_given_out_is_rewritten_unless_asked(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    play(session, 5 * RATE)
    at = session.change({"bpm": 90})
    assert at >= session.position == 5 * RATE


def test_ten_changes_in_a_second_are_one_and_the_last_wins(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    heard = play(session, 9 * RATE)
    lines = []
    for number in range(10):
        not_before = 5 * RATE + number * RATE // 10
        lines.append(session.change({"prompt_a": Prompt("again", number)}, not_before))
        heard = heard[:, : session.position]
        if number % 3 == 0:
            block = next(session)
            assert block.start == heard.shape[1]
            heard = np.concatenate([heard, block.samples], axis=1)
    assert lines == [6 * RATE] * 10
    assert session.settings.prompt_a.seed == 9
    assert [dict(change.changes) for change in session.changes] == [
        {"prompt_a": Prompt("again", 9)}
    ]
    heard = play(session, 12 * RATE, heard)
    assert heard.shape[1] == 12 * RATE
    only = jam(tiny_engine)
    expected = play(only, 9 * RATE)
    only.change({"prompt_a": Prompt("again", 9)}, 5 * RATE)
    assert np.array_equal(heard, play(only, 12 * RATE, expected[:, : only.position]))


def test_a_change_includes_those_that_were_to_come_later(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    session.change({"bpm": 90}, not_before=20 * RATE)
    session.change({"key": "Am"}, not_before=10 * RATE)
    (change,) = session.changes
    assert (change.sample, change.changes) == (10 * RATE, {"bpm": 90, "key": "Am"})


def test_a_change_to_what_is_already_so_changes_nothing(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    play(session, 9 * RATE)
    session.change(session.settings, not_before=5 * RATE)
    assert session.position == 9 * RATE
    assert not session.changes


def test_a_change_long_ago_lands_as_far_back_as_we_can_go(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    play(session, 42 * RATE)
    at = session.change({"key": "Am"}, not_before=0)
    assert at == 10 * RATE  # the last clip began at 40 s
    assert at - 4500 < session.position < at


def test_a_new_tempo_counts_from_its_bar_line(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)
    at = session.change({"bpm": 90}, not_before=3 * RATE)
    marks = {block.clip for block in render(session, 15 * RATE)}
    grid = BarGrid(RATE, 120).changed(2, 90, 4)
    assert at == grid.bar_sample(2)
    assert all(mark.start_sample == grid.bar_sample(mark.bar) for mark in marks if mark.bar >= 2)


def test_holding_stops_the_walk_where_it_is(tiny_engine: Engine) -> None:
    engine = Listening(tiny_engine)
    session = jam(engine, walk_bars=4)
    session.change({"path": "hold"}, not_before=4 * RATE)
    play(session, 15 * RATE)
    assert [request.alpha for request in engine.requests] == [0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bpm": 300}, "from 60 to 180"),
        ({"bpm": 61, "beats_per_bar": 7}, "beats per minute or more"),
        ({"key": "H"}, "key is 'H'"),
        ({"chords": "C Q"}, "chord 2 is 'Q'"),
        ({"path": "sideways"}, "ping-pong, once, hold, manual"),
        ({"position": 1.5}, "from 0 to 1"),
        ({"walk_bars": 0}, "from 1 to 1024"),
        ({"guidance": float("nan")}, "from 0 to 30"),
        ({"steps": 2.5}, "whole number from 1 to 1000"),
        ({"prompt_a": "bells"}, "give a Prompt"),
        ({"controls": None}, "give a Controls"),
        ({"volume": 11}, "use one of prompt_a"),
    ],
)
def test_a_bad_change_is_refused_and_the_jam_goes_on(
    tiny_engine: Engine, changes: dict[str, object], message: str
) -> None:
    session = jam(tiny_engine)
    before = play(session, 2 * RATE)
    with pytest.raises(InvalidInput, match=message):
        session.change(changes, not_before=0)
    assert not session.changes
    assert np.array_equal(play(session, 3 * RATE, before), play(jam(tiny_engine), 3 * RATE))


def test_memory_does_not_grow(tiny_engine: Engine) -> None:
    session = jam(tiny_engine)

    def kept_after(seconds: int) -> int:
        """Bytes in use at that time, having changed the prompt every six seconds."""
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


# Settings that cannot be


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
