"""From magnitudes back to sound: finding the phases that a spectrogram does not keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torchaudio.functional import resample

from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.spectral.spectrogram import Spectrogram, linear_magnitudes, mel_projection
from riffusion.spectral.stft import TINY, Stft, power

BLOCK_FRAMES = 512
# For images and recordings, which nobody waits for bar by bar: closer to the source than the
# original Riffusion comes with 32 slow ones.
WHOLE_ITERATIONS = 48
APART_ITERATIONS = 16
REFIT_EVERY = 8
# Zero crossings on each side that resampling what is known listens to, and what they span.
RESAMPLING_WIDTH = 24
BEYOND = 64
MAX_ITERATIONS = 1000
# What is fainter than -300 dB has no phase.
FAINTEST_POWER = 1e-30


def griffin_lim(
    spectrogram: Spectrogram,
    *,
    iterations: int = 32,
    momentum: float = 0.99,
    seed: int = 0,
    prefix: Waveform | None = None,
    mirrored: tuple[bool, bool] = (False, False),
    refined: bool = False,
) -> Waveform:
    """Sound whose mel spectrogram is close to ``spectrogram``: ``params.samples(frames)`` samples.

    The fast Griffin-Lim algorithm: N. Perraudin, P. Balazs and P. L. Søndergaard, "A Fast
    Griffin-Lim Algorithm", WASPAA 2013. ``momentum`` 0 is the original algorithm of 1984; 0.99
    enters as 0.99 / 1.99, as librosa and torchaudio have it. It starts from phases that advance
    as the peaks of the spectrum say (``_advancing_phases``), the first ones drawn by ``seed``.
    The same call gives the same bits.

    Channels share their phases, those of their mean magnitude: what sounds at the same time in
    both stays one sound between them, and they can be added to mono. It costs little more than
    one channel.

    With ``prefix``, sound already heard, the result begins with exactly those samples and what
    follows continues them: the first phases go on from its last frame, and each iteration puts
    its samples back before it takes the next phases. Frames well within the prefix cost nothing.

    ``mirrored`` tells whether the first and the last frames saw the sound reflected at its start
    and its end, as those of a whole sound do; a window cut out of music did not.

    ``refined`` costs little and comes closer: how the loudness of a band is spread over its bins,
    which no spectrogram tells, follows the sound every few iterations (``Refit``), and the last
    few start from the shared phases and go on in each channel by itself.

    Raises InvalidInput for magnitudes that are NaN or infinite, for fewer than two frames and for
    odd settings; InvalidAudio for a prefix of another rate, other channels or more samples than
    the result.
    """
    _check(spectrogram, iterations, momentum, seed)
    params = spectrogram.params
    length = params.samples(spectrogram.frames)
    heard = torch.zeros(spectrogram.channels, 0)
    if prefix is not None:
        check_prefix(prefix, spectrogram)
        heard = torch.from_numpy(prefix.samples)
    if heard.shape[1] == length:
        return Waveform(heard.numpy(), params.sample_rate)

    stft = Stft(params)
    # The last frame that lies within the prefix stays: its phases are the ones to go on from.
    first = max(0, (heard.shape[1] - stft.right) // params.hop_length)
    origin = first * params.hop_length - stft.left
    unknown = spectrogram.cut(first, spectrogram.frames)
    heights = linear_magnitudes(unknown, stft.every)[:, : stft.bins]
    target = heights.transpose(1, 2).contiguous()
    # Samples before the start and after the end of the sound, where they are its reflection.
    before = stft.left if mirrored[0] and first == 0 else 0
    after = stft.right if mirrored[1] else 0
    known = Known(heard[:, max(0, origin) :], max(0, -origin), (before, after))
    told = mel_projection(params, stft.every, stft.bins) if refined else None
    sound = _continue(stft, target, known, iterations, momentum, seed, told)
    new = sound[:, heard.shape[1] - origin : length - origin]
    return Waveform(torch.cat([heard, new], dim=1).numpy(), params.sample_rate)


def griffin_lim_in_blocks(
    spectrogram: Spectrogram,
    *,
    iterations: int = WHOLE_ITERATIONS,
    momentum: float = 0.99,
    seed: int = 0,
    refined: bool = True,
    advance: Callable[[float], None] | None = None,
) -> Waveform:
    """``griffin_lim`` of a spectrogram of any length, in memory that does not grow with it.

    Each block continues the sound of the one before, and hears a little of the one after.
    ``advance`` is told the seconds of each block that is done.
    """
    params = spectrogram.params
    sound = np.zeros((spectrogram.channels, params.samples(spectrogram.frames)), np.float32)
    made = 0
    blocks = griffin_lim_blocks(
        spectrogram.cut,
        spectrogram.frames,
        iterations=iterations,
        momentum=momentum,
        seed=seed,
        refined=refined,
    )
    for block in blocks:
        sound[:, made : made + block.shape[1]] = block
        made += block.shape[1]
        if advance is not None:
            advance(block.shape[1] / params.sample_rate)
    return Waveform(sound, params.sample_rate)


def griffin_lim_blocks(
    cut: Callable[[int, int], Spectrogram],
    frames: int,
    *,
    iterations: int = WHOLE_ITERATIONS,
    momentum: float = 0.99,
    seed: int = 0,
    refined: bool = True,
) -> Iterator[npt.NDArray[np.float32]]:
    """The sound of ``griffin_lim_in_blocks``, block by block, float32 (channels, n).

    ``cut(start, stop)`` gives those of the ``frames`` frames, which need not be in memory.
    """
    before: Waveform | None = None
    for start in range(0, max(1, frames - 1), BLOCK_FRAMES):
        params = cut(start, start + 1).params
        hop, margin = params.hop_length, 2 * math.ceil(params.win_length / params.hop_length)
        first, last = max(0, start - margin), min(start + BLOCK_FRAMES, frames - 1)
        known = before and Waveform(before.samples[:, -(start - first) * hop :], params.sample_rate)
        block = griffin_lim(
            cut(first, min(last + margin, frames)),
            iterations=iterations,
            momentum=momentum,
            seed=seed,
            prefix=known,
            mirrored=(start == 0, last == frames - 1),
            refined=refined,
        )
        before = Waveform(block.samples[:, : (last - first) * hop], params.sample_rate)
        yield before.samples[:, (start - first) * hop :]


@dataclass(frozen=True)
class Known:
    """What is known of a sound that spans all windows of its frames.

    ``samples`` (channels, n) are its own from ``place`` on; its outer ``reflected`` samples, at the
    start and the end, mirror those within.
    """

    samples: torch.Tensor
    place: int
    reflected: tuple[int, int] = (0, 0)

    @property
    def end(self) -> int:
        return self.place + self.samples.shape[1]

    def middle(self) -> Known:
        """The same of the mean of all channels."""
        return replace(self, samples=self.samples.mean(0, keepdim=True))

    def at(self, rate: Fraction) -> Known:
        """The same of the sound at another sample rate, ``rate`` times this one."""
        place, *reflected = (int(n * rate) for n in (self.place, *self.reflected))
        samples = self.samples[:, : int(self.samples.shape[1] * rate)]
        if samples.shape[1] and rate != 1:
            # It does not fall silent beyond its last sample.
            going_on = torch.nn.functional.pad(self.samples, (0, BEYOND), mode="replicate")
            resampled = resample(going_on, rate.denominator, rate.numerator, RESAMPLING_WIDTH)
            samples = resampled[:, : samples.shape[1]]
        return Known(samples, place, (reflected[0], reflected[1]))

    def first_frame(self, stft: Stft) -> torch.Tensor | None:
        """The spectrum (channels, 1, bins) of the first frame, where all of it is known."""
        length = len(stft.window)
        if self.place or self.end < length:
            return None
        return stft.to_frames(self.samples[:, :length])


@dataclass(frozen=True)
class Refit:
    """Magnitudes that agree with the mel bands and are otherwise those of a sound.

    ``target`` (channels, frames, bins) is the smallest of all that agree, and ``told`` (bins,
    bins) the part of any that the bands tell (``mel_projection``).
    """

    target: torch.Tensor
    told: torch.Tensor

    def __call__(self, spectrum: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """The magnitudes nearest to those of ``spectrum`` that agree, in ``out``."""
        loud = torch.abs(spectrum, out=out)
        return loud.sub_(loud @ self.told).add_(self.target).clamp_min_(0)


def improve_phases(
    stft: Stft,
    magnitudes: torch.Tensor,
    estimate: torch.Tensor,
    known: Known,
    iterations: int,
    momentum: float,
    refit: Refit | None = None,
) -> torch.Tensor:
    """Iterations of fast Griffin-Lim from a complex ``estimate`` (channels, frames, bins).

    Returns a spectrum with better phases, whose magnitudes are not yet ``magnitudes``; those are
    changed in place by ``refit``.
    """
    inertia = momentum / (1 + momentum)
    envelope = stft.envelope(estimate.shape[1])
    aim, before = estimate, torch.zeros_like(estimate)
    # In a buffer that is wide enough for the inverse transform, which would copy it into one.
    whole = stft.silence(estimate)
    now = whole[..., : stft.bins].copy_(estimate)
    for number in range(1, iterations + 1):
        sound = stft.to_sound(whole, envelope)
        sound[:, known.place : known.end] = known.samples
        _reflect(sound, *known.reflected)
        rebuilt = stft.to_frames(sound)
        if refit is not None and number % REFIT_EVERY == 0:
            refit(rebuilt, out=magnitudes)
        aim = torch.sub(rebuilt, before, alpha=inertia)
        with_magnitude(magnitudes, aim, out=now)
        before = rebuilt
    return aim


def join(sound: torch.Tensor, known: Known, stft: Stft) -> torch.Tensor:
    """Let ``sound`` go on from the last known sample, in place: it misses it by a little, and that
    step is faded out."""
    if known.samples.shape[1]:
        end = known.end
        fade = stft.seam[: sound.shape[1] - end]
        sound[:, end : end + len(fade)] += (known.samples[:, -1:] - sound[:, end - 1 : end]) * fade
    return sound


def _continue(
    stft: Stft,
    target: torch.Tensor,
    known: Known,
    iterations: int,
    momentum: float,
    seed: int,
    told: torch.Tensor | None,
) -> torch.Tensor:
    """Fast Griffin-Lim of ``target`` where some samples are known."""
    slow, near = stft.slower(), known.at(stft.slower().rate)
    middle = target.mean(0, keepdim=True)
    phases = _advancing_phases(middle, stft.hop / stft.n_fft, seed)
    first = known.middle().first_frame(stft)
    if first is not None:
        phases = phases + (first.angle() - phases[:, :1])
    magnitudes, shared = target, middle.clone()
    refit = None if told is None else Refit(middle, told)
    aim = torch.polar(middle, phases)
    aim = improve_phases(slow, shared, aim, near.middle(), iterations, momentum, refit)
    if told is not None:
        refit = Refit(target, told)
        magnitudes = refit(shared * (target / middle.clamp_min(TINY)), torch.empty_like(target))
        if len(target) > 1:
            aim = with_magnitude(magnitudes, aim)
            aim = improve_phases(slow, magnitudes, aim, near, APART_ITERATIONS, momentum, refit)
    sound = stft.to_sound(with_magnitude(magnitudes, aim), stft.envelope(target.shape[1]))
    return join(sound, known, stft)


def _reflect(sound: torch.Tensor, before: int, after: int) -> None:
    """Let the first ``before`` and the last ``after`` samples mirror those within, in place."""
    length = sound.shape[1]
    if before and length > 2 * before:
        sound[:, :before] = sound[:, before + 1 : 2 * before + 1].flip(-1)
    if after and length > 2 * after + 1:
        sound[:, -after:] = sound[:, -2 * after - 1 : -after - 1].flip(-1)


def _advancing_phases(target: torch.Tensor, turns_per_bin: float, seed: int) -> torch.Tensor:
    """Phases (channels, frames, bins) of ``target`` magnitudes: random ones in the first frame,
    then each bin turns at the frequency of the spectral peak it belongs to.

    G. Beauregard, M. Harish and L. Wyse, "Single Pass Spectrogram Inversion", DSP 2015; a peak's
    frequency is that of the parabola through it and its neighbours.
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


