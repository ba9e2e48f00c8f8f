"""Clips in, gapless audio out: vocoding, crossfades and one master for the whole track.

Frame ``f`` of every clip sits at absolute sample ``hop_length * f``, so the clips' frames form
one long spectrogram and their audio one long waveform. Only the recent part is kept.

One clip hands over to the next shortly before the bar line, as an editor cuts: the attack on the
first beat, with all that the transform spreads before it, belongs to the new clip, and both sides
of the crossfade have the same frames, because a clip begins with those that sound before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from riffusion.audio.mastering import Mastering, MasterState, master, start_master
from riffusion.audio.rolling_buffer import RollingBuffer
from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidInput
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams
from riffusion.vocoder.protocol import Vocoder

Samples = npt.NDArray[np.float32]

CROSSFADE_S = 0.03
# From the end of the crossfade to the bar line: with the crossfade, and what the master looks
# ahead, a little less than a tenth of a second.
HANDOVER_S = 0.0498
FADE_IN_S = 0.005
# What a vocoder hears of the past, so that phases and filters have settled by the bar line.
RUN_UP_S = 0.25
# A clip becomes sound piece by piece, so that its beginning can be heard sooner.
PIECE_S = 1.5
# How far back a jam can be rewound.
REWIND_S = 30.0


@dataclass(frozen=True)
class PlacedClip:
    """A clip on the track, and as much of its sound as there is.

    Its window begins at frame ``first_frame``; what is heard of it from ``start`` (a bar line) on
    begins a little earlier, with ``samples`` at sample ``origin``.
    """

    start: int
    first_frame: int
    frames: Spectrogram
    origin: int
    samples: Samples


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
        self.handover = round(HANDOVER_S * params.sample_rate)
        self._vocoder = vocoder
        self._history = round(REWIND_S * params.sample_rate)
        self._window = params.samples(window_frames)
        self._clips: list[PlacedClip] = []
        self._frames = RollingBuffer(np.zeros((channels, params.mel_bands, 0), np.float32))
        self._audio = RollingBuffer(np.zeros((channels, 0), np.float32))
        mastering = mastering or Mastering(sample_rate=params.sample_rate)
        self._master = start_master(channels, mastering)
        self._states: dict[int, MasterState] = {}

    @property
    def reach_back(self) -> int:
        """Most samples before a bar line that a change at that bar line rewrites."""
        return self.crossfade + self.handover + self._master.settings.delay

    @property
    def loudness(self) -> float:
        """The slow loudness in LUFS, before any gain, of what was mastered so far."""
        return self._master.loudness

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
        """Add a clip whose window begins at frame ``first_frame``, to sound from ``bar_line``.

        The bar line must have been played to. Only a first piece becomes sound now.
        """
        own_frame = self.frame_of(bar_line)
        origin, samples = self._first_piece(bar_line, first_frame, clip)
        self._audio.cut(origin)
        self._audio.append(samples)
        self._frames.cut(own_frame)
        self._frames.append(clip.magnitudes[:, :, own_frame - first_frame :].numpy().copy())
        self._clips.append(PlacedClip(bar_line, first_frame, clip, origin, samples))
        self._forget(bar_line)

    def play_ready(self, bar_line: int) -> Samples:
        """As ``play_to``, but only what has become sound already, and without a way back."""
        return self._play(min(self._audio.stop, bar_line - self.crossfade - self.handover))

    def play_to(self, bar_line: int) -> Samples:
        """Mastered audio as far as it is final if another clip starts at ``bar_line``.

        Float32 (channels, n), following what the last call returned, and less where the sound
        ends before. Bar lines must be passed in order; each can be rewound to from then on.
        """
        while self._audio.stop < bar_line - self.handover and self._add_piece():
            pass
        samples = self._play(bar_line - self.crossfade - self.handover)
        self._states[bar_line] = self._master
        return samples

    def rewind(self, bar_line: int) -> int:
        """Take back all clips from ``bar_line`` on. Returns the sample where audio resumes."""
        self._master = self._states[bar_line]
        self._states = {line: state for line, state in self._states.items() if line <= bar_line}
        self._clips = [clip for clip in self._clips if clip.start < bar_line]
        last = self._clips[-1]
        # A clip taken back had faded in over the end of this one.
        self._audio.cut(last.origin)
        self._audio.append(last.samples)
        own_frame = self.frame_of(last.start)
        self._frames.cut(own_frame)
        own = last.frames.magnitudes[:, :, own_frame - last.first_frame :]
        self._frames.append(own.numpy().copy())
        return self._master.position

    def _play(self, stop: int) -> Samples:
        """Master the audio up to sample ``stop``."""
        received = self._master.received
        audio = self._audio.read(received, max(received, min(stop, self._audio.stop)))
        self._master, samples = master(self._master, audio)
        return samples

    def _first_piece(
        self, bar_line: int, first_frame: int, clip: Spectrogram
    ) -> tuple[int, Samples]:
        """Where the sound of a clip begins, and its first piece, faded over what sounds there."""
        own_frame = self.frame_of(bar_line)
        stop_frame = self._piece_stop(own_frame, first_frame + clip.frames - 1)
        if own_frame == first_frame:
            sound = self._vocode(first_frame, clip, bar_line, stop_frame)
            return bar_line, fade_in(sound, round(FADE_IN_S * self.params.sample_rate))
        origin = bar_line - self.handover
        fade = origin - self.crossfade
        sound = self._vocode(first_frame, clip, fade, stop_frame)
        new, rest = np.split(sound, [self.crossfade], axis=1)
        old = self._audio.read(fade, origin)
        # A sound and its negative are the same to the ear and to the spectrogram: take the one
        # that does not cancel what it fades over.
        sign = np.float32(1.0 if correlation(old, new) >= 0 else -1.0)
        self._audio.replace(fade, crossfade(old, sign * new))
        return origin, sign * rest

    def _add_piece(self) -> bool:
        """Turn the next frames of the last clip into sound. False where it has no more."""
        clip = self._clips[-1]
        done = self._audio.stop
        last_frame = clip.first_frame + clip.frames.frames - 1
        if done >= last_frame * self.params.hop_length:
            return False
        stop_frame = self._piece_stop(self.frame_of(done), last_frame)
        sound = self._vocode(clip.first_frame, clip.frames, done, stop_frame)
        self._audio.append(sound)
        samples = np.concatenate([clip.samples, sound], axis=1)
        self._clips[-1] = replace(clip, samples=samples)
        return True

    def _piece_stop(self, frame: int, last_frame: int) -> int:
        """The frame at which a piece ends that begins at ``frame``; a short rest is added to it."""
        stop = frame + round(PIECE_S / self.params.frame_s)
        return stop if stop + self._margin < last_frame else last_frame

    @property
    def _margin(self) -> int:
        """Frames that a vocoder sees beyond the end of a piece, to join the next one."""
        return 4 * math.ceil(self.params.win_length / self.params.hop_length)

    def _vocode(self, first_frame: int, clip: Spectrogram, start: int, stop_frame: int) -> Samples:
        """Sound of a clip from sample ``start`` to a frame, continuing what sounds before it."""
        hop = self.params.hop_length
        first = max(first_frame, self.frame_of(start) - round(RUN_UP_S / self.params.frame_s))
        prefix = None
        if start > first * hop:
            prefix = Waveform(self._audio.read(first * hop, start), self.params.sample_rate)
        window = clip.cut(first - first_frame, stop_frame + self._margin + 1 - first_frame)
        sound = self._vocoder(window, prefix=prefix).samples
        return sound[:, start - first * hop : (stop_frame - first) * hop]

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
