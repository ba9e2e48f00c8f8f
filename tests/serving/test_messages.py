"""Messages and links of the page are read or refused in words; frames hold what was put in."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.session import JamSession
from riffusion.jam.session_file import parse_session
from riffusion.jam.setting_values import read_settings
from riffusion.live.connection import Audio
from riffusion.live.jam_source import JamSource
from riffusion.live.stream import JamStream
from riffusion.serving.links import DEFAULTS, NAMES, read_link
from riffusion.serving.protocol import AUDIO, RECORD, START, parse_message, record, text_frame
from riffusion.serving.uploads import UploadStore
from tests.streaming import FAST, Listener, change, open_jam, open_registry, run, until


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
    ],
)
def test_bad_messages_are_refused_in_words(tiny_engine: Engine, message: object) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            with pytest.raises(InvalidInput):
                await stream.receive(message)
            assert stream.playing

    run(test())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed_a", -1),
        ("seed_a", "12 monkeys"),
        ("seed_a", 2**70),
        ("bpm", 1000),
        ("key", "H"),
        ("a", "la" * 10_000),
        ("steps", 1000),
        ("anchor", "nothing"),
        ("anchor_b", "nothing"),
        ("loop", "3"),
        ("variation", 2),
        ("arc", "triumph"),
        ("arc_bars", 7),
        ("hold", "maybe"),
        ("drop", 17),
        ("fill", 5),
        ("quantize", "soon"),
        ("quality", "best"),
        ("ramp_bars", 65),
        ("weight_h", -0.5),
        ("seed_c", -1),
    ],
)
def test_bad_values_are_refused_at_their_field(
    tiny_engine: Engine, name: str, value: object
) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            (refusal,) = await stream.receive(change(**{name: value}))
            assert refusal.field == name
            assert not stream.source.has_change

    run(test())


def test_the_last_weight_over_0_is_refused_at_its_field(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            (refusal,) = await stream.receive(change(weight_a=0, weight_b=0))
            assert refusal.field == "weight_b"
            assert "give at least one prompt a weight over 0" in refusal.message
            assert stream.source.has_change
            assert not await stream.receive(change(c="strings", weight_b=0))

    run(test())


def test_a_link_with_no_weight_at_all_keeps_one() -> None:
    values, (problem,) = read_link({"weight_a": "0", "weight_b": "0", "bpm": "120"})
    assert (values["weight_a"], values["weight_b"], values["bpm"]) == (0, 1, 120)
    assert "give at least one prompt a weight over 0" in problem
    assert read_link({"weight_a": "0", "weight_b": "0", "c": "strings"})[1] == []


PLAYED: dict[str, Any] = {
    "c": "slow strings", "negative_a": "drums", "weight_b": 0.5, "path": "together", "loop": "2",
    "variation": 0.9, "arc": "breathe", "arc_bars": "8", "hold": True, "quantize": "beat",
    "ramp_bars": 4, "quality": "fine", "anchor": "marimba", "anchor_b": "vibraphone", "swing": 0.5,
}  # fmt: skip


def test_each_setting_is_taken_up_and_is_in_the_session(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            listener = Listener(stream)
            listening = asyncio.create_task(listener.listen(lambda _: False))
            for count, (name, value) in enumerate(PLAYED.items(), 1):
                assert not await stream.receive(change(**{name: value}))
                await wait_for_change(listener, count)
            listening.cancel()
            assert jam_of(stream).settings == read_settings({**FAST, **PLAYED})

    run(test())


def test_each_drop_is_a_change_of_its_own(tiny_engine: Engine) -> None:
    async def test() -> None:
        async with open_registry(tiny_engine) as registry:
            stream = await open_jam(registry)
            listener = Listener(stream, speed=4.0)
            listening = asyncio.create_task(listener.listen(lambda _: False))
            for count in (1, 2):
                assert not await stream.receive(change(drop=1))
                at = await wait_for_change(listener, count)
                # The second one lands in a bar of its own.
                await until(partial(has_played, stream, at))
            listening.cancel()
            changes = parse_session(text_frame(await stream.export())).changes
            assert [dict(c.changes) for c in changes] == [{"drop": 1}, {"drop": 1}]

    run(test())


async def wait_for_change(listener: Listener, count: int) -> int:
    """Wait until so many changes were applied, and return where the last one is heard."""
    await until(lambda: len(listener.saw("changed")) >= count)
    at = listener.saw("changed")[-1]["at"]
    assert isinstance(at, int)
    return at


def has_played(stream: JamStream, sample: int) -> bool:
    return stream.playhead > sample


def jam_of(stream: JamStream) -> JamSession:
    assert isinstance(stream.source, JamSource)
    return stream.source.session


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(NAMES), inner),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_settings_are_read_or_refused(values: dict[str, object]) -> None:
    try:
        read = read_settings(values, UploadStore())
    except InvalidInput:
        return
    assert read.prompt_a.text


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(), st.text()))
def test_any_link_opens_a_jam(query: dict[str, str]) -> None:
    values, problems = read_link(query)
    assert read_settings(values, UploadStore()).steps <= 50
    for name, value in values.items():
        assert value == DEFAULTS[name] or name in query
    assert len(problems) <= len(query)


def test_a_link_restores_all_settings() -> None:
    wanted: dict[str, Any] = {
        "a": "サルサ 🎺", "seed_a": 2**63 - 1, "b": "عود", "seed_b": 0, "path": "manual",
        "position": 0.25, "walk_bars": 3, "bpm": 93.5, "key": "F#m", "chords": "Am F C G",
        "beats": 3, "shape": True, "density": 0.1, "brightness": 0.9, "drums": 0.0,
        "guidance": 1.5, "steps": 7, "anchor": "marimba", "strength": 0.3, "mask": "lower_half",
        "reverb": 0.35, "swing": 0.4, "ramp_bars": 5, "anchor_b": "vibraphone", "loop": "8",
        "variation": 0.7, "arc": "build", "arc_bars": "32", "hold": True, "quantize": "loop",
        "quality": "fine",
        "negative_a": "drums", "weight_a": 0.5, "negative_b": "voices", "weight_b": 0.25,
    }  # fmt: skip
    for seed, letter in enumerate("cdefgh"):
        further = {"seed": seed, "negative": f"not {letter}", "weight": 0.2 + 0.1 * seed}
        wanted |= {letter: f"music {letter}"}
        wanted |= {f"{part}_{letter}": value for part, value in further.items()}
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
