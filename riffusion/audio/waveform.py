"""Waveform: samples with a sample rate, read from and written to audio files."""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from riffusion.audio import ffmpeg
from riffusion.errors import InvalidAudio
from riffusion.storage import check_output, write_whole

MIN_RATE, MAX_RATE = 1000, 384000
MAX_SAMPLES = 400_000_000  # of all channels together: over an hour of 48 kHz stereo
MAX_BYTES = 4 * MAX_SAMPLES
INT16_SCALE = 32768.0
WRITTEN_AS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".ogg": ("OGG", "VORBIS"),
}
# Recordings that grow while they play are of the formats above; whole ones can also be of these.
WRITABLE = (*WRITTEN_AS, *ffmpeg.ENCODED_AS)


@dataclass(frozen=True)
class Waveform:
    """A sound: samples of one or more channels at a sample rate.

    Parameters
    ----------
    samples : array of float, (channels, samples)
        Full scale is -1 to 1. They are kept as float32.
    sample_rate : int
        In Hz, 1000 to 384000.

    Raises
    ------
    InvalidAudio
        For another shape, no samples, integers, NaN or infinity, or an illegal rate.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> tone = 0.5 * np.sin(np.arange(22050) * 2 * np.pi * 440 / 44100)
    >>> waveform = riffusion.Waveform(tone[None], 44100)
    >>> waveform.channels, waveform.duration_s
    (1, 0.5)
    >>> waveform.resample(48000).samples.shape
    (1, 24000)
    """

    samples: npt.NDArray[np.float32]
    sample_rate: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples)
        if samples.ndim != 2:
            raise InvalidAudio("audio shape", samples.shape, "needs two axes, (channels, samples)")
        if samples.size == 0:
            raise InvalidAudio("audio shape", samples.shape, "needs at least one sample")
        rate = _checked_rate(self.sample_rate)
        if not np.issubdtype(samples.dtype, np.floating):
            hint = "give floats from -1 to 1; divide 16-bit samples by 32768"
            raise InvalidAudio("sample type", str(samples.dtype), hint)
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        if not np.isfinite(samples).all():
            bad = int(np.count_nonzero(~np.isfinite(samples)))
            raise InvalidAudio("audio", f"{bad} samples NaN or infinite", "samples must be finite")
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "sample_rate", rate)

    @property
    def channels(self) -> int:
        return len(self.samples)

    @property
    def duration_s(self) -> float:
        return len(self.samples[0]) / self.sample_rate

    def mono(self) -> Waveform:
        """Return the mean of all channels as one channel."""
        return Waveform(self.samples.mean(axis=0, keepdims=True), self.sample_rate)

    def resample(self, sample_rate: int) -> Waveform:
        """Return the same sound at ``sample_rate`` Hz, by soxr's band-limited resampler."""
        if sample_rate == self.sample_rate:
            return self
        samples = soxr.resample(self.samples.T, self.sample_rate, _checked_rate(sample_rate)).T
        return Waveform(samples, sample_rate)


def read_audio(path: str | os.PathLike[str]) -> Waveform:
    """Read an audio file.

    WAV, FLAC, MP3, OGG, Opus and AIFF are read by libsndfile; m4a, mp4, webm, aac, wma, mka, mkv,
    mov, 3gp and amr by ffmpeg, where it is installed.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    Waveform
        All channels at the sample rate of the file.

    Raises
    ------
    InvalidAudio
        For a file that is missing, empty, too large or no audio.
    MissingTool
        Where ffmpeg is needed and not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> riffusion.write_audio(riffusion.Waveform(np.zeros((2, 44100)), 44100), "silence.flac")
    >>> riffusion.read_audio("silence.flac").duration_s
    1.0
    """
    return _read_file(Path(path), None)[0]


def read_ending(path: str | os.PathLike[str], last_s: float) -> tuple[Waveform, float]:
    """Return the last ``last_s`` seconds of an audio file, and the time at which they begin.

    Where libsndfile reads the file, that takes no memory for the rest. Raises as ``read_audio``
    does.
    """
    return _read_file(Path(path), last_s)


def _read_file(path: Path, last_s: float | None) -> tuple[Waveform, float]:
    """Return the sound of a file, or its last seconds, and the time at which that begins."""
    if not path.is_file():
        raise InvalidAudio("audio file", str(path), "no such file; check the name and the folder")
    size = path.stat().st_size
    if size == 0:
        raise InvalidAudio("audio file", path.name, "is empty (0 bytes); save or upload it again")
    if size > MAX_BYTES:
        raise InvalidAudio("audio file", path.name, f"has {size / 1e9:.1f} GB; cut it first")
    if path.suffix.lower() in ffmpeg.READ_SUFFIXES:
        whole = Waveform(*ffmpeg.decode_with_ffmpeg(path, MAX_SAMPLES))
        wanted = (
            whole.samples.shape[1] if last_s is None else math.floor(last_s * whole.sample_rate)
        )
        ending = whole.samples[:, -max(1, wanted) :]
        skipped = whole.samples.shape[1] - ending.shape[1]
        return Waveform(ending, whole.sample_rate), skipped / whole.sample_rate
    return _read_with_soundfile(path, path.name, last_s)


