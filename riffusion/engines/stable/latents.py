"""The latent codec: spectrograms to latents and back, by a checkpoint's autoencoder."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from riffusion.engines.stable.image import to_pixels, to_spectrogram
from riffusion.engines.stable.loading import LATENT_CHANNELS, choose_memory_format
from riffusion.errors import InvalidInput
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram

MAX_CACHED_ANCHORS = 8


class LatentCodec:
    """An autoencoder for windows of ``frames`` frames in Riffusion's geometry.

    ``step`` is how many mel bands and how many frames one latent covers. Latents are float32
    (batch, 4, mel bands / step, frames / step) in the scale of the UNet.
    """

    def __init__(self, vae: Any, frames: int, device: torch.device) -> None:
        self._vae = vae.to(device, memory_format=choose_memory_format(device)).eval()
        self._device = device
        self._frames = frames
        self._anchors: OrderedDict[bytes, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()
        self.step: int = 2 ** (len(vae.config.block_out_channels) - 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the latents of one window, with a batch axis of 1."""
        return (1, LATENT_CHANNELS, RIFFUSION.mel_bands // self.step, self._frames // self.step)

    def save_memory(self) -> None:
        """Encode and decode in tiles from now on, which is slower."""
        self._vae.enable_tiling()

    def encode_context(self, context: Spectrogram) -> torch.Tensor:
        """Return the latents of the first frames of a window.

        Raises InvalidInput for a context of another geometry, or one whose length is not a
        multiple of ``step`` frames below the whole window.
        """
        if context.frames % self.step or context.frames >= self._frames:
            hint = f"use a multiple of {self.step} below {self._frames}"
            raise InvalidInput("context", f"{context.frames} frames", hint)
        _check_geometry(context, context.frames)
        mean, _ = self._encode(to_pixels(context.magnitudes))
        return mean

    def encode_anchor(self, anchor: Spectrogram, seed: int) -> torch.Tensor:
        """Return a sample from the autoencoder's distribution of an anchor, drawn with ``seed``.

        The loudest magnitude of the anchor is black. The distributions of the last eight anchors
        are cached. Raises InvalidInput for an anchor of another geometry or length.
        """
        _check_geometry(anchor, self._frames)
        key = hashlib.sha256(anchor.magnitudes.contiguous().numpy().tobytes()).digest()
        if key not in self._anchors:
            self._anchors[key] = self._encode(to_pixels(anchor.magnitudes, anchor.peak() or 1.0))
            while len(self._anchors) > MAX_CACHED_ANCHORS:
                self._anchors.popitem(last=False)
        mean, deviation = self._anchors[key]
        drawn = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
        return mean + deviation * drawn.to(self._device)

    def encode_mask(self, given: npt.NDArray[np.float32] | None) -> torch.Tensor:
        """Return a mask (mel, frames) as (1, 1, height, width): 1 where the anchor is repainted.

        Each latent takes the value in the middle of what it covers. Raises InvalidInput for
        another shape.
        """
        mask = torch.from_numpy(np.array(given, np.float32))
        expected = (RIFFUSION.mel_bands, self._frames)
        if mask.shape != expected:
            raise InvalidInput("mask shape", tuple(mask.shape), f"needs {expected} like the anchor")
        middle = mask.flip(0)[self.step // 2 :: self.step, self.step // 2 :: self.step]
        return middle[None, None].to(self._device)

    def decode(
        self, latents: torch.Tensor, contexts: Sequence[Spectrogram | None]
    ) -> list[Spectrogram]:
        """Return the clips of a batch of latents, each beginning with its context."""
        scaled = latents / self._vae.config.scaling_factor
        images = self._vae.decode(scaled.to(self._vae.dtype), return_dict=False)[0]
        clips = [to_spectrogram(image) for image in (images.float().cpu() / 2 + 0.5).split(1)]
        for clip, context in zip(clips, contexts, strict=True):
            if context is not None:
                # The clip begins with the bits of the context itself, not with those of its round
                # trip through the autoencoder.
                clip.magnitudes[..., : context.frames] = context.magnitudes
        return clips

    def _encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation of the latents of an image."""
        image = (2 * pixels - 1).to(self._device, self._vae.dtype)
        distribution = self._vae.encode(image, return_dict=False)[0]
        scale = self._vae.config.scaling_factor
        return distribution.mean.float() * scale, distribution.std.float() * scale


def _check_geometry(given: Spectrogram, frames: int) -> None:
    """Raise InvalidInput unless a spectrogram is mono, in Riffusion's geometry and so long."""
    expected = (1, RIFFUSION.mel_bands, frames)
    if given.params != RIFFUSION or tuple(given.magnitudes.shape) != expected:
        hint = f"needs {expected} in Riffusion's scale; mix stereo down, cut or fill the length"
        raise InvalidInput("spectrogram", tuple(given.magnitudes.shape), hint)
