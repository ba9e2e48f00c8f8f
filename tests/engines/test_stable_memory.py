"""The Stable Diffusion engine caches anchors and fits into small memories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from riffusion.engines.stable.engine import StableEngine
from riffusion.engines.stable.image import to_pixels
from riffusion.engines.stable.loading import load_stable
from riffusion.engines.stable.options import StableOptions
from riffusion.errors import ModelError
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram
from tests.engines.stable_engines import (
    BEATS,
    FRAMES,
    anchor,
    limit_batch,
    request,
    with_model,
)


def test_an_anchor_is_encoded_once(tiny_stable_folder: Path) -> None:
    engine, model = with_model(tiny_stable_folder)
    with counted(model.vae.encoder) as calls:
        for alpha in (0.0, 0.5):
            engine.generate([request(anchor=anchor(), strength=0.5, alpha=alpha)])
            engine.generate([request(anchor=anchor(), strength=0.4, start=BEATS)])
    assert len(calls) == 1


def test_the_last_eight_anchors_are_cached(tiny_stable_folder: Path) -> None:
    engine, model = with_model(tiny_stable_folder)

    def encodings(seeds: Iterable[int]) -> int:
        with counted(model.vae.encoder) as calls:
            for seed in seeds:
                noise = torch.rand(1, 512, FRAMES, generator=torch.Generator().manual_seed(seed))
                start = Spectrogram(noise, RIFFUSION)
                engine.generate([request(anchor=start, steps=1, strength=0)])
        return len(calls)

    assert encodings(range(10)) == 10
    assert encodings(range(2, 10)) == 0
    assert encodings([1]) == 1


@contextmanager
def counted(module: torch.nn.Module) -> Iterator[list[None]]:
    calls: list[None] = []
    handle = module.register_forward_pre_hook(lambda *_: calls.append(None))
    try:
        yield calls
    finally:
        handle.remove()


def test_too_little_memory_is_tried_again_in_smaller_pieces(tiny_stable_folder: Path) -> None:
    engine, model = with_model(tiny_stable_folder)
    expected = engine.generate([request()])[0]
    limit_batch(model, 1)
    for _ in range(2):
        clip = engine.generate([request()])[0]
        assert (
            float((to_pixels(clip.magnitudes) - to_pixels(expected.magnitudes)).abs().max()) < 1e-4
        )


def test_too_little_memory_for_anything_is_said(tiny_stable_folder: Path) -> None:
    engine, model = with_model(tiny_stable_folder)
    limit_batch(model, 0)
    with pytest.raises(ModelError, match=r"too little memory .* fewer frames"):
        engine.generate([request()])


def test_a_window_too_wide_for_the_memory_is_decoded_in_tiles(tiny_stable_folder: Path) -> None:
    options = StableOptions(frames=1024)
    model = load_stable(str(tiny_stable_folder), options, "cpu")
    widths: list[int] = []

    def check(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        widths.append(inputs[0].shape[-1])
        if widths[-1] > 64:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    model.vae.decoder.register_forward_pre_hook(check)
    clip = StableEngine(model, options).generate([request(steps=1)])[0]
    assert clip.frames == 1024
    assert torch.isfinite(clip.magnitudes).all()
    assert widths[0] == 128
    assert len(widths) > 2
