"""The shipped engine: prompt, tempo and chords to a mel spectrogram in a fraction of real time."""

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

from riffusion.engines.clip import ClipRequest, Controls, LeadSheet
from riffusion.engines.compact.network import (
    BEAT_KNOWN,
    CHORDS,
    LEAD_SHEET_DIM,
    TEMPO_SCALE,
    TURNS,
    Conditioning,
    SpectrogramTransformer,
)
from riffusion.engines.compact.parallel_guidance import ParallelGuidance
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.engines.compact.prompt_encoder import embed_prompt
from riffusion.engines.compact.sampler import Denoised, advance, schedule
from riffusion.engines.protocol import Interrupted, never
from riffusion.errors import InvalidInput, ModelError
from riffusion.music.walk import lerp, slerp
from riffusion.networks.weights import read_network
from riffusion.spectral.griffin_lim import griffin_lim
from riffusion.spectral.log_mel import ImageScale, log_mel
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams
from riffusion.vocoder.learned import LearnedVocoder
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

VOCODER = "vocoder"
LAST_GUIDED = 0.95  # later guidance burns the image and adds nothing
WEAK_GUIDANCE = 1.5


def lead_sheet_features(sheet: LeadSheet | None, frames: int) -> torch.Tensor:
    """(frames, 17): cosine and sine of the beat and of the bar, a known flag, twelve chroma."""
    features = torch.zeros(frames, LEAD_SHEET_DIM)
    if sheet is None:
        return features
    if sheet.frames != frames:
        raise InvalidInput("lead sheet", f"{sheet.frames} frames", f"needs {frames} frames")
    turns = 2 * np.pi * np.stack([sheet.beats, sheet.beats / sheet.beats_per_bar])
    waves = np.stack([np.cos(turns), np.sin(turns)], 1).reshape(4, -1)
    features[:, TURNS] = torch.from_numpy(waves.T.astype(np.float32))
    features[:, BEAT_KNOWN] = 1.0
    features[:, CHORDS] = torch.from_numpy(np.array(sheet.chroma, np.float32))
    return features


def control_features(controls: Controls) -> torch.Tensor:
    """(6,): density, brightness and drums (0 where unknown), then three known flags."""
    values = (controls.density, controls.brightness, controls.drums)
    numbers = [v or 0.0 for v in values] + [float(v is not None) for v in values]
    return torch.tensor(numbers, dtype=torch.float32)


