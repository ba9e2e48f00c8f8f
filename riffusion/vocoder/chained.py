"""Fast Griffin-Lim over blocks of frames as they arrive, for little work and a short delay.

It is ``improve_phases`` of a stream. An iteration needs the frames that share samples with its own,
so each runs a few frames behind the iteration before it. A block passes through all iterations
while it is in the processor's cache; nothing is computed twice and nothing old is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Estimate:
    """Spectra between two iterations.

    ``spectra`` (channels, frames, all bins) have the wanted ``magnitudes`` (channels, frames,
    bins). ``before`` (channels, frames, bins) are what the iteration before rebuilt.
    """

    spectra: torch.Tensor
    magnitudes: torch.Tensor
    before: torch.Tensor

    @classmethod
    def of(cls, stft: Stft, mid: torch.Tensor, gains: torch.Tensor) -> Estimate:
        """Return what iterations of ``mid`` (1, frames, bins) times ``gains`` start from."""
        whole = stft.silence(gains)
        spectra = torch.mul(mid, gains, out=whole[..., : stft.bins])
        return cls(whole, torch.from_numpy(np.abs(spectra.numpy())), spectra)


class Iteration:
    """One iteration over the frames of a sound, which returns frames a little later.

    ``known`` samples lie within the first frames.
    """

    def __init__(
        self, stft: Stft, synthesis: SynthesisWindow, known: Known, inertia: float
    ) -> None:
        self._stft, self._known, self._inertia = stft, known, inertia
        self._sounds = OverlapAdd(stft, synthesis)
        self._samples: torch.Tensor | None = None
        none = torch.zeros(len(known.samples), 0, stft.bins)
        # The magnitudes of frames that wait for the frames after them, and what was before.
        self._waiting = none, none.to(torch.complex64)

    def __call__(self, estimate: Estimate, last: bool) -> Estimate:
        """Take further frames, and return those whose samples are complete."""
        stft = self._stft
        samples = self._sounds(estimate.spectra, last)
        if self._samples is None:
            samples[:, self._known.place : self._known.end] = self._known.samples
        else:
            samples = torch.cat([self._samples, samples], 1)
        rebuilt = stft.to_frames(samples)
        done, early = rebuilt.shape[1], self._waiting[0].shape[1]
        self._samples = samples[:, done * stft.hop :]
        spectra = torch.empty(*rebuilt.shape[:2], stft.n_fft // 2 + 1, dtype=rebuilt.dtype)
        spectra[..., stft.bins :] = 0
        magnitudes = torch.empty(rebuilt.shape)
        parts = self._waiting, (estimate.magnitudes, estimate.before)
        for (sizes, before), some in zip(parts, (slice(early), slice(early, done)), strict=True):
            count = len(range(*some.indices(done)))
            magnitudes[:, some] = sizes[:, :count]
            aim = torch.sub(rebuilt[:, some], before[:, :count], alpha=self._inertia)
            _rescale(aim, magnitudes[:, some], out=spectra[:, some, : stft.bins])
        rest = done - early
        self._waiting = estimate.magnitudes[:, rest:], estimate.before[:, rest:]
        return Estimate(spectra, magnitudes, rebuilt)


def _rescale(spectra: torch.Tensor, magnitudes: torch.Tensor, out: torch.Tensor) -> None:
    """Write ``spectra`` with other magnitudes to ``out``; NumPy is fastest at this."""
    values = spectra.numpy()
    gain = np.abs(values)
    np.maximum(gain, FAINTEST, out=gain)
    np.divide(magnitudes.numpy(), gain, out=gain)
    np.multiply(values, gain, out=out.numpy())


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
        inertia = momentum / (1 + momentum)

        def chain(count: int, known: Known) -> list[Iteration]:
            inertias = [inertia * FIRST_INERTIA, *[inertia] * (count - 1)][:count]
            return [Iteration(stft, synthesis, known, each) for each in inertias]

        self._mid, self._apart = chain(iterations[0], known.mid()), chain(iterations[1], known)
        self._sounds = OverlapAdd(stft, synthesis)
        self._gains = torch.zeros(len(known.samples), 0, stft.bins, dtype=torch.complex64)

    def __call__(self, mid: torch.Tensor, channel_gains: torch.Tensor, last: bool) -> torch.Tensor:
        """Return the samples (channels, n) that are final after these further frames.

        ``mid`` (1, frames, bins) are complex spectra whose magnitudes stay; ``channel_gains``
        (channels, frames, bins) are the complex factors of the channels. With ``last`` all samples
        that remain are returned.
        """
        stft = self._stft
        estimate = Estimate.of(stft, mid, torch.ones_like(mid))
        for iteration in self._mid:
            estimate = iteration(estimate, last)
        gains = torch.cat([self._gains, channel_gains], 1)
        done = estimate.spectra.shape[1]
        self._gains = gains[:, done:]
        estimate = Estimate.of(stft, estimate.spectra[..., : stft.bins], gains[:, :done])
        for iteration in self._apart:
            estimate = iteration(estimate, last)
        return self._sounds(estimate.spectra, last)
