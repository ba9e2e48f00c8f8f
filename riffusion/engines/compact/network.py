"""The network of the shipped engine: a diffusion transformer over mel-spectrogram images.

A token is 8 frames of all mel bands; it also sees and draws 4 frames of each neighbour
(overlapping patches, added up at the output), so that token boundaries leave no grid. The network
predicts the clean image, as in "Back to Basics: Let Denoising Generative Models Denoise" (Li and
He, 2025). Time, prompt, tempo and controls modulate the blocks (adaLN, "Scalable Diffusion Models
with Transformers", Peebles and Xie, 2023) through one linear map that all blocks share and a
low-rank one of each block (as in "Cosmos World Foundation Model", NVIDIA, 2025).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from riffusion.engines.compact.patches import overlap_add, to_patches
from riffusion.networks.weights import StoredNetwork

LEAD_SHEET_DIM = 17
# The columns of a lead sheet are cosine and sine of beat and bar, a flag that they are known, and
# twelve pitch classes.
TURNS, BEAT_KNOWN, CHORDS = slice(0, 4), 4, slice(5, 17)
CONTROLS = 3  # the controls are density, brightness and drums
TIME_DIM = 128
TEMPO_DIM = 64
TEMPO_SCALE = 200.0
MIN_RMS = 1e-6


@dataclass(frozen=True)
class Conditioning:
    """The conditioning of a batch of windows. Unknown parts are 0, and so is their known flag.

    ``text`` is (batch, text dim), ``text_known`` (batch, 1), ``tempo`` (batch, 2: bpm / 200, known
    flag), ``controls`` (batch, 6: three values from 0 to 1, three known flags), ``lead_sheet``
    (batch, frames, 17) and ``context`` (batch, frames): 1 where a frame is given clean and is to
    be continued.
    """

    text: torch.Tensor
    text_known: torch.Tensor
    tempo: torch.Tensor
    controls: torch.Tensor
    lead_sheet: torch.Tensor
    context: torch.Tensor

    def unguided(self) -> Conditioning:
        """Return the same with prompt and controls unknown: what guidance leads away from.

        When guidance leads away from the prompt alone, controls hardly move the music
        (docs/model.md).
        """
        return replace(
            self,
            text=torch.zeros_like(self.text),
            text_known=torch.zeros_like(self.text_known),
            controls=torch.zeros_like(self.controls),
        )

    def rows(self, numbers: torch.Tensor) -> Conditioning:
        """Return the conditioning of the windows ``numbers`` of the batch."""
        return Conditioning(*(getattr(self, name)[numbers] for name in FIELDS))

    def joined(self, other: Conditioning) -> Conditioning:
        """Return this batch followed by another one."""
        return Conditioning(
            *(torch.cat([getattr(self, name), getattr(other, name)]) for name in FIELDS)
        )

    def to(self, device: torch.device) -> Conditioning:
        """Return the same on another device."""
        return Conditioning(*(getattr(self, name).to(device) for name in FIELDS))


FIELDS = tuple(Conditioning.__dataclass_fields__)


@dataclass(frozen=True)
class Prepared:
    """All that the network computes from times and conditioning alone, not from images.

    ``context`` and ``lead_sheet`` are (batch, tokens, width); ``blocks`` has the modulation (batch,
    1, 6, width) of each block and ``last`` (batch, 1, 2 width) that of the last layer.
    """

    context: torch.Tensor
    lead_sheet: torch.Tensor
    blocks: tuple[torch.Tensor, ...]
    last: torch.Tensor

    def rows(self, rows: slice) -> Prepared:
        """Return the same for some windows of the batch."""
        blocks = tuple(block[rows] for block in self.blocks)
        return Prepared(self.context[rows], self.lead_sheet[rows], blocks, self.last[rows])


class Block(nn.Module):
    """A transformer block: attention with rotary positions and a gated feed-forward layer.

    The modulation scales, shifts and gates both. ``rank`` 0 leaves out the block's own map.
    """

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

    def modulate(self, steer: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
        """Return the modulation of the block, (batch, 1, 6, width).

        ``steer`` (batch, width) is the embedded conditioning and ``shared`` (batch, 6, width) the
        modulation that all blocks share.
        """
        modulation = shared + self.modulation
        if self.own_modulation is not None:
            modulation = modulation + self.own_modulation(steer).view(shared.shape)
        return modulation[:, None]

    def forward(
        self, x: torch.Tensor, modulation: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor
    ) -> torch.Tensor:
        """Return ``x`` (batch, tokens, width) after the block, with its own ``modulation``."""
        scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = modulation.unbind(2)
        x = torch.addcmul(x, gate_1, self._attend(_modulate(x, scale_1, shift_1), cosine, sine))
        gate, up = self.gate_up(_modulate(x, scale_2, shift_2)).chunk(2, -1)
        return torch.addcmul(x, gate_2, self.down(F.silu(gate) * up))

    def _attend(self, x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
        """Return multi-head self-attention of ``x`` (batch, tokens, width)."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        # Queries and keys are normalised together, with the scale of the logits: fewer and larger
        # calls.
        size = qkv.shape[-1] ** -0.5
        weights = torch.stack([self.query_norm.weight * size, self.key_norm.weight])[:, None]
        normed = _norm(qkv[:, :, :2]) * weights.to(qkv.dtype)
        q, k = _rotate(normed, cosine, sine).permute(2, 0, 3, 1, 4)
        # Attention is written out: at 64 tokens this is faster on a CPU than the fused kernel, and
        # it compiles.
        mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ qkv[:, :, 2].transpose(1, 2)
        out: torch.Tensor = self.attention_out(mixed.transpose(1, 2).reshape(x.shape))
        return out


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a network, and the scale of the images that it was trained on.

    ``mean``, ``std`` and ``balance_std`` are those of the training images, ``max_hz`` is the top of
    their mel scale.
    """

    channels: int = 1
    mel_bands: int = 128
    frames: int = 512
    patch: int = 8
    overlap: int = 4
    bottleneck: int = 128
    width: int = 320
    depth: int = 10
    heads: int = 5
    text_dim: int = 384
    mean: float = 0.0
    std: float = 1.0
    balance_std: float = 1.0
    max_hz: float = 20000.0
    modulation_rank: int = 0


class SpectrogramTransformer(StoredNetwork):
    """A diffusion transformer from noisy standardised log-mel images to clean ones.

    Images are (batch, channels, mel bands, frames); time runs from 0 (noise) to 1 (clean).
    """

    def __init__(self, **config: Any) -> None:
        """Build the network with random weights. Arguments are fields of ``TransformerConfig``."""
        super().__init__()
        self.config = TransformerConfig(**config)
        size, width = self.config, self.config.width
        self.patch, self.overlap = size.patch, size.overlap
        self.height = size.channels * size.mel_bands
        self.span = size.patch + 2 * size.overlap
        self.tokens = size.frames // size.patch
        self.embed = nn.Linear(self.span * self.height, size.bottleneck, bias=False)
        self.expand = nn.Linear(size.bottleneck, width)
        self.context_embed = nn.Linear(self.span, width, bias=False)
        self.lead_embed = nn.Linear(size.patch * LEAD_SHEET_DIM, width, bias=False)
        self.time_embed = _two_layers(TIME_DIM, width)
        self.text_embed = _two_layers(size.text_dim + 1, width)
        self.tempo_embed = _two_layers(TEMPO_DIM + 1, width)
        self.controls_embed = _two_layers(2 * CONTROLS, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(
            Block(width, size.heads, size.modulation_rank) for _ in range(size.depth)
        )
        self.last_modulation = nn.Linear(width, 2 * width)
        self.draw = nn.Linear(width, self.span * self.height)
        for layer in (self.modulation, self.last_modulation, self.draw):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        cosine, sine = _rotary(self.tokens, width // size.heads)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(
        self, noisy: torch.Tensor, time: torch.Tensor, conditioning: Conditioning
    ) -> torch.Tensor:
        """Return the clean images of noisy ones.

        ``noisy`` is (batch, channels, mel, frames) and ``time`` (batch,). Returns the shape of
        ``noisy``.
        """
        return self.denoise(noisy, self.prepare(time, conditioning))

    def prepare(self, time: torch.Tensor, conditioning: Conditioning) -> Prepared:
        """Return what times (batch,) and conditioning contribute, for ``denoise``."""
        context = conditioning.context[..., None]
        sheet = conditioning.lead_sheet.reshape(len(time), -1, self.patch * LEAD_SHEET_DIM)
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
        shared = self.modulation(steer).view(len(time), 6, -1)
        return Prepared(
            self.context_embed(to_patches(context, self.patch, self.overlap)),
            self.lead_embed(sheet),
            tuple(self._modulations(steer, shared)),
            self.last_modulation(steer)[:, None],
        )

    def _modulations(self, steer: torch.Tensor, shared: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the modulation of each block."""
        for block in self.blocks:
            modulate: Any = block.modulate  # a module's attributes are typed as tensors or modules
            yield modulate(steer, shared)

    def denoise(self, noisy: torch.Tensor, prepared: Prepared) -> torch.Tensor:
        """Return the clean images of noisy ones, (batch, channels, mel, frames)."""
        frames_first = noisy.flatten(1, 2).transpose(1, 2)
        x = self.expand(self.embed(to_patches(frames_first, self.patch, self.overlap)))
        x = x + prepared.context + prepared.lead_sheet
        for block, modulation in zip(self.blocks, prepared.blocks, strict=True):
            x = block(x, modulation, self.cosine, self.sine)
        scale, shift = prepared.last.chunk(2, -1)
        tokens = self.draw(_modulate(x, scale, shift))
        drawn = overlap_add(tokens, self.patch, self.overlap, self.height)
        image: torch.Tensor = drawn.transpose(1, 2).reshape(noisy.shape)
        return image


