"""A jam for one listener: it equals its track, stays a little ahead, and ends with the listener."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.clip import ClipRequest
from riffusion.engines.base import Engine, Interrupted, never
from riffusion.errors import InvalidInput, ServerError
from riffusion.jam import render
from riffusion.serving.fields import DEFAULTS, NAMES, read_link, read_settings
from riffusion.serving.stage import Stage
from riffusion.serving.stream import (
    LEAST_TRAVEL_S,
    MORE_TRAVEL_S,
    Audio,
    Event,
    JamStream,
    expected_cost_s,
)
from riffusion.serving.turns import Turns
from riffusion.serving.wire import AUDIO, RECORD, START, parse_message, record, text_frame
from riffusion.session import parse_session, replay
from riffusion.spectrogram import Spectrogram
from riffusion.track import to_pcm

PATIENCE_S = 60
RATE = 44100
LEAD_S = 2.0
CLIP_S = 5.12
FAST = {"bpm": 180, "steps": 1}


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in an event loop, with a limit."""
    asyncio.run(asyncio.wait_for(test, PATIENCE_S))


@asynccontextmanager
async def a_stage(engine: Engine, **limits: Any) -> AsyncIterator[Stage]:
    stage = Stage(engine, **{"lead_s": LEAD_S, "sweep_s": 0.05, **limits})
    try:
        yield stage
    finally:
        await stage.close()


class Listener:
    """What a page does: keeps samples by their place, plays in real time and says how far."""

    def __init__(self, stream: JamStream, start: int = 0, speed: float = 1.0) -> None:
        self.stream = stream
        self.speed = speed
        self.start = start
        self.channels = stream.session.channels
        self.heard: npt.NDArray[np.int16] = np.zeros((start, self.channels), np.int16)
        self.events: list[Event] = []

    async def listen(self, until: Callable[[Listener], bool]) -> None:
        self.heard = self.heard[: self.start]
        reports = asyncio.create_task(self._report())
        async with contextlib.aclosing(self.stream.listen(self.start)) as items:
            async for item in items:
                if isinstance(item, Audio):
                    pcm = np.frombuffer(item.pcm, "<i2").reshape(-1, self.channels)
                    assert item.start <= len(self.heard), "a gap"
                    self.heard = np.concatenate([self.heard[: item.start], pcm])
                else:
                    self.events.append(item)
                if until(self):
                    break
        reports.cancel()

    async def _report(self) -> None:
        began = time.monotonic()
        while True:
            played = self.start + round((time.monotonic() - began) * RATE * self.speed)
            self.stream.tell({"type": "position", "sample": min(played, len(self.heard))})
            await asyncio.sleep(0.02)

    def saw(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]


def seconds(count: float) -> Callable[[Listener], bool]:
    return lambda listener: len(listener.heard) >= count * RATE


def track_of(stream: JamStream) -> npt.NDArray[np.int16]:
    return stream.track.read(0, stream.track.length).T


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full: the system lets no file grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_heard_is_the_track(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(4))
            np.testing.assert_array_equal(listener.heard, track_of(stream)[: len(listener.heard)])
            assert np.abs(listener.heard).max() > 0
            assert listener.saw("clip")[0]["start_sample"] == 0

    run(test())


@pytest.mark.parametrize("engine", ["tiny_engine", "tiny_stereo_engine"])
def test_a_change_rewrites_what_was_not_heard_yet(
    engine: str, request: pytest.FixtureRequest
) -> None:
    tiny: Engine = request.getfixturevalue(engine)

    async def test() -> None:
        async with a_stage(tiny, lead_s=15.0) as stage:
            stream = stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(12))
            listener.start = round(0.5 * RATE)
            stream.tell({"type": "change", "settings": {**FAST, "a": "techno", "seed_a": 9}})
            await listener.listen(
                lambda me: bool(me.saw("changed")) and me.saw("clip")[-1]["prompt_a"] == "techno"
            )
            at = listener.saw("changed")[0]["at"]
            assert isinstance(at, int)
            assert at < 12 * RATE, "the change waited for what had been generated already"
            listener.start = at - RATE // 2
            await listener.listen(lambda me: len(me.heard) > at + RATE)
            stream.stop()
            await asyncio.sleep(0)
            track = track_of(stream)[: len(listener.heard)]
            np.testing.assert_array_equal(listener.heard, track)
            assert_replays(tiny, stream)

    run(test())