class CompactEngine:
    """Samples a ``SpectrogramTransformer``. Implements ``Engine``."""

    def __init__(
        self,
        network: SpectrogramTransformer,
        name: str,
        device: str = "cpu",
        vocoder: Vocoder = griffin_lim,
        reader: PromptAdapter | None = None,
    ) -> None:
        self._network = nn.Module.to(network, device, torch.float32).eval()
        self._device = torch.device(device)
        config: Any = network.config  # diffusers types it too loosely to be checked
        self._scale = ImageScale(config.mean, config.std, config.balance_std)
        self.name = name
        self.vocoder = vocoder
        self._reader = reader
        self.params = replace(COMPACT_PARAMS, max_hz=config.max_hz)
        self.channels: int = config.channels
        self.frames: int = config.frames
        self.context_step: int = config.patch

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> CompactEngine:
        """Load a folder with config.json and safetensors weights, its reader, and the vocoder in
        its folder "vocoder", where there are any. Raises ModelError."""
        try:
            network = read_network(SpectrogramTransformer, folder)
        except Exception as error:
            raise ModelError(
                f"the model in {folder} cannot be loaded: {_first_line(error)} "
                "Fetch the folder again, or name another one with --model."
            ) from error
        has_vocoder = (folder / VOCODER).is_dir()
        vocoder = LearnedVocoder.load(folder / VOCODER, device) if has_vocoder else griffin_lim
        return cls(network, folder.resolve().name, device, vocoder, PromptAdapter.load(folder))

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[ClipRequest], *, interrupted: Callable[[], bool] = never
    ) -> list[Spectrogram]:
        """See ``Engine.generate``. Requests run one by one, so that a batch changes no bits."""
        return [self._generate(request, interrupted) for request in requests]

    def _generate(self, request: ClipRequest, interrupted: Callable[[], bool]) -> Spectrogram:
        job = self._prepare(request)
        times = schedule(request.steps, job.start)
        image = job.start * job.given + (1 - job.start) * job.noise if job.start else job.noise
        before: Denoised | None = None
        for now, following in pairwise(times):
            if interrupted():
                raise Interrupted
            noisy_given = now * job.given + (1 - now) * job.noise
            # Times are how clean the clip is: what is left to go is the rest.
            if request.mix and now > job.start and 1 - now > request.mix.until:
                image = torch.lerp(noisy_given, image, request.mix.share)
            image = torch.where(job.kept, noisy_given, image)
            image = torch.where(job.context, job.given, image)
            estimate = Denoised(now, self._clean(image, now, job, request.walked_guidance))
            image = advance(image, estimate, following, before)
            before = estimate
        image = torch.where(job.kept | job.context, job.given, image)
        magnitudes = 10 ** self._scale.levels(image)
        if request.context is not None:
            # Bit for bit what came in, not its round trip through the logarithm.
            length = request.context.frames
            magnitudes[..., :length] = request.context.magnitudes.to(self._device)
        return Spectrogram(magnitudes.cpu(), self.params)

    def _clean(self, image: torch.Tensor, now: float, job: _Job, guidance: float) -> torch.Tensor:
        """The clean image, with classifier-free guidance (Ho and Salimans, 2022)."""
        scale = guidance if now < LAST_GUIDED else min(guidance, WEAK_GUIDANCE)
        prompted, free = self._evaluated(image, now, job.conditioning)
        return free + scale * (prompted - free)

    def _evaluated(
        self, image: torch.Tensor, now: float, both: Conditioning
    ) -> Sequence[torch.Tensor]:
        """The clean images by either row of ``both``."""

        def evaluate(rows: torch.Tensor) -> torch.Tensor:
            images = image.expand(len(rows), *image.shape)
            times = torch.full((len(rows),), now, device=self._device)
            clean: torch.Tensor = self._network(images, times, both.rows(rows))
            return clean

        if self._side_by_side is None:
            return tuple(evaluate(torch.arange(2, device=self._device)))
        return self._side_by_side(lambda row: evaluate(torch.tensor([row]))[0])

    @cached_property
    def _side_by_side(self) -> ParallelGuidance | None:
        return (
            ParallelGuidance() if self._device.type == "cpu" and ParallelGuidance.pays() else None
        )

    def _prepare(self, request: ClipRequest) -> _Job:
        height = (self.channels, self.params.mel_bands)
        shape = (*height, self.frames)
        given, context, kept = torch.zeros(shape), torch.zeros(self.frames), torch.zeros(shape)
        if request.anchor is not None:
            given = self._standardised(request.anchor, self.frames)
            if request.mask is not None:
                kept = self._kept(request)
        if request.context is not None:
            length = request.context.frames
            if length % self.context_step or length >= self.frames:
                raise InvalidInput(
                    "context",
                    f"{length} frames",
                    f"use a multiple of {self.context_step} below {self.frames}",
                )
            given[..., :length] = self._standardised(request.context, length)
            context[:length] = 1.0
        text = lerp(self._read(request.start.text), self._read(request.end.text), request.alpha)
        noise = slerp(
            _noise(request.start.seed, shape), _noise(request.end.seed, shape), request.alpha
        )
        tempo = torch.tensor([(request.bpm or 0.0) / TEMPO_SCALE, float(request.bpm is not None)])
        prompted = Conditioning(
            text[None],
            torch.ones(1, 1),
            tempo[None],
            control_features(request.controls)[None],
            lead_sheet_features(request.lead_sheet, self.frames)[None],
            context[None],
        )
        both = prompted.joined(self._unwanted(prompted, request)).to(self._device)
        start = 1 - request.walked_strength if request.anchor is not None else 0.0
        return _Job(
            both,
            noise.to(self._device),
            given.to(self._device),
            (kept > 0.5).to(self._device),
            (context > 0.5).expand(shape).to(self._device),
            start,
        )

    def _unwanted(self, prompted: Conditioning, request: ClipRequest) -> Conditioning:
        """What guidance leads away from: the negative prompts, or no prompt at all, no controls."""
        free = prompted.unguided()
        ends = [prompt.negative for prompt in (request.start, request.end)]
        texts = [self._read(text)[None] if text else free.text for text in ends]
        known = [torch.full_like(free.text_known, float(bool(text))) for text in ends]
        return replace(
            free,
            text=lerp(texts[0], texts[1], request.alpha),
            text_known=lerp(known[0], known[1], request.alpha),
        )

    def _read(self, text: str) -> torch.Tensor:
        """A prompt as the network knows it, (384,)."""
        embedding = embed_prompt(text)
        return embedding if self._reader is None else self._reader(embedding[None])[0]

    def _kept(self, request: ClipRequest) -> torch.Tensor:
        mask = torch.from_numpy(np.array(request.mask, np.float32))
        if mask.shape != (self.params.mel_bands, self.frames):
            legal = f"needs ({self.params.mel_bands}, {self.frames}) like the anchor"
            raise InvalidInput("mask shape", tuple(mask.shape), legal)
        return (1 - mask).expand(self.channels, -1, -1)

    def _standardised(self, spectrogram: Spectrogram, frames: int) -> torch.Tensor:
        """Magnitudes to network units, (channels, mel, frames)."""
        magnitudes = spectrogram.magnitudes
        expected = (self.channels, self.params.mel_bands, frames)
        if spectrogram.params != self.params or tuple(magnitudes.shape) != expected:
            raise InvalidInput(
                "spectrogram",
                tuple(magnitudes.shape),
                f"needs {expected} in the engine's own scale",
            )
        return self._scale.image(log_mel(magnitudes))


@dataclass(frozen=True)
class _Job:
    """One request as tensors. ``given`` holds anchor and context, ``kept`` and ``context`` say
    where (channels, mel, frames), ``start`` is the time the noise begins at."""

    conditioning: Conditioning
    noise: torch.Tensor
    given: torch.Tensor
    kept: torch.Tensor
    context: torch.Tensor
    start: float


def _noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Gaussian noise drawn on the CPU, so that a seed means the same on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
