"""The server answers over HTTP and WebSocket as its routes say, and starts or says why not."""

from __future__ import annotations

import io
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import app
from riffusion.engines.protocol import Engine
from riffusion.errors import ServerError
from riffusion.jam.session_file import parse_session
from riffusion.jam.setting_values import read_settings
from riffusion.serving.page import EXAMPLES
from riffusion.serving.server import Serving, check_port, free_port, serve
from riffusion.spectral.image import from_image, read_image, read_info
from tests.ports import unused_port

RATE = 44100
FAST = {"bpm": 180, "steps": 1}
FRAME_HEADER = 8


@pytest.fixture(scope="module")
def serving(tiny_engine: Engine) -> Iterator[Serving]:
    with serve(tiny_engine, port=unused_port(), max_jams=8) as running:
        yield running


def start(client: httpx.Client, **settings: Any) -> str:
    answer = client.post("/jam", json={**FAST, **settings})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def listen(serving: Serving, jam: str) -> ClientConnection:
    return connect(f"{serving.url.replace('http', 'ws')}jam/{jam}/socket?from=0", max_size=None)


def hear(socket: ClientConnection, seconds: float) -> bytes:
    """PCM from the beginning; says that all of it was heard."""
    pcm = b""
    while len(pcm) < seconds * RATE * 2:
        message = socket.recv(timeout=60)
        if isinstance(message, bytes):
            (at,) = struct.unpack_from("<d", message)
            pcm = pcm[: int(at) * 2] + message[FRAME_HEADER:]
            socket.send(json.dumps({"type": "position", "sample": len(pcm) // 2}))
    return pcm


@pytest.fixture
def played(serving: Serving, client: httpx.Client) -> tuple[str, bytes]:
    """A jam of which a little was heard and that was stopped, and its sound."""
    jam = start(client)
    with listen(serving, jam) as socket:
        pcm = hear(socket, 1.5)
        socket.send(json.dumps({"type": "stop"}))
        for _ in socket:
            pass
    return jam, pcm


def test_the_page_opens(client: httpx.Client) -> None:
    assert client.get("/").status_code == 200
    for name in ("player.js", "connection.js", "audio-graph.js", "form.js", "worklet.js"):
        answer = client.get(f"/jam/player/{name}")
        assert answer.status_code == 200
        assert "javascript" in answer.headers["content-type"]


@pytest.mark.parametrize("name", ["../../app.py", "%2e%2e/%2e%2e/app.py", "nothing.js"])
def test_only_the_player_s_files_are_served(client: httpx.Client, name: str) -> None:
    assert "load_engine" not in client.get(f"/jam/player/{name}").text


def test_examples_can_be_played() -> None:
    for example in EXAMPLES:
        read_settings({"a": example.a, "b": example.b, "bpm": example.bpm, "key": example.key})


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_lossless_download_is_what_was_heard(
    client: httpx.Client, played: tuple[str, bytes], suffix: str
) -> None:
    jam, pcm = played
    answer = client.get(f"/jam/{jam}/track.{suffix}")
    assert answer.headers["content-disposition"] == f'attachment; filename="riffusion.{suffix}"'
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="int16")
    assert rate == RATE
    assert 0 < len(samples) <= len(pcm) // 2
    np.testing.assert_array_equal(samples, np.frombuffer(pcm, "<i2")[: len(samples)])


@pytest.mark.parametrize("suffix", ["mp3", "ogg"])
def test_a_lossy_download_sounds_like_it(
    client: httpx.Client, played: tuple[str, bytes], suffix: str
) -> None:
    jam, pcm = played
    samples, rate = soundfile.read(io.BytesIO(client.get(f"/jam/{jam}/track.{suffix}").content))
    assert rate == RATE
    whole = np.frombuffer(pcm, "<i2")[: len(samples)] / 32768
    assert np.corrcoef(samples[: len(whole)], whole)[0, 1] > 0.9


def test_the_long_image_and_the_session(client: httpx.Client, played: tuple[str, bytes]) -> None:
    jam, _ = played
    session = parse_session(client.get(f"/jam/{jam}/track.json").content)
    image = read_image(client.get(f"/jam/{jam}/track.png").content)
    assert image.size == (session.samples // 441 + 1, 512)
    assert from_image(image).frames == image.size[0]


def test_the_image_of_a_clip_is_square_and_knows_its_prompts(
    client: httpx.Client, played: tuple[str, bytes]
) -> None:
    jam, _ = played
    image = read_image(client.get(f"/jam/{jam}/clip/0.png").content)
    assert image.size == (512, 512)
    info = read_info(image)
    assert info is not None
    assert (info.prompt_a, info.seed_a) == ("church bells", 1)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/jam/{}/track.exe", 400, "use one of wav"),
        ("/jam/{}/clip/999999999999.png", 400, "so far"),
        ("/jam/nobody/track.wav", 404, "press Play again"),
        ("/jam/nobody/stream", 404, "press Play again"),
        ("/jam/{}/stream?from=x", 400, "whole number"),
    ],
)
def test_what_cannot_be_had_is_refused_in_words(
    client: httpx.Client, played: tuple[str, bytes], path: str, status: int, words: str
) -> None:
    answer = client.get(path.format(played[0]))
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_a_track_that_nobody_heard_is_refused(client: httpx.Client) -> None:
    jam = start(client)
    answer = client.get(f"/jam/{jam}/track.wav")
    assert answer.status_code == 400
    assert "nothing was heard yet" in answer.json()["error"]
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"a": ""}, "prompt A is '': describe some music"),
        ({"a": "la" * 5000}, "characters"),
        ({"seed_b": "-1"}, "seed B is -1: use a whole number from 0"),
        ({"seed_b": "9" * 24}, "seed B"),
        ({"seed_b": "seven"}, "seed B is 'seven': use a whole number"),
        ({"bpm": 500}, "tempo is 500.0: use a number of beats per minute from 60 to 180"),
        ({"key": "X"}, "key is 'X'"),
        ({"chords": "Am Q7"}, "chord 2 is 'Q7'"),
        ({"tempo": 3}, "setting is 'tempo': use some of"),
    ],
)
def test_bad_settings_are_refused_in_words(
    client: httpx.Client, settings: dict[str, object], words: str
) -> None:
    answer = client.post("/jam", json=settings)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize("text", ["🎺🥁", "موسيقى هادئة", "爵士钢琴", "a\u0000b\u202e", "x" * 2000])
