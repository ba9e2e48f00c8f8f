"""Fast Griffin-Lim over blocks of frames as they arrive, for little work and a short delay.

It is ``improve_phases`` of a stream. An iteration needs the frames that share samples with its own,
so each runs a few frames behind the iteration before it. A block passes through all iterations
while it is in the processor's cache; nothing is computed twice and nothing old is kept.
"""

from __future__ import annotations

import numpy as np
import torch

from riffusion.spectral.phases import Known
from riffusion.spectral.stft import TINY, Stft

FEWEST_FRAMES = 16  # of a sound: its edges are then apart from each other
FAINTEST = 1e-15  # a spectrum under -300 dB has no phase
# What the first iteration starts from is worth half of what an iteration before it had rebuilt.
FIRST_INERTIA = 0.5


class SynthesisWindow:
    """The window of the inverse transform, divided by the sum of squared windows at each sample.

    ``window`` (window length,) is that between other frames. At the start and at the end of a sound
    fewer frames share a sample; ``start`` and ``end`` (``shared`` samples,) make up for that.
    ``lag`` is the number of frames that a frame shares samples with on each side.
    """

    def __init__(self, stft: Stft) -> None:
        length = len(stft.window)
        self.lag = -(-length // stft.hop) - 1
        self.shared = length - stft.hop
        squared = stft.squared(torch.ones(1, FEWEST_FRAMES))[0].clamp_min_(TINY)
        period = squared[self.lag * stft.hop : (self.lag + 1) * stft.hop]
        complete = period.repeat(FEWEST_FRAMES + self.lag + 1)[: len(squared)]
        self.window = stft.window / complete[:length]
        gains = complete / squared
        self.start, self.end = gains[: self.shared], gains[-self.shared :]


class OverlapAdd:
    """The inverse transform of frames as they arrive: the samples that no later frame shares.

    The first frames are more than ``SynthesisWindow.lag``.
    """

    def __init__(self, stft: Stft, synthesis: SynthesisWindow) -> None:
        self._stft, self._synthesis = stft, synthesis
        self._rest: torch.Tensor | None = None

    def __call__(self, spectra: torch.Tensor, last: bool) -> torch.Tensor:
        """Return samples (channels, n) of spectra (channels, frames, all bins)."""
        stft, synthesis = self._stft, self._synthesis
        framed = torch.fft.irfft(spectra, n=stft.n_fft)[..., : len(stft.window)]
        sound = stft.overlap_add(framed.mul_(synthesis.window))
        beginning = sound[:, : synthesis.shared]
        if self._rest is None:
            beginning *= synthesis.start
        else:
            beginning += self._rest
        if last:
            sound[:, -synthesis.shared :] *= synthesis.end
            return sound
        self._rest = sound[:, -synthesis.shared :]
        return sound[:, : -synthesis.shared]


class Magnitudes:
    """The wanted magnitudes of frames that are still to pass through some iterations."""

    def __init__(self, channels: int, bins: int) -> None:
        self._kept = torch.zeros(channels, 0, bins)
        self._first = 0

    def add(self, spectra: torch.Tensor) -> None:
        """Add those of further spectra (channels, frames, bins)."""
        size = torch.from_numpy(np.abs(spectra.numpy()))
        self._kept = torch.cat([self._kept, size], 1)

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Return those of frames ``start`` to ``stop``, (channels, frames, bins)."""
        return self._kept[:, start - self._first : stop - self._first]

    def forget(self, before: int) -> None:
        """Drop those of the frames before ``before``."""
        self._kept, self._first = self._kept[:, before - self._first :], before


class Iteration:
    """One iteration over the frames of a sound, which returns frames a little later.

    ``known`` samples lie within the first frames.
    """

    def __init__(
        self, stft: Stft, synthesis: SynthesisWindow, known: Known, inertia: float
    ) -> None:
        self._stft, self._known, self._inertia = stft, known, inertia
        self._sounds = OverlapAdd(stft, synthesis)
        self._samples = torch.zeros(len(known.samples), 0)
        # What was before in the frames that wait for the frames after them.
        self._before = torch.zeros(len(known.samples), 0, stft.bins, dtype=torch.complex64)
        self.done = 0  # frames

    def __call__(
        self, spectra: torch.Tensor, before: torch.Tensor, magnitudes: Magnitudes, last: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take further frames, and return better spectra of those whose samples are complete.

        All but the last are at least as many as wait for the frames after them.
        ``spectra`` are (channels, frames, all bins), ``before`` (channels, frames, bins) what the
        iteration before rebuilt. What this one rebuilt is the second result.
        """
        stft, start = self._stft, self.done
        samples = self._sounds(spectra, last)
        if start == 0:
            samples[:, self._known.place : self._known.end] = self._known.samples
        samples = torch.cat([self._samples, samples], 1)
        rebuilt = stft.to_frames(samples)
        count, early = rebuilt.shape[1], self._before.shape[1]
        self._samples = samples[:, count * stft.hop :]
        self.done = start + count
        aim = torch.empty_like(rebuilt, memory_format=torch.contiguous_format)
        late = count - early
        for some, old in ((slice(early), self._before), (slice(early, count), before[:, :late])):
            torch.sub(rebuilt[:, some], old, alpha=self._inertia, out=aim[:, some])
        self._before = before[:, late:]
        return _with_magnitudes(aim, magnitudes.read(start, self.done), stft), rebuilt


def _with_magnitudes(aim: torch.Tensor, magnitudes: torch.Tensor, stft: Stft) -> torch.Tensor:
    """Return spectra (channels, frames, all bins); NumPy is fastest at this."""
    spectra = torch.empty(*aim.shape[:2], stft.n_fft // 2 + 1, dtype=aim.dtype)
    spectra[..., stft.bins :] = 0
    values = aim.numpy()
    gain = np.abs(values)
    np.maximum(gain, FAINTEST, out=gain)
    np.divide(magnitudes.numpy(), gain, out=gain)
    np.multiply(values, gain, out=spectra[..., : stft.bins].numpy())
    return spectra


class IterationChain:
    """Some iterations of some channels, each a few frames behind the one before."""

    def __init__(
        self, stft: Stft, synthesis: SynthesisWindow, known: Known, count: int, momentum: float
    ) -> None:
        inertia = momentum / (1 + momentum)
        inertias = [inertia * FIRST_INERTIA, *[inertia] * (count - 1)][:count]
        self._stft = stft
        self._iterations = [Iteration(stft, synthesis, known, each) for each in inertias]
        self._magnitudes = Magnitudes(len(known.samples), stft.bins)

    def __call__(self, spectra: torch.Tensor, last: bool) -> torch.Tensor:
        """Take further spectra (channels, frames, all bins) and return finished ones."""
        if not self._iterations:
            return spectra
        before = spectra[..., : self._stft.bins]
        self._magnitudes.add(before)
        for iteration in self._iterations:
            spectra, before = iteration(spectra, before, self._magnitudes, last)
        self._magnitudes.forget(self._iterations[-1].done)
        return spectra


class ChainedGriffinLim:
    """Iterations of the mid signal, then of each channel by itself, then the samples."""

    def __init__(
        self,
        stft: Stft,
        synthesis: SynthesisWindow,
        known: Known,
        iterations: tuple[int, int],
        momentum: float,
    ) -> None:
        self._stft = stft
        self._mid = IterationChain(stft, synthesis, known.mid(), iterations[0], momentum)
        self._apart = IterationChain(stft, synthesis, known, iterations[1], momentum)
        self._sounds = OverlapAdd(stft, synthesis)
        self._gains = torch.zeros(len(known.samples), 0, stft.bins, dtype=torch.complex64)

    def __call__(self, mid: torch.Tensor, channel_gains: torch.Tensor, last: bool) -> torch.Tensor:
        """Return the samples (channels, n) that are final after these further frames.

        ``mid`` (1, frames, bins) are complex spectra whose magnitudes stay; ``channel_gains``
        (channels, frames, bins) are the complex factors of the channels. With ``last`` all samples
        that remain are returned. The first frames are more than the iterations are behind, further
        ones at least ``SynthesisWindow.lag``.
        """
        stft = self._stft
        whole = stft.silence(mid)
        whole[..., : stft.bins] = mid
        mid = self._mid(whole, last)
        done = mid.shape[1]
        gains = torch.cat([self._gains, channel_gains], 1)
        self._gains = gains[:, done:]
        whole = stft.silence(gains[:, :done])
        torch.mul(mid[..., : stft.bins], gains[:, :done], out=whole[..., : stft.bins])
        return self._sounds(self._apart(whole, last), last)
