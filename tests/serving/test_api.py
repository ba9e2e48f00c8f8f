"""The HTTP API on a real server: the original's endpoint, ours, gradio_client and MCP."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from gradio_client import Client
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from riffusion.engines.protocol import Engine
from riffusion.jam.anchors import library
from riffusion.jam.schema import settings_for
from riffusion.jam.setting_values import SHAPE
from riffusion.serving.routes import MAX_BODY_BYTES
from riffusion.serving.server import Serving, serve
from riffusion.spectral.image import from_image, image_to_audio, read_image, read_info
from tests.ports import unused_port

RATE = 44100
REQUEST: dict[str, Any] = {
    "alpha": 0.75,
    "num_inference_steps": 2,
    "seed_image_id": "og_beat",
    "start": {"prompt": "church bells on sunday", "seed": 42, "denoising": 0.75, "guidance": 7.0},
    "end": {"prompt": "jazz with piano", "seed": 123, "denoising": 0.75, "guidance": 7.0},
}
OTHER_SITE = {"Origin": "http://app.example"}


@pytest.fixture(scope="module")
def serving(tiny_engine: Engine) -> Iterator[Serving]:
    with serve(tiny_engine, port=unused_port(), max_jams=2) as running:
        yield running


@pytest.fixture(scope="module")
def usual(serving: Serving) -> Any:
    """Return the response to the original's example."""
    return httpx.post(f"{serving.url}run_inference/", json=REQUEST, timeout=60).json()


def ask(client: httpx.Client, **changes: Any) -> httpx.Response:
    return client.post("/run_inference/", json={**REQUEST, **changes})


def unpacked(url: str, media_type: str) -> bytes:
    head, _, body = url.partition(",")
    assert head == f"data:{media_type};base64"
    return base64.b64decode(body, validate=True)


# --- the original's endpoint ---------------------------------------------------------------------


def test_the_original_s_example_gets_the_original_s_answer(usual: Any) -> None:
    assert usual.keys() == {"image", "audio", "duration_s"}
    image = read_image(unpacked(usual["image"], "image/jpeg"))
    assert image.size == (512, 512)
    info = read_info(image)
    assert info is not None
    assert (info.prompt_a, info.seed_b, info.alpha) == ("church bells on sunday", 123, 0.75)
    samples, rate = soundfile.read(io.BytesIO(unpacked(usual["audio"], "audio/mpeg")))
    assert rate == RATE
    assert len(samples) / rate == pytest.approx(usual["duration_s"], abs=0.06)
    assert usual["duration_s"] == pytest.approx(5.11)
    assert 0.02 < np.sqrt(np.mean(samples**2)) < 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"alpha": 0},
        {"seed_image_id": "marimba"},
        {"mask_image_id": "left_half"},
        {"end": {**REQUEST["end"], "denoising": 0.1}},
        {"end": {**REQUEST["end"], "guidance": 1}},
        {"start": {**REQUEST["start"], "seed": 43}},
    ],
)
def test_every_field_is_heard(client: httpx.Client, usual: Any, changes: dict[str, Any]) -> None:
    response = ask(client, **changes)
    assert response.status_code == 200, response.text
    assert response.json()["audio"] != usual["audio"]


def test_what_the_original_s_clients_send_besides_changes_nothing(
    client: httpx.Client, usual: Any
) -> None:
    """They send more fields, an empty mask, no slash, and a content type that is not JSON's."""
    start = {**REQUEST["start"], "transitionCounter": 3, "negative_prompt": None}
    body = json.dumps({**REQUEST, "start": start, "mask_image_id": "", "more": 1})
    response = client.post("/run_inference", content=body, headers={"Content-Type": "text/plain"})
    assert response.json() == usual


