"""The shipped engine: prompt, tempo and chords to a mel spectrogram, faster than real time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from riffusion.engines._messages import first_line
from riffusion.engines.clip import ClipRequest
from riffusion.engines.compact.few_steps import FewSteps
from riffusion.engines.compact.inputs import Inputs, RequestReader
from riffusion.engines.compact.network import SpectrogramTransformer
from riffusion.engines.compact.parallel_guidance import ParallelGuidance
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.engines.compact.sampler import (
    Denoised,
    Sampler,
    advance,
    guidance_at,
    schedule,
)
from riffusion.engines.protocol import Interrupted, never
from riffusion.errors import ModelError
from riffusion.networks.low_rank import apply_change, load_change
from riffusion.networks.weights import read_network
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.log_mel import ImageScale
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams
from riffusion.vocoder.learned import LearnedVocoder
from riffusion.vocoder.live import LiveVocoder
from riffusion.vocoder.protocol import Vocoder

COMPACT_PARAMS = SpectrogramParams(
    hop_length=441,
    win_length=2048,
    n_fft=2048,
    mel_bands=128,
    min_hz=20.0,
    max_hz=20000.0,
    mel_scale="slaney",
    mel_norm="slaney",
)
# The folder of the vocoder inside a model folder.
VOCODER = "vocoder"
# The change of the weights with which few steps are enough (training/engine/distill.py).
FEW_STEPS_FILE = "few_steps.safetensors"


class CompactEngine:
    """An engine that samples a ``SpectrogramTransformer``. It implements ``Engine``.

    ``prompt_adapter`` None passes embeddings of prompts on to the network as they are. Clips of
    quality live are sampled from ``few_step_network``, where there is one. ``precision`` is that of
    the network: "float32", "bfloat16", or "auto", which is float32 with products in 8 bits for
    clips of quality live on a processor. Up to ``batch`` clips that are asked for at once are
    sampled together; only with 1, a clip has the same bits alone and beside others.
    """

    def __init__(
        self,
        network: SpectrogramTransformer,
        name: str,
        device: str = "cpu",
        vocoder: Vocoder = griffin_lim,
        prompt_adapter: PromptAdapter | None = None,
        few_step_network: SpectrogramTransformer | None = None,
        precision: str = "auto",
        batch: int = 1,
    ) -> None:
        self._network = nn.Module.to(network, device, torch.float32).eval()
        self._device = torch.device(device)
        self._precision, self._batch = precision, batch
        self._few_steps = None
        if few_step_network is not None:
            in_8_bits = device == "cpu" and precision == "auto"
            self._few_steps = FewSteps(few_step_network, device, in_8_bits=in_8_bits)
        config: Any = network.config  # diffusers types it too loosely to be checked
        self._scale = ImageScale(config.mean, config.std, config.balance_std)
        self.name = name
        self.vocoder = vocoder
        self.live_vocoder: Vocoder = vocoder
        if isinstance(vocoder, LearnedVocoder):
            self.live_vocoder = LiveVocoder(vocoder.network)
        self.params = replace(COMPACT_PARAMS, max_hz=config.max_hz)
        self.channels: int = config.channels
        self.frames: int = config.frames
        self.context_step: int = config.patch
        self._reader = RequestReader(
            self.params,
            self.channels,
            self.frames,
            self.context_step,
            self._scale,
            prompt_adapter,
        )

    @classmethod
    def load(
        cls, folder: Path, device: str = "cpu", precision: str = "auto", batch: int = 1
    ) -> CompactEngine:
        """Load a model folder with its config.json and weights in safetensors.

        The prompt adapter, the vocoder (in the folder "vocoder") and the change of the weights for
        few steps are loaded when there are any; without a vocoder of its own the engine uses
        Griffin-Lim. Raises ModelError.
        """
        try:
            network = read_network(SpectrogramTransformer, folder)
        except Exception as error:
            raise ModelError(
                f"the model in {folder} cannot be loaded: {first_line(error)} "
                "Fetch the folder again, or name another one with --model."
            ) from error
        has_vocoder = (folder / VOCODER).is_dir()
        vocoder = LearnedVocoder.load(folder / VOCODER, device) if has_vocoder else griffin_lim
        few_step_network = None
        if (folder / FEW_STEPS_FILE).exists():
            few_step_network = copy.deepcopy(network)
            apply_change(few_step_network, load_change(folder / FEW_STEPS_FILE))
        adapter = PromptAdapter.load(folder)
        name = folder.resolve().name
        return cls(network, name, device, vocoder, adapter, few_step_network, precision, batch)

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate one clip for each request, as ``Engine.generate`` says.

        Raises Interrupted between two steps when the caller gives up.
        """
        clips: list[Spectrogram] = []
        for group in self._groups(requests):
            inputs = Inputs.batch([self._reader.read(request) for request in group])
            with torch.autocast(
                self._device.type, torch.bfloat16, enabled=self._precision == "bfloat16"
            ):
                images = self._sample(group[0], inputs.to(self._device), interrupted)
            clips += map(self._finish, group, images)
        return clips

    def _groups(self, requests: Sequence[ClipRequest]) -> Iterator[list[ClipRequest]]:
        """Yield the requests in order, those together that are sampled together."""

        def steps(request: ClipRequest) -> Hashable:
            """Return what decides how the steps of a request go."""
            start = request.strength_at_alpha if request.anchor is not None else None
            prompts = (request.start, request.end, *(other.prompt for other in request.others))
            away = any(prompt.negative for prompt in prompts)
            guidance = request.guidance_at_alpha
            return (request.quality, request.steps, guidance, start, away, request.mix)

        for _, alike in groupby(requests, steps):
            group = list(alike)
            for first in range(0, len(group), self._batch):
                yield group[first : first + self._batch]

    def _sample(
        self, request: ClipRequest, inputs: Inputs, interrupted: Callable[[], bool]
    ) -> torch.Tensor:
        """Return clean images (batch, channels, mel, frames); ``request`` is one of the batch."""
        known, noise, start = inputs.known, inputs.noise, inputs.start
        image = start * known + (1 - start) * noise if start else noise
        sampler = self._sampler(request, inputs)
        before: Denoised | None = None
        for now, following in pairwise(sampler.times):
            if interrupted():
                raise Interrupted
            noisy_known = now * known + (1 - now) * noise
            # A time says how clean the image is, so that the rest is the share of steps to go.
            if request.mix and now > start and 1 - now > request.mix.until:
                image = torch.lerp(noisy_known, image, request.mix.share)
            image = torch.where(inputs.kept, noisy_known, image)
            image = torch.where(inputs.context, known, image)
            denoised = Denoised(now, sampler.denoise(image, now))
            image = advance(image, denoised, following, before if sampler.second_order else None)
            before = denoised
        return torch.where(inputs.kept | inputs.context, known, image)

    def _finish(self, request: ClipRequest, image: torch.Tensor) -> Spectrogram:
        """Return the spectrogram of a clean image (channels, mel, frames)."""
        magnitudes = 10 ** self._scale.levels(image)
        if request.context is not None:
            # The clip begins with the bits of the context itself, not with those of its round trip
            # through the logarithm.
            length = request.context.frames
            magnitudes[..., :length] = request.context.magnitudes.to(self._device)
        return Spectrogram(magnitudes.cpu(), self.params)

    def _sampler(self, request: ClipRequest, inputs: Inputs) -> Sampler:
        """Return the times of a batch like ``request``, and how it is denoised at each of them."""
        guidance = request.guidance_at_alpha
        if request.quality == "live" and self._few_steps is not None:
            return self._few_steps.sampler(inputs.conditioning, guidance, inputs.start)

        def denoise(images: torch.Tensor, now: float) -> torch.Tensor:
            """Denoise with classifier-free guidance (Ho and Salimans, 2022)."""
            prompted, free = self._evaluate_halves(images, now, inputs)
            return free + guidance_at(guidance, now) * (prompted - free)

        return Sampler(schedule(request.steps, inputs.start), denoise, second_order=True)

    def _evaluate_halves(
        self, images: torch.Tensor, now: float, inputs: Inputs
    ) -> Sequence[torch.Tensor]:
        """Return the network's clean images with the prompts, and those without."""
        size = len(images)
        if self._parallel_guidance is None:
            times = torch.full((2 * size,), now, device=self._device)
            both = self._network(torch.cat([images, images]), times, inputs.conditioning)
            return tuple(both.float().chunk(2))

        def evaluate(half: int) -> torch.Tensor:
            rows = inputs.conditioning.rows(torch.arange(half * size, (half + 1) * size))
            clean: torch.Tensor = self._network(images, torch.full((size,), now), rows)
            return clean

        return self._parallel_guidance(evaluate)

    @cached_property
    def _parallel_guidance(self) -> ParallelGuidance | None:
        """The threads of both evaluations, or None where there are no cores for them."""
        parallel = self._device.type == "cpu" and ParallelGuidance.is_available()
        return ParallelGuidance() if parallel else None
