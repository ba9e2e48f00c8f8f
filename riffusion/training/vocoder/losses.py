"""The losses of the learned vocoder: levels, stereo width and phase derivatives."""

from __future__ import annotations

import math

import torch

from riffusion.spectral.spectrogram import SpectrogramParams
from riffusion.training.vocoder.data import VocoderBatch
from riffusion.vocoder.network import QUIETEST_LEVEL, VocoderOutput

TINY = 1e-9
MAGNITUDE_WEIGHT, SIDES_WEIGHT, BASS_LEVEL_WEIGHT = 4.0, 0.5, 2.0

# The predicted phasors (batch, 2, bins, frames), the true products of neighbouring bins or frames
# in the same shape, and the products of their magnitudes (batch, bins, frames).
PhaseDerivative = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def vocoder_losses(
    output: VocoderOutput, batch: VocoderBatch, params: SpectrogramParams, bass_bins: int
) -> torch.Tensor:
    """Return five mean errors, (5,), of what the network predicts for a batch.

    They are: the level of the mid channel, the level of the sides, the phase advance in time, the
    phase slope in frequency, and all but the sides' over the lowest ``bass_bins`` bins alone. Those
    bins are few, so that means over all bins hardly reflect them, and loud (docs/sound.md).
    """
    middle, fine_bins = batch.middle, output.advance.shape[2]
    size = middle.abs()
    wanted = size.clamp(min=10**QUIETEST_LEVEL).log10()
    silent = torch.relu(output.middle - QUIETEST_LEVEL)
    levels = torch.where(wanted > QUIETEST_LEVEL, (output.middle - wanted).abs(), silent)
    sides = (output.sides - batch.sides).abs().mean()
    low_size = size[:, :fine_bins]
    advance = _phase_advance(middle[:, :fine_bins], params)
    slope = torch.stack(_multiply_conjugate(middle[:, 1:], middle[:, :-1]), 1)
    advances = output.advance[..., 1:], advance, low_size[..., 1:] * low_size[..., :-1]
    slopes = output.slope[:, :, :-1], slope, size[:, 1:] * size[:, :-1]
    level = levels.mean()
    in_time, in_frequency = _phase_error(*advances), _phase_error(*slopes)
    bass = _phase_error(*_keep_lowest(advances, bass_bins))
    bass = bass + _phase_error(*_keep_lowest(slopes, bass_bins))
    loud = _weigh_by_magnitude(size[:, :bass_bins])
    bass = bass + BASS_LEVEL_WEIGHT * (loud * levels[:, :bass_bins]).mean()
    return torch.stack([level, sides, in_time, in_frequency, bass])


def weight_losses(losses: torch.Tensor) -> torch.Tensor:
    """Return the scalar that is minimised, from the five of ``vocoder_losses``."""
    weights = torch.tensor([MAGNITUDE_WEIGHT, SIDES_WEIGHT, 1.0, 1.0, 1.0]).to(losses)
    return (losses * weights).sum()


def _phase_advance(spectrum: torch.Tensor, params: SpectrogramParams) -> torch.Tensor:
    """Return phasors of the phase advance a hop beyond that of each bin's own frequency.

    ``spectrum`` is complex (batch, bins, frames), the result (batch, 2, bins, frames - 1) with the
    real and the imaginary part, as long as the product of the magnitudes.
    """
    bins = torch.arange(spectrum.shape[1], device=spectrum.device)[:, None]
    turn = 2 * math.pi * (bins * params.hop_length / params.win_length % 1.0)
    real, imaginary = _multiply_conjugate(spectrum[..., 1:], spectrum[..., :-1])
    return torch.stack(
        [
            real * turn.cos() + imaginary * turn.sin(),
            imaginary * turn.cos() - real * turn.sin(),
        ],
        1,
    )


def _keep_lowest(derivative: PhaseDerivative, bins: int) -> PhaseDerivative:
    predicted, true, power = derivative
    return predicted[:, :, :bins], true[:, :, :bins], power[:, :bins]


def _multiply_conjugate(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the real and the imaginary part of ``a`` times the conjugate of ``b``."""
    return a.real * b.real + a.imag * b.imag, a.imag * b.real - a.real * b.imag


def _phase_error(predicted: torch.Tensor, true: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Return the mean squared distance of phasors from unit length ones; louder bins weigh more."""
    power = power + TINY
    weight = _weigh_by_magnitude(power.sqrt())
    return (weight * (predicted - true / power[:, None]).square().sum(1)).mean()


def _weigh_by_magnitude(size: torch.Tensor) -> torch.Tensor:
    """Return weights of bins (batch, bins, frames): the root of magnitude over mean magnitude."""
    return (size / (size.mean((1, 2), keepdim=True) + TINY)).sqrt()
