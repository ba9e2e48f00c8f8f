"""A session file plays the same track again, and a damaged one says what is wrong with it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riffusion.audio.track import TrackFile
from riffusion.engines.clip import Controls, Prompt
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidSession, StorageError
from riffusion.jam.replay import replay, save_session
from riffusion.jam.schema import SETTINGS
from riffusion.jam.session import JamSession, render
from riffusion.jam.session_file import MAX_BYTES, load_session, parse_session
from riffusion.jam.settings import JamSettings
from riffusion.spectral.griffin_lim import griffin_lim

RATE = 44100
QUICK = partial(griffin_lim, iterations=1)
START = JamSettings(
    Prompt("church bells 🔔", 1), Prompt("electronic beats", 2), bpm=120.0, key="C", steps=1
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"prompt_b": Prompt("اجمل الاغاني", 2**63 - 1)},
    {"bpm": 93.7, "key": "Cm"},
    {"chords": "Am | F", "controls": Controls(density=0.1)},
    {"path": "manual", "position": 1 / 3},
    {"beats_per_bar": 3, "guidance": 2.5},
)


@pytest.fixture(scope="module")
def played(tiny_engine: Engine) -> JamSession:
    """A session that has played a few seconds, with two changes."""
    session = JamSession(tiny_engine, START, vocoder=QUICK)
    session.change(CHANGES[1], not_before=RATE)
    session.change(CHANGES[0], not_before=3 * RATE)
    for _ in render(session, 7 * RATE + 123):
        pass
    return session


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    moves=st.lists(
        st.tuples(st.integers(0, 25), st.sampled_from(CHANGES), st.integers(-9 * RATE, 5 * RATE)),
        min_size=1,
        max_size=3,
    ),
    tail=st.integers(1, 2 * RATE),
)
def test_a_saved_session_replays_to_the_same_bytes(
    tiny_engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
    moves: list[tuple[int, dict[str, Any], int]],
    tail: int,
) -> None:
    path = tmp_path_factory.mktemp("session") / "s.json"
    with TrackFile(RATE, 1) as live_track, TrackFile(RATE, 1) as replayed_track:
        live = JamSession(tiny_engine, START, vocoder=QUICK)
        for blocks, changes, offset in moves:
            for block in islice(live, blocks):
                live_track.write(block.start, block.samples)
            live.change(changes, live.position + offset)
        for block in render(live, live.position + tail):
            live_track.write(block.start, block.samples)
        save_session(live, path)
        saved = load_session(path)
        for block in render(replay(tiny_engine, saved, vocoder=QUICK), saved.samples):
            replayed_track.write(block.start, block.samples)
        assert replayed_track.length == live_track.length == saved.samples
        bytes_live = live_track.read(0, saved.samples).tobytes()
        assert replayed_track.read(0, saved.samples).tobytes() == bytes_live


def test_a_session_file_holds_what_was_set(played: JamSession, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    save_session(played, path)
    saved = load_session(path)
    assert saved.settings == START
    assert saved.changes == played.changes
    assert saved.samples == played.position == 7 * RATE + 123
    assert saved.sample_rate == RATE
    save_session(played, path, samples=RATE)
    assert load_session(path).samples == RATE


def test_a_replay_can_go_on(tiny_engine: Engine, played: JamSession) -> None:
    saved = parse_session(json.dumps(played.export()))
    again = replay(tiny_engine, saved, vocoder=QUICK)
    for block in render(again, saved.samples + RATE):
        assert np.isfinite(block.samples).all()
    assert again.position == saved.samples + RATE


def test_another_engine_is_refused_by_name(tiny_engine: Engine, played: JamSession) -> None:
    content = {**played.export(), "engine": "grand-piano"}
    with pytest.raises(InvalidSession, match=r"'grand-piano'.*'tiny'.*--model"):
        replay(tiny_engine, parse_session(json.dumps(content)))


def delete(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.pop(name)


def put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def damage(content: dict[str, Any]) -> None:
        target: Any = content
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return damage


DAMAGE = {
    "a path that is a list": (put("settings", "path", value=[]), "path is"),
    "no version": (delete("version"), "needs exactly"),
    "another version": (put("version", value=99), "reads versions 1"),
    "an unknown field": (put("volume", value=11), "needs exactly"),
    "no settings": (put("settings", value={}), "prompts are missing"),
    "settings of another kind": (put("settings", value=[]), "prompts are missing"),
    "an empty prompt": (put("settings", "prompt_a", "text", value=""), "session's prompt"),
    "a prompt without text": (put("settings", "prompt_a", value={"seed": 1}), "no text"),
    "a prompt that is text": (put("settings", "prompt_a", value="bells"), "text, seed"),
    "a seed below zero": (put("settings", "prompt_b", "seed", value=-1), "session's seed"),
    "a tempo of text": (put("settings", "bpm", value="fast"), "session's tempo"),
    "a tempo too high": (put("settings", "bpm", value=1e9), "from 60 to 180"),
    "a key that is none": (put("settings", "key", value="H"), "session's key"),
    "an unknown setting": (put("settings", "wobble", value=1), "session's setting"),
    "controls of another kind": (put("settings", "controls", value=3), "density"),
    "a length below zero": (put("samples", value=-1), "length in samples"),
    "a length of years": (put("samples", value=10**15), "length in samples"),
    "a length of text": (put("samples", value="long"), "length in samples"),
    "a sample rate of zero": (put("sample_rate", value=0), "sample rate"),
    "an engine that is no name": (put("engine", value=None), "session's engine"),
    "changes of another kind": (put("changes", value={}), "needs a list"),
    "too many changes": (put("changes", value=[0] * 20_001), "at most 20000"),
    "a change of another kind": (put("changes", 0, value=7), "change is 7"),
    "a change without a bar": (put("changes", 0, value={"sample": 0}), "change fields"),
    "a change off its bar line": (put("changes", 0, "sample", value=88201), "begins at 88200"),
    "changes out of order": (put("changes", 1, "bar", value=1), "change's bar"),
    "a change to nonsense": (put("changes", 1, "settings", value={"bpm": 7}), "session's tempo"),
    "a change that is a list": (put("changes", 1, "settings", value=[]), "change's settings"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_session_says_what_is_wrong(played: JamSession, name: str) -> None:
    damage, message = DAMAGE[name]
    content: dict[str, Any] = json.loads(json.dumps(copy.deepcopy(played.export())))
    parse_session(json.dumps(content))
    damage(content)
    with pytest.raises(InvalidSession, match=message):
        parse_session(json.dumps(content))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"\x89PNG\r\n\x1a\n",
        b'{"version": 1',
        b"[" * 100_000,
        b'{"version": NaN}',
        b'{"samples": 1' + b"0" * 5000 + b"}",
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_json_is_no_session(data: bytes) -> None:
    with pytest.raises(InvalidSession, match="no JSON"):
        parse_session(data)


@pytest.mark.parametrize("content", ["[]", "null", "3", '"session"'])
def test_other_json_is_no_session(content: str) -> None:
    with pytest.raises(InvalidSession, match="needs an object"):
        parse_session(content)


def test_a_file_that_is_far_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InvalidSession, match="bytes"):
        load_session(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSession, match="No such file"):
        load_session(tmp_path / "none.json")


def test_a_folder_that_cannot_be_written(played: JamSession, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not write"):
        save_session(played, tmp_path / "missing" / "s.json")


def test_a_file_of_the_first_version_knows_no_newer_settings(played: JamSession) -> None:
    """Files of version 1 open, and one that was given a setting of version 2 says so."""
    content: Any = {**json.loads(json.dumps(played.export())), "version": 1}
    names = [entry.name for entry in SETTINGS if entry.since > 1]
    newer = {name: content["settings"].pop(name, None) for name in names}
    # Their bars did not come round.
    assert parse_session(json.dumps(content)).settings == START.changed(
        {"loop": "0", "quality": "fine"}
    )
    content["settings"]["reverb"] = newer["reverb"]
    with pytest.raises(InvalidSession, match="came with version 2"):
        parse_session(json.dumps(content))
    content = {**content, "version": 2}
    assert parse_session(json.dumps(content)).settings == START.changed(
        {"loop": "0", "quality": "fine"}
    )
    content["settings"]["loop"] = "4"
    with pytest.raises(InvalidSession, match="came with version 3"):
        parse_session(json.dumps(content))
