"""From wording that a model was never taught to what it knows.

A sentence encoder lays "viking battle hymn" no nearer to heavy metal than to church organ, and a
model follows only captions like those it saw. The reader is a linear classifier of the encoder's
vectors (multinomial logistic regression): it says which of the model's styles a scene makes one
think of, or that the words are a caption as the model has seen them, to be left as they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from riffusion.engines.compact.prompt_encoder import TEXT_DIM, prompt_encoder
from riffusion.errors import ModelError

READER = "reader.safetensors"
SHARPNESS = 2.0  # a blend of many styles is none


@dataclass(frozen=True)
class PromptAdapter:
    """``weights`` (styles + 1, 384 + 1): a row a style and one for captions, the last column the
    bias. ``names`` are the styles' own captions."""

    weights: torch.Tensor
    names: tuple[str, ...]

    @cached_property
    def meanings(self) -> torch.Tensor:
        """The vectors of the styles' names, (styles, 384)."""
        return prompt_encoder()(self.names)

    def scores(self, texts: torch.Tensor) -> torch.Tensor:
        """(texts, 384) to (texts, styles + 1)."""
        return texts @ self.weights[:, :-1].T + self.weights[:, -1]

    def __call__(self, texts: torch.Tensor) -> torch.Tensor:
        """(texts, 384) vectors to vectors of the same length that the model knows."""
        scores = self.scores(texts)
        as_it_is = scores.softmax(-1)[:, -1:]
        styles = (SHARPNESS * scores[:, :-1]).softmax(-1)
        read = as_it_is * texts + (1 - as_it_is) * styles @ self.meanings
        aligned: torch.Tensor = read * (
            texts.norm(dim=-1, keepdim=True) / read.norm(dim=-1, keepdim=True)
        )
        return aligned

    def save(self, folder: Path) -> None:
        """Write it beside a model."""
        about = {"styles": json.dumps(self.names)}
        save_file({"weights": self.weights.half().contiguous()}, folder / READER, about)

    @classmethod
    def load(cls, folder: Path) -> PromptAdapter | None:
        """The reader of the model in ``folder``, None where it has none.

        Raises ModelError where it is damaged.
        """
        path = folder / READER
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                names = tuple(str(name) for name in json.loads(file.metadata()["styles"]))
                weights = file.get_tensor("weights").float()
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the reader in {path} is damaged: fetch the folder again") from error
        if weights.shape != (len(names) + 1, TEXT_DIM + 1):
            what = f"{len(names)} styles and weights {tuple(weights.shape)}"
            raise ModelError(f"the reader in {path} has {what}: fetch the folder again")
        return cls(weights, names)
