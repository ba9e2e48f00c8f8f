"""Clips of quality live: few steps, guidance in the weights, products in 8 bits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from riffusion.engines.clip import ClipRequest, Mix, Prompt, Quality
from riffusion.engines.compact.engine import FEW_STEPS_FILE, CompactEngine
from riffusion.engines.compact.few_steps import distilled_guidance
from riffusion.engines.compact.network import Conditioning, SpectrogramTransformer
from riffusion.engines.compact.sampler import FEW_STEPS, FEW_STEPS_SHIFT, few_steps, schedule
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.engines.stable.options import Precision, StableOptions
from riffusion.errors import ModelError
from riffusion.networks.low_rank import save_change
from riffusion.networks.weights import read_network
from riffusion.spectral.spectrogram import Spectrogram

BELLS, BEATS = Prompt("church bells", 1), Prompt("electronic beats", 2)
LIVE = ClipRequest(BELLS, BELLS, quality="live")


@pytest.fixture(scope="module")
def folder(tiny_stereo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a change of its weights for few steps."""
    copy = tmp_path_factory.mktemp("few-steps") / "tiny"
    shutil.copytree(tiny_stereo_folder, copy)
    before = read_network(SpectrogramTransformer, copy).state_dict()
    rng = torch.Generator().manual_seed(0)
    change = {n + ".diff": 0.02 * torch.randn(w.shape, generator=rng) for n, w in before.items()}
    save_change(change, copy / FEW_STEPS_FILE)
    return copy


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return load_engine(str(folder), "cpu")


def clip(engine: Engine, request: ClipRequest) -> Spectrogram:
    return engine.generate([request])[0]


def same(a: Spectrogram, b: Spectrogram) -> bool:
    return torch.equal(a.magnitudes, b.magnitudes)


@given(start=st.floats(0, 1))
def test_steps_rise_from_their_start_to_one(start: float) -> None:
    times = few_steps(start)
    assert times[0] == min(start, 1.0)
    assert times[-1] == 1.0
    assert len(times) <= FEW_STEPS + 1
    assert all(now < following for now, following in pairwise(times))
    # After the first, they are always the same ones.
    assert set(times[1:]) <= set(schedule(FEW_STEPS, 0.0, FEW_STEPS_SHIFT))


vectors = st.lists(st.floats(-5, 5), min_size=3, max_size=3)


@given(c=vectors, n=vectors, f=vectors, scale=st.floats(0, 30), negative=st.booleans())
def test_distilled_guidance_is_guidance(
    c: list[float], n: list[float], f: list[float], scale: float, negative: bool
) -> None:
    """The weighted sum of a student that has learned w = 8 exactly leads from n to c."""
    prompted, away, free = (torch.tensor(values) for values in (c, n, f))
    if not negative:
        away = free
    known = torch.tensor([[1.0], [float(negative)]])
    empty = torch.zeros(2, 1)
    both = Conditioning(torch.tensor([[0.0], [1.0]]), known, empty, empty, empty, empty)
    rows, weights = distilled_guidance(both, scale)
    total = torch.zeros(3)
    for text, is_known, weight in zip(rows.text, rows.text_known, weights, strict=True):
        estimate = free if not is_known else (prompted, away)[int(text)]
        total += weight * (free + 8.0 * (estimate - free))
    torch.testing.assert_close(total, away + scale * (prompted - away), atol=1e-3, rtol=1e-3)
    if scale == 8.0 and not negative:
        assert weights == (1.0,)


def test_a_live_clip_is_another_one_than_a_fine_one(engine: Engine) -> None:
    live = clip(engine, LIVE)
    assert live.magnitudes.isfinite().all()
    assert live.magnitudes.shape == (2, 128, 512)
    assert not same(live, clip(engine, replace(LIVE, quality="fine")))
    assert same(live, clip(engine, LIVE))
    assert same(live, engine.generate([replace(LIVE, start=BEATS), LIVE])[1])


def test_a_model_without_few_steps_makes_all_clips_fine(tiny_stereo_engine: Engine) -> None:
    fine = replace(LIVE, quality="fine")
    assert same(clip(tiny_stereo_engine, LIVE), clip(tiny_stereo_engine, fine))


