"""A Stable Diffusion 1.5 network with random weights: time of each stage, beside diffusers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from benchmarks.options import PROMPT_A, PROMPT_B, Options
from benchmarks.report import Row
from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.loading import choose_device
from riffusion.engines.stable.engine import StableEngine
from riffusion.engines.stable.loading import StableModel, choose_dtype
from riffusion.engines.stable.options import FRAMES, StableOptions
from riffusion.spectral.image import to_image
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram

TEXT_WIDTH = 768
GUIDANCE = 7.0
USUAL_STEPS = 50
# The numbers of steps differ, since a processor needs minutes for what a GPU does in a second.
STEPS = {"cpu": 2, "mps": 5, "cuda": 20}
BATCHES = {"cpu": (1,), "mps": (1,), "cuda": (1, 4, 16)}
SCHEDULE = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


@dataclass
class Stages:
    """The seconds of each call of a few modules, by name."""

    device: str
    calls: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def timing(self, modules: dict[str, torch.nn.Module]) -> Iterator[None]:
        """Time every call of ``modules`` within the block."""
        handles = [
            handle for name, module in modules.items() for handle in self._watch(name, module)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _watch(self, name: str, module: torch.nn.Module) -> list[Any]:
        began: list[float] = []

        def before(*_: object) -> None:
            began.append(self.now())

        def after(*_: object) -> None:
            self.calls.setdefault(name, []).append(self.now() - began.pop())

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def now(self) -> float:
        """Return the time in seconds, after the GPU has finished its work."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def ms(self, name: str) -> float:
        """Return the median time of the calls of a module in milliseconds."""
        return 1000 * median(self.calls[name])


def measure(options: Options) -> list[Row]:
    """Return the stages of a clip, and clips a second beside diffusers' img2img pipeline."""
    device = choose_device(options.device)
    model = make_random_model(choose_dtype("auto", device))
    return compare(model, device, STEPS[device], BATCHES[device])


def compare(
    model: StableModel, device: str, steps: int, batches: Sequence[int], frames: int = FRAMES
) -> list[Row]:
    """Return the rows of one model: stages of one clip, then batches of both ways."""
    engine = StableEngine(model, StableOptions(frames=frames), device)
    if device == "cuda":  # its libraries choose their algorithms in the first calls
        engine.generate([make_request(engine, 1, "warm-up")])
    request = make_request(engine, steps, "measured")
    stages = Stages(device)
    watched = {
        "text": model.text_encoder,
        "VAE encode": model.vae.encoder,
        "UNet step": model.unet,
        "VAE decode": model.vae.decoder,
    }
    with stages.timing(watched):
        clip = engine.generate([request])[0]
    vocode_s = time_work(stages, lambda: engine.vocoder(clip, prefix=None))
    note = f"{device}, {model.unet.dtype}, 512 x {frames}, random weights"
    rows = [Row(f"SD 1.5, {name}", stages.ms(name), "ms", "", note) for name in watched]
    rows.append(Row("SD 1.5, vocode", 1000 * vocode_s, "ms", "", "on the processor"))
    rows += summarise_speed(stages, vocode_s, frames)
    pipeline = make_reference_pipeline(model)
    for batch in batches:
        batched = StableEngine(model, StableOptions(frames=frames, batch=batch), device)
        ours_s = time_work(stages, partial(batched.generate, [request] * batch))
        theirs_s = time_work(stages, partial(run_pipeline, pipeline, request, batch))
        note = f"{steps} steps, both as a batch of {batch}, without vocoding"
        rows.append(Row(f"clips a second, batch {batch}", batch / ours_s, "", "", note))
        rows.append(Row("the same, diffusers' img2img", batch / theirs_s, "", "", note))
    return rows


def summarise_speed(stages: Stages, vocode_s: float, frames: int) -> list[Row]:
    """Return what the stages add up to for a clip of the usual number of steps."""
    step_s = stages.ms("UNet step") / 1000
    clip_s = (stages.ms("VAE decode") / 1000) + vocode_s + USUAL_STEPS * step_s
    sound_s = RIFFUSION.samples(frames) / RIFFUSION.sample_rate
    note = f"{USUAL_STEPS} guided steps, decode and vocode, added up from the stages"
    return [
        Row("SD 1.5, guided steps a second", 1 / step_s),
        Row("SD 1.5, times faster than real time", sound_s / clip_s, "x", "", note),
    ]


def make_request(engine: StableEngine, steps: int, take: str) -> ClipRequest:
    """Return a request with a new anchor at full strength, so that all steps are taken.

    ``take`` makes its prompts new.
    """
    noise = torch.rand(1, engine.params.mel_bands, engine.frames)
    return ClipRequest(
        Prompt(f"{PROMPT_A} {take}", 1),
        Prompt(f"{PROMPT_B} {take}", 2),
        alpha=0.5,
        anchor=Spectrogram(noise, engine.params),
        strength=1.0,
        guidance=GUIDANCE,
        steps=steps,
    )


def time_work(stages: Stages, work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    start = stages.now()
    work()
    return stages.now() - start


def make_random_model(dtype: torch.dtype) -> StableModel:
    """Return the architecture of Stable Diffusion 1.5 with random weights."""
    torch.manual_seed(0)
    unet_kind: Any = UNet2DConditionModel
    unet = unet_kind(sample_size=64, cross_attention_dim=TEXT_WIDTH)
    vae_kind: Any = AutoencoderKL
    vae = vae_kind(
        sample_size=512,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    tokenizer = make_letter_tokenizer()
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=12,
        num_attention_heads=12,
        eos_token_id=tokenizer.eos_token_id,
    )
    text_encoder: Any = CLIPTextModel(text)
    networks = (unet.to(dtype=dtype), vae.to(dtype=dtype), text_encoder.to(dtype))
    return StableModel("random", *networks, tokenizer, SCHEDULE)


def make_letter_tokenizer() -> Any:
    """Return CLIP's tokenizer without its vocabulary: each letter is a token."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def make_reference_pipeline(model: StableModel) -> Any:
    """Return diffusers' own pipeline around the same networks."""
    # The import is late, since its image processors print what they could use and is not installed.
    from diffusers import StableDiffusionImg2ImgPipeline

    pipeline_kind: Any = StableDiffusionImg2ImgPipeline
    scheduler: Any = DDIMScheduler
    pipeline = pipeline_kind(
        vae=model.vae,
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        unet=model.unet,
        scheduler=scheduler.from_config(SCHEDULE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def run_pipeline(pipeline: Any, request: ClipRequest, batch: int) -> object:
    """Run the pipeline on a batch of one request."""
    assert request.anchor is not None
    return pipeline(
        prompt=[request.start.text] * batch,
        image=[to_image(request.anchor)] * batch,
        strength=request.strength,
        guidance_scale=request.guidance,
        num_inference_steps=request.steps,
        output_type="pt",
    )