def test_other_sites_may_ask_for_clips_and_for_nothing_else(client: httpx.Client) -> None:
    asked = {
        **OTHER_SITE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,access-control-allow-origin",
    }
    before = client.options("/run_inference/", headers=asked)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" in before.headers["access-control-allow-headers"]
    refusal = client.post("/run_inference/", json=[], headers=OTHER_SITE)
    assert refusal.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in client.options("/jam", headers=asked).headers


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": -0.01}, "alpha is -0.01: use a number from 0"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"alpha": "half"}, "alpha: Input should be a valid number"),
        ({"alpha": None}, "alpha"),
        ({"num_inference_steps": 0}, "steps is 0: use a whole number from 1 to 100"),
        ({"num_inference_steps": 10_000}, "steps is 10000"),
        ({"num_inference_steps": 2.5}, "num_inference_steps"),
        ({"seed_image_id": "nope"}, "seed image is 'nope': use one of soul_beat, funk_guitar"),
        ({"seed_image_id": "../../app"}, "seed image is '../../app': use one of"),
        ({"seed_image_id": "/etc/passwd"}, "use one of"),
        ({"seed_image_id": "soul_beat.ogg"}, "use one of"),
        ({"mask_image_id": "../left_half"}, "mask is '../left_half': use one of all, left_half"),
        ({"start": {"prompt": "", "seed": 1}}, "prompt is ''"),
        ({"start": {"prompt": "x" * 5000, "seed": 1}}, "use at most 2000"),
        ({"start": {"prompt": "x", "seed": -1}}, "seed is -1"),
        ({"start": {"prompt": "x", "seed": 10**30}}, "seed"),
        ({"start": {"prompt": "x"}}, "start.seed: Field required"),
        ({"start": "bells"}, "start"),
        ({"end": {"prompt": "x", "seed": 1, "denoising": 2}}, "end.denoising is 2.0"),
        ({"start": {"prompt": "x", "seed": 1, "guidance": -1}}, "start.guidance is -1.0"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    client: httpx.Client, changes: dict[str, Any], words: str
) -> None:
    response = ask(client, **changes)
    assert response.status_code == 400
    assert words in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"alpha": NaN}', "no JSON"),
        (b"[1]", "no JSON object"),
        (b"3", "no JSON object"),
        (b'"alpha"', "no JSON object"),
        (b"null", "no JSON object"),
        (b"{}", "Field required"),
    ],
)
def test_a_body_that_is_no_request_is_refused(
    client: httpx.Client, body: bytes, words: str
) -> None:
    for path in ("/run_inference/", "/api/clips"):
        response = client.post(path, content=body)
        assert response.status_code == 400
        assert words in response.json()["error"]


def test_too_much_is_refused_before_it_is_read(client: httpx.Client) -> None:
    response = client.post("/run_inference/", content=bytes(MAX_BODY_BYTES + 1))
    assert response.status_code == 400
    assert "at most 16 MB" in response.json()["error"]

    def endless() -> Iterator[bytes]:  # no length is told beforehand
        for _ in range(MAX_BODY_BYTES // 2**16 + 1):
            yield bytes(2**16)

    assert "at most 16 MB" in client.post("/api/clips", content=endless()).json()["error"]


def test_two_gigabytes_are_refused_by_their_header(client: httpx.Client) -> None:
    url = client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        head = f"POST /run_inference/ HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * 2**30}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")


# --- our own endpoints ---------------------------------------------------------------------------


def test_a_clip_as_json_and_as_files_is_the_same(client: httpx.Client) -> None:
    body = {"prompt": "funky piano", "seed": 7, "steps": 1, "bpm": 94, "key": "Cm"}
    response = client.post("/api/clips", json=body).json()
    assert (response["sample_rate"], response["engine"]) == (RATE, "tiny")
    assert response["duration_s"] == pytest.approx(5.11)
    for suffix, field, kind in (("wav", "audio", "audio/wav"), ("png", "image", "image/png")):
        file = client.get(f"/api/clip.{suffix}", params=body)
        assert file.headers["content-type"] == kind
        assert file.content == unpacked(response[field], kind)
    info = read_info(read_image(unpacked(response["image"], "image/png")))
    assert info is not None
    assert (info.prompt_a, info.seed_a, info.bpm, info.harmony) == ("funky piano", 7, 94, "Cm")


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def wav(seconds: float, channels: int = 2, rate: int = 22050) -> bytes:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone] * channels, axis=1), rate, format="WAV")
    return file.getvalue()