@pytest.mark.parametrize(
    "changes",
    [
        {"guidance": 3.0},
        {"start": replace(BELLS, negative="drums")},
        {"end": BEATS, "alpha": 0.5},
        {"bpm": 90.0},
    ],
)
def test_what_is_asked_of_a_live_clip_is_heard(engine: Engine, changes: dict[str, object]) -> None:
    changed = replace(LIVE, **changes)  # type: ignore[arg-type]
    assert not same(clip(engine, LIVE), clip(engine, changed))


def test_the_number_of_steps_is_that_of_fine_clips(engine: Engine) -> None:
    assert same(clip(engine, LIVE), clip(engine, replace(LIVE, steps=20)))


def test_contexts_anchors_and_masks_hold_in_live_clips(engine: Engine) -> None:
    before = clip(engine, replace(LIVE, start=BEATS))
    context = before.cut(0, 104)
    continued = clip(engine, replace(LIVE, context=context))
    assert torch.equal(continued.magnitudes[..., :104], context.magnitudes)
    assert not same(continued, clip(engine, LIVE))
    kept = clip(engine, replace(LIVE, anchor=before, strength=0.0))
    np.testing.assert_allclose(kept.magnitudes, before.magnitudes, rtol=1e-3, atol=2e-4)
    mask = np.ones((128, 512), np.float32)
    mask[:, :256] = 0
    masked = clip(engine, replace(LIVE, anchor=before, strength=0.9, mask=mask))
    np.testing.assert_allclose(
        masked.magnitudes[..., :256], before.magnitudes[..., :256], rtol=1e-3, atol=2e-4
    )
    assert not torch.allclose(masked.magnitudes[..., 256:], before.magnitudes[..., 256:])
    weak = replace(LIVE, anchor=before, strength=0.7)
    assert not same(clip(engine, weak), clip(engine, replace(weak, mix=Mix(0.2, 0.5))))


def test_eight_bits_change_a_clip_little(engine: Engine, folder: Path) -> None:
    eight = clip(engine, LIVE)
    whole = clip(load_engine(str(folder), "cpu", StableOptions(precision="float32")), LIVE)
    assert not same(eight, whole)
    off = (eight.magnitudes.log10() - whole.magnitudes.log10()).square().mean().sqrt()
    assert off < 0.1 * whole.magnitudes.log10().std()


def test_live_bits_do_not_depend_on_the_number_of_threads(engine: Engine) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = clip(engine, LIVE)
        torch.set_num_threads(2)
        assert same(one, clip(engine, LIVE))
    finally:
        torch.set_num_threads(before)


def test_a_change_of_another_network_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "m")
    save_change({"other.diff": torch.zeros(3).half()}, tmp_path / "m" / FEW_STEPS_FILE)
    with pytest.raises(ModelError, match="is of another network"):
        CompactEngine.load(tmp_path / "m")
    (tmp_path / "m" / FEW_STEPS_FILE).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="damaged"):
        CompactEngine.load(tmp_path / "m")


@pytest.mark.parametrize("quality", get_args(Quality))
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_clips_that_are_sampled_together_are_what_they_are_alone(
    folder: Path, quality: Quality, precision: Precision
) -> None:
    """What graphics processors do also runs on the CPU: batches, and half of the bits."""
    alone = load_engine(str(folder), "cpu", StableOptions(precision=precision))
    together = load_engine(str(folder), "cpu", StableOptions(precision=precision, batch=3))
    context = clip(alone, LIVE).cut(0, 80)
    requests = [
        replace(LIVE, quality=quality),
        replace(LIVE, quality=quality, start=BEATS, alpha=0.3, bpm=80.0),
        replace(LIVE, quality=quality, context=context),
        replace(LIVE, quality=quality, guidance=4.0),
        replace(LIVE, quality=quality, start=replace(BELLS, negative="drums")),
        replace(LIVE, quality=quality, anchor=clip(alone, LIVE), strength=0.6),
    ]
    near = 1e-3 if precision == "float32" else 0.1
    for one, other in zip(
        map(partial(clip, alone), requests), together.generate(requests), strict=True
    ):
        off = (one.magnitudes.log10() - other.magnitudes.log10()).square().mean().sqrt()
        assert off < near * one.magnitudes.log10().std()


def test_half_of_the_bits_change_a_clip_little(folder: Path) -> None:
    whole, half = (
        clip(load_engine(str(folder), "cpu", StableOptions(precision=precision)), LIVE)
        for precision in ("float32", "bfloat16")
    )
    off = (whole.magnitudes.log10() - half.magnitudes.log10()).square().mean().sqrt()
    assert 0 < off < 0.1 * whole.magnitudes.log10().std()
