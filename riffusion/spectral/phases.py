"""Iterations of the fast Griffin-Lim algorithm, and the phases that they start from.

D. Griffin and J. Lim, "Signal Estimation from Modified Short-Time Fourier Transform", IEEE
Transactions on Acoustics, Speech and Signal Processing 32(2), 1984; N. Perraudin, P. Balazs and
P. L. Søndergaard, "A Fast Griffin-Lim Algorithm", WASPAA 2013.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torchaudio.functional import resample

from riffusion.spectral.stft import TINY, Stft, power

REFIT_PERIOD = 8  # iterations
# The zero crossings on each side that the resampling filter of known samples covers, and the
# samples that it needs beyond the last one.
RESAMPLING_WIDTH = 24
BEYOND = 64
# A spectrum under -300 dB has no phase.
FAINTEST_POWER = 1e-30


@dataclass(frozen=True)
class Known:
    """The part of a sound that is known before its phases are searched.

    The sound spans all windows of its frames. ``samples`` (channels, n) are its own from sample
    ``place`` on. Its first and its last ``reflected`` samples mirror those within.
    """

    samples: torch.Tensor
    place: int
    reflected: tuple[int, int] = (0, 0)

    @property
    def end(self) -> int:
        """The sample after the last known one."""
        return self.place + self.samples.shape[1]

    def mid(self) -> Known:
        """Return the same for the mean of all channels."""
        return replace(self, samples=self.samples.mean(0, keepdim=True))

    def at(self, rate: Fraction) -> Known:
        """Return the same for the sound at ``rate`` times its sample rate."""
        place, *reflected = (int(n * rate) for n in (self.place, *self.reflected))
        samples = self.samples[:, : int(self.samples.shape[1] * rate)]
        if samples.shape[1] and rate != 1:
            # The sound does not fall silent beyond its last known sample.
            padded = torch.nn.functional.pad(self.samples, (0, BEYOND), mode="replicate")
            resampled = resample(padded, rate.denominator, rate.numerator, RESAMPLING_WIDTH)
            samples = resampled[:, : samples.shape[1]]
        return Known(samples, place, (reflected[0], reflected[1]))

    def first_frame(self, stft: Stft) -> torch.Tensor | None:
        """Return the spectrum (channels, 1, bins) of the first frame, or None if not all of it is
        known."""
        length = len(stft.window)
        if self.place or self.end < length:
            return None
        return stft.to_frames(self.samples[:, :length])


@dataclass(frozen=True)
class Refit:
    """Magnitudes that agree with the mel bands and are otherwise those of a sound.

    ``target`` (channels, frames, bins) are the smallest magnitudes that agree with the bands.
    ``projection`` (bins, bins) projects magnitudes on what the bands determine
    (``mel_projection``).
    """

    target: torch.Tensor
    projection: torch.Tensor

    def __call__(self, spectrum: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Write the magnitudes that agree and are nearest to those of ``spectrum`` to ``out``."""
        magnitudes = torch.abs(spectrum, out=out)
        return magnitudes.sub_(magnitudes @ self.projection).add_(self.target).clamp_min_(0)


def improve_phases(
    stft: Stft,
    magnitudes: torch.Tensor,
    estimate: torch.Tensor,
    known: Known,
    iterations: int,
    momentum: float,
    refit: Refit | None = None,
) -> torch.Tensor:
    """Run iterations of fast Griffin-Lim from a complex ``estimate`` (channels, frames, bins).

    Returns a spectrum with better phases, whose magnitudes are not yet ``magnitudes`` (channels,
    frames, bins); ``refit`` changes those in place every few iterations.
    """
    inertia = momentum / (1 + momentum)
    envelope = stft.envelope(estimate.shape[1])
    aim, before = estimate, torch.zeros_like(estimate)
    # The buffer is wide enough for the inverse transform, which would otherwise copy into one.
    whole = stft.silence(estimate)
    now = whole[..., : stft.bins].copy_(estimate)
    for number in range(1, iterations + 1):
        sound = stft.to_sound(whole, envelope)
        sound[:, known.place : known.end] = known.samples
        _reflect(sound, *known.reflected)
        rebuilt = stft.to_frames(sound)
        if refit is not None and number % REFIT_PERIOD == 0:
            refit(rebuilt, out=magnitudes)
        aim = torch.sub(rebuilt, before, alpha=inertia)
        with_magnitude(magnitudes, aim, out=now)
        before = rebuilt
    return aim


def crossfade_step(sound: torch.Tensor, known: Known, stft: Stft) -> torch.Tensor:
    """Fade out the step from the last known sample to ``sound``, in place, and return ``sound``.

    A vocoder continues the known samples with a small error; a step would be heard as a click.
    """
    if known.samples.shape[1]:
        end = known.end
        fade = stft.seam[: sound.shape[1] - end]
        sound[:, end : end + len(fade)] += (known.samples[:, -1:] - sound[:, end - 1 : end]) * fade
    return sound


def with_magnitude(
    magnitude: torch.Tensor, phases: torch.Tensor, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Return a spectrum with ``magnitude`` and the phases of the spectrum ``phases``.

    ``out``, which may be the result, takes no gradients.
    """
    if out is not None:  # in half the time of sgn
        gain = power(phases).clamp_min_(FAINTEST_POWER).rsqrt_().mul_(magnitude)
        return torch.mul(phases, gain, out=out)
    return torch.sgn(phases) * magnitude


def advancing_phases(target: torch.Tensor, turns_per_bin: float, seed: int) -> torch.Tensor:
    """Return phases (channels, frames, bins) in radians for ``target`` magnitudes.

    They are random in the first frame; then each bin turns at the frequency of the spectral peak
    that it belongs to. ``turns_per_bin`` is the phase advance of one bin from frame to frame.
    G. Beauregard, M. Harish and L. Wyse, "Single Pass Spectrogram Inversion", DSP 2015; the
    frequency of a peak is that of the parabola through it and its neighbours.
    """
    left, here, right = target[..., :-2], target[..., 1:-1], target[..., 2:]
    is_peak = torch.nn.functional.pad((here > left) & (here >= right), (1, 1))
    curve = (left - 2 * here + right).clamp_max(-TINY)
    offset = torch.nn.functional.pad((0.5 * (left - right) / curve).clamp(-0.5, 0.5), (1, 1))
    bins = torch.arange(target.shape[-1])
    below = torch.where(is_peak, bins, -1).cummax(-1).values
    above = torch.where(is_peak, bins, len(bins)).flip(-1).cummin(-1).values.flip(-1)
    nearer_below = (bins - below <= above - bins) & (below >= 0)
    nearest = torch.where(nearer_below, below, above).clamp(0, len(bins) - 1)
    frequency = nearest + offset.gather(-1, nearest)
    start = torch.rand(target[:, :1].shape, generator=torch.Generator().manual_seed(seed))
    turns = torch.cat([start, frequency[:, 1:] * turns_per_bin], 1).double().cumsum(1)
    return (turns.remainder(1.0) * (2 * torch.pi)).to(target.dtype)


def _reflect(sound: torch.Tensor, before: int, after: int) -> None:
    """Overwrite the first ``before`` and the last ``after`` samples by mirror images, in place."""
    length = sound.shape[1]
    if before and length > 2 * before:
        sound[:, :before] = sound[:, before + 1 : 2 * before + 1].flip(-1)
    if after and length > 2 * after + 1:
        sound[:, -after:] = sound[:, -2 * after - 1 : -after - 1].flip(-1)
