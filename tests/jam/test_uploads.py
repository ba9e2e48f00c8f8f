"""Listeners upload sounds, images and masks over HTTP, and jam on them."""

from __future__ import annotations

import base64
import io
import json

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

from riffusion.audio.waveform import decode_audio
from riffusion.errors import InvalidInput
from riffusion.jam.anchor_loops import encode_anchor, library_anchor
from riffusion.jam.asset import make_upload
from riffusion.jam.session_file import parse_session
from riffusion.jam.setting_values import read_settings
from riffusion.serving.routes import MAX_BODY_BYTES
from riffusion.serving.uploads import UploadStore

RATE = 44100
FAST = {"bpm": 180, "steps": 1}


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def wav(seconds: float, rate: int = 22050) -> bytes:
    file = io.BytesIO()
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    soundfile.write(file, tone, rate, format="WAV")
    return file.getvalue()


def picture(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, "white").save(file, "PNG")
    return file.getvalue()


def bring(client: httpx.Client, kind: str, data: str) -> httpx.Response:
    return client.post("/jam/own", json={"kind": kind, "data": data})


def test_an_uploaded_sound_and_mask_are_played_and_in_the_session(client: httpx.Client) -> None:
    """A listener uploads both and jams on them, and the session holds their data."""
    names = {}
    for kind, data in (
        ("anchor", data_url("audio/wav", wav(3.0))),
        ("mask", data_url("image/png", picture((512, 512)))),
    ):
        answer = bring(client, kind, data)
        assert answer.status_code == 201, answer.text
        names[kind] = answer.json()["name"]
        assert bring(client, kind, data).json()["name"] == names[kind]
    started = client.post("/jam", json={**FAST, **names, "strength": 0.3})
    assert started.status_code == 201, started.text
    jam = started.json()["id"]
    session = parse_session(client.get(f"/jam/{jam}/track.json").content)
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})
    assert session.settings.strength == 0.3
    assert session.settings.anchor is not None
    assert session.settings.mask is not None
    kept = client.get(f"/jam/own/{names['anchor']}")
    assert kept.headers["content-type"] == "audio/flac"
    assert kept.content == session.settings.anchor.data
    assert decode_audio(kept.content).duration_s == pytest.approx(3.0, abs=0.001)
    mask = client.get(f"/jam/own/{names['mask']}")
    assert mask.headers["content-type"] == "image/png"
    assert mask.content == session.settings.mask.data


def test_a_spectrogram_image_is_a_sound(client: httpx.Client) -> None:
    image = client.get("/api/anchors/marimba.png").content
    answer = bring(client, "anchor", data_url("image/png", image))
    assert answer.status_code == 201, answer.text
    kept = client.get(f"/jam/own/{answer.json()['name']}").content
    assert decode_audio(kept).duration_s == pytest.approx(5.11, abs=0.01)


def test_a_live_change_takes_an_anchor(client: httpx.Client) -> None:
    jam = client.post("/jam", json=FAST).json()["id"]
    settings = {**FAST, "anchor": "vibes", "mask": "upper_half"}
    told = client.post(f"/jam/{jam}/tell", json={"type": "change", "settings": settings})
    assert told.status_code == 200, told.text
    settings["anchor"] = "nope"
    told = client.post(f"/jam/{jam}/tell", json={"type": "change", "settings": settings})
    assert "anchor is 'nope': use one of soul_beat" in told.json()["error"]
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ([], "JSON object"),
        ({"kind": "song", "data": ""}, "use anchor or mask"),
        ({"kind": "anchor"}, "data URL"),
        ({"kind": "anchor", "data": "x.wav"}, "data URL"),
        ({"kind": "anchor", "data": "data:audio/wav;base64,?"}, "no base64"),
        ({"kind": "anchor", "data": data_url("audio/wav", b"noise")}, "not audio"),
        ({"kind": "anchor", "data": data_url("image/png", b"noise")}, "image"),
        ({"kind": "mask", "data": data_url("image/png", picture((512, 100)))}, "512 x 512"),
    ],
)
def test_what_is_no_material_is_refused_in_words(
    client: httpx.Client, message: object, words: str
) -> None:
    answer = client.post("/jam/own", json=message)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_too_much_is_refused(client: httpx.Client) -> None:
    body = json.dumps({"kind": "anchor", "data": "x" * MAX_BODY_BYTES})
    answer = client.post("/jam/own", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "send less" in answer.json()["error"]


@pytest.mark.parametrize("name", ["own-0", "../marimba", "/etc/hosts", "assets/anchors/x.wav", "x"])
def test_names_are_looked_up_and_never_opened(client: httpx.Client, name: str) -> None:
    for kind in ("anchor", "mask"):
        answer = client.post("/jam", json={**FAST, "anchor": "marimba", kind: name})
        assert answer.status_code == 400
        assert f"{kind} is {name!r}" in answer.json()["error"]
    assert client.get(f"/jam/own/{name.replace('/', '%2F')}").status_code in (400, 404)


def test_other_sites_cannot_bring_anything(client: httpx.Client) -> None:
    """A page of another site could send this without asking the browser first."""
    body = json.dumps({"kind": "anchor", "data": data_url("audio/wav", wav(1.0))})
    answer = client.post("/jam/own", content=body, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400


def test_the_oldest_go_first() -> None:
    store = UploadStore(max_bytes=250)
    first, second, third = (make_upload(bytes([number]) * 100) for number in range(3))
    store.put(first)
    store.put(second)
    assert store.anchor(first.name) == first  # used: now the second is the oldest
    store.put(third)
    assert store.anchor(first.name) == first
    assert store.mask(third.name) == third
    with pytest.raises(InvalidInput, match="not on this machine any more"):
        store.anchor(second.name)


def test_settings_of_the_page_take_what_the_shelf_has() -> None:
    store = UploadStore()
    mine = encode_anchor(decode_audio(wav(1.0)))
    store.put(mine)
    assert read_settings({"anchor": mine.name}, store).anchor == mine
    assert read_settings({"anchor": "og_beat"}).anchor == library_anchor("soul_beat")
    assert read_settings({"mask": "middle"}).anchor is None
    with pytest.raises(InvalidInput, match="bring it again"):
        read_settings({"anchor": mine.name}, UploadStore())
