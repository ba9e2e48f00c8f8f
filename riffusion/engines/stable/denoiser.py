"""The denoiser: a Stable Diffusion UNet with classifier-free guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from riffusion.engines.stable.loading import choose_memory_format


@dataclass(frozen=True)
class Guidance:
    """The prompts of a batch as embeddings, and how strongly they are followed.

    ``negative`` and ``positive`` are (batch, tokens, width), ``scale`` is (batch, 1, 1, 1). A
    ``scale`` counts only when ``enabled``; otherwise the positive prompts are followed as they
    are.
    """

    negative: torch.Tensor
    positive: torch.Tensor
    enabled: bool
    scale: torch.Tensor


class Denoiser:
    """A UNet that predicts the noise in latents.

    ``saves_memory`` makes it evaluate positive and negative prompts one after the other.
    """

    def __init__(self, unet: Any, device: torch.device) -> None:
        self._unet = unet.to(device, memory_format=choose_memory_format(device)).eval()
        self._device = device
        self.saves_memory = False

    def save_memory(self) -> None:
        """Evaluate in the smallest pieces from now on, which is slower."""
        self.saves_memory = True
        self._unet.set_attention_slice("max")

    def predict_noise(
        self, latents: torch.Tensor, timestep: torch.Tensor, guidance: Guidance
    ) -> torch.Tensor:
        """Return the noise in ``latents`` (batch, 4, height, width).

        Classifier-free guidance is that of Ho and Salimans, 2022.
        """
        if not guidance.enabled:
            return self._evaluate(latents, timestep, guidance.positive)
        if self.saves_memory:
            free = self._evaluate(latents, timestep, guidance.negative)
            prompted = self._evaluate(latents, timestep, guidance.positive)
        else:
            both = torch.cat([guidance.negative, guidance.positive])
            doubled = torch.cat([latents, latents])
            free, prompted = self._evaluate(doubled, timestep, both).chunk(2)
        return free + guidance.scale * (prompted - free)

    def _evaluate(
        self, latents: torch.Tensor, timestep: torch.Tensor, embeddings: torch.Tensor
    ) -> torch.Tensor:
        """Return the noise that the UNet predicts, float32, conditioned on ``embeddings``."""
        dtype = self._unet.dtype
        out = self._unet(
            latents.to(dtype),
            timestep.to(self._device),
            encoder_hidden_states=embeddings.to(dtype),
            return_dict=False,
        )
        noise: torch.Tensor = out[0].float()
        return noise