def _two_layers(inputs: int, width: int) -> nn.Sequential:
    """Return a two-layer perceptron with a SiLU between its layers."""
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))


def _low_rank(inputs: int, rank: int, outputs: int) -> nn.Sequential:
    """Return a linear map through ``rank`` numbers that starts at zero. Hu et al., LoRA, 2021."""
    up = nn.Linear(rank, outputs)
    nn.init.zeros_(up.weight)
    nn.init.zeros_(up.bias)
    return nn.Sequential(nn.Linear(inputs, rank, bias=False), up)


def _norm(x: torch.Tensor) -> torch.Tensor:
    """Divide by the root mean square of the last axis. Zhang and Sennrich, 2019.

    On a CPU this takes a third of the time of ``F.rms_norm``.
    """
    rms: torch.Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * x.shape[-1] ** -0.5
    return (x / rms.clamp(min=MIN_RMS)).to(x.dtype)


def _modulate(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Normalise ``x`` and modulate it: adaptive layer norm."""
    return torch.addcmul(shift, _norm(x), 1 + scale)


def _fourier(values: torch.Tensor, dim: int, scale: float) -> torch.Tensor:
    """Return sinusoidal features (batch, dim) of (batch,). Vaswani et al., 2017."""
    half = torch.arange(dim // 2, device=values.device, dtype=torch.float32)
    angles = values[:, None].float() * torch.exp(-math.log(10000.0) * half / (dim // 2)) * scale
    return torch.cat([angles.cos(), angles.sin()], -1)


def _rotary(tokens: int, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and signed sines (tokens, 1, 1, dim) of rotary positions. Su et al., 2021."""
    rates = torch.exp(-math.log(10000.0) * torch.arange(dim // 2) / (dim // 2))
    angles = torch.arange(tokens)[:, None, None, None] * rates
    return torch.cat([angles.cos()] * 2, -1), torch.cat([-angles.sin(), angles.sin()], -1)


def _rotate(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotate (batch, tokens, ..., dim): each number of the first half with one of the second."""
    a, b = x.chunk(2, -1)
    return torch.addcmul(x * cosine.to(x.dtype), torch.cat([b, a], -1), sine.to(x.dtype))
