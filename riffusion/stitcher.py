"""Clips in, gapless audio out: vocoding, crossfades and one master for the whole track.

Frame ``f`` of every clip sits at absolute sample ``hop_length * f``, so the clips' frames form
one long spectrogram and their audio one long waveform. Only the recent part is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from riffusion.errors import InvalidInput
from riffusion.mastering import Mastering, MasterState, master, start_master
from riffusion.recent import Recent
from riffusion.spectrogram import Spectrogram, SpectrogramParams
from riffusion.waveform import Waveform

Samples = npt.NDArray[np.float32]

CROSSFADE_S = 0.03
FADE_IN_S = 0.005
# What a vocoder hears of the past, so that phases and filters have settled by the bar line.
RUN_UP_S = 0.25
# How far back a jam can be rewound.
REWIND_S = 30.0


class Vocoder(Protocol):
    """From magnitudes to sound: ``riffusion.phase.griffin_lim`` or anything like it."""

    def __call__(self, spectrogram: Spectrogram, *, prefix: Waveform | None) -> Waveform:
        """(channels, ``params.samples(frames)``) samples that begin with ``prefix``."""
        ...


@dataclass(frozen=True)
class PlacedClip:
    """A whole clip on the track: its audio from ``start`` (a bar line) on, and its frames."""

    start: int
    samples: Samples
    first_frame: int
    magnitudes: Samples


class Stitcher:
    """Puts clips together at bar lines. Holds a bounded past and can go back into it."""

    def __init__(
        self,
        params: SpectrogramParams,
        channels: int,
        window_frames: int,
        vocoder: Vocoder,
        mastering: Mastering | None = None,
    ) -> None:
        self.params = params
        self.crossfade = round(CROSSFADE_S * params.sample_rate)
        self._vocoder = vocoder
        self._history = round(REWIND_S * params.sample_rate)
        self._window = params.samples(window_frames)
        self._clips: list[PlacedClip] = []
        self._frames = Recent(np.zeros((channels, params.mel_bands, 0), np.float32))
        self._audio = Recent(np.zeros((channels, 0), np.float32))
        mastering = mastering or Mastering(sample_rate=params.sample_rate)
        self._master = start_master(channels, mastering)
        self._states: dict[int, MasterState] = {}

    @property
    def reach_back(self) -> int:
        """Most samples before a bar line that a change at that bar line rewrites."""
        return self.crossfade + self._master.settings.delay

    @property
    def kept_samples(self) -> int:
        """How much of the past is kept: what can be rewound, and a window before it."""
        return self._history + self._window

    @property
    def bar_lines(self) -> tuple[int, ...]:
        """The bar lines, as samples in order, that ``rewind`` can go back to."""
        return tuple(self._states)

    def frame_of(self, sample: int) -> int:
        """The first frame that belongs to a clip that starts at ``sample``."""
        return sample // self.params.hop_length

    def context(self, bar_line: int, frames: int) -> Spectrogram:
        """The ``frames`` frames that sound right before a bar line."""
        stop = self.frame_of(bar_line)
        return Spectrogram(torch.from_numpy(self._frames.read(stop - frames, stop)), self.params)

    def push(self, bar_line: int, first_frame: int, clip: Spectrogram) -> None:
        """Add a clip whose window begins at frame ``first_frame``, to sound from ``bar_line``."""
        placed = self._vocode(bar_line, first_frame, clip)
        self._audio.cut(bar_line)
        self._audio.append(placed.samples)
        self._frames.cut(self.frame_of(bar_line))
        self._frames.append(placed.magnitudes)
        self._clips.append(placed)
        self._forget(bar_line)

    def play_to(self, bar_line: int) -> Samples:
        """Mastered audio as far as it is final if another clip starts at ``bar_line``.

        Float32 (channels, n), following what the last call returned. Bar lines must be passed in
        order; each can be rewound to from then on.
        """
        taken_in = self._master.position + self._master.waiting.shape[1]
        audio = self._audio.read(taken_in, bar_line - self.crossfade)
        self._master, samples = master(self._master, audio)
        self._states[bar_line] = self._master
        return samples

    def rewind(self, bar_line: int) -> int:
        """Take back all clips from ``bar_line`` on. Returns the sample where audio resumes."""
        self._master = self._states[bar_line]
        self._states = {line: state for line, state in self._states.items() if line <= bar_line}
        self._clips = [clip for clip in self._clips if clip.start < bar_line]
        last = self._clips[-1]
        # A clip taken back had faded in over the end of this one.
        self._audio.cut(last.start)
        self._audio.append(last.samples)
        self._frames.cut(last.first_frame)
        self._frames.append(last.magnitudes)
        return self._master.position

    def _vocode(self, bar_line: int, first_frame: int, clip: Spectrogram) -> PlacedClip:
        """Sound of a clip, continuing what sounds before it, faded in up to the bar line."""
        start_frame = self.frame_of(bar_line)
        run_up = min(round(RUN_UP_S / self.params.frame_s), start_frame - first_frame)
        first = start_frame - run_up
        origin = first * self.params.hop_length
        fade = bar_line - self.crossfade
        prefix = None
        if run_up:
            prefix = Waveform(self._audio.read(origin, fade), self.params.sample_rate)
        sound = self._vocoder(clip.cut(first - first_frame, clip.frames), prefix=prefix).samples
        if run_up:
            samples = self._fade_over(fade, bar_line, sound[:, fade - origin :])
        else:
            samples = fade_in(sound, round(FADE_IN_S * self.params.sample_rate))
        magnitudes = clip.magnitudes[:, :, start_frame - first_frame :]
        return PlacedClip(bar_line, samples, start_frame, magnitudes.numpy().copy())

    def _fade_over(self, start: int, bar_line: int, sound: Samples) -> Samples:
        """Fade ``sound``, which begins at ``start``, in up to the bar line; return the rest."""
        old = self._audio.read(start, bar_line)
        new, rest = np.split(sound, [bar_line - start], axis=1)
        # A sound and its negative are the same to the ear and to the spectrogram: take the one
        # that does not cancel what it fades over.
        sign = np.float32(1.0 if correlation(old, new) >= 0 else -1.0)
        self._audio.replace(start, crossfade(old, sign * new))
        return sign * rest

    def _forget(self, now: int) -> None:
        """Drop the bar lines that are too long ago, and all that rewinding to others spares."""
        oldest = now - self._history
        self._states = {line: state for line, state in self._states.items() if line >= oldest}
        needed = now - self.kept_samples
        self._clips = [clip for clip in self._clips if clip.start >= needed]
        self._audio.forget(needed)
        self._frames.forget(self.frame_of(max(needed, 0)))


def crossfade(old: Samples, new: Samples) -> Samples:
    """From ``old`` to ``new``, both (channels, n), at the loudness they share.

    Quarter-cosine gains, divided by what their sum would otherwise gain for two signals of
    correlation r, measured here: equal power for strangers (r = 0), constant amplitude for twins
    (r = 1). M. Fink, M. Holters, U. Zoelzer, "Signal-matched power-complementary cross-fading
    and dry-wet mixing", DAFx 2016.
    """
    if old.shape != new.shape:
        raise InvalidInput("crossfade", (old.shape, new.shape), "both sides need the same shape")
    likeness = max(0.0, correlation(old, new))
    gain_old, gain_new = crossfade_gains(old.shape[1], likeness)
    return (gain_old * old + gain_new * new).astype(np.float32)


def crossfade_gains(
    samples: int, likeness: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gains of the old and the new signal, whose correlation is ``likeness`` (0 to 1)."""
    angle = (np.arange(samples) + 0.5) / samples * (np.pi / 2) if samples else np.zeros(0)
    old, new = np.cos(angle), np.sin(angle)
    loudness = np.sqrt(old**2 + new**2 + 2 * old * new * likeness)
    return old / loudness, new / loudness


def correlation(a: Samples, b: Samples) -> float:
    """Normalised correlation of two signals of one shape, -1 to 1; with silence it is 0."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    power = float(np.sqrt(np.sum(wide_a**2) * np.sum(wide_b**2)))
    if power == 0.0:
        return 0.0
    return min(max(float(np.sum(wide_a * wide_b)) / power, -1.0), 1.0)


def fade_in(samples: Samples, length: int) -> Samples:
    """The first ``length`` samples rise from silence, so that a track starts without a click."""
    faded = samples.copy()
    faded[:, :length] *= np.sin(np.arange(length, dtype=np.float32) / length * (np.pi / 2)) ** 2
    return faded
