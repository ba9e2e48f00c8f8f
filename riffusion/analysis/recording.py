"""The analysis of a recording, so that a jam can go on from it in its time and key."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from riffusion.analysis.key import find_key, measure_pitch_classes
from riffusion.analysis.metre import METRES, TEMPI, BarLines, find_bar_lines
from riffusion.analysis.onsets import RATE, measure_curves
from riffusion.analysis.patterns import load_patterns
from riffusion.analysis.pitch import FloatArray
from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.music.harmony import Key
from riffusion.music.rhythm import check_metre, check_tempo

MAX_S = 60.0  # of a recording are heard: its end
BEAT_S = 24.0  # of them for the beat
MIN_S = 3.0
BLOCK_S = 0.05
QUIET = 10 ** (-45 / 20)  # of the loudest block: the music has ended
SILENT_PEAK = 1e-4
MIN_PULSE = 3.5  # noise and most speech have less, music more: tests/analysis
SURE = 0.5  # certainties from here on are said without a doubt
MISSING_S = 0.03  # a recording may stop so much before its last bar line
NEAR_TEMPO = 0.02  # a tempo that is given is moved by at most this part


@dataclass(frozen=True)
class RecordingAnalysis:
    """What is heard in a recording.

    ``start_s`` and ``end_s`` are where it sounds, in seconds from its start; only the last minute
    is heard. ``bars`` are None where no steady beat is heard; times in them count from the start of
    the recording. ``key`` is None where nothing has a pitch.
    """

    start_s: float
    end_s: float
    bars: BarLines | None
    key: Key | None
    key_certainty: float

    def last_bar_line_s(self, before_s: float) -> float | None:
        """Return the last bar line at or before ``before_s``, None without a beat.

        It may lie before the start of the recording.
        """
        if self.bars is None:
            return None
        bar_s = self.bars.beats_per_bar * 60 / self.bars.bpm
        whole = math.floor((before_s - self.bars.downbeat_s) / bar_s + 1e-9)
        return self.bars.downbeat_s + whole * bar_s

    @property
    def final_bar_line_s(self) -> float | None:
        """The bar line at which the recording ends, or else its last one; None without a beat."""
        return self.last_bar_line_s(self.end_s + MISSING_S)

    def in_words(self, begins_s: float = 0.0) -> str:
        """Return what is heard in a sentence or two for musicians.

        ``begins_s`` is when the recording begins in a longer one, whose times are named.
        """
        key = "no key" if self.key is None else f"key {self.key.name}"
        if self.key is not None and self.key_certainty < SURE:
            key += " (perhaps)"
        if self.bars is None:
            return f"No steady beat is heard; {key}. Give its tempo to go on from it."
        bar_line_s = begins_s + (self.final_bar_line_s or 0.0)
        doubt = "" if self.bars.certainty >= SURE else " (perhaps)"
        return (
            f"{self.bars.bpm:.1f} bpm, {self.bars.beats_per_bar} beats in a bar, {key}; "
            f"the last bar line is at {bar_line_s:.2f} s{doubt}."
        )


def analyse(
    sound: Waveform,
    bpm: float | None = None,
    beats_per_bar: int | None = None,
    downbeat_s: float | None = None,
) -> RecordingAnalysis:
    """Return tempo, bar lines and key of the last minute of a recording.

    Parameters
    ----------
    sound : Waveform
        The recording, of any rate and number of channels.
    bpm, beats_per_bar : float, int, optional
        The tempo (it is followed to 2 %) and the metre, where they are known.
    downbeat_s : float, optional
        The time of any bar line, in seconds from the start of the recording, where it is known.

    Raises
    ------
    InvalidAudio
        For a recording that is silent or lasts less than three seconds.
    InvalidInput
        For a tempo, a metre or a time that cannot be.

    Examples
    --------
    >>> import riffusion
    >>> bossa_guitar = riffusion.library()[7]
    >>> heard = riffusion.analyse(riffusion.read_audio(bossa_guitar.path))
    >>> round(heard.bars.bpm), heard.bars.beats_per_bar, heard.key.name
    (130, 4, 'D')
    """
    _check_corrections(sound, bpm, beats_per_bar, downbeat_s)
    first = max(0, sound.samples.shape[1] - math.ceil(MAX_S * sound.sample_rate))
    skipped_s = first / sound.sample_rate
    heard = _prepare(Waveform(sound.samples[:, first:], sound.sample_rate))
    start, stop = _find_music(heard)
    music = Waveform(heard.samples[:, start:stop], RATE)
    patterns = load_patterns()
    pitch_classes = measure_pitch_classes(music)
    key, certainty = find_key(pitch_classes, patterns) if pitch_classes.any() else (None, 0.0)
    bars = _find_bars(music, bpm, beats_per_bar)
    if bars is not None:
        heard_at_s = skipped_s + start / RATE + bars.downbeat_s
        bars = BarLines(
            bars.bpm,
            bars.beats_per_bar,
            heard_at_s if downbeat_s is None else float(downbeat_s),
            bars.pulse,
            bars.certainty if downbeat_s is None else 1.0,
        )
    return RecordingAnalysis(
        skipped_s + start / RATE, skipped_s + stop / RATE, bars, key, certainty
    )


def _check_corrections(
    sound: Waveform, bpm: float | None, beats_per_bar: int | None, downbeat_s: float | None
) -> None:
    """Raise InvalidInput for corrections that cannot be, InvalidAudio for a sound too short."""
    if sound.duration_s < MIN_S:
        hint = f"has {sound.duration_s:.1f} s; record at least {MIN_S:g} s, better eight"
        raise InvalidAudio("recording", f"{sound.duration_s:.1f} s", hint)
    if bpm is not None:
        check_tempo(bpm)
    if beats_per_bar is not None:
        check_metre(beats_per_bar)
    if downbeat_s is not None and not 0 <= downbeat_s <= sound.duration_s:
        hint = f"use a time in the recording, 0 to {sound.duration_s:.2f} seconds"
        raise InvalidInput("downbeat", downbeat_s, hint)


def _prepare(sound: Waveform) -> Waveform:
    """Return a sound at ``RATE`` without its mean. Raises InvalidAudio for silence."""
    samples = sound.samples - sound.samples.mean(axis=1, keepdims=True)
    if float(np.abs(samples).max()) < SILENT_PEAK:
        hint = "is silent; check the microphone, or choose another recording"
        raise InvalidAudio("recording", f"{sound.duration_s:.1f} s of silence", hint)
    return Waveform(samples, sound.sample_rate).resample(RATE)


def _find_music(sound: Waveform) -> tuple[int, int]:
    """Return from which sample to which the sound is no silence. Raises InvalidAudio."""
    block = round(BLOCK_S * RATE)
    blocks = sound.samples.shape[1] // block
    levels = sound.samples[:, : blocks * block].reshape(sound.channels, blocks, block)
    loudness: FloatArray = np.sqrt((levels.astype(float) ** 2).mean(axis=(0, 2)))
    sounding = np.nonzero(loudness > QUIET * loudness.max())[0]
    start, stop = int(sounding[0]) * block, (int(sounding[-1]) + 1) * block
    stop = sound.samples.shape[1] if sounding[-1] == blocks - 1 else stop
    if stop - start < MIN_S * RATE:
        length_s = (stop - start) / RATE
        hint = f"only {length_s:.1f} s of it sound; record at least {MIN_S:g} s of music"
        raise InvalidAudio("recording", f"{sound.duration_s:.1f} s", hint)
    return start, stop


def _find_bars(music: Waveform, bpm: float | None, beats_per_bar: int | None) -> BarLines | None:
    """Return the bars at the end of ``music``, counted from its start; None without a beat."""
    first = max(0, music.samples.shape[1] - round(BEAT_S * RATE))
    curves = measure_curves(Waveform(music.samples[:, first:], RATE))
    tempi = TEMPI if bpm is None else TEMPI[np.abs(np.log(TEMPI / bpm)) < NEAR_TEMPO]
    metres = METRES if beats_per_bar is None else (beats_per_bar,)
    bars = find_bar_lines(curves, load_patterns(), tempi, metres)
    if bpm is None and bars.pulse < MIN_PULSE:
        return None
    downbeat_s = first / RATE + bars.downbeat_s
    return BarLines(bars.bpm, bars.beats_per_bar, downbeat_s, bars.pulse, bars.certainty)
