"""From magnitudes back to sound: finding the phases that a spectrogram does not keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.spectrogram import Spectrogram, SpectrogramParams, linear_magnitudes
from riffusion.waveform import Waveform

SEAM_S = 0.005
BLOCK_FRAMES = 512
TINY = 1e-12
MOST_ITERATIONS = 1000


def griffin_lim(
    spectrogram: Spectrogram,
    *,
    iterations: int = 32,
    momentum: float = 0.99,
    seed: int = 0,
    prefix: Waveform | None = None,
    mirrored: tuple[bool, bool] = (False, False),
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

    Raises InvalidInput for magnitudes that are NaN or infinite, for fewer than two frames and for
    odd settings; InvalidAudio for a prefix of another rate, other channels or more samples than
    the result.
    """
    _check(spectrogram, iterations, momentum, seed)
    params = spectrogram.params
    length = params.samples(spectrogram.frames)
    heard = torch.zeros(spectrogram.channels, 0)
    if prefix is not None:
        _check_prefix(prefix, spectrogram)
        heard = torch.from_numpy(prefix.samples)
    if heard.shape[1] == length:
        return Waveform(heard.numpy(), params.sample_rate)

    stft = _Stft(params)
    # The last frame that lies within the prefix stays: its phases are the ones to go on from.
    first = max(0, (heard.shape[1] - stft.right) // params.hop_length)
    origin = first * params.hop_length - stft.left
    unknown = spectrogram.cut(first, spectrogram.frames)
    heights = linear_magnitudes(unknown, stft.every)[:, : stft.bins]
    target = heights.transpose(1, 2).contiguous()
    known, place = heard[:, max(0, origin) :], max(0, -origin)
    # Samples before the start and after the end of the sound, where they are its reflection.
    before = stft.left if mirrored[0] and first == 0 else 0
    after = stft.right if mirrored[1] else 0
    sound = _continue(stft, target, known, place, iterations, momentum, seed, (before, after))
    new = sound[:, heard.shape[1] - origin : length - origin]
    return Waveform(torch.cat([heard, new], dim=1).numpy(), params.sample_rate)


def griffin_lim_in_blocks(
    spectrogram: Spectrogram,
    *,
    iterations: int = 32,
    momentum: float = 0.99,
    seed: int = 0,
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
        spectrogram.cut, spectrogram.frames, iterations=iterations, momentum=momentum, seed=seed
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
    iterations: int = 32,
    momentum: float = 0.99,
    seed: int = 0,
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
        )
        before = Waveform(block.samples[:, : (last - first) * hop], params.sample_rate)
        yield before.samples[:, (start - first) * hop :]


def _continue(
    stft: _Stft,
    target: torch.Tensor,
    known: torch.Tensor,
    place: int,
    iterations: int,
    momentum: float,
    seed: int,
    reflected: tuple[int, int],
) -> torch.Tensor:
    """Fast Griffin-Lim of ``target`` where the samples from ``place`` on are ``known``, and the
    outer ``reflected`` ones the reflection of those within."""
    end = place + known.shape[1]
    middle, known_middle = target.mean(0, keepdim=True), known.mean(0, keepdim=True)
    phases = _advancing_phases(middle, stft.hop / stft.n_fft, seed)
    if place == 0 and end >= len(stft.window):
        heard = stft.to_frames(known_middle[:, : len(stft.window)])
        phases = phases + (heard.angle() - phases[:, :1])
    aim = torch.polar(middle, phases)
    # In a buffer that is wide enough for the inverse transform, which would copy it into one.
    whole = stft.silence(middle)
    estimate = whole[..., : stft.bins].copy_(aim)
    inertia = momentum / (1 + momentum)
    envelope = stft.envelope(target.shape[1])
    before = torch.zeros_like(aim)
    for _ in range(iterations):
        sound = stft.to_sound(whole, envelope)
        sound[:, place:end] = known_middle
        _reflect(sound, *reflected)
        rebuilt = stft.to_frames(sound)
        aim = torch.sub(rebuilt, before, alpha=inertia)
        _set_magnitude(estimate, middle, aim)
        before = rebuilt
    whole = stft.silence(target)
    _set_magnitude(whole[..., : stft.bins], target, aim)
    sound = stft.to_sound(whole, envelope)
    if known.shape[1]:
        # The estimate misses the last known sample by a little: fade that step out.
        fade = stft.seam[: sound.shape[1] - end]
        sound[:, end : end + len(fade)] += (known[:, -1:] - sound[:, end - 1 : end]) * fade
    return sound


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


class _Stft:
    """A short-time Fourier transform (channels, frames, bins) and its least-squares inverse.

    It is the cheapest one that sees what ``params`` saw: zero padding to a multiple of the window
    only interpolates, so every ``every``-th bin of the padded transform is enough. The sound spans
    all windows, from ``left`` samples before the centre of the first frame to ``right`` samples
    after that of the last; a window cut out of music goes on there, so nothing is mirrored.
    """

    def __init__(self, params: SpectrogramParams) -> None:
        padded = params.n_fft % params.win_length == 0
        self.n_fft = params.win_length if padded else params.n_fft
        self.every = params.n_fft // self.n_fft
        self.hop = params.hop_length
        # Above the highest band there is nothing: those bins need no work.
        highest = int(params.max_hz * self.n_fft / params.sample_rate) + 2
        self.bins = min(highest, self.n_fft // 2 + 1)
        self.window = torch.hann_window(params.win_length)
        self.left = params.window_left
        self.right = params.win_length - self.left
        seam = max(1, round(SEAM_S * params.sample_rate))
        self.seam = 0.5 + 0.5 * torch.cos(torch.pi * torch.arange(1, seam + 1) / (seam + 1))

    def to_frames(self, sound: torch.Tensor) -> torch.Tensor:
        framed = sound.unfold(-1, len(self.window), self.hop) * self.window
        spectrum: torch.Tensor = torch.fft.rfft(framed, n=self.n_fft)[..., : self.bins]
        return spectrum

    def to_sound(self, spectrum: torch.Tensor, envelope: torch.Tensor) -> torch.Tensor:
        framed = torch.fft.irfft(spectrum, n=self.n_fft)[..., : len(self.window)]
        return self._overlap_add(framed.mul_(self.window)).div_(envelope)

    def silence(self, like: torch.Tensor) -> torch.Tensor:
        """A spectrum of all bins, not only those that are used, for the channels and frames of
        ``like``."""
        return torch.zeros(*like.shape[:2], self.n_fft // 2 + 1, dtype=torch.complex64)

    def envelope(self, frames: int) -> torch.Tensor:
        """The sum of the squared windows that cover each sample."""
        squared = self.window.square().expand(1, frames, -1)
        return self._overlap_add(squared).clamp_min(TINY)

    def _overlap_add(self, framed: torch.Tensor) -> torch.Tensor:
        channels, frames, length = framed.shape
        pieces = math.ceil(length / self.hop)
        if missing := pieces * self.hop - length:
            framed = torch.nn.functional.pad(framed, (0, missing))
        padded = framed.view(channels, frames, pieces, self.hop)
        out = padded.new_zeros(channels, frames + pieces - 1, self.hop)
        for piece in range(pieces):
            out[:, piece : piece + frames] += padded[:, :, piece]
        return out.view(channels, -1)[:, : (frames - 1) * self.hop + length]


def _set_magnitude(spectrum: torch.Tensor, magnitude: torch.Tensor, phases: torch.Tensor) -> None:
    """Let ``spectrum`` have these magnitudes and the phases of another, in place."""
    scale = magnitude / phases.abs().clamp_min_(TINY)
    torch.mul(torch.view_as_real(phases), scale.unsqueeze(-1), out=torch.view_as_real(spectrum))


def _check(spectrogram: Spectrogram, iterations: int, momentum: float, seed: int) -> None:
    if spectrogram.frames < 2:
        raise InvalidInput("spectrogram", f"{spectrogram.frames} frames", "needs at least two")
    spectrogram.peak()
    if not 1 <= iterations <= MOST_ITERATIONS:
        legal = f"use a whole number from 1 to {MOST_ITERATIONS}"
        raise InvalidInput("iterations", iterations, legal)
    if not 0 <= momentum < 1:
        raise InvalidInput("momentum", momentum, "use a number from 0 up to, not including, 1")
    if not 0 <= seed < 2**63:
        raise InvalidInput("seed", seed, f"use a whole number from 0 to {2**63 - 1}")


def _check_prefix(prefix: Waveform, spectrogram: Spectrogram) -> None:
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
