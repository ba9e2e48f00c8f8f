"""Songs over HTTP, gradio_client and MCP on a real server."""

from __future__ import annotations

import io
import json
import time
from threading import Thread

import httpx
import numpy as np
import pytest
import soundfile
from gradio_client import Client

from riffusion.audio.track import to_pcm
from riffusion.engines.protocol import Engine
from riffusion.serving.server import Serving
from riffusion.song.plan import plan_text, read_plan
from riffusion.song.planner import plan_song
from riffusion.song.session import SongSession

RATE = 44100
PLAN = """\
bpm: 180
steps: 1
order: [a, b, a]
sections:
  a: {bars: 1, prompt: jazz}
  b: {bars: 1, prompt: techno}
"""
BAD = PLAN.replace("bars: 1, prompt: techno", "bars: 0, prompt: techno")
SECONDS = 3 * 4 * 60 / 180


def wait_for(client: httpx.Client, jam: str) -> None:
    """Wait until something of a jam or a song was generated."""
    limit = time.monotonic() + 60
    while client.get(f"/jam/{jam}/clip/0.png").status_code != 200:
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_a_line_becomes_a_plan(client: httpx.Client) -> None:
    body = {"line": "bossa nova, two minutes", "seed": 5}
    response = client.post("/api/songs/plan", json=body).json()
    expected = plan_song("bossa nova, two minutes", seed=5)
    assert read_plan(response["plan"]) == read_plan(json.dumps(response["fields"])) == expected
    assert [entry["section"] for entry in response["sections"]] == list(expected.order)
    last = response["sections"][-1]
    assert last["start_s"] + last["duration_s"] == pytest.approx(response["duration_s"], abs=0.05)


def test_a_checked_plan_has_its_defaults(client: httpx.Client) -> None:
    response = client.post("/api/songs/check", json={"plan": PLAN}).json()
    assert response["plan"] == plan_text(read_plan(PLAN))
    assert response["sections"][1] == {"section": "b", "start_s": 1.333, "duration_s": 1.334}


@pytest.mark.parametrize("path", ["/api/songs/check", "/api/songs/render.wav", "/song"])
@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (BAD, "line 6: bars is 0: use a whole number from 1 to 256"),
        (PLAN.replace("[a, b, a]", "[a, c]"), "line 3: section is 'c': there is none"),
        (PLAN + "  c: &x {bars: 1}", "line 7: plan is 'x': write it out"),
        (PLAN.replace("steps: 1", "steps: 900"), "steps is 900"),
        (PLAN.replace("prompt: jazz", f"prompt: jazz, seed: {2**60}"), "seed is 1152"),
    ],
)
def test_a_bad_plan_is_told_with_its_line(
    client: httpx.Client, path: str, plan: str, words: str
) -> None:
    response = client.post(path, json={"plan": plan})
    assert response.status_code == 400
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    ("path", "message", "words"),
    [
        ("/api/songs/plan", {"line": "x", "minutes": 99}, "0.25 to 30 minutes"),
        ("/api/songs/render.exe", {"plan": PLAN}, "wav, flac, mp3, ogg"),
        ("/api/songs/render.wav", {"plan": PLAN.replace("bars: 1", "bars: 250")}, "at most 600"),
        ("/song", {"plan": 7}, "send its text, YAML or JSON, or an object"),
        ("/song", {"song": PLAN}, "plan: Field required"),
    ],
)
def test_what_cannot_be_asked_for(
    client: httpx.Client, path: str, message: dict[str, object], words: str
) -> None:
    response = client.post(path, json=message)
    assert response.status_code == 400
    assert words in response.json()["error"]


def test_a_rendered_song_is_the_song(client: httpx.Client, tiny_engine: Engine) -> None:
    response = client.post("/api/songs/render.flac", json={"plan": PLAN})
    assert response.headers["content-type"] == "audio/flac"
    pcm, rate = soundfile.read(io.BytesIO(response.content), dtype="int16", always_2d=True)
    with SongSession(tiny_engine, read_plan(PLAN)) as session:
        expected = np.concatenate([block.samples for block in session], axis=1)
    assert rate == RATE
    np.testing.assert_array_equal(pcm.T, to_pcm(expected))