def test_prompts_in_any_script_play(client: httpx.Client, text: str) -> None:
    jam = start(client, a=text)
    client.post(f"/jam/{jam}/tell", json={"type": "stop"})


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"{", "application/json", "no JSON"),
        (b"[" * 60_000, "application/json", "no JSON"),
        (b" " * 1_000_000, "application/json", "bytes"),
        (b"{}", "text/plain", "application/json"),
        (b"", "application/json", "no JSON"),
        (b"\xff\xfe", "application/json", "no JSON"),
    ],
)
def test_bad_bodies_are_refused(client: httpx.Client, body: bytes, kind: str, words: str) -> None:
    answer = client.post("/jam", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_hostile_socket_hurts_nobody(serving: Serving, client: httpx.Client) -> None:
    jam = start(client)
    with listen(serving, jam) as socket:
        for nonsense in (b"\x00\xff", "{", "[]", '{"type": "explode"}', "x" * 100_000):
            socket.send(nonsense)
        notices = 0
        while notices < 5:
            message = socket.recv(timeout=60)
            notices += isinstance(message, str) and json.loads(message)["type"] == "notice"
        assert hear(socket, 1)
        socket.send(json.dumps({"type": "stop"}))
    with listen(serving, "nobody") as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404


def test_a_taken_port_is_told_with_the_fix(serving: Serving, tiny_engine: Engine) -> None:
    port = httpx.URL(serving.url).port
    assert port is not None
    with pytest.raises(ServerError, match=f"choose another port, for example --port {port + 1}"):
        check_port("127.0.0.1", port)
    with pytest.raises(ServerError, match="in use"), serve(tiny_engine, port=port):
        pass
    assert free_port("127.0.0.1") != port


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", 0, "from 1 to 65535"),
        ("127.0.0.1", 70000, "from 1 to 65535"),
        ("203.0.113.1", 7860, "use --host 127.0.0.1"),
        ("not a host", 7860, "use --host 127.0.0.1"),
    ],
)
def test_a_bad_address_is_told_with_the_fix(host: str, port: int, words: str) -> None:
    with pytest.raises(ServerError, match=words):
        check_port(host, port)


def test_app_says_in_one_line_why_it_cannot_start(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["--model", str(tmp_path / "nothing")]) == 1
    assert "there is no model in" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert app.main(["--model", str(tiny_model_folder), "--port", port]) == 1
    assert f"port {port} on 127.0.0.1 is in use" in capsys.readouterr().err


def test_a_space_gives_host_and_port_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7861")
    options = app.parse_options([])
    assert (options.host, options.port) == ("0.0.0.0", 7861)
