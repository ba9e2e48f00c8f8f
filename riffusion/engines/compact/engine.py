"""The shipped engine: prompt, tempo and chords to a mel spectrogram, faster than real time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from riffusion.engines._messages import first_line
from riffusion.engines.blending import blend_noise, blend_prompts
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.compact.features import control_features, lead_sheet_features
from riffusion.engines.compact.network import TEMPO_SCALE, Conditioning, SpectrogramTransformer
from riffusion.engines.compact.parallel_guidance import ParallelGuidance
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.engines.compact.prompt_encoder import embed_prompt
from riffusion.engines.compact.sampler import Denoised, advance, guidance_at, schedule
from riffusion.engines.noise import draw_noise
from riffusion.engines.protocol import Interrupted, never
from riffusion.errors import InvalidInput, ModelError
from riffusion.networks.weights import read_network
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.log_mel import ImageScale, log_mel
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


class CompactEngine:
    """An engine that samples a ``SpectrogramTransformer``. It implements ``Engine``.

    ``prompt_adapter`` None passes embeddings of prompts on to the network as they are.
    """

    def __init__(
        self,
        network: SpectrogramTransformer,
        name: str,
        device: str = "cpu",
        vocoder: Vocoder = griffin_lim,
        prompt_adapter: PromptAdapter | None = None,
    ) -> None:
        self._network = nn.Module.to(network, device, torch.float32).eval()
        self._device = torch.device(device)
        config: Any = network.config  # diffusers types it too loosely to be checked
        self._scale = ImageScale(config.mean, config.std, config.balance_std)
        self.name = name
        self.vocoder = vocoder
        self.live_vocoder: Vocoder = vocoder
        if isinstance(vocoder, LearnedVocoder):
            self.live_vocoder = LiveVocoder(vocoder.network)
        self._prompt_adapter = prompt_adapter
        self.params = replace(COMPACT_PARAMS, max_hz=config.max_hz)
        self.channels: int = config.channels
        self.frames: int = config.frames
        self.context_step: int = config.patch

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> CompactEngine:
        """Load a model folder with its config.json and weights in safetensors.

        The prompt adapter and the vocoder (in the folder "vocoder") are loaded when there are
        any; without a vocoder of its own the engine uses Griffin-Lim. Raises ModelError.
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
        return cls(network, folder.resolve().name, device, vocoder, PromptAdapter.load(folder))

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """Generate one clip for each request, as ``Engine.generate`` says.

        Requests run one by one, so that a batch changes no bits.
        """
        return [self._generate(request, interrupted) for request in requests]

    def _generate(self, request: ClipRequest, interrupted: Callable[[], bool]) -> Spectrogram:
        """Sample one clip. Raises Interrupted between two steps when the caller gives up."""
        inputs = self._prepare(request)
        known, noise, start = inputs.known, inputs.noise, inputs.start
        image = start * known + (1 - start) * noise if start else noise
        before: Denoised | None = None
        for now, following in pairwise(schedule(request.steps, start)):
            if interrupted():
                raise Interrupted
            noisy_known = now * known + (1 - now) * noise
            # A time says how clean the image is, so that the rest is the share of steps to go.
            if request.mix and now > start and 1 - now > request.mix.until:
                image = torch.lerp(noisy_known, image, request.mix.share)
            image = torch.where(inputs.kept, noisy_known, image)
            image = torch.where(inputs.context, known, image)
            scale = guidance_at(request.guidance_at_alpha, now)
            denoised = Denoised(now, self._denoise(image, now, inputs.conditioning, scale))
            image = advance(image, denoised, following, before)
            before = denoised
        image = torch.where(inputs.kept | inputs.context, known, image)
        magnitudes = 10 ** self._scale.levels(image)
        if request.context is not None:
            # The clip begins with the bits of the context itself, not with those of its round trip
            # through the logarithm.
            length = request.context.frames
            magnitudes[..., :length] = request.context.magnitudes.to(self._device)
        return Spectrogram(magnitudes.cpu(), self.params)

    def _denoise(
        self, image: torch.Tensor, now: float, both: Conditioning, scale: float
    ) -> torch.Tensor:
        """Return the clean image with classifier-free guidance (Ho and Salimans, 2022).

        ``both`` has two rows, with the prompt and without it.
        """
        prompted, free = self._evaluate_rows(image, now, both)
        return free + scale * (prompted - free)

    def _evaluate_rows(
        self, image: torch.Tensor, now: float, both: Conditioning
    ) -> Sequence[torch.Tensor]:
        """Return the network's clean image (channels, mel, frames) for each row of ``both``."""

        def evaluate(rows: torch.Tensor) -> torch.Tensor:
            images = image.expand(len(rows), *image.shape)
            times = torch.full((len(rows),), now, device=self._device)
            clean: torch.Tensor = self._network(images, times, both.rows(rows))
            return clean

        if self._parallel_guidance is None:
            return tuple(evaluate(torch.arange(2, device=self._device)))
        return self._parallel_guidance(lambda row: evaluate(torch.tensor([row]))[0])

    @cached_property
    def _parallel_guidance(self) -> ParallelGuidance | None:
        """The threads of both evaluations, or None where there are no cores for them."""
        parallel = self._device.type == "cpu" and ParallelGuidance.is_available()
        return ParallelGuidance() if parallel else None

    def _prepare(self, request: ClipRequest) -> _Inputs:
        """Turn a request into tensors. Raises InvalidInput where it does not fit the engine."""
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
        both = prompted.joined(self._condition_negative(prompted, request))
        return _Inputs(
            both.to(self._device),
            noise.to(self._device),
            known.to(self._device),
            (kept > 0.5).to(self._device),
            (context > 0.5).expand(shape).to(self._device),
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
        if self._prompt_adapter is None:
            return embedding
        return self._prompt_adapter(embedding[None])[0]

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
        return self._scale.image(log_mel(magnitudes))


@dataclass(frozen=True)
class _Inputs:
    """One request as tensors.

    ``conditioning`` has two rows, with the prompt and without it. ``known`` (channels, mel,
    frames) holds anchor and context; ``kept`` and ``context`` are boolean and say where its
    pixels stay. ``start`` is the time at which sampling begins, from 0 (noise) to 1 (clean).
    """

    conditioning: Conditioning
    noise: torch.Tensor
    known: torch.Tensor
    kept: torch.Tensor
    context: torch.Tensor
    start: float