def test_a_song_plays_live_to_its_end_and_a_bad_change_disturbs_nothing(
    client: httpx.Client, tiny_engine: Engine
) -> None:
    song = client.post("/song", json={"plan": PLAN}).json()
    assert (song["sample_rate"], song["channels"]) == (RATE, 1)
    change = {"type": "change", "plan": BAD, "jump": 0}
    refused = client.post(f"/jam/{song['id']}/tell", json=change)
    assert "line 6: bars is 0" in refused.json()["error"]
    listener = Thread(target=client.get, args=[f"/jam/{song['id']}/stream"])
    listener.start()
    while listener.is_alive():
        heard = {"type": "position", "sample": 10 * RATE}
        assert client.post(f"/jam/{song['id']}/tell", json=heard).status_code == 200
        time.sleep(0.1)
    response = client.get(f"/jam/{song['id']}/track.wav")
    pcm, _ = soundfile.read(io.BytesIO(response.content), dtype="int16", always_2d=True)
    with SongSession(tiny_engine, read_plan(PLAN)) as session:
        expected = np.concatenate([block.samples for block in session], axis=1)
    assert len(pcm) == pytest.approx(SECONDS * RATE, abs=RATE)
    np.testing.assert_array_equal(pcm.T, to_pcm(expected)[:, : len(pcm)])
    session_file = client.get(f"/jam/{song['id']}/track.json").text
    assert read_plan(session_file) == read_plan(PLAN)


def test_a_plan_may_be_sent_as_an_object(client: httpx.Client) -> None:
    """A page need not write a plan out as text to have it checked, played or changed."""
    fields = client.post("/api/songs/check", json={"plan": PLAN}).json()["fields"]
    response = client.post("/api/songs/check", json={"plan": fields}).json()
    assert read_plan(response["plan"]) == read_plan(PLAN)
    song = client.post("/song", json={"plan": fields}).json()["id"]
    fields["sections"]["b"]["bars"] = 2
    change = {"type": "change", "plan": fields}
    assert client.post(f"/jam/{song}/tell", json=change).status_code == 200
    bad = {"type": "change", "plan": {**fields, "bpm": 500}}
    assert "tempo is 500" in client.post(f"/jam/{song}/tell", json=bad).json()["error"]
    client.post(f"/jam/{song}/tell", json={"type": "stop"})


def test_what_a_jam_plays_becomes_a_section(client: httpx.Client) -> None:
    settings = {"a": "church bells", "path": "hold", "bpm": 90, "key": "Dm", "steps": 1}
    jam = client.post("/jam", json=settings).json()["id"]
    wait_for(client, jam)
    body = {"name": "chorus", "bars": 4, "plan": PLAN}
    song = read_plan(client.post(f"/jam/{jam}/section", json=body).json()["plan"])
    assert song.order == ("a", "b", "a", "chorus")
    chorus = song.section("chorus")
    assert (chorus.prompt.text, chorus.key, chorus.bpm) == ("church bells", "Dm", 90)
    bad = client.post(f"/jam/{jam}/section", json={**body, "bars": 0})
    assert "bars is 0" in bad.json()["error"]
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})


def test_gradio_client_plans_and_makes_a_song(serving: Serving) -> None:
    gradio = Client(serving.url, verbose=False)
    plan = gradio.predict("techno, one minute", api_name="/plan_song")["plan"]
    assert read_plan(plan) == plan_song("techno, one minute")
    response = gradio.predict(PLAN, api_name="/make_song")
    assert response["audio"].startswith("data:audio/mpeg;base64,")
    with pytest.raises(Exception, match="line 6: bars is 0"):
        gradio.predict(BAD, api_name="/make_song")
    gradio.close()
