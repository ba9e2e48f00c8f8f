"""Stable Diffusion checkpoints that draw spectrograms, riffusion/riffusion-model-v1 first.

The walk is the original Riffusion's: text embeddings, guidance and strength are interpolated
linearly in alpha and noise spherically; an anchor is encoded, re-noised by its strength and
repainted where the mask is white. What already sounds is continued in the same way, by outpainting.
Tempo, chords and controls mean nothing to these checkpoints: say them in the prompt, or choose an
anchor that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch

from riffusion.engines.blending import blend_noise
from riffusion.engines.clip import ClipRequest
from riffusion.engines.noise import draw_noise
from riffusion.engines.protocol import Interrupted, never
from riffusion.engines.stable.denoiser import Denoiser, Guidance
from riffusion.engines.stable.latents import LatentCodec
from riffusion.engines.stable.loading import StableModel
from riffusion.engines.stable.options import StableOptions
from riffusion.engines.stable.prompt_encoder import WeightedPromptEncoder
from riffusion.engines.stable.schedulers import Sampler, choose_scheduler
from riffusion.errors import ModelError
from riffusion.spectral.griffin_lim import WHOLE_ITERATIONS, griffin_lim
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram
from riffusion.vocoder.protocol import Vocoder

SMALL_GPU_BYTES = 6 * 2**30


class StableEngine:
    """An engine that samples a Stable Diffusion checkpoint. It implements ``Engine``.

    An anchor is taken as its image would be: its loudest magnitude is black, whatever its scale.
    Contexts and clips are on one scale, that of samples in [-1, 1].
    """

    def __init__(
        self, model: StableModel, options: StableOptions | None = None, device: str = "cpu"
    ) -> None:
        options = options or StableOptions()
        self._device = torch.device(device)
        self._denoiser = Denoiser(model.unet, self._device)
        self._codec = LatentCodec(model.vae, options.frames, self._device)
        text_encoder = model.text_encoder.to(device).eval()
        self._prompts = WeightedPromptEncoder(model.tokenizer, text_encoder, self._device)
        self._scheduler_config = model.scheduler
        self._scheduler = choose_scheduler(options.scheduler, model.scheduler)
        self._batch_size = options.batch
        self.name = _name_engine(model.name, options)
        self.params = RIFFUSION
        self.vocoder: Vocoder = partial(griffin_lim, iterations=WHOLE_ITERATIONS, refined=True)
        self.live_vocoder = self.vocoder
        self.channels = 1
        self.frames = options.frames
        self.context_step = self._codec.step
        if self._is_small_gpu():
            self._save_memory()

    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate one clip for each request, as ``Engine.generate`` says.

        Requests run one by one, so that a batch changes no bits, unless ``StableOptions.batch``
        lets requests that take the same steps run together. When the GPU runs out of memory the
        clips are generated again with less of it, first in smaller batches, and so are all that
        follow: that may change last digits. Raises ModelError when the memory is still too small.
        """
        batches: dict[Hashable, list[int]] = {}
        for number, request in enumerate(requests):
            batches.setdefault(self._batch_key(request), []).append(number)
        clips: dict[int, Spectrogram] = {}
        for numbers in batches.values():
            while numbers:
                some, numbers = numbers[: self._batch_size], numbers[self._batch_size :]
                made = self._fit_memory([requests[number] for number in some], interrupted)
                clips.update(zip(some, made, strict=True))
        return [clips[number] for number in range(len(requests))]

    def _batch_key(self, request: ClipRequest) -> Hashable:
        """Return what requests must have in common to run together."""
        return (
            request.steps,
            None if request.anchor is None else request.strength_at_alpha,
            request.mask is None,
            None if request.context is None else request.context.frames,
            request.mix,
            request.guidance_at_alpha > 1,
            self._prompts.encode_walk(request)[0].shape,
        )

    def _fit_memory(
        self, requests: Sequence[ClipRequest], interrupted: Callable[[], bool]
    ) -> list[Spectrogram]:
        """Generate a batch, in smaller pieces when the memory is too small for it."""
        while True:
            try:
                return self._generate(requests, interrupted)
            except torch.OutOfMemoryError as error:
                if self._denoiser.saves_memory and len(requests) == 1:
                    raise ModelError(
                        f"{self._device} has too little memory for {self.name} with "
                        f"{self.frames} frames, even in small pieces: close other programs that "
                        "use it, ask for fewer frames, or use --device cpu."
                    ) from error
            # The tensors of the failed try are freed only here, after the except clause.
            if len(requests) > 1:
                self._batch_size = half = len(requests) // 2
                return [
                    clip
                    for first in range(0, len(requests), half)
                    for clip in self._fit_memory(requests[first : first + half], interrupted)
                ]
            self._save_memory()

    @torch.inference_mode()
    def _generate(
        self, requests: Sequence[ClipRequest], interrupted: Callable[[], bool]
    ) -> list[Spectrogram]:
        """Sample a batch of requests that take the same steps. Raises Interrupted."""
        walks = [_NoiseWalk(request, self._codec, self._device) for request in requests]

        def draw() -> torch.Tensor:
            return torch.cat([walk.draw() for walk in walks])

        inputs = self._prepare(requests, draw())
        sampler = self._begin_sampling(requests[0])
        latents = sampler.begin(inputs.anchor, inputs.noise)
        for index, timestep in enumerate(sampler.timesteps):
            if interrupted():
                raise Interrupted
            seen = _mix_anchor(requests[0], sampler, index, latents, inputs)
            seen = sampler.network_input(seen, timestep)
            prediction = self._denoiser.predict_noise(seen, timestep, inputs.guidance)
            latents = sampler.step(index, prediction, latents, draw)
            if inputs.anchor is not None and inputs.repainted is not None:
                kept = sampler.noised_mask(inputs.anchor, inputs.noise, index)
                latents = kept * (1 - inputs.repainted) + latents * inputs.repainted
            if inputs.context is not None:
                width = inputs.context.shape[-1]
                noise = inputs.noise[..., :width]
                latents[..., :width] = sampler.noised(inputs.context, noise, index)
        return self._codec.decode(latents, [request.context for request in requests])

    def _begin_sampling(self, request: ClipRequest) -> Sampler:
        """Return a new run of the scheduler for a batch of requests like ``request``."""
        return Sampler(
            self._scheduler,
            self._scheduler_config,
            request.steps,
            None if request.anchor is None else request.strength_at_alpha,
            mixed=request.mix is not None,
        )

    def _prepare(self, requests: Sequence[ClipRequest], noise: torch.Tensor) -> _Inputs:
        """Turn a batch into tensors. Raises InvalidInput where a request does not fit."""
        codec = self._codec
        contexts = [codec.encode_context(one.context) for one in requests if one.context]
        anchors = [
            codec.encode_anchor(one.anchor, one.start.seed) for one in requests if one.anchor
        ]
        masks = [codec.encode_mask(one.mask) for one in requests if one.mask is not None]
        context, anchor, repainted = (
            torch.cat(some) if some else None for some in (contexts, anchors, masks)
        )
        if anchor is not None and context is not None:
            anchor[..., : context.shape[-1]] = context
        return _Inputs(noise, self._guide(requests), anchor, repainted, context)

    def _guide(self, requests: Sequence[ClipRequest]) -> Guidance:
        """Return the embedded prompts and the guidance scales of a batch."""
        texts = [self._prompts.encode_walk(request) for request in requests]
        negative, positive = (torch.cat(some) for some in zip(*texts, strict=True))
        scale = torch.tensor([request.guidance_at_alpha for request in requests])
        enabled = bool((scale > 1).all())
        return Guidance(negative, positive, enabled, scale.reshape(-1, 1, 1, 1).to(self._device))

    def _save_memory(self) -> None:
        """Compute everything in the smallest pieces from now on: slower, but for small GPUs."""
        self._denoiser.save_memory()
        self._codec.save_memory()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _is_small_gpu(self) -> bool:
        """Return whether the device is a GPU with less than 6 GiB of memory."""
        if self._device.type != "cuda":
            return False
        return torch.cuda.get_device_properties(self._device).total_memory < SMALL_GPU_BYTES


