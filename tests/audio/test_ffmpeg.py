"""Audio files that only ffmpeg reads and writes: with it, with a stand-in for it, and without."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from riffusion.audio.waveform import (
    Waveform,
    check_audio_output,
    encode_audio,
    read_audio,
    write_audio,
)
from riffusion.errors import InvalidAudio, InvalidInput, MissingTool

RATE = 44100
HEADER = b"\0\0\0\x08ftyp"  # what files of the MPEG-4 family begin with

# As much of ffmpeg's and ffprobe's command lines as is used. What the stand-in calls MPEG-4 is a
# WAV file behind the header; it refuses what is not, as ffmpeg refuses what is not sound.
FFMPEG = r"""#!/bin/sh
while [ "$1" != -i ]; do shift; done
source="$2"
for target; do :; done
if [ "$target" = - ]; then
    [ "$(tail -c +9 "$source" | head -c 4)" = RIFF ] && tail -c +9 "$source"
else
    { printf '\0\0\0\010ftyp'; cat "$source"; } > "$target"
fi
"""
FFPROBE = r"""#!/bin/sh
for source; do :; done
[ "$(tail -c +9 "$source" | head -c 4)" = RIFF ] || { echo '{}'; exit 1; }
channels=$(od -An -tu1 -j30 -N1 "$source" | tr -d ' ')
seconds=$(cat "${0%/*}/duration")
echo "    Stream #0:0: Audio: aac, 44100 Hz, fltp" >&2
cat <<JSON
{"streams": [{"index": 0, "codec_type": "audio", "codec_name": "aac", "sample_fmt": "fltp",
  "sample_rate": "44100", "channels": $channels, "bits_per_sample": 0}],
 "format": {"duration": "$seconds"}}
JSON
"""


def sine(channels: int = 1) -> Waveform:
    t = np.arange(RATE) / RATE
    return Waveform(np.tile(0.5 * np.sin(2 * np.pi * 440 * t), (channels, 1)), RATE)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-ins, which come before all other programs."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, script in (("ffmpeg", FFMPEG), ("ffprobe", FFPROBE)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    (folder / "duration").write_text("1.0")
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


@pytest.fixture
def no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize("channels", [1, 2])
def test_what_ffmpeg_decodes_arrives_bit_for_bit(
    tools: Path, tmp_path: Path, channels: int
) -> None:
    waveform = sine(channels)
    path = tmp_path / "phone.m4a"
    path.write_bytes(HEADER + encode_audio(waveform, ".wav"))
    back = read_audio(path)
    assert (back.sample_rate, back.channels) == (RATE, channels)
    assert np.abs(back.samples - waveform.samples).max() <= 0.5 / 32768


@pytest.mark.parametrize("suffix", [".m4a", ".mp4", ".aac", ".webm"])
def test_what_is_written_through_ffmpeg_comes_back(
    tools: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"song{suffix}"
    check_audio_output("--out", str(path))
    write_audio(sine(2), path)
    back = read_audio(path)
    assert back.channels == 2
    assert np.abs(back.samples - sine(2).samples).max() <= 0.5 / 32768


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("suffix", [".m4a", ".mp4", ".aac", ".webm"])
def test_ffmpeg_itself_keeps_the_tone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song{suffix}"
    write_audio(sine(2), path)
    back = read_audio(path)
    assert back.channels == 2
    assert back.duration_s == pytest.approx(1, abs=0.1)
    assert back.samples.std() == pytest.approx(0.5 / 2**0.5, rel=0.1)
    spectrum = np.abs(np.fft.rfft(back.samples[0, : back.sample_rate]))
    assert spectrum.argmax() == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    "content",
    [
        b"not a film, not a song",
        HEADER + b"not a song",
        b"#EXTM3U\nhttp://localhost/secret\n",
        b"ffconcat version 1.0\nfile other.wav\n",
        b"x",
    ],
)
def test_what_ffmpeg_cannot_decode_is_invalid(tools: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.m4a"
    path.write_bytes(content)
    with pytest.raises(InvalidAudio, match="ffmpeg finds no sound"):
        read_audio(path)


def test_a_film_of_many_hours_is_refused_before_it_is_decoded(tools: Path, tmp_path: Path) -> None:
    (tools / "duration").write_text("100000")
    (tools / "ffmpeg").write_text("#!/bin/sh\nexit 1\n")
    path = tmp_path / "film.mp4"
    path.write_bytes(HEADER + encode_audio(sine(), ".wav"))
    with pytest.raises(InvalidAudio, match=r"lasts 100000 s or more; use at most \d+ s"):
        read_audio(path)


def test_a_format_for_ffmpeg_says_so_where_there_is_none(no_tools: None, tmp_path: Path) -> None:
    path = tmp_path / "phone.m4a"
    path.write_bytes(HEADER + b"M4A ")
    with pytest.raises(MissingTool, match=r"phone\.m4a needs ffmpeg.*install it"):
        read_audio(path)
    with pytest.raises(MissingTool, match=r"\.m4a file needs ffmpeg.*install it"):
        check_audio_output("--out", str(path))
    with pytest.raises(MissingTool, match=r"\.webm file needs ffmpeg"):
        write_audio(sine(), tmp_path / "song.webm")
    assert not (tmp_path / "song.webm").exists()


def test_what_libsndfile_writes_needs_no_ffmpeg(no_tools: None, tmp_path: Path) -> None:
    check_audio_output("--out", str(tmp_path / "song.mp3"))
    check_audio_output("--out", None)
    with pytest.raises(InvalidInput, match=r"\.wav, .*\.webm"):
        check_audio_output("--out", str(tmp_path / "song.txt"))
