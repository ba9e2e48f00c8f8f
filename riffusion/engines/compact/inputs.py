"""Clip requests as the tensors that the network is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from riffusion.engines.blending import blend_noise, blend_prompts
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.compact.features import control_features, lead_sheet_features
from riffusion.engines.compact.network import TEMPO_SCALE, Conditioning
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.engines.compact.prompt_encoder import embed_prompt
from riffusion.engines.noise import draw_noise
from riffusion.errors import InvalidInput
from riffusion.spectral.log_mel import ImageScale, log_mel
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams


@dataclass(frozen=True)
class Inputs:
    """A batch of requests as tensors.

    ``conditioning`` has two rows for each request: all with their prompts come first, then all
    without. ``noise`` and ``known`` are (batch, channels, mel, frames); ``known`` holds anchors and
    contexts; ``kept`` and ``context`` are boolean and say where its pixels stay. ``start`` is the
    time at which sampling begins, from 0 (noise) to 1 (clean).
    """

    conditioning: Conditioning
    noise: torch.Tensor
    known: torch.Tensor
    kept: torch.Tensor
    context: torch.Tensor
    start: float

    @classmethod
    def batch(cls, each: Sequence[Inputs]) -> Inputs:
        """Return several inputs, which start at one time, as one batch."""
        if len(each) == 1:
            return each[0]
        rows = [one.conditioning for one in each]
        half = len(rows[0].text) // 2
        prompted, free = (
            [row.rows(numbers) for row in rows]
            for numbers in (torch.arange(half), torch.arange(half, 2 * half))
        )
        conditioning = prompted[0]
        for other in (*prompted[1:], *free):
            conditioning = conditioning.joined(other)
        return cls(
            conditioning,
            torch.cat([one.noise for one in each]),
            torch.cat([one.known for one in each]),
            torch.cat([one.kept for one in each]),
            torch.cat([one.context for one in each]),
            each[0].start,
        )

    def to(self, device: torch.device) -> Inputs:
        """Return the same on another device."""
        names = ("conditioning", "noise", "known", "kept", "context")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


@dataclass(frozen=True)
class RequestReader:
    """Turns requests into tensors for an engine of a shape and an image scale."""

    params: SpectrogramParams
    channels: int
    frames: int
    context_step: int
    scale: ImageScale
    prompt_adapter: PromptAdapter | None

    def read(self, request: ClipRequest) -> Inputs:
        """Return a request as a batch of one.

        Raises InvalidInput where it does not fit the engine.
        """
        shape = (self.channels, self.params.mel_bands, self.frames)
        known, context, kept = torch.zeros(shape), torch.zeros(self.frames), torch.zeros(shape)
        if request.anchor is not None:
            known = self._to_image(request.anchor, self.frames)
            if request.mask is not None:
                kept = self._read_mask(request)
        if request.context is not None:
            length = request.context.frames
            if length % self.context_step or length >= self.frames:
                hint = f"use a multiple of {self.context_step} below {self.frames}"
                raise InvalidInput("context", f"{length} frames", hint)
            known[..., :length] = self._to_image(request.context, length)
            context[:length] = 1.0
        noise = blend_noise(request, lambda seed: draw_noise(seed, shape, request.noise))
        prompted = self._condition(request, context)
        return Inputs(
            prompted.joined(self._condition_negative(prompted, request)),
            noise[None],
            known[None],
            (kept > 0.5)[None],
            (context > 0.5).expand(shape)[None],
            1 - request.strength_at_alpha if request.anchor is not None else 0.0,
        )

    def _condition(self, request: ClipRequest, context: torch.Tensor) -> Conditioning:
        """Return the conditioning with prompt and controls, which guidance leads to: one row."""
        tempo = torch.tensor([(request.bpm or 0.0) / TEMPO_SCALE, float(request.bpm is not None)])
        return Conditioning(
            blend_prompts(request, lambda prompt: self._embed(prompt.text))[None],
            torch.ones(1, 1),
            tempo[None],
            control_features(request.controls)[None],
            lead_sheet_features(request.lead_sheet, self.frames)[None],
            context[None],
        )

    def _condition_negative(self, prompted: Conditioning, request: ClipRequest) -> Conditioning:
        """Return the conditioning that guidance leads away from: one row.

        It has the negative prompts, or no prompt where they are empty, and no controls.
        """
        free = prompted.unguided()

        def embed(prompt: Prompt) -> torch.Tensor:
            return self._embed(prompt.negative)[None] if prompt.negative else free.text

        def is_known(prompt: Prompt) -> torch.Tensor:
            return torch.full_like(free.text_known, float(bool(prompt.negative)))

        return replace(
            free, text=blend_prompts(request, embed), text_known=blend_prompts(request, is_known)
        )

    def _embed(self, text: str) -> torch.Tensor:
        """Return the embedding of a prompt as the network knows it, float32 (384,)."""
        embedding = embed_prompt(text)
        if self.prompt_adapter is None:
            return embedding
        return self.prompt_adapter(embedding[None])[0]

    def _read_mask(self, request: ClipRequest) -> torch.Tensor:
        """Return the mask of a request as (channels, mel, frames): 1 where the anchor stays."""
        mask = torch.from_numpy(np.array(request.mask, np.float32))
        if mask.shape != (self.params.mel_bands, self.frames):
            hint = f"needs ({self.params.mel_bands}, {self.frames}) like the anchor"
            raise InvalidInput("mask shape", tuple(mask.shape), hint)
        return (1 - mask).expand(self.channels, -1, -1)

    def _to_image(self, spectrogram: Spectrogram, frames: int) -> torch.Tensor:
        """Return magnitudes as the standardised log-mel image (channels, mel, frames)."""
        magnitudes = spectrogram.magnitudes
        expected = (self.channels, self.params.mel_bands, frames)
        if spectrogram.params != self.params or tuple(magnitudes.shape) != expected:
            hint = f"needs {expected} in the engine's own scale"
            raise InvalidInput("spectrogram", tuple(magnitudes.shape), hint)
        return self.scale.image(log_mel(magnitudes))
