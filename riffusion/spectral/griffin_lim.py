"""Mel magnitudes to a waveform by the fast Griffin-Lim algorithm.

A spectrogram does not keep phases; the algorithm searches phases that agree with each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidAudio, InvalidInput
from riffusion.spectral.phases import (
    Known,
    Refit,
    advancing_phases,
    crossfade_step,
    improve_phases,
    with_magnitude,
)
from riffusion.spectral.spectrogram import Spectrogram, linear_magnitudes, mel_projection
from riffusion.spectral.stft import TINY, Stft

BLOCK_FRAMES = 512
# For images and recordings, which nobody waits for bar by bar: closer to the source than the
# original Riffusion comes with 32 slow ones.
WHOLE_ITERATIONS = 48
APART_ITERATIONS = 16
MAX_ITERATIONS = 1000


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
    """Return a waveform whose mel spectrogram is close to ``spectrogram``.

    The fast Griffin-Lim algorithm of Perraudin, Balazs and Søndergaard (phases.py) starts from
    phases that advance as the peaks of the spectrum say. The same call gives the same bits.
    Channels share their phases, those of their mean magnitude: what sounds at the same time in
    both stays one sound between them, and they can be added to mono. This costs little more than
    one channel.

    Parameters
    ----------
    spectrogram : Spectrogram
        Mel magnitudes of at least two frames.
    iterations : int
        Iterations of the algorithm, 1 to 1000.
    momentum : float
        The acceleration, 0 up to 1. It enters as ``momentum / (1 + momentum)``, as in librosa and
        torchaudio; 0 is the original algorithm of 1984.
    seed : int
        Seeds the random phases of the first frame.
    prefix : Waveform, optional
        Samples that came before. The result begins with exactly these and what follows continues
        them: the first phases go on from the last frame of the prefix, and each iteration puts its
        samples back. Frames well within the prefix cost nothing.
    mirrored : (bool, bool)
        Whether the first and the last frames saw the sound reflected at its start and at its end,
        as those of a whole sound do; a window cut out of music did not.
    refined : bool
        Whether to come closer at a small cost: how the magnitude of a band is spread over its
        bins, which no spectrogram tells, follows the sound every few iterations, and the last
        iterations treat each channel by itself.

    Returns
    -------
    Waveform
        ``params.samples(frames)`` samples at the sample rate of the spectrogram.

    Raises
    ------
    InvalidInput
        For magnitudes that are NaN or infinite, fewer than two frames and illegal settings.
    InvalidAudio
        For a prefix of another rate, other channels or more samples than the result.

    Examples
    --------
    >>> import numpy as np
    >>> import riffusion
    >>> tone = np.sin(np.arange(44100) * 2 * np.pi * 440 / 44100, dtype=np.float32)
    >>> mel = riffusion.mel_spectrogram(riffusion.Waveform(tone[None], 44100))
    >>> riffusion.griffin_lim(mel, iterations=4).samples.shape
    (1, 44100)
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
    linear = linear_magnitudes(unknown, stft.stride)[:, : stft.bins]
    target = linear.transpose(1, 2).contiguous()
    # Samples before the start and after the end of the sound, where they are its reflection.
    before = stft.left if mirrored[0] and first == 0 else 0
    after = stft.right if mirrored[1] else 0
    known = Known(heard[:, max(0, origin) :], max(0, -origin), (before, after))
    projection = mel_projection(params, stft.stride, stft.bins) if refined else None
    sound = _continue(stft, target, known, iterations, momentum, seed, projection)
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
    """Return the ``griffin_lim`` of a spectrogram of any length, working block by block.

    Only the result grows with the length. Each block continues the sound of the block before and
    sees a little of the block after. ``advance`` is called with the seconds of each finished block.
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
    """Yield the sound of ``griffin_lim_in_blocks`` block by block, float32 (channels, n).

    ``cut(start, stop)`` returns a part of the ``frames`` frames, which need not be in memory.
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


def _continue(
    stft: Stft,
    target: torch.Tensor,
    known: Known,
    iterations: int,
    momentum: float,
    seed: int,
    projection: torch.Tensor | None,
) -> torch.Tensor:
    """Return the sound (channels, samples) of ``target`` magnitudes, continuing what is known."""
    slow, near = stft.slower(), known.at(stft.slower().rate)
    mid = target.mean(0, keepdim=True)
    phases = advancing_phases(mid, stft.hop / stft.n_fft, seed)
    first = known.mid().first_frame(stft)
    if first is not None:
        phases = phases + (first.angle() - phases[:, :1])
    magnitudes, shared = target, mid.clone()
    refit = None if projection is None else Refit(mid, projection)
    aim = torch.polar(mid, phases)
    aim = improve_phases(slow, shared, aim, near.mid(), iterations, momentum, refit)
    if projection is not None:
        refit = Refit(target, projection)
        magnitudes = refit(shared * (target / mid.clamp_min(TINY)), torch.empty_like(target))
        if len(target) > 1:
            aim = with_magnitude(magnitudes, aim)
            aim = improve_phases(slow, magnitudes, aim, near, APART_ITERATIONS, momentum, refit)
    sound = stft.to_sound(with_magnitude(magnitudes, aim), stft.envelope(target.shape[1]))
    return crossfade_step(sound, known, stft)


def _check(spectrogram: Spectrogram, iterations: int, momentum: float, seed: int) -> None:
    """Raise InvalidInput where a spectrogram or a setting cannot be used."""
    if spectrogram.frames < 2:
        raise InvalidInput("spectrogram", f"{spectrogram.frames} frames", "needs at least two")
    spectrogram.peak()
    if not 1 <= iterations <= MAX_ITERATIONS:
        hint = f"use a whole number from 1 to {MAX_ITERATIONS}"
        raise InvalidInput("iterations", iterations, hint)
    if not 0 <= momentum < 1:
        raise InvalidInput("momentum", momentum, "use a number from 0 up to, not including, 1")
    if not 0 <= seed < 2**63:
        raise InvalidInput("seed", seed, f"use a whole number from 0 to {2**63 - 1}")


def check_prefix(prefix: Waveform, spectrogram: Spectrogram) -> None:
    """Raise InvalidAudio where ``prefix`` cannot be the beginning of a spectrogram's sound."""
    params = spectrogram.params
    if prefix.sample_rate != params.sample_rate:
        hint = f"the spectrogram is at {params.sample_rate} Hz; resample the prefix"
        raise InvalidAudio("prefix sample rate", prefix.sample_rate, hint)
    if prefix.channels != spectrogram.channels:
        hint = f"the spectrogram has {spectrogram.channels}"
        raise InvalidAudio("prefix channels", prefix.channels, hint)
    longest = params.samples(spectrogram.frames)
    if prefix.samples.shape[1] > longest:
        raise InvalidAudio("prefix samples", prefix.samples.shape[1], f"use at most {longest}")