@dataclass(frozen=True)
class _Inputs:
    """A batch of requests as tensors (batch, ...).

    ``anchor`` and ``context`` are latents without noise, and ``repainted`` is 1 where the anchor
    does not stay. Each is None when the requests have none.
    """

    noise: torch.Tensor
    guidance: Guidance
    anchor: torch.Tensor | None
    repainted: torch.Tensor | None
    context: torch.Tensor | None


class _NoiseWalk:
    """Noise of the blended prompts of a request.

    It is drawn on the CPU, so that a seed means the same on every device.
    """

    def __init__(self, request: ClipRequest, codec: LatentCodec, device: torch.device) -> None:
        self._request = request
        self._shape, self._step = codec.shape, codec.step
        self._device = device
        seeds = (request.start.seed, request.end.seed, *(o.prompt.seed for o in request.others))
        self._generators = {seed: torch.Generator().manual_seed(seed) for seed in seeds}
        self._count = 0

    def draw(self) -> torch.Tensor:
        """Return the next noise, float32 of the shape of the latents."""
        # Prompts of one seed have one noise.
        blended = blend_noise(self._request, cache(self._draw_seed))
        self._count += 1
        return blended.to(self._device)

    def _draw_seed(self, seed: int) -> torch.Tensor:
        """Return the next noise of a seed: of the places of a loop, or all from one generator."""
        loop = self._request.noise
        if loop:
            return draw_noise(seed, self._shape, loop, self._step, self._count)
        return torch.randn(self._shape, generator=self._generators[seed])


def _mix_anchor(
    request: ClipRequest, sampler: Sampler, index: int, latents: torch.Tensor, inputs: _Inputs
) -> torch.Tensor:
    """Return the latents that the denoiser sees in step ``index``, mixed with the anchor's."""
    mix = request.mix
    if mix is None or inputs.anchor is None or index == 0:
        return latents
    if not mix.applies(sampler.first + index, request.steps):
        return latents
    return torch.lerp(sampler.noised_before(inputs.anchor, inputs.noise, index), latents, mix.share)


def _name_engine(model: str, options: StableOptions) -> str:
    """Return a name that differs wherever the same request gives other bits."""
    defaults = StableOptions()
    loras = [f"{Path(lora.model).stem}:{lora.weight:g}" for lora in options.loras]
    frames = [f"{options.frames} frames"] if options.frames != defaults.frames else []
    precision = [options.precision] if options.precision != defaults.precision else []
    scheduler = [options.scheduler] if options.scheduler else []
    batch = [f"batches of {options.batch}"] if options.batch != defaults.batch else []
    return " + ".join([model, *loras, *scheduler, *frames, *precision, *batch])
