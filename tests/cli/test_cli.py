"""The command line on a tiny real model: what it writes, and what it says to bad input."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from riffusion.cli.main import main
from riffusion.spectral.tags import read_info
from tests.bands import band

RATE = 44100
WALK = ("--prompt-a", "church bells", "--prompt-b", "electronic beats", "--bpm", "94")


@pytest.fixture
def model(tiny_model_folder: Path) -> tuple[str, ...]:
    """Options that load the tiny model."""
    return ("--model", str(tiny_model_folder), "--device", "cpu")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Two seconds of a stereo file: two tones and a little noise."""
    path = tmp_path / "song.wav"
    seconds = np.arange(2 * RATE) / RATE
    left, right = (0.4 * np.sin(2 * np.pi * hz * seconds) for hz in (440, 660))
    noise = np.random.default_rng(0).normal(0, 0.01, len(seconds))
    soundfile.write(path, np.stack([left + noise, right], axis=1), RATE)
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """Run a command that must fail; its one line on standard error, without our name."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("riffusion: ")
    return line.removeprefix("riffusion: ")


# What it writes


def test_jam_writes_track_image_and_session(model: tuple[str, ...], tmp_path: Path) -> None:
    track, image, session = (tmp_path / name for name in ("t.wav", "t.png", "t.json"))
    files = ("--out", str(track), "--image", str(image), "--session", str(session))
    music = ("--chords", "Cm Ab Eb Bb", "--seed-a", "1", "--seed-b", "2", "--density", "0.5")
    assert main(["jam", *WALK, *music, "--seconds", "7.5", *model, *files]) == 0
    samples, rate = soundfile.read(track, dtype="int16", always_2d=True)
    assert (len(samples), rate) == (round(7.5 * RATE), RATE)
    assert samples.any()
    with Image.open(image) as picture:
        assert picture.size == (len(samples) // 441 + 1, 512)
        info = read_info(picture)
    assert info is not None
    assert (info.prompt_a, info.seed_b, info.harmony) == ("church bells", 2, "Cm Ab Eb Bb")
    assert json.loads(session.read_text())["samples"] == len(samples)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.json", "t.png", "t.wav"]


def test_replay_gives_the_same_bytes(model: tuple[str, ...], tmp_path: Path) -> None:
    track, session, again = (tmp_path / name for name in ("t.wav", "t.json", "again.wav"))
    files = ("--out", str(track), "--session", str(session))
    assert main(["jam", *WALK, "--seconds", "9", "--path", "once", *model, *files]) == 0
    assert main(["replay", str(session), *model, "--out", str(again)]) == 0
    assert again.read_bytes() == track.read_bytes()


def test_replay_to_another_length_begins_the_same(model: tuple[str, ...], tmp_path: Path) -> None:
    track, session, longer = (tmp_path / name for name in ("t.wav", "t.json", "longer.wav"))
    files = ("--out", str(track), "--session", str(session))
    main(["jam", *WALK, "--seconds", "3", *model, *files])
    main(["replay", str(session), *model, "--out", str(longer), "--seconds", "6"])
    short, _ = soundfile.read(track, dtype="int16")
    long, _ = soundfile.read(longer, dtype="int16")
    assert len(long) == 2 * len(short)
    np.testing.assert_array_equal(long[: len(short)], short)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
def test_jam_in_every_format(model: tuple[str, ...], tmp_path: Path, suffix: str) -> None:
    track = tmp_path / f"track{suffix}"
    assert main(["jam", *WALK, "--seconds", "3", *model, "--out", str(track)]) == 0
    assert soundfile.info(track).duration == pytest.approx(3, abs=0.1)


def test_one_prompt_is_enough(model: tuple[str, ...], tmp_path: Path) -> None:
    track = tmp_path / "t.flac"
    assert main(["jam", "--prompt-a", "rock", "--seconds", "1", *model, "--out", str(track)]) == 0
    assert soundfile.info(track).frames == RATE


def test_generate_is_seeded(model: tuple[str, ...], tmp_path: Path) -> None:
    sounds = {}
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        out, image = tmp_path / f"{name}.wav", tmp_path / f"{name}.png"
        arguments = ("--seed", seed, *model, "--out", str(out), "--image", str(image))
        assert main(["generate", "jazzy saxophone", *arguments]) == 0
        sounds[name] = out.read_bytes()
        with Image.open(image) as picture:
            assert picture.size == (soundfile.info(out).frames // 441 + 1, 512)
    assert sounds["a"] == sounds["b"] != sounds["c"]


def test_generate_hears_the_chords(model: tuple[str, ...], tmp_path: Path) -> None:
    for name, chords in (("a", "C"), ("b", "F#")):
        out = str(tmp_path / f"{name}.wav")
        assert main(["generate", "piano", "--chords", chords, *model, "--out", out]) == 0
    assert (tmp_path / "a.wav").read_bytes() != (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize(
    "text",
    ["😀🎷", "موسيقى هادئة", "ジャズ", "a" * 2000, "two\nlines"],
    ids=["emoji", "right to left", "Japanese", "long", "lines"],
)
def test_prompts_in_any_script(model: tuple[str, ...], tmp_path: Path, text: str) -> None:
    out = tmp_path / "clip.wav"
    assert main(["generate", text, *model, "--out", str(out)]) == 0
    assert soundfile.info(out).frames > RATE


def test_encode_and_decode_keep_stereo_and_length(song: Path, tmp_path: Path) -> None:
    image, back = tmp_path / "song.png", tmp_path / "back.wav"
    assert main(["encode", str(song), str(image)]) == 0
    with Image.open(image) as picture:
        assert picture.size == (201, 512)
    assert main(["decode", str(image), str(back)]) == 0
    sound, rate = soundfile.read(back, always_2d=True)
    assert sound.shape == (2 * RATE, 2)
    spectra = np.abs(np.fft.rfft(sound, axis=0))
    np.testing.assert_allclose(spectra.argmax(axis=0) * rate / len(sound), (440, 660), atol=5)


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """Let SIGINT interrupt this process; a shell starts background jobs that ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_interrupted_jam_leaves_a_whole_file(model: tuple[str, ...], tmp_path: Path) -> None:
    track, session, image = (tmp_path / name for name in ("t.wav", "t.json", "t.png"))

    def interrupt_when_some_is_written() -> None:
        while not (track.exists() and track.stat().st_size > 4 * RATE):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_when_some_is_written, daemon=True).start()
    files = ("--out", str(track), "--session", str(session), "--image", str(image))
    assert main(["jam", *WALK, "--seconds", "1700", *model, *files]) == 130
    samples, _ = soundfile.read(track, dtype="int16")
    assert 2 * RATE <= len(samples) < 1700 * RATE
    assert json.loads(session.read_text())["samples"] == len(samples)
    with Image.open(image) as picture:
        assert picture.width == len(samples) // 441 + 1