def picture(size: tuple[int, int], colour: str = "white") -> bytes:
    file = io.BytesIO()
    Image.new("L", size, colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("length_s", [0.3, 9.0])
def test_own_audio_is_an_anchor_that_strength_0_gives_back(
    client: httpx.Client, length_s: float
) -> None:
    """A tone of any length, rate and number of channels comes back as that tone."""
    body = {"prompt": "x", "steps": 1, "strength": 0}
    anchor = data_url("audio/wav", wav(length_s))
    response = client.post("/api/clips", json={**body, "anchor": anchor})
    assert response.status_code == 200, response.text
    samples, _ = soundfile.read(io.BytesIO(unpacked(response.json()["audio"], "audio/wav")))
    assert len(samples) == 511 * 441
    heard = samples[: int(min(length_s, 5) * RATE)]
    assert np.abs(np.fft.rfft(heard)).argmax() * RATE / len(heard) == pytest.approx(440, abs=15)


def test_own_image_and_own_mask(client: httpx.Client) -> None:
    image = client.get("/api/anchors/marimba.png").content
    body = {"prompt": "x", "steps": 2, "strength": 0.5, "anchor": data_url("image/png", image)}
    sounds = {}
    for name, colour in (("kept", "black"), ("repainted", "white")):
        mask = data_url("image/png", picture((512, 512), colour))
        response = client.post("/api/clips", json={**body, "mask": mask})
        assert response.status_code == 200, response.text
        sounds[name] = response.json()["audio"]
    assert sounds["repainted"] != sounds["kept"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"anchor": "nope"}, "use one of soul_beat"),
        ({"anchor": "../x"}, "use one of soul_beat"),
        ({"anchor": "data:audio/wav;base64,!!!"}, "no base64"),
        ({"anchor": "data:audio/wav,abc"}, "data URL"),
        ({"anchor": "data:audio/wav;base64,aGVsbG8="}, "not audio"),
        ({"anchor": "data:image/png;base64,aGVsbG8="}, "no image"),
        ({"anchor": data_url("image/png", picture((640, 480)))}, "512 rows"),
        ({"anchor": "marimba", "mask": "nope"}, "use one of all"),
        (
            {"anchor": "marimba", "mask": data_url("image/png", picture((300, 512)))},
            "mask size is (300, 512): a mask has 512 x 512 pixels",
        ),
        ({"mask": "all"}, "a mask without an anchor"),
        ({"anchor": "marimba", "strength": 2}, "strength is 2.0"),
        ({"alpha": 7}, "alpha is 7.0"),
        ({"bpm": 500}, "from 60 to 180"),
        ({"key": "H"}, "key is 'H'"),
        ({"colour": "blue"}, "colour: Extra inputs"),
        ({"steps": 0}, "steps is 0"),
    ],
)
def test_clips_that_cannot_be_are_refused_in_words(
    client: httpx.Client, body: dict[str, Any], words: str
) -> None:
    response = client.post("/api/clips", json={"prompt": "x", **body})
    assert response.status_code == 400
    assert words in response.json()["error"]