def with_magnitude(
    magnitude: torch.Tensor, phases: torch.Tensor, out: torch.Tensor | None = None
) -> torch.Tensor:
    """A spectrum with the ``magnitude`` given and the phases of another one, in ``out`` if given
    (which takes no gradients)."""
    if out is not None:  # in half the time of sgn
        gain = power(phases).clamp_min_(FAINTEST_POWER).rsqrt_().mul_(magnitude)
        return torch.mul(phases, gain, out=out)
    return torch.sgn(phases) * magnitude


def _check(spectrogram: Spectrogram, iterations: int, momentum: float, seed: int) -> None:
    if spectrogram.frames < 2:
        raise InvalidInput("spectrogram", f"{spectrogram.frames} frames", "needs at least two")
    spectrogram.peak()
    if not 1 <= iterations <= MAX_ITERATIONS:
        legal = f"use a whole number from 1 to {MAX_ITERATIONS}"
        raise InvalidInput("iterations", iterations, legal)
    if not 0 <= momentum < 1:
        raise InvalidInput("momentum", momentum, "use a number from 0 up to, not including, 1")
    if not 0 <= seed < 2**63:
        raise InvalidInput("seed", seed, f"use a whole number from 0 to {2**63 - 1}")


def check_prefix(prefix: Waveform, spectrogram: Spectrogram) -> None:
    """Raise InvalidAudio where ``prefix`` cannot be the beginning of the sound."""
    params = spectrogram.params
    if prefix.sample_rate != params.sample_rate:
        legal = f"the spectrogram is at {params.sample_rate} Hz; resample the prefix"
        raise InvalidAudio("prefix sample rate", prefix.sample_rate, legal)
    if prefix.channels != spectrogram.channels:
        legal = f"the spectrogram has {spectrogram.channels}"
        raise InvalidAudio("prefix channels", prefix.channels, legal)
    longest = params.samples(spectrogram.frames)
    if prefix.samples.shape[1] > longest:
        raise InvalidAudio("prefix samples", prefix.samples.shape[1], f"use at most {longest}")
