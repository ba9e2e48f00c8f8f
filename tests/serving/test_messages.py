"""Messages and links of the page are read or refused in words; frames hold what was put in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.setting_values import read_settings
from riffusion.live.connection import Audio
from riffusion.serving.links import DEFAULTS, NAMES, read_link
from riffusion.serving.protocol import AUDIO, RECORD, START, parse_message, record
from riffusion.serving.uploads import UploadStore
from tests.streaming import change, open_jam, open_registry, run


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


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(NAMES), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_settings_are_read_or_refused(values: dict[str, object]) -> None:
    try:
        settings = read_settings(values, UploadStore())
    except InvalidInput:
        return
    assert settings.prompt_a.text


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(), st.text()))
def test_any_link_opens_a_jam(query: dict[str, str]) -> None:
    values, problems = read_link(query)
    assert read_settings(values, UploadStore()).steps <= 50
    for name, value in values.items():
        assert value == DEFAULTS[name] or name in query
    assert len(problems) <= len(query)


def test_a_link_restores_all_settings() -> None:
    wanted = {
        "a": "サルサ 🎺", "seed_a": 2**63 - 1, "b": "عود", "seed_b": 0, "path": "manual",
        "position": 0.25, "walk_bars": 3, "bpm": 93.5, "key": "F#m", "chords": "Am F C G",
        "beats": 3, "shape": True, "density": 0.1, "brightness": 0.9, "drums": 0.0,
        "guidance": 1.5, "steps": 7, "anchor": "marimba", "strength": 0.3, "mask": "lower_half",
        "reverb": 0.35, "swing": 0.4, "ramp_bars": 5,
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