def test_killed_jam_leaves_a_whole_file(model: tuple[str, ...], tmp_path: Path) -> None:
    track = tmp_path / "t.flac"
    command = [sys.executable, "-m", "riffusion", "jam", *WALK, "--seconds", "80000", *model]
    with subprocess.Popen([*command, "--out", str(track)], stderr=subprocess.PIPE) as process:
        while not (track.exists() and track.stat().st_size > RATE) and process.poll() is None:
            time.sleep(0.01)
        process.terminate()
        _, error = process.communicate()
    assert process.returncode == 130, error
    samples, _ = soundfile.read(track)
    assert len(samples) > RATE / 2


def test_full_disk_is_told_and_what_fits_is_kept(model: tuple[str, ...], tmp_path: Path) -> None:
    track, session = tmp_path / "t.wav", tmp_path / "t.json"
    command = [sys.executable, "-m", "riffusion", "jam", *WALK, "--seconds", "60", *model]
    room = 3 * RATE
    done = subprocess.run(
        [*command, "--out", str(track), "--session", str(session)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "is the disk full?" in done.stderr.splitlines()[-1]
    samples, _ = soundfile.read(track, dtype="int16")
    assert 0.9 * room / 2 < len(samples) <= room / 2
    assert 0 <= len(samples) - json.loads(session.read_text())["samples"] < RATE / 4


# What it refuses


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--prompt-a", ""), "prompt A is ''"),
        (("--prompt-a", " \t "), "describe some music"),
        (("--prompt-a", "x" * 10_000), "10000 characters; use at most 2000"),
        (("--prompt-b", ""), "prompt B is ''"),
        (("--seed-a", "-1"), "seed A is -1: use a whole number from 0"),
        (("--seed-b", "9" * 30), "999: use a whole number from 0"),
        (("--seed-a", "9" * 9000), "is not a whole number"),
        (("--seed-a", "lucky"), "'lucky' is not a whole number"),
        (("--seed-a", "1.5"), "'1.5' is not a whole number"),
        (("--bpm", "20"), "from 60 to 180"),
        (("--bpm", "nan"), "from 60 to 180"),
        (("--bpm", "fast"), "'fast' is not a number"),
        (("--key", "H"), "key is 'H'"),
        (("--chords", "Cm Xy"), "Xy"),
        (("--path", "zigzag"), "ping-pong"),
        (("--position", "2"), "position on the walk is 2"),
        (("--walk-bars", "0"), "bars from prompt to prompt is 0"),
        (("--density", "-0.1"), "density is -0.1"),
        (("--guidance", "inf"), "guidance is inf"),
        (("--steps", "0"), "steps is 0"),
        (("--seconds", "0"), "length is 0"),
        (("--seconds", "-3"), "use more than 0 s"),
        (("--seconds", "nan"), "use more than 0 s"),
        (("--seconds", "1e9"), "at most 86400 s"),
        (("--seconds", "36000", "--image", "long.png"), "an image holds at most"),
        (("--image", "picture.gif"), "end it in .png"),
        (("--session", "session.txt"), "end it in .json"),
        (("--colour", "blue"), "unrecognized arguments"),
    ],
)
def test_jam_refuses(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    out = tmp_path / "t.wav"
    # No model: what can be refused is refused before one is loaded.
    before = ("jam", "--prompt-a", "rock", "--model", str(tmp_path / "none"), "--out", str(out))
    assert says in refused(capsys, *before, *arguments)
    assert not out.exists()


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("track.xyz", "end it in .wav, .flac, .mp3, .ogg"),
        ("track", "end it in .wav"),
        ("missing/track.wav", "make it first"),
        ("folder.wav", "is a folder"),
    ],
)
def test_outputs_are_checked_before_any_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, out: str, says: str
) -> None:
    (tmp_path / "folder.wav").mkdir()
    model = ("--model", str(tmp_path / "none"))
    path = str(tmp_path / out)
    assert says in refused(capsys, "jam", "--prompt-a", "rock", *model, "--out", path)
    assert says in refused(capsys, "generate", "rock", *model, "--out", path)
    assert says in refused(capsys, "decode", "image.png", path)
    assert says in refused(capsys, "replay", "s.json", *model, "--out", path)


