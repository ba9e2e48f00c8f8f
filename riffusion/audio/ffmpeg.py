"""Audio formats that libsndfile does not know, read and written by pydub with ffmpeg.

pydub runs ffmpeg and ffprobe, which are not Python packages and may be absent. Files are given to
them only when their first bytes are those of a known container: then they cannot be playlists that
make ffmpeg open other files or network addresses.
"""

from __future__ import annotations

import io
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from riffusion.errors import InvalidAudio, MissingTool, StorageError

# The format and the codec of what we write, as ffmpeg names them, by the suffix of the file.
ENCODED_AS = {
    ".m4a": ("ipod", "aac"),
    ".mp4": ("mp4", "aac"),
    ".aac": ("adts", "aac"),
    ".webm": ("webm", "libopus"),
}
BITRATE = "256k"
READ_SUFFIXES = (".m4a", ".mp4", ".webm", ".aac", ".wma", ".mka", ".mkv", ".mov", ".3gp", ".amr")
HEAD_BYTES = 16
# The atoms that films and songs of the MPEG-4 and QuickTime family begin with.
MP4_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
NO_SOUND = "ffmpeg finds no sound in it; use WAV, FLAC, MP3, OGG or Opus"


def check_ffmpeg(name: str) -> None:
    """Raise MissingTool where ffmpeg, which the file called ``name`` needs, is not installed."""
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        raise MissingTool(
            f"{name} needs ffmpeg, which is not installed: install it "
            "(apt install ffmpeg, brew install ffmpeg), or use WAV, FLAC or MP3"
        )


def decode_with_ffmpeg(path: Path, max_samples: int) -> tuple[npt.NDArray[np.float32], int]:
    """Return the samples, float32 (channels, n), and the sample rate in Hz of a file.

    Raises MissingTool where ffmpeg is not installed, InvalidAudio for a file without sound or with
    more than ``max_samples`` samples in all channels together.
    """
    check_ffmpeg(path.name)
    pydub = _import_pydub()
    container = _container(path)
    if container is None:
        raise InvalidAudio("audio file", path.name, NO_SOUND)
    try:
        info = pydub.utils.mediainfo_json(str(path.resolve()))
        stream = next(one for one in info["streams"] if one["codec_type"] == "audio")
        rate, channels = int(stream["sample_rate"]), int(stream["channels"])
        duration_s = float(info["format"].get("duration", 0))
        max_s = max_samples // (channels * rate)
    # pydub trusts what ffprobe prints, which for a damaged file may be anything.
    except (ValueError, LookupError, TypeError, StopIteration, ZeroDivisionError) as error:
        raise InvalidAudio("audio file", path.name, NO_SOUND) from error
    if duration_s <= max_s:
        # A live recording does not say how long it is: one second more than allowed is enough.
        segment = _decode(pydub, path, container, max_s + 1)
        duration_s = segment.frame_count() / segment.frame_rate
    if duration_s > max_s:
        hint = f"lasts {duration_s:.0f} s or more; use at most {max_s} s of it"
        raise InvalidAudio("audio file", path.name, hint)
    samples = np.array(segment.get_array_of_samples()).reshape(-1, segment.channels).T
    scale = 2.0 ** (8 * segment.sample_width - 1)
    return (samples / scale).astype(np.float32), int(segment.frame_rate)


def encode_with_ffmpeg(pcm: npt.NDArray[np.int16], sample_rate: int, suffix: str) -> bytes:
    """Return the bytes of an audio file of the format of ``suffix`` from 16-bit samples.

    ``pcm`` is (n, channels). Raises MissingTool where ffmpeg is not installed, InvalidAudio where
    the format cannot hold the sound, StorageError where the disk for temporary files is full.
    """
    check_ffmpeg(f"a {suffix} file")
    pydub = _import_pydub()
    form, codec = ENCODED_AS[suffix]
    segment = pydub.AudioSegment(
        data=pcm.astype("<i2").tobytes(),
        sample_width=2,
        frame_rate=sample_rate,
        channels=pcm.shape[1],
    )
    buffer = io.BytesIO()
    try:
        segment.export(buffer, format=form, codec=codec, bitrate=BITRATE)
    except pydub.exceptions.CouldntEncodeError as error:
        what = f"{pcm.shape[1]} channels at {sample_rate} Hz"
        hint = f"{suffix} cannot hold that; resample to 44100 Hz, at most two channels"
        raise InvalidAudio("audio", what, hint) from error
    except OSError as error:
        raise StorageError(
            f"could not write a temporary file: {error.strerror or error}; "
            "free some space, or point TMPDIR to a disk that has some"
        ) from error
    return buffer.getvalue()


def _decode(pydub: Any, path: Path, container: str, max_s: int) -> Any:
    """Return pydub's segment of the first ``max_s`` seconds of a file."""
    try:
        return pydub.AudioSegment.from_file(str(path.resolve()), container, duration=max_s)
    except (pydub.exceptions.CouldntDecodeError, LookupError, ValueError) as error:
        raise InvalidAudio("audio file", path.name, NO_SOUND) from error


def _container(path: Path) -> str | None:
    """Return ffmpeg's name of the container that a file begins like; None for no known one."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[4:8] in MP4_ATOMS:
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(bytes.fromhex("3026b2758e66cf11")):
        return "asf"
    if head.startswith(b"#!AMR"):
        return "amr"
    is_adts = len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
    return "aac" if is_adts else None


def _import_pydub() -> Any:
    """Import pydub without the warnings that it gives about itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pydub
        import pydub.exceptions
        import pydub.utils
    return pydub
