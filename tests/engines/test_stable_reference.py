"""The Stable Diffusion engine equals the original Riffusion's procedure, written out by hand.

Nothing of the engine is used for the reference: it opens the checkpoint itself, works on PIL
images as the original did, and does the arithmetic of the schedulers (DDIM, and PNDM's linear
multistep) by hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer

from riffusion.engines.clip import ClipRequest, Mix, Prompt
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.engines.stable.options import Scheduler, StableOptions
from riffusion.spectral.image import from_image
from riffusion.spectral.spectrogram import Spectrogram

FRAMES = 64
TOLERANCE = 1e-4
STEPS = 8
START, END = Prompt("church bells", 11), Prompt("electronic beats", 22)
START_GUIDANCE, END_GUIDANCE = 7.0, 4.0


def anchor_image(frames: int = FRAMES) -> Image.Image:
    """Draw blobs of sound between silence (255) and the loudest (0)."""
    coarse = np.random.default_rng(5).integers(0, 256, (16, frames // 8), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((frames, 512), Image.Resampling.BICUBIC)
    grey = np.asarray(image).astype(np.float64)
    grey = (grey - grey.min()) / (grey.max() - grey.min()) * 255
    return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")


def mask_image(frames: int = FRAMES) -> Image.Image:
    """Draw a mask: white (repaint) on the right half and the lowest quarter, with some grey."""
    grey = np.zeros((512, frames), np.uint8)
    grey[:, frames // 2 :] = 255
    grey[384:] = 255
    grey[200:300, : frames // 4] = 102
    return Image.fromarray(grey)


@dataclass
class Reference:
    """The original's ``riffuse`` and Magic Mix, for one checkpoint folder."""

    folder: Path
    unet: Any = field(init=False)
    vae: Any = field(init=False)
    text_encoder: Any = field(init=False)
    tokenizer: Any = field(init=False)
    alphas: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.unet = UNet2DConditionModel.from_pretrained(self.folder / "unet").eval()
        self.vae = AutoencoderKL.from_pretrained(self.folder / "vae").eval()
        self.text_encoder = CLIPTextModel.from_pretrained(self.folder / "text_encoder").eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(self.folder / "tokenizer")
        # "Scaled linear" betas from 0.00085 to 0.012, as in every Stable Diffusion 1 checkpoint.
        betas = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2
        self.alphas = np.cumprod(1 - betas)

    @torch.no_grad()
    def riffuse(
        self,
        kind: str,
        alpha: float,
        denoising: tuple[float, float],
        anchor: Image.Image,
        mask: Image.Image | None,
    ) -> npt.NDArray[np.float64]:
        """Return the red channel of the image, (512, frames), 0 to 1, top row first."""
        guidance = (1 - alpha) * START_GUIDANCE + alpha * END_GUIDANCE
        strength = (1 - alpha) * denoising[0] + alpha * denoising[1]
        start, end = self.embed(START.text), self.embed(END.text)
        text = torch.cat([self.embed(""), start + alpha * (end - start)])

        pixels = torch.from_numpy(np.asarray(anchor, np.float32) / 255).permute(2, 0, 1)[None]
        seen = self.vae.encode(2 * pixels - 1).latent_dist
        clean = 0.18215 * seen.sample(torch.Generator().manual_seed(START.seed))
        keep = None
        if mask is not None:
            small = mask.resize((mask.width // 8, 512 // 8), Image.Resampling.NEAREST)
            keep = 1 - torch.from_numpy(np.asarray(small, np.float32) / 255)[None, None]
        noises = [
            torch.randn(clean.shape, generator=torch.Generator().manual_seed(prompt.seed))
            for prompt in (START, END)
        ]
        noise = torch.from_numpy(spherical(alpha, *(one.numpy() for one in noises)))

        # The timesteps are 876, 751, ... 1: eighths of 1000, plus one for "steps_offset": 1.
        evenly = [1000 // STEPS * step + 1 for step in reversed(range(STEPS))]
        if kind == "pndm":
            # The second timestep is visited twice, because its first guess has no history.
            evenly = [evenly[0], evenly[1], *evenly[1:]]
        count = min(int(STEPS * strength) + 1, STEPS)
        latents = self.noised(clean, noise, evenly[-count])
        walk = evenly[max(STEPS - count + 1, 0) :]
        solver = Ddim(self.alphas) if kind == "ddim" else Pndm(self.alphas)
        for timestep in walk:
            free, prompted = self.unet(
                torch.cat([latents, latents]), timestep, encoder_hidden_states=text
            ).sample.chunk(2)
            latents = solver.step(latents, free + guidance * (prompted - free), timestep)
            if keep is not None:
                latents = self.noised(clean, noise, timestep) * keep + latents * (1 - keep)
        image = (self.vae.decode(latents / 0.18215).sample / 2 + 0.5).clamp(0, 1)
        red: npt.NDArray[np.float64] = image[0, 0].double().numpy()
        return red

    @torch.no_grad()
    def magic_mix(
        self, kmin: float, kmax: float, factor: float, anchor: Image.Image
    ) -> npt.NDArray[np.float64]:
        """Return the image of the playground's Magic Mix with DDIM, prompt START and guidance 7."""
        text = torch.cat([self.embed(""), self.embed(START.text)])
        pixels = torch.from_numpy(np.asarray(anchor, np.float32) / 255).permute(2, 0, 1)[None]
        seen = self.vae.encode(2 * pixels - 1).latent_dist
        clean = 0.18215 * seen.sample(torch.Generator().manual_seed(START.seed))
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(START.seed))
        timesteps = [1000 // STEPS * step + 1 for step in reversed(range(STEPS))]
        first, last_mixed = STEPS - int(kmax * STEPS), STEPS - int(kmin * STEPS)
        latents = self.noised(clean, noise, timesteps[first])
        solver = Ddim(self.alphas)
        for number in range(first, STEPS):
            shown = latents
            if first < number < last_mixed:
                layout = self.noised(clean, noise, timesteps[number])
                shown = factor * latents + (1 - factor) * layout
            free, prompted = self.unet(
                torch.cat([shown, shown]), timesteps[number], encoder_hidden_states=text
            ).sample.chunk(2)
            told = free + START_GUIDANCE * (prompted - free)
            latents = solver.step(latents, told, timesteps[number])
        image = (self.vae.decode(latents / 0.18215).sample / 2 + 0.5).clamp(0, 1)
        red: npt.NDArray[np.float64] = image[0, 0].double().numpy()
        return red

    def embed(self, prompt: str) -> torch.Tensor:
        tokens = self.tokenizer(
            prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        )
        embedding: torch.Tensor = self.text_encoder(tokens.input_ids)[0]
        return embedding

    def noised(self, clean: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        signal = self.alphas[timestep]
        return math.sqrt(signal) * clean + math.sqrt(1 - signal) * noise


@dataclass
class Ddim:
    """The DDIM step: Song, Meng and Ermon 2020, equation 12 with no noise."""

    alphas: npt.NDArray[np.float64]

    def step(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        now = self.alphas[timestep]
        before = timestep - 1000 // STEPS
        following = self.alphas[before] if before >= 0 else self.alphas[0]
        clean = (latents - math.sqrt(1 - now) * noise) / math.sqrt(now)
        return math.sqrt(following) * clean + math.sqrt(1 - following) * noise


@dataclass
class Pndm:
    """The PNDM step: Liu et al. 2022, linear multistep (equation 12) without Runge-Kutta."""

    alphas: npt.NDArray[np.float64]
    history: list[torch.Tensor] = field(default_factory=list)
    steps: int = 0
    first: torch.Tensor | None = None

    def step(self, latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
        before = timestep - 1000 // STEPS
        if self.steps == 1:
            before, timestep = timestep, timestep + 1000 // STEPS
        else:
            self.history = [*self.history[-3:], noise]
        past = self.history[::-1]
        if self.steps == 0:
            self.first = latents
        elif self.steps == 1:
            assert self.first is not None
            noise, latents = (noise + past[0]) / 2, self.first
        elif len(past) == 2:
            noise = (3 * past[0] - past[1]) / 2
        elif len(past) == 3:
            noise = (23 * past[0] - 16 * past[1] + 5 * past[2]) / 12
        else:
            noise = (55 * past[0] - 59 * past[1] + 37 * past[2] - 9 * past[3]) / 24
        self.steps += 1
        return self.transferred(latents, noise, timestep, before)

    def transferred(
        self, latents: torch.Tensor, noise: torch.Tensor, timestep: int, before: int
    ) -> torch.Tensor:
        """Transfer latents from a timestep to another: equation 9."""
        now = self.alphas[timestep]
        following = self.alphas[before] if before >= 0 else self.alphas[0]
        scale = math.sqrt(following / now)
        below = now * math.sqrt(1 - following) + math.sqrt(now * (1 - now) * following)
        return scale * latents - (following - now) * noise / below


def spherical(
    t: float, a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    cosine = np.sum(a * b / (np.linalg.norm(a) * np.linalg.norm(b)))
    if np.abs(cosine) > 0.9995:
        return (1 - t) * a + t * b
    angle = np.arccos(cosine)
    mixed = np.sin((1 - t) * angle) / np.sin(angle) * a + np.sin(t * angle) / np.sin(angle) * b
    return mixed.astype(np.float32)


@pytest.fixture(scope="module")
def reference(tiny_stable_folder: Path) -> Reference:
    return Reference(tiny_stable_folder)


@pytest.fixture(scope="module")
def engines(tiny_stable_folder: Path) -> dict[str, Engine]:
    """One engine for each scheduler; "pndm" is the checkpoint's own and is not asked for."""
    names: dict[str, Scheduler | None] = {"ddim": "ddim", "pndm": None}
    return {
        kind: load_engine(
            str(tiny_stable_folder), "cpu", StableOptions(scheduler=name, frames=FRAMES)
        )
        for kind, name in names.items()
    }


def to_levels(clip: Spectrogram) -> npt.NDArray[np.float64]:
    """Return magnitudes as the image they were drawn as, 0 to 1, top row first."""
    loudest = 30e6 / 32768
    loudness = (clip.magnitudes[0].double().numpy() / loudest) ** 0.25
    return np.asarray(1 - loudness[::-1])


def request(alpha: float, denoising: tuple[float, float], *, masked: bool) -> ClipRequest:
    mask = np.asarray(mask_image(), np.float32)[::-1] / 255 if masked else None
    return ClipRequest(
        START,
        END,
        alpha=alpha,
        anchor=from_image(anchor_image()),
        mask=mask,
        strength=denoising[0],
        end_strength=denoising[1],
        guidance=START_GUIDANCE,
        end_guidance=END_GUIDANCE,
        steps=STEPS,
    )


@pytest.mark.parametrize("kind", ["ddim", "pndm"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("denoising", [(0.3, 0.3), (0.5, 0.9), (1.0, 1.0)])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_a_clip_is_what_the_original_draws(
    reference: Reference,
    engines: dict[str, Engine],
    kind: str,
    masked: bool,
    denoising: tuple[float, float],
    alpha: float,
) -> None:
    mask = mask_image() if masked else None
    expected = reference.riffuse(kind, alpha, denoising, anchor_image(), mask)
    clip = engines[kind].generate([request(alpha, denoising, masked=masked)])[0]
    drawn = to_levels(clip)
    assert expected.std() > 0.01  # a picture, not a flat grey that anything would equal
    assert float(np.abs(drawn - expected).max()) <= TOLERANCE


@pytest.mark.parametrize(
    ("kmin", "kmax", "factor"), [(0.3, 0.9, 0.5), (0.0, 0.75, 0.1), (0.5, 0.5, 0.5), (0.3, 1, 1)]
)
def test_magic_mix_is_what_the_playground_draws(
    reference: Reference, engines: dict[str, Engine], kmin: float, kmax: float, factor: float
) -> None:
    expected = reference.magic_mix(kmin, kmax, factor, anchor_image())
    asked = replace(
        request(0.0, (kmax, kmax), masked=False), end_guidance=None, mix=Mix(kmin, factor)
    )
    drawn = to_levels(engines["ddim"].generate([asked])[0])
    assert float(np.abs(drawn - expected).max()) <= TOLERANCE
    if factor < 1 and kmin < kmax:
        plain = reference.magic_mix(kmin, kmax, 1.0, anchor_image())
        assert float(np.abs(plain - expected).max()) > 10 * TOLERANCE


def test_what_the_comparison_can_tell(reference: Reference) -> None:
    """Each ingredient moves the reference by far more than the tolerance."""
    plain = reference.riffuse("ddim", 0.3, (0.75, 0.75), anchor_image(), None)
    others = [
        reference.riffuse("pndm", 0.3, (0.75, 0.75), anchor_image(), None),
        reference.riffuse("ddim", 0.31, (0.75, 0.75), anchor_image(), None),
        reference.riffuse("ddim", 0.3, (0.5, 0.5), anchor_image(), None),
        reference.riffuse("ddim", 0.3, (0.75, 0.75), anchor_image(), mask_image()),
    ]
    for other in others:
        assert float(np.abs(other - plain).max()) > 10 * TOLERANCE