def test_an_image_is_sent_and_comes_back_as_its_sound(client: httpx.Client) -> None:
    data = client.get("/api/anchors/marimba.png").content
    image = read_image(data)
    body = {"image": data_url("image/png", data)}
    for extended in (False, True):
        expected = image_to_audio(image, extended=extended)
        response = client.post("/api/decode.wav", json={**body, "extend_band": extended})
        assert response.headers["content-type"] == "audio/wav"
        samples, rate = soundfile.read(io.BytesIO(response.content), dtype="float32")
        assert rate == RATE
        assert np.allclose(samples.reshape(len(samples), -1).T, expected.samples, atol=1e-4)
    usual = client.post("/api/decode.wav", json=body)
    assert usual.content != response.content
    assert client.post("/api/decode.mp3", json=body).headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize(
    ("suffix", "body", "words"),
    [
        ("png", {"image": data_url("image/png", picture((4, 512)))}, "use one of wav"),
        ("wav", {"image": data_url("image/png", picture((640, 480)))}, "512 rows"),
        ("wav", {"image": data_url("image/png", picture((1, 512)))}, "two columns"),
        ("wav", {"image": data_url("image/png", picture((60_002, 512)))}, "at most 600 s"),
        ("wav", {"image": "marimba"}, "data URL"),
        ("wav", {"image": "data:image/png;base64,aGVsbG8="}, "no image"),
        ("wav", {}, "image: Field required"),
        ("wav", {"image": "", "extend": True}, "extend: Extra inputs"),
    ],
)
def test_images_that_cannot_be_heard_are_refused_in_words(
    client: httpx.Client, suffix: str, body: dict[str, Any], words: str
) -> None:
    response = client.post(f"/api/decode.{suffix}", json=body)
    assert response.status_code == 400
    assert words in response.json()["error"]


def test_the_library_is_listed_with_tempo_key_picture_and_sound(client: httpx.Client) -> None:
    entries = client.get("/api/anchors").json()
    assert [entry["id"] for entry in entries] == [anchor.id for anchor in library()]
    for entry in entries[:2]:
        assert 60 <= entry["bpm"] <= 180
        assert entry["key"]
        assert from_image(read_image(client.get(entry["image"]).content)).frames == 512
        assert client.get(entry["audio"]).headers["content-type"] == "audio/mpeg"
    for mask in client.get("/api/masks").json():
        with Image.open(io.BytesIO(client.get(mask["image"]).content)) as drawn:
            assert drawn.size == (512, 512)


@pytest.mark.parametrize(
    "path",
    [
        "/api/anchors/nope.png",
        "/api/anchors/marimba.exe",
        "/api/masks/nope.png",
        "/api/clip.exe?prompt=x",
        "/api/clip.wav",
        "/api/clip.wav?prompt=x&steps=lots",
    ],
)
def test_what_is_not_there_is_refused_in_words(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize("path", ["..%2f..%2fapp.png", "%2e%2e/anchors.png", "..\\x.png"])
def test_no_path_leaves_the_library(client: httpx.Client, path: str) -> None:
    for kind in ("anchors", "masks"):
        assert client.get(f"/api/{kind}/{path}").status_code in (400, 404)


def test_health_counts_the_jams(client: httpx.Client) -> None:
    jam = client.post("/jam", json={"steps": 1}).json()["id"]
    assert client.get("/api/health").json() == {
        "status": "ok",
        "engine": "tiny",
        "jams_playing": 1,
    }
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})


OURS = ("/api/", "/run_inference/", "/jam", "/song")


def test_every_endpoint_is_described_and_every_description_has_an_endpoint(
    serving: Serving, client: httpx.Client
) -> None:
    document = client.get("/api/openapi.json").json()
    routes = {path.replace(":int", "") for r in serving.page.app.routes if (path := _path(r))}
    assert document["paths"].keys() <= routes
    ours = {path for path in routes if path.startswith(OURS)}
    untold = {"/api/openapi.json", "/jam/player", "/jam/{id}/socket"}
    assert ours - untold <= document["paths"].keys()
    schema = document["components"]["schemas"]["InferenceInput"]["properties"]
    assert schema["num_inference_steps"]["default"] == 50
    page = client.get("/api").text
    assert all(path in page for path in document["paths"])