def write_audio(waveform: Waveform, path: str | os.PathLike[str]) -> None:
    """Write an audio file of the format of its suffix.

    A file that was there is replaced only by a whole one.

    Parameters
    ----------
    waveform : Waveform
        The sound. Samples beyond full scale are clipped.
    path : str or path
        Ends in .wav or .flac (16 bit), .mp3 or .ogg; where ffmpeg is installed also in .m4a, .mp4,
        .aac or .webm.

    Raises
    ------
    InvalidAudio
        For another suffix, or a rate or number of channels that the format does not have.
    MissingTool
        Where ffmpeg is needed and not installed.
    StorageError
        Where the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> tone = 0.5 * np.sin(np.arange(44100) * 2 * np.pi * 440 / 44100)
    >>> riffusion.write_audio(riffusion.Waveform(tone[None], 44100), "tone.mp3")
    """
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise InvalidAudio("audio file", path.name, "end it in " + ", ".join(WRITABLE))
    write_whole(path, encode_audio(waveform, path.suffix.lower()))


def check_audio_output(what: str, path: str | None) -> None:
    """Raise InvalidInput where ``write_audio`` could not write at ``path``; None is fine.

    Raises MissingTool where the format needs ffmpeg, which is not installed.
    """
    check_output(what, path, WRITABLE)
    if path is not None:
        check_format(Path(path).suffix.lower())


def check_format(suffix: str) -> None:
    """Raise MissingTool where files that end in ``suffix`` need ffmpeg, which is not installed."""
    if suffix in ffmpeg.ENCODED_AS:
        ffmpeg.check_ffmpeg(f"a {suffix} file")


def encode_audio(waveform: Waveform, suffix: str) -> bytes:
    """Return the bytes of an audio file of the format of ``suffix`` (".wav", ".mp3", ...).

    Raises InvalidAudio, MissingTool and StorageError as ``write_audio`` does.
    """
    samples = np.clip(waveform.samples.T, -1.0, 1.0)
    # Rounded here, so that 16 bits read are the 16 bits written.
    pcm = np.clip(np.round(samples * INT16_SCALE), -32768, 32767).astype(np.int16)
    if suffix in ffmpeg.ENCODED_AS:
        return ffmpeg.encode_with_ffmpeg(pcm, waveform.sample_rate, suffix)
    form, subtype = WRITTEN_AS[suffix]
    data = pcm if subtype == "PCM_16" else samples
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, data, waveform.sample_rate, format=form, subtype=subtype)
    except soundfile.LibsndfileError as error:
        what = f"{waveform.channels} channels at {waveform.sample_rate} Hz"
        hint = f"{form} cannot hold that; resample to 44100 Hz, at most two channels"
        raise InvalidAudio("audio", what, hint) from error
    return buffer.getvalue()


def decode_audio(data: bytes, last_s: float | None = None) -> Waveform:
    """Return the sound in the bytes of an audio file that libsndfile reads, or its ``last_s``.

    Raises InvalidAudio for what is no audio.
    """
    return _read_with_soundfile(io.BytesIO(data), "sound", last_s)[0]


def _checked_rate(rate: object) -> int:
    """Return ``rate`` as an int. Raises InvalidAudio unless it is 1000 to 384000 Hz."""
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer):
        raise InvalidAudio("sample rate", rate, "use a whole number of Hz, for example 44100")
    if not MIN_RATE <= rate <= MAX_RATE:
        hint = f"use {MIN_RATE} to {MAX_RATE} Hz, for example 44100"
        raise InvalidAudio("sample rate", int(rate), hint)
    return int(rate)


def _read_with_soundfile(
    source: Path | io.BytesIO, name: str, last_s: float | None = None
) -> tuple[Waveform, float]:
    """Return the sound of a file that errors call ``name``, or only its last ``last_s`` seconds.

    Returns the time at which it begins, too. Raises InvalidAudio.
    """
    try:
        with soundfile.SoundFile(source) as file:
            rate = file.samplerate
            wanted = file.frames if last_s is None else min(file.frames, math.floor(last_s * rate))
            if wanted * file.channels > MAX_SAMPLES:
                max_s = MAX_SAMPLES // (file.channels * rate)
                hint = f"lasts {file.frames / rate:.0f} s; use at most {max_s} s of it"
                raise InvalidAudio("audio file", name, hint)
            skipped = file.frames - wanted
            if skipped:
                file.seek(skipped)
            samples = file.read(dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        hint = "is not audio we can read; use WAV, FLAC, MP3, OGG or Opus"
        raise InvalidAudio("audio file", name, hint) from error
    return Waveform(samples.T, rate), skipped / rate
