"""What the shipped engine guarantees, on a tiny network with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from riffusion.engines.clip import ClipRequest, Controls, LeadSheet, Mix, Prompt
from riffusion.engines.compact.engine import COMPACT_PARAMS
from riffusion.engines.compact.features import control_features, lead_sheet_features
from riffusion.engines.compact.network import Conditioning, SpectrogramTransformer
from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine, Interrupted
from riffusion.errors import InvalidInput, ModelError
from riffusion.networks.weights import read_network
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import RIFFUSION, Spectrogram

BELLS, BEATS = Prompt("church bells", 1), Prompt("electronic beats", 2)


def request(**changes: object) -> ClipRequest:
    return replace(ClipRequest(BELLS, BEATS, alpha=0.3, bpm=100.0, steps=3), **changes)  # type: ignore[arg-type]


def sheet(frames: int = 512, offset: float = 0.0) -> LeadSheet:
    beats = np.arange(frames) * 0.02 + offset
    return LeadSheet(beats, 4, np.zeros((frames, 12), np.float32))


def same(a: Spectrogram, b: Spectrogram) -> bool:
    return bool(torch.equal(a.magnitudes, b.magnitudes))


def test_a_clip_is_a_finite_positive_spectrogram_of_one_window(tiny_engine: Engine) -> None:
    clip = tiny_engine.generate([request()])[0]
    assert tuple(clip.magnitudes.shape) == (1, 128, 512)
    assert clip.params == COMPACT_PARAMS == tiny_engine.params
    assert torch.isfinite(clip.magnitudes).all()
    assert (clip.magnitudes > 0).all()


def test_the_same_request_gives_the_same_bits_alone_and_in_a_batch(tiny_engine: Engine) -> None:
    other = request(start=BEATS, alpha=0.9)
    alone = tiny_engine.generate([request()])[0]
    batch = tiny_engine.generate([other, request(), other])
    assert same(alone, batch[1])
    assert not same(alone, batch[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"start": Prompt("funky piano", 1)},
        {"start": Prompt("church bells", 7)},
        {"start": Prompt("church bells", 1, "drums")},
        {"end": Prompt("electronic beats", 2, "drums")},
        {"end_guidance": 2.0},
        {"end": Prompt("electronic beats", 7)},
        {"alpha": 0.8},
        {"bpm": 140.0},
        {"bpm": None},
        {"guidance": 2.0},
        {"steps": 4},
        {"controls": Controls(density=1.0)},
        {"controls": Controls(brightness=0.0)},
        {"controls": Controls(drums=1.0)},
        {"lead_sheet": sheet()},
    ],
)
def test_every_part_of_a_request_is_heard(tiny_engine: Engine, changes: dict[str, object]) -> None:
    plain, changed = tiny_engine.generate([request(), request(**changes)])
    assert not same(plain, changed)


def test_guidance_leads_to_the_prompt_and_the_controls(tiny_engine: Engine) -> None:
    dense = replace(request().controls, density=0.9)
    by_neither = tiny_engine.generate([request(guidance=0.0)])[0]
    assert same(tiny_engine.generate([request(guidance=0.0, controls=dense)])[0], by_neither)
    assert not same(tiny_engine.generate([request(controls=dense)])[0], by_neither)


def last_step(engine: Engine, time: float, guidance: float) -> Spectrogram:
    """Generate a clip whose only step is at ``time``, from 0 (noise) to 1 (clean)."""
    anchor = engine.generate([request(start=Prompt("waltz", 9))])[0]
    asked = request(anchor=anchor, strength=1 - time, steps=1, guidance=guidance)
    return engine.generate([asked])[0]


def test_guidance_is_weak_where_the_image_is_nearly_clean(tiny_engine: Engine) -> None:
    """From time 0.95 on a scale above 1.5 has the effect of 1.5, and one below it its own."""
    for time in (0.951, 0.99):
        assert same(last_step(tiny_engine, time, 8.0), last_step(tiny_engine, time, 1.5))
        assert not same(last_step(tiny_engine, time, 1.5), last_step(tiny_engine, time, 1.4))
    before = 0.949
    assert not same(last_step(tiny_engine, before, 8.0), last_step(tiny_engine, before, 1.5))
    assert not same(last_step(tiny_engine, before, 8.0), last_step(tiny_engine, before, 7.0))


def test_the_ends_of_a_walk_are_the_prompts_themselves(tiny_engine: Engine) -> None:
    at_a = tiny_engine.generate([request(alpha=0.0)])[0]
    only_a = tiny_engine.generate([request(end=BELLS, alpha=0.0)])[0]
    at_b = tiny_engine.generate([request(alpha=1.0)])[0]
    only_b = tiny_engine.generate([request(start=BEATS, alpha=1.0)])[0]
    assert same(at_a, only_a)
    assert same(at_b, only_b)


@pytest.mark.parametrize("frames", [8, 104, 504])
def test_a_context_comes_back_unchanged_and_is_listened_to(
    tiny_engine: Engine, frames: int
) -> None:
    earlier = tiny_engine.generate([request(start=Prompt("waltz", 9))])[0]
    context = earlier.cut(512 - frames, 512)
    free, continued = tiny_engine.generate([request(), request(context=context)])
    assert torch.equal(continued.magnitudes[..., :frames], context.magnitudes)
    assert not torch.equal(continued.magnitudes[..., frames:], free.magnitudes[..., frames:])


@pytest.mark.parametrize("frames", [7, 512])
def test_a_context_of_the_wrong_length_is_refused(tiny_engine: Engine, frames: int) -> None:
    clip = tiny_engine.generate([request()])[0]
    with pytest.raises(InvalidInput, match="multiple of 8"):
        tiny_engine.generate([request(context=clip.cut(0, frames))])


def test_a_context_of_another_geometry_is_refused(tiny_engine: Engine) -> None:
    foreign = Spectrogram(torch.ones(1, 512, 8), RIFFUSION)
    with pytest.raises(InvalidInput, match="engine's own scale"):
        tiny_engine.generate([request(context=foreign)])


def test_strength_runs_from_the_anchor_to_a_free_clip(tiny_engine: Engine) -> None:
    anchor = tiny_engine.generate([request(start=Prompt("waltz", 9))])[0]
    kept, near, far, free = tiny_engine.generate(
        [request(anchor=anchor, strength=s) for s in (0.0, 0.3, 0.9)] + [request()]
    )

    def distance(clip: Spectrogram) -> float:
        return float((log_mel(clip.magnitudes) - log_mel(anchor.magnitudes)).abs().mean())

    assert distance(kept) < 1e-3

    assert distance(near) < distance(far)
    assert same(tiny_engine.generate([request(anchor=anchor, strength=1.0)])[0], free)


def test_a_mix_stays_nearer_to_the_anchor_than_its_strength_alone(tiny_engine: Engine) -> None:
    anchor = tiny_engine.generate([request(start=Prompt("waltz", 9))])[0]

    def distance(share: float, until: float = 0.0) -> float:
        mixed = request(anchor=anchor, strength=0.9, steps=8, mix=Mix(until, share))
        clip = tiny_engine.generate([mixed])[0]
        return float((log_mel(clip.magnitudes) - log_mel(anchor.magnitudes)).abs().mean())

    plain = tiny_engine.generate([request(anchor=anchor, strength=0.9, steps=8)])[0]
    free = float((log_mel(plain.magnitudes) - log_mel(anchor.magnitudes)).abs().mean())
    assert distance(1.0) == free
    assert distance(0.5, until=1.0) == free  # mixing ends before it begins
    assert distance(0.0) < distance(0.5) < free


def test_a_mask_keeps_the_anchor_where_it_is_black(tiny_engine: Engine) -> None:
    anchor = tiny_engine.generate([request(start=Prompt("waltz", 9))])[0]
    mask = np.zeros((128, 512), np.float32)
    mask[64:] = 1.0
    clip = tiny_engine.generate([request(anchor=anchor, mask=mask)])[0]
    changed = (log_mel(clip.magnitudes) - log_mel(anchor.magnitudes)).abs()
    assert float(changed[:, :64].max()) < 1e-3
    assert float(changed[:, 64:].median()) > 1e-1
    with pytest.raises(InvalidInput, match="mask shape"):
        tiny_engine.generate([request(anchor=anchor, mask=mask[:, :100])])


def test_the_lead_sheet_is_the_phase_of_beat_and_bar() -> None:
    features = lead_sheet_features(sheet(), 512)
    beats = torch.arange(512) * 0.02
    turns = 2 * np.pi
    for column, wave in enumerate(
        [
            torch.cos(turns * beats),
            torch.sin(turns * beats),
            torch.cos(turns * beats / 4),
            torch.sin(turns * beats / 4),
        ]
    ):
        assert torch.allclose(features[:, column], wave, atol=1e-4)
    assert (features[:, 4] == 1).all()
    whole_bars_later = lead_sheet_features(sheet(offset=400.0), 512)
    assert torch.allclose(features, whole_bars_later, atol=1e-4)
    assert (lead_sheet_features(None, 512) == 0).all()
    with pytest.raises(InvalidInput, match="needs 512 frames"):
        lead_sheet_features(sheet(511), 512)


def test_an_unknown_control_differs_from_a_control_at_zero() -> None:
    assert control_features(Controls(density=0.0)).tolist() == [0, 0, 0, 1, 0, 0]
    assert control_features(Controls(drums=0.5)).tolist() == [0, 0, 0.5, 0, 0, 1]


def test_the_network_does_not_mix_the_windows_of_a_batch(tiny_model_folder: Path) -> None:
    network = read_network(SpectrogramTransformer, tiny_model_folder)
    images, times = torch.randn(2, 1, 128, 512), torch.tensor([0.2, 0.7])
    both = Conditioning(
        torch.randn(2, 384),
        torch.ones(2, 1),
        torch.rand(2, 2),
        torch.rand(2, 6),
        torch.randn(2, 512, 17),
        torch.zeros(2, 512),
    )
    with torch.inference_mode():
        together = network(images, times, both)
        second = Conditioning(*(value[1:] for value in vars(both).values()))
        alone = network(images[1:], times[1:], second)
    assert torch.allclose(together[1:], alone, atol=1e-4)


def test_prompts_go_through_the_adapter_of_the_model(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    for file in tiny_model_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    all_is_bells = torch.zeros(2, 385)
    all_is_bells[0, -1] = 50.0
    PromptAdapter(all_is_bells, (BELLS.text,)).save(tmp_path)
    adapting, plain = load_engine(str(tmp_path)), load_engine(str(tiny_model_folder))
    scene = request(
        start=Prompt("a steeple at noon", 1, "rain"), end=Prompt("a steeple", 2, "rain")
    )
    bells = request(start=Prompt(BELLS.text, 1, BELLS.text), end=Prompt(BELLS.text, 2, BELLS.text))
    adapted, expected, unadapted = (
        engine.generate([asked])[0].magnitudes.log10()
        for engine, asked in ((adapting, scene), (plain, bells), (plain, scene))
    )
    assert torch.allclose(adapted, expected, atol=0.01)
    assert not torch.allclose(adapted, unadapted, atol=0.1)


def test_a_missing_model_says_what_a_model_is(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        load_engine(str(tmp_path))


@pytest.mark.parametrize("damage", ["truncated", "text", "missing"])
def test_damaged_weights_are_named(tiny_model_folder: Path, tmp_path: Path, damage: str) -> None:
    (tmp_path / "config.json").write_bytes((tiny_model_folder / "config.json").read_bytes())
    name = "diffusion_pytorch_model.safetensors"
    weights = (tiny_model_folder / name).read_bytes()
    if damage == "truncated":
        (tmp_path / name).write_bytes(weights[: len(weights) // 2])
    elif damage == "text":
        (tmp_path / name).write_text("not weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_engine(str(tmp_path))


def test_an_unknown_device_lists_the_known(tiny_model_folder: Path) -> None:
    with pytest.raises(InvalidInput, match="cpu"):
        load_engine(str(tiny_model_folder), "tpu")


def test_a_clip_is_given_up_between_two_steps_and_leaves_no_trace(tiny_engine: Engine) -> None:
    asked: list[int] = []

    def after_three_steps() -> bool:
        asked.append(len(asked))
        return len(asked) > 3

    expected = tiny_engine.generate([request(steps=6)])[0]
    with pytest.raises(Interrupted):
        tiny_engine.generate([request(steps=6)], interrupted=after_three_steps)
    assert len(asked) == 4
    assert same(tiny_engine.generate([request(steps=6)])[0], expected)