def test_generate_without_an_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--out clip.wav" in refused(capsys, "generate", "rock")


def test_no_command_and_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "required: command" in refused(capsys)
    assert "'dance'" in refused(capsys, "dance")


def test_missing_model_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "t.wav"))
    model = ("--model", str(tmp_path / "none"))
    message = refused(capsys, "generate", "rock", *model, *out, code=1)
    assert str(tmp_path / "none") in message


def damaged_png() -> bytes:
    """The start of a true image."""
    picture = Image.effect_noise((64, 512), 50).convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()[:2000]


def bomb_png() -> bytes:
    """A PNG of some bytes that says it has 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes"),
        (b"this is a letter, not an image", "no image"),
        (damaged_png(), "damaged"),
        (bomb_png(), "has 512 rows"),
    ],
    ids=["empty", "text", "truncated", "bomb"],
)
def test_decode_refuses(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, says: str
) -> None:
    image, audio = tmp_path / "image.png", tmp_path / "audio.wav"
    image.write_bytes(content)
    assert says in refused(capsys, "decode", str(image), str(audio))
    assert not audio.exists()


def test_decode_refuses_a_photograph(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    image = tmp_path / "photo.png"
    Image.effect_noise((300, 200), 50).save(image)
    assert "512 rows" in refused(capsys, "decode", str(image), str(tmp_path / "audio.wav"))


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "0 bytes"), (b"dear diary", "is not audio")], ids=["empty", "text"]
)
def test_encode_refuses(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, says: str
) -> None:
    audio, image = tmp_path / "sound.wav", tmp_path / "image.png"
    audio.write_bytes(content)
    assert says in refused(capsys, "encode", str(audio), str(image))
    assert not image.exists()


def test_missing_input_files_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "a.wav" in refused(capsys, "encode", "a.wav", "a.png")
    assert "a.png" in refused(capsys, "decode", "a.png", "a.wav")
    assert "s.json" in refused(capsys, "replay", "s.json", "--out", "a.wav")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 99}'])
def test_replay_refuses_a_damaged_session(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str
) -> None:
    session = tmp_path / "s.json"
    session.write_text(content)
    assert "session" in refused(capsys, "replay", str(session), "--out", str(tmp_path / "t.wav"))


@pytest.mark.parametrize("command", ["corpus", "train", "evaluate"])
def test_training_commands_explain_themselves(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"riffusion {command}" in capsys.readouterr().out


# Going on from a recording


@pytest.fixture(scope="module")
def band_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A band of 98 beats per minute in A minor, after a minute of another one."""
    path = tmp_path_factory.mktemp("bands") / "band.flac"
    first, last = band("C", 120.0, length_s=57.0), band("Am", 98.0, 4, 0.3, 12.0)
    samples = np.concatenate([0 * first.samples, last.samples], axis=1)
    soundfile.write(path, samples.T, last.sample_rate)
    return path


