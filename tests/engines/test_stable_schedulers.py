"""Every scheduler of the Stable Diffusion engine keeps anchors, masks and contexts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from riffusion.engines.clip import ClipRequest
from riffusion.engines.stable.engine import StableEngine
from riffusion.engines.stable.image import to_pixels
from riffusion.engines.stable.loading import StableModel
from riffusion.engines.stable.options import SCHEDULERS, Scheduler
from riffusion.errors import InvalidInput
from riffusion.spectral.spectrogram import Spectrogram
from tests.engines.stable_engines import (
    BEATS,
    BELLS,
    anchor,
    half_mask,
    request,
    same,
    short,
    with_model,
)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_comes_nearer_to_the_anchor_with_less_strength(
    tiny_stable_folder: Path, scheduler: Scheduler
) -> None:
    engine = short(tiny_stable_folder, scheduler)
    kept, near, far = (
        engine.generate([request(anchor=anchor(), strength=strength, guidance=1.0, steps=8)])[0]
        for strength in (0.0, 0.3, 1.0)
    )

    def distance(clip: Spectrogram) -> float:
        return float((to_pixels(clip.magnitudes) - to_pixels(kept.magnitudes)).abs().mean())

    assert torch.isfinite(far.magnitudes).all()
    assert 0 < distance(near) < distance(far)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_keeps_what_the_mask_keeps(
    tiny_stable_folder: Path, scheduler: Scheduler
) -> None:
    """The latents of the kept half are the anchor's.

    The original's schedulers leave the noise of their last step in them, 0.04 of a standard
    deviation.
    """
    engine, model = with_model(tiny_stable_folder, scheduler)
    unchanged = latents(engine, model, request(anchor=anchor(), strength=0.0))
    masked = latents(engine, model, request(anchor=anchor(), mask=half_mask(), steps=8))
    off = (masked - unchanged).abs() * model.vae.config.scaling_factor
    assert float(off[..., :4].mean()) < (0.06 if scheduler in ("ddim", "pndm") else 1e-5)
    assert float(off[..., 4:].mean()) > 0.3


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_continues_the_context_itself(
    tiny_stable_folder: Path, scheduler: Scheduler
) -> None:
    """The latents at the beginning of the window are the context's, whatever the prompt is."""
    engine, model = with_model(tiny_stable_folder, scheduler)
    given = anchor().cut(0, 24)
    a, b = (
        latents(engine, model, request(context=given, start=start, steps=4))
        for start in (BELLS, BEATS)
    )
    assert torch.equal(a[..., :3], b[..., :3])
    assert not torch.equal(a[..., 3:], b[..., 3:])


def latents(engine: StableEngine, model: StableModel, wanted: ClipRequest) -> torch.Tensor:
    """Return the latents that the engine decodes, in the autoencoder's own scale."""
    seen: list[torch.Tensor] = []
    handle = model.vae.post_quant_conv.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].clone())
    )
    try:
        engine.generate([wanted])
    finally:
        handle.remove()
    return seen[0]


def test_schedulers_draw_different_pictures(tiny_stable_folder: Path) -> None:
    clips = [short(tiny_stable_folder, name).generate([request(steps=5)])[0] for name in SCHEDULERS]
    for index, clip in enumerate(clips):
        assert not any(same(clip, other) for other in clips[:index])


def test_more_steps_than_a_scheduler_has_are_refused(tiny_stable_folder: Path) -> None:
    engine = short(tiny_stable_folder, "lcm")
    with pytest.raises(InvalidInput, match="steps is 100"):
        engine.generate([request(steps=100)])
