"""Stable Diffusion checkpoints that draw spectrograms, riffusion/riffusion-model-v1 first.

The original Riffusion's walk: text lerps, noise slerps, guidance and strength lerp in alpha; an
anchor is encoded, re-noised by strength and repainted where the mask is white. What sounds already
is continued in the same way, by outpainting. Tempo, chords and controls mean nothing to these
checkpoints: say them in the prompt, or choose an anchor that has them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Interrupted, never
from riffusion.engines.stable.image import to_pixels, to_spectrogram
from riffusion.engines.stable.loading import LATENT_CHANNELS, StableModel
from riffusion.engines.stable.options import StableOptions
from riffusion.engines.stable.schedulers import Sampler, scheduler_kind
from riffusion.engines.stable.text import StableText
from riffusion.errors import InvalidInput, ModelError
from riffusion.music.walk import slerp
from riffusion.spectral.griffin_lim import WHOLE_ITERATIONS, griffin_lim
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram
from riffusion.vocoder.protocol import Vocoder

REMEMBERED_ANCHORS = 8
SMALL_GPU_BYTES = 6 * 2**30


class StableEngine:
    """Samples a Stable Diffusion checkpoint. Implements ``Engine``.

    An anchor is taken as its image would be: its loudest magnitude is black, whatever its scale.
    A context and what comes back are on one scale, that of samples in [-1, 1].
    """

    def __init__(
        self, model: StableModel, options: StableOptions | None = None, device: str = "cpu"
    ) -> None:
        options = options or StableOptions()
        self._device = torch.device(device)
        # What convolutions like best, but for Apple's.
        order = torch.contiguous_format if device == "mps" else torch.channels_last
        self._unet = model.unet.to(device, memory_format=order).eval()
        self._vae = model.vae.to(device, memory_format=order).eval()
        self._text = StableText(model.tokenizer, model.text_encoder.to(device).eval(), self._device)
        self._scheduler = model.scheduler
        self._scheduler_kind = scheduler_kind(options.scheduler, model.scheduler)
        self._anchors: OrderedDict[bytes, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()
        self._frugal = False
        self._batch = options.batch
        self.name = _name(model.name, options)
        self.params = RIFFUSION
        self.vocoder: Vocoder = partial(griffin_lim, iterations=WHOLE_ITERATIONS, refined=True)
        self.channels = 1
        self.frames = options.frames
        self.context_step: int = 2 ** (len(model.vae.config.block_out_channels) - 1)
        if self._is_small_gpu():
            self._save_memory()

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """See ``Engine.generate``. Requests run one by one, so that a batch changes no bits, unless
        ``StableOptions.batch`` lets those that take the same steps run together.

        Where the GPU's memory runs out clips are made again with less of it, first in smaller
        batches, and so are all that follow: that may change last digits. Raises ModelError where
        it is still too much.
        """
        alike: dict[Hashable, list[int]] = {}
        for number, request in enumerate(requests):
            alike.setdefault(self._course(request), []).append(number)
        clips: dict[int, Spectrogram] = {}
        for numbers in alike.values():
            while numbers:
                some, numbers = numbers[: self._batch], numbers[self._batch :]
                made = self._fitted([requests[number] for number in some], interrupted)
                clips.update(zip(some, made, strict=True))
        return [clips[number] for number in range(len(requests))]

    def _course(self, request: ClipRequest) -> Hashable:
        """What requests have in common that can run together."""
        return (
            request.steps,
            None if request.anchor is None else request.walked_strength,
            request.mask is None,
            None if request.context is None else request.context.frames,
            request.mix,
            request.walked_guidance > 1,
            self._text.walked(request)[0].shape,
        )

    def _fitted(
        self, requests: Sequence[ClipRequest], interrupted: Callable[[], bool]
    ) -> list[Spectrogram]:
        while True:
            try:
                return self._generate(requests, interrupted)
            except torch.OutOfMemoryError as error:
                if self._frugal and len(requests) == 1:
                    raise ModelError(
                        f"{self._device} has too little memory for {self.name} with "
                        f"{self.frames} frames, even in small pieces: close other programs that "
                        "use it, ask for fewer frames, or use --device cpu."
                    ) from error
            # Only here are the tensors of the failed try gone.
            if len(requests) > 1:
                self._batch = half = len(requests) // 2
                return [
                    clip
                    for first in range(0, len(requests), half)
                    for clip in self._fitted(requests[first : first + half], interrupted)
                ]
            self._save_memory()

    @torch.inference_mode()
    def _generate(
        self, requests: Sequence[ClipRequest], interrupted: Callable[[], bool]
    ) -> list[Spectrogram]:
        shape = self._latent_shape(self.frames)
        walks = [_WalkingNoise(request, shape, self._device) for request in requests]

        def draw() -> torch.Tensor:
            return torch.cat([walk.draw() for walk in walks])

        job = self._prepare(requests, draw())
        request = requests[0]
        strength = None if request.anchor is None else request.walked_strength
        mix = request.mix
        sampler = Sampler(
            self._scheduler_kind, self._scheduler, request.steps, strength, mixed=mix is not None
        )
        latents = sampler.begin(job.anchor, job.noise)
        for index, timestep in enumerate(sampler.timesteps):
            if interrupted():
                raise Interrupted
            seen = latents
            mixes = index and mix and mix.applies(sampler.first + index, request.steps)
            if mix and mixes and job.anchor is not None:
                layout = sampler.noised_before(job.anchor, job.noise, index)
                seen = torch.lerp(layout, latents, mix.share)
            seen = sampler.network_input(seen, timestep)
            prediction = self._predict(seen, timestep, job)
            latents = sampler.step(index, prediction, latents, draw)
            if job.anchor is not None and job.repainted is not None:
                kept = sampler.noised_mask(job.anchor, job.noise, index)
                latents = kept * (1 - job.repainted) + latents * job.repainted
            if job.context is not None:
                width = job.context.shape[-1]
                latents[..., :width] = sampler.noised(job.context, job.noise[..., :width], index)
        return self._decoded(latents, [request.context for request in requests])

    def _prepare(self, requests: Sequence[ClipRequest], noise: torch.Tensor) -> _Job:
        contexts = [self._context_latents(one.context) for one in requests if one.context]
        started = [one for one in requests if one.anchor]
        anchors = [
            self._anchor_latents(one.anchor, one.start.seed) for one in started if one.anchor
        ]
        masks = [self._latent_mask(one) for one in started if one.mask is not None]
        context, anchor, repainted = (
            torch.cat(some) if some else None for some in (contexts, anchors, masks)
        )
        if anchor is not None and context is not None:
            anchor[..., : context.shape[-1]] = context
        texts = [self._text.walked(request) for request in requests]
        unwanted, wanted = (torch.cat(some) for some in zip(*texts, strict=True))
        guidance = torch.tensor([request.walked_guidance for request in requests])
        guided = bool((guidance > 1).all())
        guidance = guidance.reshape(-1, 1, 1, 1).to(self._device)
        return _Job(noise, unwanted, wanted, guided, guidance, anchor, repainted, context)

    def _predict(self, latents: torch.Tensor, timestep: torch.Tensor, job: _Job) -> torch.Tensor:
        """The noise in ``latents`` with classifier-free guidance (Ho and Salimans, 2022)."""
        if not job.guided:
            return self._listen(latents, timestep, job.wanted)
        if self._frugal:
            free = self._listen(latents, timestep, job.unwanted)
            prompted = self._listen(latents, timestep, job.wanted)
        else:
            both = torch.cat([job.unwanted, job.wanted])
            free, prompted = self._listen(torch.cat([latents, latents]), timestep, both).chunk(2)
        return free + job.guidance * (prompted - free)

    def _listen(
        self, latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor
    ) -> torch.Tensor:
        dtype = self._unet.dtype
        out = self._unet(
            latents.to(dtype),
            timestep.to(self._device),
            encoder_hidden_states=text.to(dtype),
            return_dict=False,
        )
        noise: torch.Tensor = out[0].float()
        return noise

    def _decoded(
        self, latents: torch.Tensor, contexts: Sequence[Spectrogram | None]
    ) -> list[Spectrogram]:
        scaled = latents / self._vae.config.scaling_factor
        images = self._vae.decode(scaled.to(self._vae.dtype), return_dict=False)[0]
        clips = [to_spectrogram(image) for image in (images.float().cpu() / 2 + 0.5).split(1)]
        for clip, context in zip(clips, contexts, strict=True):
            if context is not None:
                # Bit for bit what came in, not its round trip through the autoencoder.
                clip.magnitudes[..., : context.frames] = context.magnitudes
        return clips

    def _context_latents(self, context: Spectrogram) -> torch.Tensor:
        if context.frames % self.context_step or context.frames >= self.frames:
            legal = f"use a multiple of {self.context_step} below {self.frames}"
            raise InvalidInput("context", f"{context.frames} frames", legal)
        self._check(context, context.frames)
        mean, _ = self._encoded(to_pixels(context.magnitudes))
        return mean

    def _anchor_latents(self, anchor: Spectrogram, seed: int) -> torch.Tensor:
        """A sample of what the autoencoder sees in an anchor, drawn with the first seed."""
        self._check(anchor, self.frames)
        key = hashlib.sha256(anchor.magnitudes.contiguous().numpy().tobytes()).digest()
        if key not in self._anchors:
            self._anchors[key] = self._encoded(to_pixels(anchor.magnitudes, anchor.peak() or 1.0))
            while len(self._anchors) > REMEMBERED_ANCHORS:
                self._anchors.popitem(last=False)
        mean, deviation = self._anchors[key]
        drawn = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
        return mean + deviation * drawn.to(self._device)

    def _encoded(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the latents of an image, in the UNet's scale."""
        image = (2 * pixels - 1).to(self._device, self._vae.dtype)
        seen = self._vae.encode(image, return_dict=False)[0]
        scale = self._vae.config.scaling_factor
        return seen.mean.float() * scale, seen.std.float() * scale

    def _latent_mask(self, request: ClipRequest) -> torch.Tensor:
        """(1, 1, height, width): 1 where the image is repainted. Each latent takes its middle."""
        mask = torch.from_numpy(np.array(request.mask, np.float32))
        expected = (self.params.mel_bands, self.frames)
        if mask.shape != expected:
            raise InvalidInput("mask shape", tuple(mask.shape), f"needs {expected} like the anchor")
        step = self.context_step
        middle = mask.flip(0)[step // 2 :: step, step // 2 :: step]
        return middle[None, None].to(self._device)

    def _check(self, given: Spectrogram, frames: int) -> None:
        expected = (self.channels, self.params.mel_bands, frames)
        if given.params != self.params or tuple(given.magnitudes.shape) != expected:
            legal = (
                f"needs {expected} in Riffusion's scale; mix stereo down, cut or fill the length"
            )
            raise InvalidInput("spectrogram", tuple(given.magnitudes.shape), legal)

    def _latent_shape(self, frames: int) -> tuple[int, ...]:
        step = self.context_step
        return (1, LATENT_CHANNELS, self.params.mel_bands // step, frames // step)

    def _save_memory(self) -> None:
        """From now on everything in the smallest pieces: slower, but for small GPUs."""
        self._frugal = True
        self._unet.set_attention_slice("max")
        self._vae.enable_tiling()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _is_small_gpu(self) -> bool:
        if self._device.type != "cuda":
            return False
        return torch.cuda.get_device_properties(self._device).total_memory < SMALL_GPU_BYTES


@dataclass(frozen=True)
class _Job:
    """Requests as tensors, one below the other. ``anchor`` and ``context`` are latents without
    noise, ``repainted`` is 1 where the anchor does not stay."""

    noise: torch.Tensor
    unwanted: torch.Tensor
    wanted: torch.Tensor
    guided: bool
    guidance: torch.Tensor
    anchor: torch.Tensor | None
    repainted: torch.Tensor | None
    context: torch.Tensor | None


class _WalkingNoise:
    """Noise between two seeds. Drawn on the CPU, so that a seed means the same everywhere."""

    def __init__(self, request: ClipRequest, shape: tuple[int, ...], device: torch.device) -> None:
        ends = (request.start, request.end)
        self._generators = [torch.Generator().manual_seed(end.seed) for end in ends]
        self._alpha = request.alpha
        self._shape = shape
        self._device = device

    def draw(self) -> torch.Tensor:
        """The next noise, ``shape``."""
        a, b = (torch.randn(self._shape, generator=one) for one in self._generators)
        return slerp(a, b, self._alpha).to(self._device)


def _name(model: str, options: StableOptions) -> str:
    """Tells apart whatever gives other bits from the same request."""
    defaults = StableOptions()
    loras = [f"{Path(lora.model).stem}:{lora.weight:g}" for lora in options.loras]
    frames = [f"{options.frames} frames"] if options.frames != defaults.frames else []
    precision = [options.precision] if options.precision != defaults.precision else []
    scheduler = [options.scheduler] if options.scheduler else []
    batch = [f"batches of {options.batch}"] if options.batch != defaults.batch else []
    return " + ".join([model, *loras, *scheduler, *frames, *precision, *batch])
