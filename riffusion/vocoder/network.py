"""The network of the learned vocoder: mel levels to magnitudes and phase derivatives.

From left and right mel levels it predicts the mid magnitudes (left plus right, halved) of every
bin, the level of the sides, and the phase derivatives in time and in frequency. Blocks are those of
Liu et al., "A ConvNet for the 2020s", CVPR 2022, as in Siuzdak, "Vocos", ICLR 2024. The network
predicts differences of phases, which a spectrogram determines, instead of phases: Masuyama et al.,
"Phase Reconstruction Based on Recurrent Phase Unwrapping with Deep Neural Networks", ICASSP 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from riffusion.networks.weights import StoredNetwork
from riffusion.spectral.log_mel import QUIETEST
from riffusion.spectral.spectrogram import SpectrogramParams
from riffusion.vocoder.bands import band_to_bin

KERNEL = 7
QUIETEST_LEVEL = float(np.log10(QUIETEST))
# These bring usual levels and balances near zero and one for the first layer.
LOUDNESS_OFFSET = 2.0
BALANCE_SCALE = 5.0
FIRST_RESIDUAL = 0.2
ALL = slice(None)


class VocoderOutput(NamedTuple):
    """The predictions of the network for a batch of windows.

    ``middle`` (batch, bins, frames) are base-10 levels of the mid magnitudes; ``sides`` (batch,
    mel, frames) are base-10 levels of the side magnitudes relative to them. ``advance`` and
    ``slope`` (batch, 2, bins, frames) are cosine and sine of the phase step from the frame before,
    less the step of the bin's own frequency, and of the phase step to the next bin. Phases are
    those at the centre of the window. The shorter such a vector, the less certain is the step.
    """

    middle: torch.Tensor
    sides: torch.Tensor
    advance: torch.Tensor
    slope: torch.Tensor


class Block(nn.Module):
    """A ConvNeXt block: a depthwise convolution over time, then an MLP for each frame."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.gain = nn.Parameter(torch.full((width,), FIRST_RESIDUAL))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, width, frames) for an input of the same shape."""
        inner: torch.Tensor = self.norm(self.mix(x).transpose(1, 2))
        inner = self.down(F.gelu(self.up(inner))) * self.gain
        return x + inner.transpose(1, 2)


class Trunk(nn.Module):
    """A stack of blocks from levels of mel bands to features of each frame."""

    def __init__(self, bands: int, width: int, hidden: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(bands, width, KERNEL, padding=KERNEL // 2)
        self.first_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, hidden) for _ in range(depth))
        self.last_norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, frames: slice) -> torch.Tensor:
        """Return features (batch, ``frames``, width) of levels (batch, bands, frames)."""
        x = self.first_norm(self.embed(x).mT).mT
        for block in self.blocks:
            x = block(x)
        features: torch.Tensor = self.last_norm(x.mT[:, frames])
        return features


@dataclass(frozen=True)
class VocoderConfig:
    """The sizes of a network, and the spectrogram grid that it was trained for."""

    sample_rate: int = 44100
    hop_length: int = 441
    win_length: int = 2048
    mel_bands: int = 128
    min_hz: float = 20.0
    max_hz: float = 20000.0
    fine_bins: int = 372
    bass_bins: int = 56
    bass_bands: int = 52
    width: int = 256
    hidden: int = 512
    depth: int = 6

    @property
    def params(self) -> SpectrogramParams:
        """The grid of the spectrograms."""
        return SpectrogramParams(
            self.sample_rate,
            self.hop_length,
            self.win_length,
            self.win_length,
            self.mel_bands,
            self.min_hz,
            self.max_hz,
            "slaney",
            "slaney",
        )


class VocoderNetwork(StoredNetwork):
    """A network from the mel levels of a stereo sound to a ``VocoderOutput``.

    The lowest ``fine_bins`` have phase steps of their own. Above them partials are closer than mel
    bands resolve: the slope is one for each band and the advance is that of the bin's frequency.
    The lowest ``bass_bins`` are predicted by a trunk of their own, three quarters as wide, from the
    lowest ``bass_bands``. There mel bands resolve almost each bin, and partials are so close to
    each other that their phases are audible, but they are a small part of all bins.
    """

    spread: torch.Tensor
    weight: torch.Tensor

    def __init__(self, **config: Any) -> None:
        """Build the network with random weights. Arguments are fields of ``VocoderConfig``."""
        super().__init__()
        size = self.config = VocoderConfig(**config)
        self.params = size.params
        self.mel_bands, self.fine_bins = size.mel_bands, size.fine_bins
        self.bass_bins, self.bass_bands = size.bass_bins, size.bass_bands
        spread, weight = band_to_bin(self.params)
        self.bins = len(spread)
        self.register_buffer("spread", spread, persistent=False)
        self.register_buffer("weight", weight, persistent=False)
        high, fine = self.bins - size.bass_bins, 2 * (size.fine_bins - size.bass_bins)
        self.sizes = (high, size.mel_bands, fine, fine, 2 * size.mel_bands)
        self.trunk = Trunk(2 * size.mel_bands, size.width, size.hidden, size.depth)
        self.draw = _output_layer(size.width, sum(self.sizes))
        self.bass_sizes = (size.bass_bins, 2 * size.bass_bins, 2 * size.bass_bins)
        bass_width = size.width * 3 // 4
        self.bass = Trunk(size.bass_bands, bass_width, size.hidden * 3 // 4, size.depth)
        self.draw_bass = _output_layer(bass_width, sum(self.bass_sizes))

    @property
    def reach(self) -> int:
        """The number of frames on each side that a frame depends on."""
        return (1 + len(self.trunk.blocks)) * (KERNEL // 2)

    @property
    def sides_bias(self) -> torch.Tensor:
        """The part (mel,) of the last layer's bias that shifts the levels of all sides."""
        bands: torch.Tensor = self.draw.bias[self.sizes[0] :][: self.mel_bands]
        return bands

    def forward(self, levels: torch.Tensor, frames: slice = ALL) -> VocoderOutput:
        """Return the predictions for ``frames`` of base-10 mel levels (batch, 2, mel, frames)."""
        levels = levels.clamp(min=QUIETEST_LEVEL)
        loudness, balance = levels.mean(1), (levels[:, 0] - levels[:, 1]) / 2
        seen = loudness + LOUDNESS_OFFSET
        whole = self.trunk(torch.cat([seen, balance * BALANCE_SCALE], 1), frames)
        low = self.bass(seen[:, : self.bass_bands], frames)
        # Frames lie one after the other in memory, as the steps that follow read them.
        bass, low_advance, low_slope = self.draw_bass(low).float().split(self.bass_sizes, -1)
        predicted = self.draw(whole).float().split(self.sizes, -1)
        correction, sides, advance, slope, band_slope = predicted
        smooth = (loudness.mT[:, frames].float() - self.weight) @ self.spread.T
        high = _pair(band_slope) @ self.spread[self.fine_bins :].T
        return VocoderOutput(
            (smooth + torch.cat([bass, correction], -1)).mT,
            sides.mT,
            torch.cat([_pair(low_advance), _pair(advance)], -1).mT,
            torch.cat([_pair(low_slope), _pair(slope), high], -1).mT,
        )


def _output_layer(width: int, size: int) -> nn.Linear:
    """Return a last layer whose output is almost zero before training."""
    layer = nn.Linear(width, size)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    return layer


def _pair(predicted: torch.Tensor) -> torch.Tensor:
    """Return (batch, 2, frames, n) for (batch, frames, 2 n)."""
    return predicted.view(*predicted.shape[:2], 2, -1).transpose(1, 2)
