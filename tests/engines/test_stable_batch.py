"""The Stable Diffusion engine generates several clips at once, on a tiny checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from riffusion.engines.clip import Prompt
from riffusion.engines.stable.image import to_pixels
from riffusion.engines.stable.loading import StableModel
from riffusion.engines.stable.options import StableOptions
from riffusion.errors import InvalidInput
from riffusion.spectral.spectrogram import Spectrogram
from tests.engines.stable_engines import anchor, half_mask, limit_batch, request, with_model


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++", "euler", "lcm"])
def test_a_batch_draws_what_one_by_one_draws(tiny_stable_folder: Path, scheduler: Any) -> None:
    """Requests of all kinds, with those that can run together scattered among the others."""
    one_by_one, _ = with_model(tiny_stable_folder, scheduler, batch=1)
    batched, model = with_model(tiny_stable_folder, scheduler, batch=4)
    kinds: list[dict[str, object]] = [
        {},
        {"anchor": anchor(), "strength": 0.6, "mask": half_mask()},
        {"context": anchor().cut(0, 16)},
        {"anchor": anchor(), "strength": 0.6},
        {"steps": 2},
        {"guidance": 1.0},
    ]
    requests = [
        request(**kind, start=Prompt("church bells", seed), alpha=0.1 * seed)
        for seed in (1, 2, 3)
        for kind in kinds
    ]
    requests.append(request(start=Prompt("bells " * 100, 4), guidance=3.0))
    seen = sizes(model)
    clips = batched.generate(requests)
    # Guidance evaluates twice as many images.
    assert max(seen) == 6
    for clip, expected in zip(clips, one_by_one.generate(requests), strict=True):
        assert distance(clip, expected) < 1e-4
    assert batched.name == f"{one_by_one.name} + batches of 4"


def test_a_batch_too_large_for_the_memory_is_halved(tiny_stable_folder: Path) -> None:
    engine, model = with_model(tiny_stable_folder, batch=5)
    requests = [request(start=Prompt("church bells", seed)) for seed in range(10)]
    expected = with_model(tiny_stable_folder)[0].generate(requests)
    seen = sizes(model)
    limit_batch(model, 4)  # two clips with guidance
    clips = engine.generate(requests)
    assert seen[:2] == [10, 4]
    assert max(seen[1:]) == 4, "what was too much once is not tried again"
    for clip, wanted in zip(clips, expected, strict=True):
        assert float((to_pixels(clip.magnitudes) - to_pixels(wanted.magnitudes)).abs().max()) < 1e-4


@pytest.mark.parametrize("batch", [0, 65])
def test_a_batch_out_of_reason_is_refused(batch: int) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 64"):
        StableOptions(batch=batch)


def sizes(model: StableModel) -> list[int]:
    """Record how many images the UNet is given in each call from now on."""
    seen: list[int] = []
    model.unet.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    return seen


def distance(a: Spectrogram, b: Spectrogram) -> float:
    """Return the largest difference of two clips as images, whose pixels are 0 to 1."""
    return float((to_pixels(a.magnitudes) - to_pixels(b.magnitudes)).abs().max())
