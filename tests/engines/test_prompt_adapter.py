"""The prompt adapter brings wordings that a model never saw near to captions that it saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from riffusion.engines.compact.prompt_adapter import ADAPTER_FILE, PromptAdapter
from riffusion.engines.compact.prompt_encoder import embed_prompt, prompt_encoder
from riffusion.errors import ModelError
from riffusion.training.corpus.captions import load_scenes
from riffusion.training.engine.prompt_adapter import fit_prompt_adapter

STYLES = ("bossa nova", "chiptune", "heavy metal", "church bells")
CAPTIONS = (
    *STYLES,
    *(f"{style} {what}" for style in STYLES for what in ("loop", "piano", "with strings", "drums")),
    *(f"{mood} {style}" for style in STYLES for mood in ("sad", "fast", "calm", "some")),
)


@pytest.fixture(scope="module")
def adapter() -> PromptAdapter:
    fitted = fit_prompt_adapter(STYLES, prompt_encoder()(CAPTIONS))
    assert fitted is not None
    return fitted


def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.cosine_similarity(one, other, dim=-1))


@pytest.mark.parametrize(
    ("wording", "style"),
    [
        ("a pixelated hero jumps over a pit", "chiptune"),
        ("warm evening on the sands of ipanema", "bossa nova"),
        ("a mosh pit under walls of amplifiers", "heavy metal"),
    ],
)
def test_a_scene_it_never_saw_is_read_as_a_style(
    adapter: PromptAdapter, wording: str, style: str
) -> None:
    words = embed_prompt(wording)
    name = embed_prompt(style)
    assert likeness(words, name) < 0.5
    assert likeness(adapter(words[None])[0], name) > 0.7


@pytest.mark.parametrize("caption", ["chiptune", "sad bossa nova", "heavy metal piano"])
def test_captions_are_left_as_they_are(adapter: PromptAdapter, caption: str) -> None:
    words = embed_prompt(caption)
    assert likeness(adapter(words[None])[0], words) > 0.97


def test_vectors_keep_their_length_and_a_batch_changes_nothing(adapter: PromptAdapter) -> None:
    words = prompt_encoder()(["a night train", "chiptune", load_scenes("church bells")[0], ""])
    adapted = adapter(words)
    assert torch.allclose(adapted.norm(dim=1), words.norm(dim=1), rtol=1e-5)
    alone = torch.cat([adapter(one[None]) for one in words])
    assert torch.allclose(alone, adapted, atol=1e-4)


def test_on_the_way_from_scene_to_scene_nothing_jumps(adapter: PromptAdapter) -> None:
    ends = [embed_prompt(load_scenes(style)[0]) for style in ("chiptune", "bossa nova")]
    way = torch.stack([torch.lerp(*ends, float(share)) for share in np.linspace(0, 1, 201)])
    steps = adapter(way).diff(dim=0).norm(dim=1)
    assert float(steps.max()) < 0.1 * float((adapter(way)[0] - adapter(way)[-1]).norm())


def test_it_survives_its_file_and_says_when_that_is_damaged(
    adapter: PromptAdapter, tmp_path: Path
) -> None:
    assert PromptAdapter.load(tmp_path) is None
    adapter.save(tmp_path)
    again = PromptAdapter.load(tmp_path)
    assert again is not None
    assert again.names == STYLES
    words = embed_prompt("a night at the opera")[None]
    assert torch.allclose(again(words), adapter(words), atol=0.05)
    assert (tmp_path / ADAPTER_FILE).stat().st_size < 5000
    PromptAdapter(adapter.weights[:-1], STYLES).save(tmp_path)
    with pytest.raises(ModelError, match="4 styles and weights"):
        PromptAdapter.load(tmp_path)
    (tmp_path / ADAPTER_FILE).write_bytes(b"cut off")
    with pytest.raises(ModelError, match="is damaged"):
        PromptAdapter.load(tmp_path)


def test_styles_without_scenes_have_no_reader() -> None:
    assert fit_prompt_adapter(("our own band",), prompt_encoder()(["our own band"])) is None
