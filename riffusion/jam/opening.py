"""An opening is a recording that a jam goes on from: it plays up to a bar line, the jam from there.

The jam's first clip continues the last frames before that bar line, as every clip continues the one
before it. Bar 0 of the jam begins there, so what lies in the recording has bars below 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffusion.analysis.recording import MAX_S, MISSING_S, RecordingAnalysis
from riffusion.audio.waveform import Waveform, decode_audio, encode_audio
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.jam.anchors import matched_to_engine
from riffusion.jam.asset import AssetRef, make_upload
from riffusion.spectral.spectrogram import Spectrogram, mel_spectrogram

MIN_OPENING_S = 1.0  # the context of a clip
MAX_RATE, MAX_CHANNELS = 48000, 2
ROUNDING_S = 0.5
PIECE_S = 2.0


@dataclass(frozen=True)
class Opening:
    """A recording, of which a jam plays what lies between two times in seconds, and goes on.

    ``recording`` is an upload with the bytes of a FLAC file; a bar line is at ``bar_line_s``.
    Raises InvalidInput for less than a second or more than a minute.
    """

    recording: AssetRef
    start_s: float
    bar_line_s: float

    def __post_init__(self) -> None:
        if not self.recording.is_uploaded:
            raise InvalidInput("recording", self.recording.name, "needs a sound of its own")
        times = (self.start_s, self.bar_line_s)
        for time_s in times:
            is_number = isinstance(time_s, int | float) and not isinstance(time_s, bool)
            if not is_number or not 0 <= time_s <= MAX_S + ROUNDING_S:
                hint = f"use times in seconds from 0 to {MAX_S:g}"
                raise InvalidInput("opening", times, hint)
        if not self.bar_line_s - self.start_s >= MIN_OPENING_S:
            hint = f"the bar line needs at least {MIN_OPENING_S:g} s of the recording before it"
            raise InvalidInput("opening", times, hint)

    def samples(self, sample_rate: int) -> int:
        """Return how many samples of the track it is."""
        return round((self.bar_line_s - self.start_s) * sample_rate)


@dataclass(frozen=True)
class OpeningSound:
    """The sound of an opening for an engine, float32 (channels, n), and its whole frames."""

    samples: npt.NDArray[np.float32]
    frames: Spectrogram

    @property
    def pieces(self) -> tuple[int, ...]:
        """The samples up to which it is mastered in turn; the last one is the bar line."""
        length = self.samples.shape[1]
        step = round(PIECE_S * self.frames.params.sample_rate)
        return (*range(step, length - step // 2, step), length)


def trim_recording(sound: Waveform) -> Waveform:
    """Return the last minute of a recording, with at most two channels and 48000 Hz."""
    first = max(0, sound.samples.shape[1] - math.floor(MAX_S * sound.sample_rate))
    samples = sound.samples[:, first:]
    if len(samples) > MAX_CHANNELS:
        samples = samples.mean(axis=0, keepdims=True)
    return Waveform(samples, sound.sample_rate).resample(min(sound.sample_rate, MAX_RATE))


def keep_recording(sound: Waveform) -> AssetRef:
    """Return a recording that ``trim_recording`` returned as an upload: 16 bits, FLAC."""
    peak = float(np.abs(sound.samples).max())
    return make_upload(
        encode_audio(Waveform(sound.samples / max(1.0, peak), sound.sample_rate), ".flac")
    )


def choose_bar_line_s(heard: RecordingAnalysis) -> float:
    """Return the last bar line of a recording that a jam can go on from.

    Raises InvalidAudio where no beat is heard, or where it has no bar line with a second of music
    before it.
    """
    line_s = heard.final_bar_line_s
    length_s = heard.end_s - heard.start_s
    if line_s is None:
        hint = "has no steady beat to go on with; give its tempo in beats per minute"
        raise InvalidAudio("recording", f"{length_s:.1f} s", hint)
    if line_s - heard.start_s < MIN_OPENING_S:
        hint = "has no whole bar to go on from; record at least two bars"
        raise InvalidAudio("recording", f"{length_s:.1f} s", hint)
    return line_s


def open_recording(sound: Waveform, heard: RecordingAnalysis) -> Opening:
    """Return the opening of a recording that was analysed.

    Parameters
    ----------
    sound : Waveform
        The recording, as ``trim_recording`` returns it.
    heard : RecordingAnalysis
        What ``analyse`` says of it.

    Raises
    ------
    InvalidAudio
        Where no beat is heard, or no bar line has a second of music before it.

    Examples
    --------
    >>> import riffusion
    >>> bossa_guitar = riffusion.library()[7]
    >>> sound = riffusion.trim_recording(riffusion.read_audio(bossa_guitar.path))
    >>> heard = riffusion.analyse(sound)
    >>> opening = riffusion.open_recording(sound, heard)
    >>> guitar = riffusion.Prompt("bossa nova guitar")
    >>> settings = riffusion.JamSettings(
    ...     guitar, guitar, bpm=heard.bars.bpm, key=heard.key.name, steps=1
    ... )
    >>> engine = riffusion.load_engine(device="cpu")
    >>> session = riffusion.JamSession(engine, settings, opening=opening)
    >>> next(session).samples.shape
    (2, 11025)
    """
    bar_line_s = choose_bar_line_s(heard)
    return Opening(keep_recording(sound), heard.start_s, bar_line_s)


def prepare_opening(engine: Engine, opening: Opening) -> OpeningSound:
    """Return an opening at the engine's rate, with its channels and the loudness it expects.

    Raises InvalidInput for data that is no such recording.
    """
    rate = engine.params.sample_rate
    recording = decode_audio(opening.recording.data, MAX_S + ROUNDING_S)
    length = opening.samples(rate)
    if recording.duration_s + MISSING_S + ROUNDING_S < opening.bar_line_s:
        hint = f"lies after the end of the recording, {recording.duration_s:.2f} s"
        raise InvalidInput("opening's bar line", opening.bar_line_s, hint)
    first = round(opening.start_s * recording.sample_rate)
    played = Waveform(recording.samples[:, first:], recording.sample_rate)
    sound = matched_to_engine(played, engine).samples
    # Windows around the last frames reach beyond the bar line.
    wanted = length + engine.params.n_fft
    sound = np.pad(sound, ((0, 0), (0, max(0, wanted - sound.shape[1]))))[:, :wanted]
    frames = mel_spectrogram(Waveform(sound, rate), engine.params)
    whole = length // engine.params.hop_length
    return OpeningSound(sound[:, :length].copy(), frames.cut(0, whole))