def test_the_settings_of_a_jam_are_described_by_the_schema(client: httpx.Client) -> None:
    document = client.get("/api/openapi.json").json()
    body = document["paths"]["/jam"]["post"]["requestBody"]["content"]["application/json"]
    name = body["schema"]["$ref"].rpartition("/")[2]
    described = document["components"]["schemas"][name]["properties"]
    names = {entry.wire_name for entry in settings_for("jam")}
    assert set(described) == {*names, SHAPE, "opening"}
    assert (described["bpm"]["minimum"], described["bpm"]["maximum"]) == (60, 180)
    assert described["steps"]["maximum"] == 50
    for path in ("/jam/{id}/stream", "/jam/{id}/tell"):
        (operation,) = document["paths"][path].values()
        assert operation["description"]


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"a": ""}, "a"), ({"seed_b": "x"}, "seed_b"), ({"bpm": 60, "beats": 12}, "bpm")],
)
def test_a_setting_that_is_refused_is_named(
    client: httpx.Client, settings: dict[str, object], field: str
) -> None:
    response = client.post("/jam", json=settings)
    assert response.status_code == 400
    assert response.json()["field"] == field
    assert "field" not in client.post("/jam", json={"volume": 11}).json()


def test_a_change_over_http_takes_the_good_values_and_names_the_bad_one(
    client: httpx.Client,
) -> None:
    jam = client.post("/jam", json={"steps": 1}).json()["id"]
    settings = {"key": "H", "a": "jazz"}
    response = client.post(f"/jam/{jam}/tell", json={"type": "change", "settings": settings})
    assert response.status_code == 400
    assert response.json()["field"] == "key"
    limit = time.monotonic() + 30
    while "jazz" not in client.get(f"/jam/{jam}/track.json").text:
        assert time.monotonic() < limit
        time.sleep(0.05)
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})


def _path(route: object) -> str:
    return getattr(route, "path", "")


def test_jams_go_on_while_clips_are_asked_for(serving: Serving, client: httpx.Client) -> None:
    jam = client.post("/jam", json={"steps": 1}).json()["id"]
    body = {"prompt": "x", "steps": 50}
    assert client.post("/api/clips", json=body).status_code == 200
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})
    records = client.get(f"/jam/{jam}/stream").content
    assert len(records) > 2 * RATE
    assert b"Stopped." in records


# --- gradio_client and MCP -----------------------------------------------------------------------


def test_gradio_client_gets_the_same_clip(serving: Serving, usual: Any) -> None:
    gradio = Client(serving.url, verbose=False)
    start, end = REQUEST["start"], REQUEST["end"]
    response = gradio.predict(
        start["prompt"], end["prompt"], 0.75, 42, 123, "og_beat", 0.75, 7.0, 2,
        api_name="/run_inference",
    )  # fmt: skip
    assert response == usual
    with pytest.raises(Exception, match="steps is 0"):
        gradio.predict("a", "b", steps=0, api_name="/run_inference")
    gradio.close()


TOOLS = ("run_inference", "make_clip", "plan_song", "make_song", "list_anchors")


def test_agents_find_described_tools_and_can_use_them(serving: Serving) -> None:
    async def use() -> tuple[list[Any], Any, Any]:
        url = f"{serving.url}gradio_api/mcp/"
        async with (
            streamable_http_client(url) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            listed = await session.call_tool(tools[-1].name, {})
            wanted = {"prompt": "funky piano", "steps": 1}
            return tools, listed, await session.call_tool(tools[1].name, wanted)

    tools, listed, clip = asyncio.run(use())
    names = [tool.name for tool in tools]
    for name, end in zip(names, TOOLS, strict=True):
        assert name.endswith(end)
    assert "What to play" in str(tools[1].inputSchema)
    assert "soul_beat" in listed.content[0].text
    assert "data:audio/wav;base64," in clip.content[0].text


@pytest.mark.parametrize("path", ["/api/health", "/api/anchors", "/api/masks/lower_half.png"])
def test_head_answers_like_get_without_a_body(client: httpx.Client, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]
    assert get.content
    assert not head.content


def test_the_description_lists_each_route_once(client: httpx.Client) -> None:
    described = client.get("/api/openapi.json").json()["paths"]
    assert set(described["/api/health"]) == {"get"}
