"""The stitcher joins clips to one gapless track: it vocodes them, crossfades them and masters the
result.

Frame ``f`` of every clip lies at absolute sample ``hop_length * f``, so the frames of all clips
form one long spectrogram and their audio one long waveform. Only its recent part is kept.

A crossfade ends shortly before the bar line, where an editor would cut: the attack on the first
beat, with the pre-echo that the transform spreads before it, belongs to the new clip. Both sides of
the crossfade have the same frames, because a clip begins with those that sound before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from riffusion.audio.mastering import Mastering, MasterState, change_effects, master, start_master
from riffusion.audio.rolling_buffer import RollingBuffer
from riffusion.errors import InvalidInput
from riffusion.jam.clip_sound import ClipSound
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams
from riffusion.vocoder.protocol import Vocoder

Samples = npt.NDArray[np.float32]

CROSSFADE_S = 0.03
# The time from the end of a crossfade to the bar line. Together with the crossfade and the look-
# ahead of the master it is a little less than a tenth of a second.
HANDOVER_S = 0.0498
FADE_IN_S = 0.005
# A jam can be rewound by this much.
REWIND_S = 30.0


@dataclass(frozen=True)
class PlacedClip:
    """A clip on the track that plays from bar line ``start`` on, a sample.

    Its window of ``frames`` begins at absolute frame ``first_frame``. Its audio, fade included,
    begins at sample ``fade`` and replaced the samples ``covered`` (channels, n) of the clip before
    it, which return when this clip is taken back. ``pieces`` are those that have not been vocoded;
    only the last clip has any.
    """

    start: int
    first_frame: int
    frames: Spectrogram
    fade: int
    covered: Samples
    pieces: Iterator[Samples] = field(default=iter(()), compare=False, repr=False)


class Stitcher:
    """Joins clips at bar lines, keeps a bounded past and can be rewound into it.

    ``push`` adds a clip, ``play_to`` returns mastered audio, ``rewind`` takes clips back. Clips
    have ``channels`` channels and at most ``window_frames`` frames.
    """

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
        self._rise = round(FADE_IN_S * params.sample_rate)
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
        """The most samples before a bar line that a change at that bar line rewrites."""
        return self.crossfade + self.handover + self._master.settings.delay

    @property
    def loudness(self) -> float:
        """The slow loudness in LUFS, before any gain, of the audio mastered so far."""
        return self._master.loudness

    @property
    def kept_samples(self) -> int:
        """The number of samples of the past that are kept: what can be rewound, and a window."""
        return self._history + self._window

    @property
    def bar_lines(self) -> tuple[int, ...]:
        """The bar lines that ``rewind`` can go back to, as samples in order."""
        return tuple(self._states)

    @property
    def has_begun(self) -> bool:
        """Whether a piece of the last clip has been vocoded."""
        return self._audio.stop > self._clips[-1].fade

    def frame_at(self, sample: int) -> int:
        """Return the first frame of a clip that starts at ``sample``."""
        return sample // self.params.hop_length

    def context(self, bar_line: int, frames: int) -> Spectrogram:
        """Return the last ``frames`` frames before a bar line."""
        stop = self.frame_at(bar_line)
        return Spectrogram(torch.from_numpy(self._frames.read(stop - frames, stop)), self.params)

    def open_with(self, samples: Samples, frames: Spectrogram) -> None:
        """Begin the track with a recording (channels, n) and its whole frames.

        The first clip continues it.
        """
        self._audio.append(fade_in(samples, self._rise))
        self._frames.append(frames.magnitudes.numpy().copy())
        # What a clip can continue, and so what comes back when that clip is taken back.
        first_frame = max(0, frames.frames - self._window // self.params.hop_length)
        start = first_frame * self.params.hop_length
        last = frames.cut(first_frame, frames.frames)
        self._clips.append(PlacedClip(start, first_frame, last, start, samples[:, :0]))

    def push(
        self,
        bar_line: int,
        first_frame: int,
        clip: Spectrogram,
        effects: Mapping[str, float] = MappingProxyType({}),
        vocoder: Vocoder | None = None,
    ) -> None:
        """Add a clip that plays from ``bar_line`` on; its window begins at ``first_frame``.

        ``effects`` are the settings of the master's effects from ``bar_line`` on. ``vocoder`` makes
        the sound of this clip, where it is not the stitcher's own.

        The track must have been played up to the bar line. None of the clip is vocoded yet, but
        ``context`` has its frames already.
        """
        self._master = change_effects(self._master, effects, bar_line)
        own_frame = self.frame_at(bar_line)
        fades = own_frame > first_frame
        fade = bar_line - self.handover - self.crossfade if fades else bar_line
        covered = self._audio.read(fade, self._audio.stop)
        self._audio.cut(fade)
        self._frames.cut(own_frame)
        self._frames.append(clip.magnitudes[:, :, own_frame - first_frame :].numpy().copy())
        sound = ClipSound(self._audio, vocoder or self._vocoder, clip, first_frame, bar_line)
        pieces = self._join(sound, covered, fades)
        if self._clips:
            # The clip before is never vocoded further, also where this one is taken back, and a
            # vocoder in the middle of a clip holds 14 MB.
            self._clips[-1] = replace(self._clips[-1], pieces=iter(()))
        self._clips.append(PlacedClip(bar_line, first_frame, clip, fade, covered, pieces))
        self._forget(bar_line)

    def play_ready(self, bar_line: int) -> Samples:
        """Return the mastered audio that is vocoded already, as ``play_to`` does.

        Of a new clip the first piece is vocoded. The bar line cannot be rewound to afterwards.
        """
        if not self.has_begun:
            self._add_piece()
        return self._play(min(self._audio.stop, bar_line - self.crossfade - self.handover))

    def play_to(self, bar_line: int) -> Samples:
        """Return mastered audio as far as it is final if another clip starts at ``bar_line``.

        The result is float32 (channels, n), follows what the last call returned and ends earlier
        where the clip ends. Bar lines must be passed in order; each can be rewound to from then on.
        """
        while self._audio.stop < bar_line - self.handover and self._add_piece():
            pass
        samples = self._play(bar_line - self.crossfade - self.handover)
        self._states[bar_line] = self._master
        return samples

    def rewind(self, bar_line: int) -> int:
        """Take back all clips from ``bar_line`` on. Return the sample at which audio resumes."""
        self._master = self._states[bar_line]
        self._states = {line: state for line, state in self._states.items() if line <= bar_line}
        while self._clips[-1].start >= bar_line:
            taken_back = self._clips.pop()
            self._audio.cut(taken_back.fade)
            self._audio.append(taken_back.covered)
        last = self._clips[-1]
        own_frame = self.frame_at(last.start)
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

    def _add_piece(self) -> bool:
        """Vocode the next frames of the last clip. Return False where it has no more."""
        piece = next(self._clips[-1].pieces, None)
        if piece is None:
            return False
        self._audio.append(piece)
        return True

    def _join(self, sound: ClipSound, covered: Samples, fades: bool) -> Iterator[Samples]:
        """Yield the pieces of a clip as they continue the audio before it.

        A sound and its negative are the same to the ear and to the spectrogram, so the sign is
        taken that does not cancel the audio before, which is ``covered``.
        """
        pieces = sound.pieces()
        first = next(pieces)
        if not fades:  # it rises from silence
            yield fade_in(first, self._rise)
            yield from pieces
            return
        new, rest = np.split(first, [self.crossfade], axis=1)
        old = covered[:, : self.crossfade]
        sign = np.float32(1.0 if correlation(old, new) >= 0 else -1.0)
        yield np.concatenate([crossfade(old, sign * new), sign * rest], axis=1)
        for piece in pieces:
            yield sign * piece if sound.is_continued_by_vocoder else piece

    def _forget(self, now: int) -> None:
        """Drop the bar lines that are too long ago, and what only rewinding there would need."""
        oldest = now - self._history
        self._states = {line: state for line, state in self._states.items() if line >= oldest}
        needed = now - self.kept_samples
        self._clips = [clip for clip in self._clips if clip.start >= needed]
        self._audio.forget(needed)
        self._frames.forget(self.frame_at(max(needed, 0)))


def crossfade(old: Samples, new: Samples) -> Samples:
    """Return the crossfade from ``old`` to ``new``, both (channels, n), at their shared loudness.

    Quarter-cosine gains are divided by what their sum would otherwise gain for two signals of
    correlation r, which is measured: uncorrelated signals (r = 0) get equal power, equal ones
    (r = 1) constant amplitude. M. Fink, M. Holters, U. Zoelzer, "Signal-matched power-complementary
    cross-fading and dry-wet mixing", DAFx 2016. Raises InvalidInput for different shapes.
    """
    if old.shape != new.shape:
        raise InvalidInput("crossfade", (old.shape, new.shape), "both sides need the same shape")
    gain_old, gain_new = crossfade_gains(old.shape[1], max(0.0, correlation(old, new)))
    return (gain_old * old + gain_new * new).astype(np.float32)


def crossfade_gains(
    samples: int, r: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the gains (samples,) of the old and the new signal, whose correlation ``r`` is 0 to 1.

    Their sum has the same power at every sample (Fink et al., DAFx 2016).
    """
    angle = (np.arange(samples) + 0.5) / samples * (np.pi / 2) if samples else np.zeros(0)
    old, new = np.cos(angle), np.sin(angle)
    loudness = np.sqrt(old**2 + new**2 + 2 * old * new * r)
    return old / loudness, new / loudness


def correlation(a: Samples, b: Samples) -> float:
    """Return the normalised correlation of two signals of one shape, -1 to 1; 0 with silence."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    power = float(np.sqrt(np.sum(wide_a**2) * np.sum(wide_b**2)))
    if power == 0.0:
        return 0.0
    return min(max(float(np.sum(wide_a * wide_b)) / power, -1.0), 1.0)


def fade_in(samples: Samples, length: int) -> Samples:
    """Return ``samples`` (channels, n) whose first ``length`` rise from silence, without a click.

    The gain is a quarter sine, squared.
    """
    faded = samples.copy()
    faded[:, :length] *= np.sin(np.arange(length, dtype=np.float32) / length * (np.pi / 2)) ** 2
    return faded
