"""The vocoder's network for inference alone: the same function in less time.

Frames lie one after the other in memory, matrices are in bfloat16 where the processor multiplies it
faster, gains are folded into the matrices before them, and the last layer runs block by block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from riffusion.vocoder.network import (
    BALANCE_SCALE,
    KERNEL,
    LOUDNESS_OFFSET,
    QUIETEST_LEVEL,
    Block,
    Trunk,
    VocoderNetwork,
)

LN_10 = math.log(10)


@dataclass(frozen=True)
class Features:
    """What the trunks say about frames: float32 (frames, width) each, and the smooth levels.

    ``loudness`` (frames, mel) are the mean base-10 levels of the channels.
    """

    whole: torch.Tensor
    bass: torch.Tensor
    loudness: torch.Tensor


@dataclass(frozen=True)
class Prediction:
    """Mid magnitudes, base-10 levels of the sides over mid, and phase steps as complex phasors.

    ``mid`` and ``slope`` are (frames, bins), ``sides`` (frames, mel), ``advance`` (frames, fine
    bins); ``VocoderOutput`` explains them.
    """

    mid: torch.Tensor
    sides: torch.Tensor
    advance: torch.Tensor
    slope: torch.Tensor


class InferenceNetwork:
    """A ``VocoderNetwork`` on the CPU, for one window at a time."""

    def __init__(self, network: VocoderNetwork, dtype: torch.dtype) -> None:
        self.reach = network.reach
        self._bass_bands, self._fine_bins = network.bass_bands, network.fine_bins
        self._sizes, self._bass_sizes = network.sizes, network.bass_sizes
        self._weight = network.weight.cpu()
        self._spread = network.spread.cpu().T.contiguous()
        self._trunk = _Trunk(network.trunk, dtype)
        self._bass = _Trunk(network.bass, dtype)
        self._draw = _Linear(network.draw, dtype)
        self._draw_bass = _Linear(network.draw_bass, dtype)

    def features(self, levels: torch.Tensor, frames: slice) -> Features:
        """Return the features of ``frames`` of base-10 mel levels (2, mel, frames)."""
        left, right = levels.clamp(min=QUIETEST_LEVEL).mT
        loudness, balance = (left + right) / 2, (left - right) / 2
        seen = loudness + LOUDNESS_OFFSET
        whole = self._trunk(torch.cat([seen, balance * BALANCE_SCALE], 1))[frames]
        bass = self._bass(seen[:, : self._bass_bands])[frames]
        return Features(whole, bass, loudness[frames])

    def predict(self, features: Features, frames: slice) -> Prediction:
        """Return the prediction for ``frames`` of the features."""
        drawn_bass, drawn = (
            self._draw_bass(features.bass[frames]),
            self._draw(features.whole[frames]),
        )
        low, low_advance, low_slope = drawn_bass.split_with_sizes(self._bass_sizes, -1)
        high, sides, advance, slope, band_slope = drawn.split_with_sizes(self._sizes, -1)
        levels = (features.loudness[frames] - self._weight) @ self._spread
        levels[:, : low.shape[1]] += low
        levels[:, low.shape[1] :] += high
        upper = band_slope.view(len(band_slope), 2, -1) @ self._spread[:, self._fine_bins :]
        return Prediction(
            levels.mul_(LN_10).exp_(),
            sides,
            torch.cat([_phasors(low_advance), _phasors(advance)], -1),
            torch.cat([_phasors(low_slope), _phasors(slope), torch.complex(*upper.unbind(1))], -1),
        )


class _Linear:
    def __init__(self, layer: nn.Linear, dtype: torch.dtype, gain: torch.Tensor | None = None):
        weight, bias = layer.weight.detach().cpu(), layer.bias.detach().cpu()
        if gain is not None:
            weight, bias = weight * gain[:, None], bias * gain
        self.weight, self.bias = weight.to(dtype).contiguous(), bias.to(dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return float32 (frames, outputs)."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias).float()


class _Block:
    """``network.Block`` of (frames, width)."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        self._width = block.mix.weight.shape[0]
        self._taps = (
            block.mix.weight.detach().cpu()[..., None].contiguous(memory_format=torch.channels_last)
        )
        self._bias = block.mix.bias.detach().cpu()  # type: ignore[union-attr]
        self._norm = (block.norm.weight.detach().cpu(), block.norm.bias.detach().cpu())
        self._up = _Linear(block.up, dtype)
        self._down = _Linear(block.down, dtype, block.gain.detach().cpu())

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        mixed = F.conv2d(
            x.T[None, :, :, None], self._taps, self._bias, padding=(KERNEL // 2, 0),
            groups=self._width,
        )  # fmt: skip
        inner = F.layer_norm(mixed[0, :, :, 0].T, (self._width,), *self._norm)
        return self._down(
            F.gelu(F.linear(inner.to(self._up.weight.dtype), self._up.weight, self._up.bias))
        ).add_(x)


class _Trunk:
    """``network.Trunk`` of (frames, bands)."""

    def __init__(self, trunk: Trunk, dtype: torch.dtype) -> None:
        taps = trunk.embed.weight.detach().cpu()  # (width, bands, kernel)
        self._embed = taps.permute(0, 2, 1).flatten(1).to(dtype).contiguous()
        self._embed_bias = trunk.embed.bias.detach().cpu().to(dtype)  # type: ignore[union-attr]
        self._norms = [
            ((len(norm.weight),), norm.weight.detach().cpu(), norm.bias.detach().cpu())
            for norm in (trunk.first_norm, trunk.last_norm)
        ]
        self._blocks = [_Block(block, dtype) for block in trunk.blocks]  # type: ignore[arg-type]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        frames, bands = x.shape
        padded = F.pad(x, (0, 0, KERNEL // 2, KERNEL // 2)).to(self._embed.dtype)
        windows = padded.as_strided((frames, KERNEL * bands), (bands, 1))
        x = F.linear(windows, self._embed, self._embed_bias).float()
        first, last = self._norms
        x = F.layer_norm(x, *first)
        for block in self._blocks:
            x = block(x)
        return F.layer_norm(x, *last)


def _phasors(pairs: torch.Tensor) -> torch.Tensor:
    """Return complex (frames, n) of cosines and sines (frames, 2 n)."""
    cosines, sines = pairs.chunk(2, -1)
    return torch.complex(cosines, sines)
