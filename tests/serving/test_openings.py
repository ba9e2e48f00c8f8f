"""Recordings over HTTP: what is heard in them, corrections, and the jam that goes on from one."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from riffusion.analysis.recording import analyse
from riffusion.audio.waveform import Waveform, encode_audio
from riffusion.engines.protocol import Engine
from riffusion.jam.opening import open_recording, trim_recording
from riffusion.jam.session_file import parse_session
from riffusion.live.jam_source import JamSource
from riffusion.live.source import Passage
from riffusion.serving.routes import MAX_BODY_BYTES
from riffusion.serving.uploads import UploadStore
from tests.bands import band
from tests.streaming import (
    RATE,
    Listener,
    assert_replays,
    change,
    open_registry,
    run,
    seconds,
)

BPM = 98.0
FAST = {"bpm": BPM, "steps": 1}


def data_url(sound: Waveform, suffix: str = ".flac") -> str:
    data = encode_audio(sound, suffix)
    return f"data:audio/flac;base64,{base64.b64encode(data).decode()}"


def bring(client: httpx.Client, **request: Any) -> httpx.Response:
    return client.post("/jam/recording", json=request)


def heard_band(client: httpx.Client) -> dict[str, Any]:
    """Upload a band in A minor whose bars begin at 0.3 s and so on; what is heard in it."""
    answer = bring(client, data=data_url(band("Am", BPM, 4, 0.3, 12.0)))
    assert answer.status_code == 201, answer.text
    heard: dict[str, Any] = answer.json()
    return heard


def test_a_recording_is_heard_and_kept(client: httpx.Client) -> None:
    heard = heard_band(client)
    assert heard["bpm"] == pytest.approx(BPM, rel=1e-3)
    assert (heard["beats_per_bar"], heard["key"]) == (4, "Am")
    bars = (heard["bar_line_s"] - 0.3) / (240 / BPM)
    assert bars == pytest.approx(4, abs=0.03)
    assert "98.0 bpm" in heard["words"]
    kept = client.get(f"/jam/own/{heard['name']}")
    samples, _ = soundfile.read(io.BytesIO(kept.content))
    assert len(samples) / 22050 == pytest.approx(12.0)


def test_what_is_heard_can_be_corrected(client: httpx.Client) -> None:
    name = heard_band(client)["name"]
    corrected = bring(client, name=name, bpm=97.5, beats_per_bar=3, downbeat_s=1.0).json()
    assert corrected["name"] == name
    assert corrected["bpm"] == pytest.approx(BPM, rel=1e-3)
    assert corrected["beats_per_bar"] == 3
    bars = (corrected["bar_line_s"] - 1.0) / (180 / BPM)
    assert bars == pytest.approx(round(bars), abs=0.02)


def opening_of(heard: dict[str, Any]) -> dict[str, Any]:
    """Return what the page sends with Play."""
    times = {name: heard[name] for name in ("start_s", "bar_line_s")}
    return {"recording": heard["name"], **times}


def test_a_jam_goes_on_from_a_recording_and_the_session_holds_it(client: httpx.Client) -> None:
    heard = heard_band(client)
    started = client.post("/jam", json={**FAST, "opening": opening_of(heard)})
    assert started.status_code == 201, started.text
    jam = started.json()["id"]
    session = parse_session(client.get(f"/jam/{jam}/track.json").content)
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})
    assert session.opening is not None
    assert session.opening.bar_line_s == heard["bar_line_s"]
    assert session.opening.recording.data == client.get(f"/jam/own/{heard['name']}").content


def test_a_live_jam_plays_the_recording_and_replays(tiny_engine: Engine) -> None:
    async def scenario() -> None:
        sound = trim_recording(band("Am", BPM, 4, 0.3, 8.0))
        opening = open_recording(sound, analyse(sound))
        start = opening.samples(RATE)
        async with open_registry(tiny_engine) as registry:
            stream = await registry.open(
                lambda engine: JamSource(engine, FAST, UploadStore(), opening)
            )
            listener = Listener(stream, speed=4.0)
            await listener.listen(seconds(1.0))
            await stream.receive(change(key="C", bpm=90))
            await listener.listen(lambda one: bool(one.saw("changed")))
            (changed,) = listener.saw("changed")
            assert changed["at"] >= start
            await listener.listen(seconds(start / RATE + 3))
            chords = {clip["start_sample"]: clip["chords"] for clip in listener.saw("clip")}
            first, second, *_ = sorted(chords)
            assert (first, second) == (0, start)
            assert not chords[0]
            assert chords[start]
            captured = await stream.capture(Passage("verse", 4))
            assert captured.song.sections[0].bars == 4
            await assert_replays(tiny_engine, stream)

    run(scenario())


@pytest.mark.parametrize(
    ("request_fields", "words"),
    [
        ({"data": "data:audio/wav;base64,AAAA"}, "not audio"),
        ({"data": "no URL"}, "data URL"),
        ({}, "data URL"),
        ({"name": "own-0"}, "bring it again"),
        ({"data": data_url(Waveform(np.zeros((1, 220500)), 22050))}, "silent"),
        ({"data": data_url(Waveform(np.full((1, 4410), 0.1), 22050))}, "at least 3 s"),
        ({"data": data_url(band(length_s=5.0)), "bpm": 20}, "60 to 180"),
        ({"data": data_url(band(length_s=5.0)), "downbeat_s": 77}, "downbeat"),
        ({"more": 1}, "more"),
    ],
)
def test_what_nothing_can_go_on_from_is_refused_in_words(
    client: httpx.Client, request_fields: dict[str, Any], words: str
) -> None:
    answer = bring(client, **request_fields)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_recording_without_a_beat_asks_for_its_tempo(client: httpx.Client) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 220500))
    heard = bring(client, data=data_url(Waveform(noise.astype(np.float32), 22050))).json()
    assert (heard["bpm"], heard["bar_line_s"]) == (None, None)
    assert "tempo" in heard["words"]
    told = bring(client, name=heard["name"], bpm=120).json()
    assert told["bpm"] == pytest.approx(120, rel=0.025)
    assert told["bar_line_s"] > 5


def test_only_the_last_minute_of_a_long_recording_is_kept(client: httpx.Client) -> None:
    heard = bring(client, data=data_url(band("Am", BPM, length_s=100.0))).json()
    assert heard["end_s"] == pytest.approx(60.0, abs=0.1)
    kept, rate = soundfile.read(io.BytesIO(client.get(f"/jam/own/{heard['name']}").content))
    assert len(kept) == 60 * rate


def test_a_recording_that_is_too_large_is_refused(client: httpx.Client) -> None:
    answer = bring(client, data="data:audio/wav;base64," + "A" * MAX_BODY_BYTES)
    assert answer.status_code == 400
    assert "MB" in answer.json()["error"]


@pytest.mark.parametrize(
    ("opening", "words"),
    [
        ("own-0", "object"),
        ({"recording": "own-0"}, "object"),
        ({"recording": 5, "start_s": 0, "bar_line_s": 5}, "name"),
        ({"recording": "own-0", "start_s": 0, "bar_line_s": 5}, "bring it again"),
    ],
)
def test_a_bad_opening_starts_no_jam(client: httpx.Client, opening: object, words: str) -> None:
    answer = client.post("/jam", json={**FAST, "opening": opening})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize("times", [(0, 55), ("0", 5), (0, 1e9), (4, 2)])
def test_an_opening_with_bad_times_starts_no_jam(
    client: httpx.Client, times: tuple[object, object]
) -> None:
    start_s, bar_line_s = times
    opening = {**opening_of(heard_band(client)), "start_s": start_s, "bar_line_s": bar_line_s}
    assert client.post("/jam", json={**FAST, "opening": opening}).status_code == 400
