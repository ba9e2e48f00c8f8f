"""The network of the shipped engine: a diffusion transformer over mel-spectrogram images.

Tokens are 8 frames of all bands; each token also sees and draws 4 frames of its neighbours
(overlapping patches, added together at the output), so that token boundaries leave no grid. The
network predicts the clean image, as in "Back to Basics: Let Denoising Generative Models Denoise"
(Li and He, 2025); blocks are modulated by time, prompt, tempo and controls (adaLN, "Scalable
Diffusion Models with Transformers", Peebles and Xie, 2023): by one map that all share and a small
one of their own (low rank, as in "Cosmos World Foundation Model", NVIDIA, 2025).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

LEAD_SHEET_DIM = 17
# Of a lead sheet: beat and bar as cosine and sine, whether they are known, twelve pitch classes.
TURNS, BEAT_KNOWN, CHORDS = slice(0, 4), 4, slice(5, 17)
CONTROLS = 3  # density, brightness, drums
TIME_DIM = 128
TEMPO_DIM = 64
TEMPO_SCALE = 200.0
SMALLEST_RMS = 1e-6


@dataclass(frozen=True)
class Conditioning:
    """What steers a batch of windows. Unknown parts are zero with their known flag at zero.

    ``text`` (batch, text dim), ``text_known`` (batch, 1), ``tempo`` (batch, 2: bpm / 200, known),
    ``controls`` (batch, 6: three values 0 to 1, three known flags), ``lead_sheet`` (batch, frames,
    17), ``context`` (batch, frames): 1 where a frame is given, clean, and must be continued.
    """

    text: torch.Tensor
    text_known: torch.Tensor
    tempo: torch.Tensor
    controls: torch.Tensor
    lead_sheet: torch.Tensor
    context: torch.Tensor

    def unguided(self) -> Conditioning:
        """The same with prompt and controls unknown: what guidance leads away from.

        Guided by the prompt alone, controls hardly move the music (docs/model.md).
        """
        return replace(
            self,
            text=torch.zeros_like(self.text),
            text_known=torch.zeros_like(self.text_known),
            controls=torch.zeros_like(self.controls),
        )

    def rows(self, numbers: torch.Tensor) -> Conditioning:
        """That of some windows of the batch."""
        return Conditioning(*(getattr(self, name)[numbers] for name in FIELDS))

    def joined(self, other: Conditioning) -> Conditioning:
        """Two batches as one."""
        return Conditioning(
            *(torch.cat([getattr(self, name), getattr(other, name)]) for name in FIELDS)
        )

    def to(self, device: torch.device) -> Conditioning:
        """The same on another device."""
        return Conditioning(*(getattr(self, name).to(device) for name in FIELDS))


FIELDS = tuple(Conditioning.__dataclass_fields__)


class Block(nn.Module):
    """Attention with rotary positions and a gated feed-forward layer, both modulated."""

    def __init__(self, width: int, heads: int, rank: int) -> None:
        super().__init__()
        self.heads = heads
        hidden = int(width * 8 / 3) // 32 * 32
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.query_norm = nn.RMSNorm(width // heads)
        self.key_norm = nn.RMSNorm(width // heads)
        self.modulation = nn.Parameter(torch.zeros(6, width))
        self.own_modulation = _low_rank(width, rank, 6 * width) if rank else None

    def forward(
        self,
        x: torch.Tensor,
        steer: torch.Tensor,
        shared: torch.Tensor,
        cosine: torch.Tensor,
        sine: torch.Tensor,
    ) -> torch.Tensor:
        modulation = shared + self.modulation
        if self.own_modulation is not None:
            modulation = modulation + self.own_modulation(steer).view(shared.shape)
        scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = modulation[:, None].unbind(2)
        x = torch.addcmul(x, gate_1, self._attend(_modulated(x, scale_1, shift_1), cosine, sine))
        gate, up = self.gate_up(_modulated(x, scale_2, shift_2)).chunk(2, -1)
        return torch.addcmul(x, gate_2, self.down(F.silu(gate) * up))

    def _attend(self, x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        # Queries and keys together, with the scale of the logits: fewer and larger calls.
        size = qkv.shape[-1] ** -0.5
        weights = torch.stack([self.query_norm.weight * size, self.key_norm.weight])[:, None]
        normed = _norm(qkv[:, :, :2]) * weights.to(qkv.dtype)
        q, k = _rotate(normed, cosine, sine).permute(2, 0, 3, 1, 4)
        # Written out: at 64 tokens this is faster on a CPU than the fused kernel, and compiles.
        mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ qkv[:, :, 2].transpose(1, 2)
        out: torch.Tensor = self.attention_out(mixed.transpose(1, 2).reshape(x.shape))
        return out


class SpectrogramTransformer(ModelMixin, ConfigMixin):
    """Noisy standardised log-mel images to clean ones.

    Images are (batch, channels, mel bands, frames); time runs from 0 (noise) to 1 (clean).
    The scale of the training images (``mean``, ``std``, ``balance_std``) and the top of their mel
    scale (``max_hz``) are kept in the configuration with the rest.
    """

    config_name = "config.json"  # type: ignore[assignment]  # diffusers declares it None

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        channels: int = 1,
        mel_bands: int = 128,
        frames: int = 512,
        patch: int = 8,
        overlap: int = 4,
        bottleneck: int = 128,
        width: int = 320,
        depth: int = 10,
        heads: int = 5,
        text_dim: int = 384,
        mean: float = 0.0,
        std: float = 1.0,
        balance_std: float = 1.0,
        max_hz: float = 20000.0,
        modulation_rank: int = 0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.patch, self.overlap = patch, overlap
        self.height = channels * mel_bands
        self.span = patch + 2 * overlap
        self.tokens = frames // patch
        self.embed = nn.Linear(self.span * self.height, bottleneck, bias=False)
        self.expand = nn.Linear(bottleneck, width)
        self.context_embed = nn.Linear(self.span, width, bias=False)
        self.lead_embed = nn.Linear(patch * LEAD_SHEET_DIM, width, bias=False)
        self.time_embed = _two_layers(TIME_DIM, width)
        self.text_embed = _two_layers(text_dim + 1, width)
        self.tempo_embed = _two_layers(TEMPO_DIM + 1, width)
        self.controls_embed = _two_layers(2 * CONTROLS, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width, heads, modulation_rank) for _ in range(depth))
        self.last_modulation = nn.Linear(width, 2 * width)
        self.draw = nn.Linear(width, self.span * self.height)
        for layer in (self.modulation, self.last_modulation, self.draw):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        cosine, sine = _rotary(self.tokens, width // heads)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(
        self, noisy: torch.Tensor, time: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        """(batch, channels, mel, frames) noisy and (batch,) times to the clean images."""
        frames_first = noisy.flatten(1, 2).transpose(1, 2)
        x = self.expand(self.embed(self._patches(frames_first)))
        x = x + self.context_embed(self._patches(conditioning.context[..., None]))
        x = x + self.lead_embed(
            conditioning.lead_sheet.reshape(len(x), -1, self.patch * LEAD_SHEET_DIM)
        )
        tempo = torch.cat(
            [_fourier(conditioning.tempo[:, 0], TEMPO_DIM, 30.0), conditioning.tempo[:, 1:]], -1
        )
        steer = (
            self.time_embed(_fourier(time, TIME_DIM, 1000.0))
            + self.text_embed(torch.cat([conditioning.text, conditioning.text_known], -1))
            + self.tempo_embed(tempo * conditioning.tempo[:, 1:])
            + self.controls_embed(conditioning.controls)
        )
        steer = F.silu(steer)
        shared = self.modulation(steer).view(len(x), 6, -1)
        for block in self.blocks:
            x = block(x, steer, shared, self.cosine, self.sine)
        scale, shift = self.last_modulation(steer)[:, None].chunk(2, -1)
        drawn = self._overlap_add(self.draw(_modulated(x, scale, shift)))
        image: torch.Tensor = drawn.transpose(1, 2).reshape(noisy.shape)
        return image

    def _patches(self, frames: torch.Tensor) -> torch.Tensor:
        """(batch, frames, height) to (batch, tokens, span * height), neighbours overlapping."""
        padded = F.pad(frames, (0, 0, self.overlap, self.overlap))
        windows = padded.unfold(1, self.span, self.patch)
        return windows.transpose(2, 3).flatten(2)

    def _overlap_add(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, tokens, span * height) to (batch, frames, height): the inverse, summed."""
        if self.overlap == 0:
            return tokens.reshape(len(tokens), -1, self.height)
        batch, count, _ = tokens.shape
        first, second = tokens.view(batch, count, 2, self.patch, self.height).unbind(2)
        # With an overlap of half a patch each way a frame is drawn by exactly two tokens.
        summed = F.pad(first, (0, 0, 0, 0, 0, 1)) + F.pad(second, (0, 0, 0, 0, 1, 0))
        whole = summed.reshape(batch, (count + 1) * self.patch, self.height)
        return whole[:, self.overlap : -self.overlap]


