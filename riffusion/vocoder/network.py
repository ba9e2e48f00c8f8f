"""The network of the learned vocoder: from mel levels to what a short-time transform needs.

Left and right mel levels in; out come the magnitudes of the middle (left plus right, halved) in
every bin, how wide the sides are, and how the phases go on from frame to frame and from bin to
bin. Blocks are those of "A ConvNet for the 2020s" (Liu et al., 2022), as in "Vocos" (Siuzdak,
2023). Phases are not drawn but their differences, which a spectrogram does tell, as in "Phase
Reconstruction Based on Recurrent Phase Unwrapping with Deep Neural Networks" (Masuyama et al.,
2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from riffusion.engines.mel_image import QUIETEST
from riffusion.spectrogram import SpectrogramParams, mel_bank

KERNEL = 7
QUIETEST_LEVEL = float(np.log10(QUIETEST))
LOUDNESS_OFFSET = 2.0  # brings usual levels and balances near zero and one for the first layer
BALANCE_SCALE = 5.0
FIRST_RESIDUAL = 0.2
ALL = slice(None)


@dataclass(frozen=True)
class Drawing:
    """What the network says of a batch of windows.

    ``middle`` (batch, bins, frames) are base-10 levels of the middle's magnitudes, ``sides``
    (batch, mel, frames) the level of the sides under the middle. ``advance`` and ``slope``
    (batch, 2, bins, frames) are cosine and sine of the phase's step from the frame before, less
    that of the bin's own frequency, and of its step to the next bin, phases taken at the centre of
    the window. They are as short of one as the step is uncertain.
    """

    middle: torch.Tensor
    sides: torch.Tensor
    advance: torch.Tensor
    slope: torch.Tensor


class Block(nn.Module):
    """A depthwise convolution over time, then a layer for each frame by itself."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.gain = nn.Parameter(torch.full((width,), FIRST_RESIDUAL))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, width, frames) to the same."""
        inner: torch.Tensor = self.norm(self.mix(x).transpose(1, 2))
        inner = self.down(F.gelu(self.up(inner))) * self.gain
        return x + inner.transpose(1, 2)


class VocoderNetwork(ModelMixin, ConfigMixin):
    """Mel levels of a stereo sound to a ``Drawing``.

    The lowest ``fine_bins`` have phase steps of their own; above, where partials are closer than
    the mel bands tell, the slope is one for each band and the advance that of the bin.
    """

    config_name = "config.json"  # type: ignore[assignment]  # diffusers declares it None

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        sample_rate: int = 44100,
        hop_length: int = 441,
        win_length: int = 2048,
        mel_bands: int = 128,
        min_hz: float = 20.0,
        max_hz: float = 20000.0,
        fine_bins: int = 372,
        width: int = 256,
        hidden: int = 512,
        depth: int = 6,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.params = SpectrogramParams(
            sample_rate,
            hop_length,
            win_length,
            win_length,
            mel_bands,
            min_hz,
            max_hz,
            "slaney",
            "slaney",
        )
        self.mel_bands, self.fine_bins = mel_bands, fine_bins
        spread, weight = band_to_bin(self.params)
        self.bins = len(spread)
        self.register_buffer("spread", spread, persistent=False)
        self.register_buffer("weight", weight, persistent=False)
        self.embed = nn.Conv1d(2 * mel_bands, width, KERNEL, padding=KERNEL // 2)
        self.first_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, hidden) for _ in range(depth))
        self.last_norm = nn.LayerNorm(width)
        self.sizes = (self.bins, mel_bands, 2 * fine_bins, 2 * fine_bins, 2 * mel_bands)
        self.draw = nn.Linear(width, sum(self.sizes))
        nn.init.normal_(self.draw.weight, std=0.01)
        nn.init.zeros_(self.draw.bias)

    @property
    def reach(self) -> int:
        """How many frames to each side a frame depends on."""
        return (1 + len(self.blocks)) * (KERNEL // 2)

    def forward(self, levels: torch.Tensor, frames: slice = ALL) -> Drawing:
        """Base-10 mel levels (batch, 2, mel, frames), left and right, to what those of the
        ``frames`` stand for."""
        levels = levels.clamp(min=QUIETEST_LEVEL)
        loudness, balance = levels.mean(1), (levels[:, 0] - levels[:, 1]) / 2
        x = self.embed(torch.cat([loudness + LOUDNESS_OFFSET, balance * BALANCE_SCALE], 1))
        x = self.first_norm(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        # Frame by frame in memory, as those who go on with it want it.
        drawn = self.draw(self.last_norm(x.mT[:, frames])).float()
        correction, sides, advance, slope, band_slope = drawn.split(self.sizes, -1)
        smooth = (loudness.mT[:, frames].float() - self.weight) @ self.spread.T
        high = _pair(band_slope) @ self.spread[self.fine_bins :].T
        return Drawing(
            (smooth + correction).mT,
            sides.mT,
            _pair(advance).mT,
            torch.cat([_pair(slope), high], -1).mT,
        )


def _pair(drawn: torch.Tensor) -> torch.Tensor:
    """(batch, frames, 2 n) to (batch, 2, frames, n)."""
    return drawn.view(*drawn.shape[:2], 2, -1).transpose(1, 2)


def band_to_bin(params: SpectrogramParams) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix (bins, mel) that draws a curve over bins through values at the centres of bands,
    and the level (mel,) by which a band's magnitude is above that of its bins."""
    bank = mel_bank(params).double().numpy()
    weight = bank.sum(1)
    heard = weight > 0
    bands, bins = np.arange(len(bank)), np.arange(bank.shape[1])
    centres = np.interp(bands, bands[heard], bank[heard] @ bins / weight[heard])
    spread = [np.interp(bins, centres, one) for one in np.eye(len(bank))]
    weight = np.interp(bands, bands[heard], weight[heard])
    return (
        torch.from_numpy(np.stack(spread, 1).astype(np.float32)),
        torch.from_numpy(np.log10(weight).astype(np.float32)),
    )
