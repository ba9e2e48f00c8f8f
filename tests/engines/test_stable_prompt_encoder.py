"""CLIP embeddings of prompts with weights and of any length."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTextModel, CLIPTokenizer

from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.engines.stable.prompt_encoder import WeightedPromptEncoder, parse_weights
from riffusion.errors import InvalidInput
from tests.tiny_stable import TEXT_WIDTH, tiny_text_encoder, tiny_tokenizer

CHUNK = 77


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("church bells", [("church bells", 1.0)]),
        ("a (loud) piano", [("a ", 1.0), ("loud", 1.1), (" piano", 1.0)]),
        ("a [quiet] piano", [("a ", 1.0), ("quiet", 1 / 1.1), (" piano", 1.0)]),
        ("(bells:1.5)", [("bells", 1.5)]),
        ("(bells: 0.5 )", [("bells", 0.5)]),
        ("(bells:.5)", [("bells", 0.5)]),
        ("((deep) bass)", [("deep", 1.1 * 1.1), (" bass", 1.1)]),
        ("[a (b:2)]", [("a ", 1 / 1.1), ("b", 2 / 1.1)]),
        (r"a \(live\) \[take\] \\", [(r"a (live) [take] " + "\\", 1.0)]),
        ("unclosed (here", [("unclosed ", 1.0), ("here", 1.1)]),
        ("closed) twice]", [("closed) twice]", 1.0)]),
        ("time 4:4 feel", [("time 4:4 feel", 1.0)]),
        ("no bracket:1.5)", [("no bracket:1.5)", 1.0)]),
        ("[a:1.5]", [("a:1.5", 1 / 1.1)]),
        ("(a:x)", [("a:x", 1.1)]),
        ("", []),
    ],
)
def test_brackets_are_weights(prompt: str, pieces: list[tuple[str, float]]) -> None:
    found = parse_weights(prompt)
    assert [text for text, _ in found] == [text for text, _ in pieces]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in pieces])


@given(st.text())
def test_an_escaped_text_is_itself(text: str) -> None:
    escaped = "".join("\\" + letter if letter in "()[]\\" else letter for letter in text)
    assert parse_weights(escaped) == ([(text, 1.0)] if text else [])


@given(st.text(alphabet="ab()[]:\\ ", max_size=20))
def test_any_prompt_is_read_and_keeps_its_letters(prompt: str) -> None:
    letters = "".join(text for text, _ in parse_weights(prompt))
    assert letters.count("a") == prompt.count("a")
    assert letters.count("b") == prompt.count("b")


def test_a_weight_that_would_drown_everything_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at most 10"):
        parse_weights("(bells:11)")


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def clip(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    torch.manual_seed(0)
    return tiny_text_encoder(tokenizer).eval()


@pytest.fixture(scope="module")
def text(tokenizer: CLIPTokenizer, clip: CLIPTextModel) -> WeightedPromptEncoder:
    return WeightedPromptEncoder(tokenizer, clip, torch.device("cpu"))


@pytest.fixture(autouse=True)
def _without_gradients() -> object:
    with torch.inference_mode():
        yield


def test_a_short_prompt_is_clips_own_embedding(
    text: WeightedPromptEncoder, tokenizer: CLIPTokenizer, clip: CLIPTextModel
) -> None:
    tokens = tokenizer("church bells", padding="max_length", max_length=77, return_tensors="pt")
    assert torch.equal(text.embed("church bells"), clip(tokens.input_ids)[0])


def test_weights_scale_their_tokens_and_keep_the_mean(text: WeightedPromptEncoder) -> None:
    plain, weighted = text.embed("a b"), text.embed("a (b:3)")
    scale = torch.ones(77)
    scale[2] = 3.0
    expected = plain * scale[:, None]
    expected = expected * plain.mean() / expected.mean()
    assert torch.allclose(weighted, expected, atol=1e-6)
    assert torch.allclose(weighted.mean(), plain.mean(), atol=1e-6)
    assert torch.equal(text.embed("(a b:1)"), plain)


def test_an_encoder_whose_embeddings_have_no_mean_is_weighted_all_the_same() -> None:
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    encoder = tiny_text_encoder(tokenizer).eval()
    encoder.get_parameter("final_layer_norm.bias").data.zero_()
    flat = WeightedPromptEncoder(tokenizer, encoder, torch.device("cpu"))
    plain, weighted = flat.embed("a b"), flat.embed("a (b:3)")
    assert torch.equal(weighted[:, 2], 3 * plain[:, 2])
    assert torch.equal(weighted[:, :2], plain[:, :2])


def test_a_long_prompt_is_read_to_its_end(text: WeightedPromptEncoder) -> None:
    # The tiny tokenizer has a token for each letter, and 75 of them fill a chunk.
    one, two = text.embed("a" * 75), text.embed("a" * 75 + " b")
    assert one.shape == (1, CHUNK, TEXT_WIDTH)
    assert two.shape == (1, 2 * CHUNK, TEXT_WIDTH)
    assert torch.allclose(two[:, CHUNK:], text.embed("b"), atol=1e-6)
    assert not torch.equal(two, text.embed("a" * 75 + " c"))


def test_both_ends_and_their_negatives_get_one_length(text: WeightedPromptEncoder) -> None:
    long = "a" * 160
    request = ClipRequest(Prompt(long), Prompt("bells", negative="b" * 80), alpha=0.25)
    negative, positive = text.encode_walk(request)
    assert negative.shape == positive.shape == (1, 3 * CHUNK, TEXT_WIDTH)
    filled = torch.cat([text.embed("bells"), text.embed(""), text.embed("")], 1)
    expected = 0.75 * text.embed(long) + 0.25 * filled
    assert torch.allclose(positive, expected, atol=1e-6)


def test_a_prompt_is_embedded_once(text: WeightedPromptEncoder) -> None:
    first = text.embed("remember me")
    assert text.embed("remember me") is first
