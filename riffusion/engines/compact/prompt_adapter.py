"""The prompt adapter: brings wordings that training never saw near to captions that it saw.

The sentence encoder lays "viking battle hymn" no nearer to heavy metal than to church organ, and
a model follows only captions like those of its corpus. The adapter is a linear classifier of the
encoder's embeddings (multinomial logistic regression). Its classes are the styles of the corpus,
and one for captions as the model has seen them, which stay as they are.
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

# The file keeps the name that it has in the model folders that people have.
ADAPTER_FILE = "reader.safetensors"
# An inverse temperature: an even blend of many styles would be none of them.
SHARPNESS = 2.0


@dataclass(frozen=True)
class PromptAdapter:
    """A linear map from sentence embeddings to embeddings that a model knows.

    ``weights`` (styles + 1, 384 + 1) has one row for each style and a last one for captions; the
    last column is the bias. ``names`` are the captions of the styles.
    """

    weights: torch.Tensor
    names: tuple[str, ...]

    @cached_property
    def style_embeddings(self) -> torch.Tensor:
        """The embeddings of the styles' names, float32 (styles, 384)."""
        return prompt_encoder()(self.names)

    def scores(self, texts: torch.Tensor) -> torch.Tensor:
        """Return the logits (texts, styles + 1) of embeddings (texts, 384)."""
        return texts @ self.weights[:, :-1].T + self.weights[:, -1]

    def __call__(self, texts: torch.Tensor) -> torch.Tensor:
        """Return adapted embeddings (texts, 384), each of the same norm as in ``texts``."""
        scores = self.scores(texts)
        caption = scores.softmax(-1)[:, -1:]
        styles = (SHARPNESS * scores[:, :-1]).softmax(-1)
        adapted = caption * texts + (1 - caption) * styles @ self.style_embeddings
        scaled: torch.Tensor = adapted * (
            texts.norm(dim=-1, keepdim=True) / adapted.norm(dim=-1, keepdim=True)
        )
        return scaled

    def save(self, folder: Path) -> None:
        """Write the adapter into the folder of its model, in half precision."""
        metadata = {"styles": json.dumps(self.names)}
        save_file({"weights": self.weights.half().contiguous()}, folder / ADAPTER_FILE, metadata)

    @classmethod
    def load(cls, folder: Path) -> PromptAdapter | None:
        """Return the adapter of the model in ``folder``, or None when it has none.

        Raises ModelError when the file is damaged.
        """
        path = folder / ADAPTER_FILE
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                names = tuple(str(name) for name in json.loads(file.metadata()["styles"]))
                weights = file.get_tensor("weights").float()
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"the prompt adapter in {path} is damaged: fetch the folder again"
            ) from error
        if weights.shape != (len(names) + 1, TEXT_DIM + 1):
            what = f"{len(names)} styles and weights {tuple(weights.shape)}"
            raise ModelError(f"the prompt adapter in {path} has {what}: fetch the folder again")
        return cls(weights, names)