def test_jam_goes_on_from_a_recording_and_replays(
    model: tuple[str, ...], band_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    track, session, again = (tmp_path / name for name in ("t.wav", "t.json", "again.wav"))
    files = ("--out", str(track), "--session", str(session))
    walk = ("--prompt-a", "church bells", "--continue", str(band_file), "--seconds", "3")
    assert main(["jam", *walk, *model, *files]) == 0
    words = capsys.readouterr().out
    assert "98.0 bpm, 4 beats in a bar, key Am" in words
    # Bars of 2.449 s from 57.3 s on.
    assert "last bar line is at 67.1 s" in words.replace("67.10", "67.1").replace("67.09", "67.1")
    assert "--bpm" in words
    content = json.loads(session.read_text())
    assert content["settings"]["bpm"] == pytest.approx(98.0, rel=1e-3)
    assert content["settings"]["key"] == "Am"
    assert content["samples"] / RATE == pytest.approx(3 + 67.1 - 57.0, abs=0.4)
    assert main(["replay", str(session), *model, "--out", str(again)]) == 0
    assert again.read_bytes() == track.read_bytes()


def test_what_is_heard_can_be_corrected(
    model: tuple[str, ...], band_file: Path, tmp_path: Path
) -> None:
    session = tmp_path / "t.json"
    corrected = ("--bpm", "97", "--beats-per-bar", "2", "--key", "C", "--downbeat", "58.0")
    files = ("--out", str(tmp_path / "t.wav"), "--session", str(session))
    walk = ("--prompt-a", "church bells", "--continue", str(band_file), "--seconds", "1")
    assert main(["jam", *walk, *corrected, *model, *files]) == 0
    content = json.loads(session.read_text())
    settings, opening = content["settings"], content["opening"]
    assert (settings["bpm"], settings["beats_per_bar"], settings["key"]) == (97.0, 2, "C")
    bar_s = 2 * 60 / 98
    # The last minute begins at 9 s.
    bars = (opening["bar_line_s"] - (58.0 - 9.0)) / bar_s
    assert bars == pytest.approx(round(bars), abs=0.02)


def test_recordings_that_nothing_can_go_on_from_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    sounds = {
        "steady beat": 0.1 * rng.normal(size=10 * RATE),
        "silent": np.zeros(10 * RATE),
        "at least 3 s": 0.1 * rng.normal(size=RATE // 5),
    }
    walk = ("jam", "--prompt-a", "bells", "--out", str(tmp_path / "t.wav"))
    for words, samples in sounds.items():
        path = tmp_path / "recording.wav"
        soundfile.write(path, samples, RATE)
        assert words in refused(capsys, *walk, "--continue", str(path))
    assert "no such file" in refused(capsys, *walk, "--continue", "missing.wav")
    assert "--continue" in refused(capsys, *walk, "--downbeat", "3")