def _two_layers(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))


def _low_rank(inputs: int, rank: int, outputs: int) -> nn.Sequential:
    """A linear map through ``rank`` numbers that begins as nothing. Hu et al., LoRA, 2021."""
    up = nn.Linear(rank, outputs)
    nn.init.zeros_(up.weight)
    nn.init.zeros_(up.bias)
    return nn.Sequential(nn.Linear(inputs, rank, bias=False), up)


def _norm(x: torch.Tensor) -> torch.Tensor:
    """Over its root mean square. Zhang and Sennrich, 2019; on a CPU a third of ``F.rms_norm``."""
    rms: torch.Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * x.shape[-1] ** -0.5
    return (x / rms.clamp(min=SMALLEST_RMS)).to(x.dtype)


def _modulated(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    return torch.addcmul(shift, _norm(x), 1 + scale)


def _fourier(values: torch.Tensor, dim: int, scale: float) -> torch.Tensor:
    """Sinusoidal features, (batch,) to (batch, dim). Vaswani et al., 2017."""
    half = torch.arange(dim // 2, device=values.device, dtype=torch.float32)
    angles = values[:, None].float() * torch.exp(-math.log(10000.0) * half / (dim // 2)) * scale
    return torch.cat([angles.cos(), angles.sin()], -1)


def _rotary(tokens: int, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and signed sines (tokens, 1, 1, dim) of rotary positions. Su et al., 2021."""
    rates = torch.exp(-math.log(10000.0) * torch.arange(dim // 2) / (dim // 2))
    angles = torch.arange(tokens)[:, None, None, None] * rates
    return torch.cat([angles.cos()] * 2, -1), torch.cat([-angles.sin(), angles.sin()], -1)


def _rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """(batch, tokens, ..., dim), each number of the first half turned with one of the second."""
    a, b = x.chunk(2, -1)
    return torch.addcmul(x * cosine.to(x.dtype), torch.cat([b, a], -1), sine.to(x.dtype))