class Slow:
    """The tiny engine, slow enough to be caught while it is ``busy``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.busy = False
        self.given_up = 0
        self.name, self.params = engine.name, engine.params
        self.channels, self.frames = engine.channels, engine.frames
        self.context_step = engine.context_step

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        def slowly() -> bool:
            time.sleep(0.02)
            return interrupted()

        self.busy = True
        try:
            return self._engine.generate(requests, interrupted=slowly)
        except Interrupted:
            self.given_up += 1
            raise
        finally:
            self.busy = False


MANY_STEPS = {"bpm": 180, "steps": 20}


def test_a_change_does_not_wait_for_a_clip_that_is_far_ahead(tiny_engine: Engine) -> None:
    engine = Slow(tiny_engine)

    async def test() -> None:
        async with a_stage(engine, lead_s=600) as stage:
            stream = stage.open(read_settings(MANY_STEPS))
            hearing = asyncio.create_task(Listener(stream, speed=0).listen(lambda me: False))
            await until(lambda: stream.session.position > 8 * RATE and engine.busy)
            assert engine.given_up == 0
            stream.tell({"type": "change", "settings": {**MANY_STEPS, "a": "techno"}})
            await until(lambda: any(mark.prompt_a == "techno" for mark in stream.marks))
            assert engine.given_up == 1
            stream.stop()
            await hearing
            await until(lambda: not engine.busy)
            assert_replays(tiny_engine, stream)

    run(test())


def test_who_has_much_ahead_steps_back_for_the_change_of_another(tiny_engine: Engine) -> None:
    engine = Slow(tiny_engine)

    async def test() -> None:
        async with a_stage(engine, lead_s=600) as stage:
            far = stage.open(read_settings(MANY_STEPS))
            hearing = asyncio.create_task(Listener(far, speed=0).listen(lambda me: False))
            near = stage.open(read_settings(FAST))
            await until(lambda: near.session.position > 0)
            await until(lambda: far.session.position > 8 * RATE and engine.busy)
            near.tell({"type": "change", "settings": {**FAST, "a": "techno"}})
            await until(lambda: near.session.settings.prompt_a.text == "techno")
            assert engine.given_up == 1
            far.stop()
            await hearing

    run(test())


def test_a_listener_far_away_gets_more_time(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, lead_s=15.0) as stage:
            stream = stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(4))
            for late in (0, 0, 100, 100, 350):
                stream.tell({"type": "position", "sample": 0, "late": late})
            assert stream.travel_s == pytest.approx(LEAST_TRAVEL_S + 2 * MORE_TRAVEL_S)
            with pytest.raises(InvalidInput, match="too late"):
                stream.tell({"type": "position", "sample": 0, "late": "much"})

    run(test())


@given(st.lists(st.floats(0.01, 100), min_size=1))
def test_one_slow_clip_is_no_reason_to_expect_another(costs_s: list[float]) -> None:
    usual = max(costs_s)
    assert expected_cost_s([usual]) == usual
    assert expected_cost_s([*costs_s, usual, usual + 50]) == usual


def test_turns_are_taken_in_order_and_hurry_is_seen() -> None:
    async def test() -> None:
        turns, took = Turns(), []
        is_urgent = False

        async def wait(name: str, hurried: Callable[[], bool]) -> None:
            async with turns.take(hurried):
                took.append(name)

        async with turns.take(lambda: True):
            assert not turns.hurried, "who has the turn waits no more"
            waiting = [
                asyncio.create_task(wait("first", lambda: False)),
                asyncio.create_task(wait("second", lambda: is_urgent)),
            ]
            await asyncio.sleep(0)
            assert not turns.hurried
            is_urgent = True
            assert turns.hurried
            waiting.append(asyncio.create_task(wait("gone", lambda: True)))
            await asyncio.sleep(0)
            waiting.pop().cancel()
        await asyncio.gather(*waiting)
        assert took == ["first", "second"]
        assert not turns.hurried

    run(test())


def assert_replays(engine: Engine, stream: JamStream) -> None:
    """The session of a stream gives the same bytes again."""
    samples = stream.track.length
    session = parse_session(text_frame({**stream.export_session(), "samples": samples}))
    again = [to_pcm(block.samples) for block in render(replay(engine, session), samples)]
    np.testing.assert_array_equal(np.concatenate(again, axis=1).T, track_of(stream)[:samples])


def test_ten_changes_in_a_second_leave_the_last_one(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(2))
            for seed in range(10):
                stream.tell({"type": "change", "settings": {**FAST, "seed_a": 100 + seed}})
                await asyncio.sleep(0.05)
            listener.start = len(listener.heard) // 2
            await listener.listen(
                lambda me: bool(me.saw("clip")) and me.saw("clip")[-1]["seed_a"] == 109
            )
            assert stream.playing
            stream.stop()
            assert_replays(tiny_engine, stream)

    run(test())


def test_it_stays_ahead_by_its_lead_and_no_more(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = stage.open(read_settings(FAST))
            async with contextlib.aclosing(stream.listen()) as items:
                await anext(items)
                session = stream.session
                await until(
                    lambda: (
                        session.position >= LEAD_S * RATE
                        and not (session.unfinished or session.ready)
                    )
                )
                made = session.position
                await asyncio.sleep(0.3)
                assert stream.session.position == made <= (LEAD_S + CLIP_S) * RATE

    run(test())


def test_a_playhead_cannot_run_faster_than_time(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            began = time.monotonic()
            stream = stage.open(read_settings(FAST))
            listener = Listener(stream, speed=1000)
            await listener.listen(seconds(4))
            passed_s = time.monotonic() - began
            assert stream.heard <= (passed_s + 0.1) * RATE
            assert stream.session.position <= (passed_s + LEAD_S + CLIP_S) * RATE

    run(test())


def test_who_comes_back_misses_nothing(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = stage.open(read_settings(FAST))
            first = Listener(stream)
            await first.listen(seconds(1.1))
            assert not stream.heard_by
            second = Listener(stream, start=RATE)
            await second.listen(seconds(4))
            both = np.concatenate([first.heard[:RATE], second.heard[RATE:]])
            np.testing.assert_array_equal(both, track_of(stream)[: len(both)])
            assert second.saw("clip"), "it does not know what sounds"

    run(test())


def test_a_second_listener_takes_the_place_of_the_first(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = stage.open(read_settings(FAST))
            first = asyncio.create_task(Listener(stream).listen(lambda me: False))
            await until(lambda: stream.heard_by)
            await Listener(stream).listen(seconds(1))
            await first

    run(test())


def test_work_stops_when_the_listener_is_gone_in_the_middle_of_a_clip(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, lead_s=600, grace_s=1, keep_s=1) as stage:
            stream = stage.open(read_settings(FAST))
            await Listener(stream).listen(lambda me: True)
            made = stream.session.position
            await until(lambda: not stream.playing)
            assert stream.session.position <= made + 2 * CLIP_S * RATE
            await until(lambda: not stage.streams)
            with pytest.raises(ValueError, match="closed file"):
                stream.track.read(0, 1)

    run(test())


def test_a_change_that_cannot_be_played_leaves_the_music_alone(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(1))
            with pytest.raises(InvalidInput, match="prompt A"):
                stream.tell({"type": "change", "settings": {**FAST, "a": "  "}})
            stream.tell({"type": "change", "settings": {**FAST, "bpm": 60, "beats": 12}})
            listener.start = RATE // 2
            await listener.listen(lambda me: bool(me.saw("notice")))
            assert "fewer beats in a bar" in str(listener.saw("notice")[0]["message"])
            await listener.listen(seconds(len(listener.heard) / RATE + 3))
            assert stream.playing

    run(test())


def test_a_full_disk_is_told_and_nothing_is_lost(tiny_engine: Engine, tmp_path: Path) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, folder=tmp_path) as stage:
            stream = stage.open(read_settings(FAST))
            listener = Listener(stream)
            await listener.listen(seconds(1))
            listener.start = RATE // 2
            with files_of_at_most(stream.track.length * 2 + 10_000):
                await listener.listen(lambda me: bool(me.saw("notice")))
                message = str(listener.saw("notice")[0]["message"])
                assert "free some space" in message
            await listener.listen(seconds(len(listener.heard) / RATE + 3))
            assert stream.playing
            stream.stop()
            assert_replays(tiny_engine, stream)

    run(test())


def test_two_listeners_have_two_jams_and_take_turns(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            streams = [stage.open(read_settings({**FAST, "seed_a": seed})) for seed in (1, 2)]
            listeners = [Listener(stream) for stream in streams]
            await asyncio.gather(*(listener.listen(seconds(4)) for listener in listeners))
            one, two = (listener.heard[: 4 * RATE] for listener in listeners)
            assert streams[0].id != streams[1].id
            assert not np.array_equal(one, two)

    run(test())


def test_a_full_house_says_so_and_has_room_again(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, most_jams=1) as stage:
            stream = stage.open(read_settings(FAST))
            with pytest.raises(ServerError, match="places on this machine are taken"):
                stage.open(read_settings(FAST))
            await Listener(stream).listen(seconds(1))
            stream.tell({"type": "stop"})
            stage.open(read_settings(FAST))
            assert stage.find(stream.id) is stream, "the stopped track can still be kept"

    run(test())


def test_a_track_in_use_is_not_deleted(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine, grace_s=0.0, keep_s=0.0) as stage:
            stream = stage.open(read_settings(FAST))
            await Listener(stream).listen(seconds(1))
            async with stage.borrow(stream.id):
                await asyncio.sleep(0.3)
                assert stream.track.read(0, 10).shape == (1, 10)
            await until(lambda: not stage.streams)
            with pytest.raises(InvalidInput, match="press Play again"):
                stage.find(stream.id)

    run(test())


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {"type": "dance"},
        {"type": "position"},
        {"type": "position", "sample": "1"},
        {"type": "position", "sample": -1},
        {"type": "position", "sample": 1e300},
        {"type": "change"},
        {"type": "change", "settings": {"volume": 11}},
        {"type": "change", "settings": {"seed_a": -1}},
        {"type": "change", "settings": {"seed_a": "12 monkeys"}},
        {"type": "change", "settings": {"seed_a": 2**70}},
        {"type": "change", "settings": {"bpm": 1000}},
        {"type": "change", "settings": {"key": "H"}},
        {"type": "change", "settings": {"a": "la" * 10_000}},
        {"type": "change", "settings": {"steps": 1000}},
    ],
)
def test_bad_messages_are_refused_in_words(tiny_engine: Engine, message: object) -> None:
    async def test() -> None:
        async with a_stage(tiny_engine) as stage:
            stream = stage.open(read_settings(FAST))
            with pytest.raises(InvalidInput):
                stream.tell(message)
            assert stream.playing

    run(test())


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(NAMES), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_settings_are_read_or_refused(values: dict[str, object]) -> None:
    try:
        settings = read_settings(values)
    except InvalidInput:
        return
    assert settings.prompt_a.text


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(), st.text()))
def test_any_link_opens_a_jam(query: dict[str, str]) -> None:
    values, problems = read_link(query)
    assert read_settings(values).steps <= 50
    for name, value in values.items():
        assert value == DEFAULTS[name] or name in query
    assert len(problems) <= len(query)


def test_a_link_restores_all_settings() -> None:
    wanted = {
        "a": "サルサ 🎺", "seed_a": 2**63 - 1, "b": "عود", "seed_b": 0, "path": "manual",
        "position": 0.25, "walk_bars": 3, "bpm": 93.5, "key": "F#m", "chords": "Am F C G",
        "beats": 3, "shape": True, "density": 0.1, "brightness": 0.9, "drums": 0.0,
        "guidance": 1.5, "steps": 7,
    }  # fmt: skip
    assert set(wanted) == set(NAMES)
    query = {name: str(int(v) if v is True else v) for name, v in wanted.items()}
    assert read_link(query) == (wanted, [])


@given(st.integers(0, 2**53), st.binary())
def test_records_hold_what_was_put_in(start: int, pcm: bytes) -> None:
    data = record(Audio(start, pcm))
    length, kind = RECORD.unpack_from(data)
    body = data[RECORD.size :]
    assert (len(body), AUDIO) == (length, kind)
    assert (START.unpack_from(body)[0], body[START.size :]) == (start, pcm)


@pytest.mark.parametrize("data", ["", "{", "NaN", "[" * 50_000, '"' + "x" * 70_000 + '"'])
def test_messages_that_are_no_json_are_refused(data: str) -> None:
    with pytest.raises(InvalidInput):
        parse_message(data)
