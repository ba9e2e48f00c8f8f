"""What the Stable Diffusion engine guarantees, on a tiny checkpoint with random weights."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.stable import compare
from riffusion.engines.clip import Prompt
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.engines.stable.engine import StableEngine
from riffusion.engines.stable.image import BLACK, to_pixels, to_spectrogram
from riffusion.engines.stable.loading import load_stable
from riffusion.engines.stable.options import Scheduler, StableOptions
from riffusion.errors import InvalidInput
from riffusion.jam.session import JamSession, render
from riffusion.jam.settings import JamSettings
from riffusion.spectral.image import from_image, to_image
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram, SpectrogramParams
from tests.engines.stable_engines import (
    BEATS,
    BELLS,
    FRAMES,
    anchor,
    half_mask,
    request,
    same,
    short,
    with_model,
)
from tests.recording import RecordedEngine


@pytest.fixture(scope="module")
def engine(tiny_stable_folder: Path) -> StableEngine:
    """An engine with short windows, for speed."""
    return short(tiny_stable_folder)


def test_a_clip_is_a_finite_window_in_riffusions_geometry(engine: Engine) -> None:
    clip = engine.generate([request()])[0]
    assert tuple(clip.magnitudes.shape) == (1, 512, FRAMES)
    assert clip.params == engine.params == RIFFUSION
    assert torch.isfinite(clip.magnitudes).all()
    assert 0 <= float(clip.magnitudes.min()) < float(clip.magnitudes.max()) <= BLACK


def test_the_same_request_gives_the_same_bits_alone_and_in_a_batch(engine: Engine) -> None:
    other = request(start=BEATS, alpha=0.9)
    alone = engine.generate([request()])[0]
    batch = engine.generate([other, request()])
    assert same(alone, batch[1])
    assert not same(alone, batch[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"start": Prompt("funky piano", 1)},
        {"start": Prompt("church bells", 7)},
        {"start": Prompt("church bells", 1, "drums")},
        {"start": Prompt("(church) bells", 1)},
        {"end": Prompt("electronic beats", 7)},
        {"end": Prompt("electronic beats", 2, "drums")},
        {"start": Prompt("church bells " * 20 + "piano", 1)},
        {"alpha": 0.8},
        {"guidance": 2.0},
        {"guidance": 1.0},
        {"end_guidance": 2.0},
        {"steps": 4},
    ],
)
def test_every_part_of_a_request_is_heard(engine: Engine, changes: dict[str, object]) -> None:
    plain, changed = engine.generate([request(), request(**changes)])
    assert not same(plain, changed)


@pytest.mark.parametrize("scheduler", [None, "lcm"])
def test_the_ends_of_a_walk_are_the_prompts_themselves(
    tiny_stable_folder: Path, scheduler: Scheduler | None
) -> None:
    engine = short(tiny_stable_folder, scheduler)
    at_a, only_a, at_b, only_b = engine.generate(
        [
            request(alpha=0.0),
            request(alpha=0.0, end=BELLS),
            request(alpha=1.0),
            request(alpha=1.0, start=BEATS),
        ]
    )
    assert same(at_a, only_a)
    assert same(at_b, only_b)


def test_strength_and_guidance_of_the_other_end_lerp() -> None:
    walked = request(alpha=0.25, strength=0.4, end_strength=0.8, guidance=8, end_guidance=4)
    assert walked.strength_at_alpha == pytest.approx(0.5)
    assert walked.guidance_at_alpha == pytest.approx(7)
    assert request(strength=0.4, guidance=8, alpha=0.9).strength_at_alpha == 0.4


@pytest.mark.parametrize("frames", [8, 56])
def test_a_context_comes_back_unchanged_and_is_listened_to(engine: Engine, frames: int) -> None:
    context = anchor().cut(FRAMES - frames, FRAMES)
    free, continued = engine.generate([request(), request(context=context)])
    assert torch.equal(continued.magnitudes[..., :frames], context.magnitudes)
    assert not torch.equal(continued.magnitudes[..., frames:], free.magnitudes[..., frames:])


@pytest.mark.parametrize("frames", [7, FRAMES])
def test_a_context_of_the_wrong_length_is_refused(engine: Engine, frames: int) -> None:
    with pytest.raises(InvalidInput, match="multiple of 8 below 64"):
        engine.generate([request(context=anchor().cut(0, frames))])


@pytest.mark.parametrize(
    "given",
    [
        Spectrogram(torch.ones(1, 128, FRAMES), SpectrogramParams(mel_bands=128)),
        Spectrogram(torch.ones(2, 512, FRAMES), RIFFUSION),
        Spectrogram(torch.ones(1, 512, FRAMES + 8), RIFFUSION),
    ],
)
def test_an_anchor_of_another_geometry_is_refused(engine: Engine, given: Spectrogram) -> None:
    with pytest.raises(InvalidInput, match="Riffusion's scale"):
        engine.generate([request(anchor=given)])


def test_a_mask_of_another_size_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match=r"mask shape.*needs \(512, 64\)"):
        engine.generate([request(anchor=anchor(), mask=half_mask(FRAMES * 2))])


def test_a_context_wins_over_anchor_and_mask(engine: Engine) -> None:
    context = engine.generate([request(start=BEATS)])[0].cut(32, 64)
    clip = engine.generate(
        [request(anchor=anchor(), mask=half_mask(), strength=0.7, context=context)]
    )[0]
    assert torch.equal(clip.magnitudes[..., :32], context.magnitudes)


def test_the_denoiser_sees_the_context_from_the_first_step_on(tiny_stable_folder: Path) -> None:
    """The first latents that the UNet is given are the noisy context, whatever the anchor is."""
    engine, model = with_model(tiny_stable_folder)
    context = anchor().cut(0, 32)
    first = []
    for start in (anchor(), Spectrogram(anchor().magnitudes.flip(2), RIFFUSION)):
        seen: list[torch.Tensor] = []
        handle = model.unet.register_forward_pre_hook(
            lambda _, inputs, seen=seen: seen.append(inputs[0].clone())
        )
        engine.generate([request(anchor=start, strength=0.7, context=context)])
        handle.remove()
        first.append(seen[0])
    assert torch.equal(first[0][..., :4], first[1][..., :4])
    assert not torch.equal(first[0][..., 4:], first[1][..., 4:])


def test_an_anchor_of_any_loudness_is_the_same_image(engine: Engine) -> None:
    loud, quiet = engine.generate(
        [
            request(anchor=anchor(), strength=0.5),
            request(anchor=Spectrogram(anchor().magnitudes / 8, RIFFUSION), strength=0.5),
        ]
    )
    assert float((to_pixels(loud.magnitudes) - to_pixels(quiet.magnitudes)).abs().max()) < 1e-4


@pytest.mark.parametrize("steps", [0, 10_000])
def test_steps_out_of_reason_are_refused(steps: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 1000"):
        request(steps=steps)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 1"):
        request(alpha=alpha)


@pytest.mark.parametrize(
    "options",
    [
        {"scheduler": "magic"},
        {"precision": "int4"},
        {"frames": 60},
        {"frames": 32},
        {"frames": 4096},
    ],
)
def test_odd_options_list_the_legal(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="use "):
        StableOptions(**options)


def test_a_window_may_be_long_and_need_not_fit_the_unet(tiny_stable_folder: Path) -> None:
    # A window of 72 frames is 9 latents wide: an odd number, which the UNet halves and doubles.
    for frames in (72, 2048):
        clip = short(tiny_stable_folder, frames=frames).generate([request(steps=1)])[0]
        assert clip.frames == frames
        assert torch.isfinite(clip.magnitudes).all()


def test_half_precision_is_close(tiny_stable_folder: Path, engine: Engine) -> None:
    half = load_engine(
        str(tiny_stable_folder), "cpu", StableOptions(frames=FRAMES, precision="bfloat16")
    )
    a, b = (to_pixels(one.generate([request()])[0].magnitudes) for one in (engine, half))
    assert torch.isfinite(b).all()
    assert float((a - b).abs().mean()) < 0.05
    assert half.name == f"{engine.name} + bfloat16"


def test_the_name_tells_what_changes_the_bits(tiny_stable_folder: Path) -> None:
    plain = load_engine(str(tiny_stable_folder), "cpu")
    assert plain.name == "tiny-stable"
    assert short(tiny_stable_folder, "unipc").name == "tiny-stable + unipc + 64 frames"


def test_pixels_are_those_of_the_image_codec() -> None:
    image = to_image(anchor())
    decoded = from_image(image).magnitudes
    pixels = to_pixels(decoded, black=30e6)
    expected = torch.from_numpy(np.asarray(image).astype(np.float32) / 255).permute(2, 0, 1)[None]
    assert torch.allclose(pixels, expected, atol=1e-5)
    assert torch.allclose(to_spectrogram(pixels).magnitudes, decoded / 32768, rtol=1e-3, atol=1e-6)


def test_it_jams(tiny_stable_folder: Path) -> None:
    """Clips follow without a gap and continue each other, and a second run gives the same bits."""
    engine = short(tiny_stable_folder, frames=256)
    settings = JamSettings(BELLS, BEATS, bpm=180.0, steps=1)
    heard = RecordedEngine(engine)
    blocks = list(islice(JamSession(heard, settings), 9))
    position = 0
    for block in blocks:
        assert block.start == position
        position += block.samples.shape[1]
    samples = np.concatenate([block.samples for block in blocks], axis=1)
    assert len({block.clip.index for block in blocks}) == 2
    assert np.isfinite(samples).all()
    assert 0.02 < float(np.sqrt(np.mean(samples**2))) < 0.5
    first, second = heard.generated
    assert first[0].context is None
    assert second[0].context is not None
    context = second[0].context
    assert torch.equal(second[1].magnitudes[..., : context.frames], context.magnitudes)
    assert occurs_in(context, first[1])
    again = render(JamSession(engine, settings), position)
    assert np.array_equal(np.concatenate([b.samples for b in again], axis=1), samples)


def occurs_in(part: Spectrogram, whole: Spectrogram) -> bool:
    """Return whether ``whole`` contains the frames of ``part`` in a row."""
    starts = range(whole.frames - part.frames + 1)
    return any(same(whole.cut(at, at + part.frames), part) for at in starts)


def test_the_benchmark_times_every_stage(tiny_stable_folder: Path) -> None:
    model = load_stable(str(tiny_stable_folder), StableOptions(), "cpu")
    rows = compare(model, "cpu", steps=2, batches=(1, 2), frames=512)
    stages = {"text", "VAE encode", "UNet step", "VAE decode", "vocode"}
    assert stages <= {row.what.removeprefix("SD 1.5, ") for row in rows}
    assert all(row.value > 0 for row in rows)
    assert {"clips a second, batch 2", "the same, diffusers' img2img"} <= {r.what for r in rows}
