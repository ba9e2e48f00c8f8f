"""The prompt encoder gives the bits of transformers' model of the same weights, without it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.engines.compact.prompt_encoder import MAX_WORD_PIECES, PACKAGE, prompt_encoder
from riffusion.engines.loading import SHIPPED


@pytest.fixture(scope="module")
def reference() -> Any:
    """Tokenizer and model as sentence-transformers would load them."""
    from transformers import AutoModel, AutoTokenizer

    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "model"
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def embed(reference: Any, texts: list[str]) -> torch.Tensor:
    """Return the mean of the model's last states, scaled to the square root of 384."""
    tokenizer, model = reference
    tokens = tokenizer(
        texts, padding=True, truncation=True, max_length=MAX_WORD_PIECES, return_tensors="pt"
    )
    with torch.inference_mode():
        hidden = model(**tokens).last_hidden_state
    present = tokens["attention_mask"][..., None].float()
    mean = (hidden * present).sum(1) / present.sum(1)
    embedding: torch.Tensor = torch.nn.functional.normalize(mean, dim=-1) * 384**0.5
    return embedding


@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_has_the_bits_of_the_reference(reference: Any, text: str) -> None:
    assert torch.equal(prompt_encoder()([text]), embed(reference, [text]))


@pytest.mark.parametrize(
    "text",
    ["church bells", "Café  DEL MAR\n", "[MASK] jazz [SEP] rock", "北京 żółć ﬁ 🎷", "a " * 400],
)
def test_a_prompt_has_the_bits_of_the_reference(reference: Any, text: str) -> None:
    assert torch.equal(prompt_encoder()([text]), embed(reference, [text]))


def test_a_batch_of_several_lengths_has_the_bits_of_the_reference(reference: Any) -> None:
    adapter = PromptAdapter.load(SHIPPED)
    assert adapter is not None
    names = list(adapter.names)
    assert torch.equal(prompt_encoder()(names), embed(reference, names))
