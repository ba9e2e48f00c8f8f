"""Fits the prompt adapter of a model, which maps wordings outside the captions to styles.

It is a classifier of embedded phrases: the scenes of each style, and one class of plain captions
that pass unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from riffusion.engines.compact.prompt_adapter import PromptAdapter
from riffusion.engines.compact.prompt_encoder import TEXT_DIM, prompt_encoder
from riffusion.training.corpus.captions import load_scenes

MAX_CAPTIONS = 6000
# The weight of captions beside scenes, and the penalty on the weights for vectors of length one,
# were chosen on held-out scenes (docs/model.md).
CAPTIONS_WEIGHT = 1.0
PENALTY = 3e-5
BIAS = 0.3
ITERATIONS = 300


def fit_prompt_adapter(
    styles: Sequence[str], captions: torch.Tensor, seed: int = 0
) -> PromptAdapter | None:
    """Return an adapter for a model of ``styles`` that leaves embedded captions unchanged.

    ``captions`` is (captions, 384).

    Returns None where no style has a scene to learn from.
    """
    scenes = {style: load_scenes(style) for style in styles}
    if not any(scenes.values()):
        return None
    phrases = [(phrase, n) for n, style in enumerate(styles) for phrase in scenes[style]]
    chooser = torch.Generator().manual_seed(seed)
    kept = captions[torch.randperm(len(captions), generator=chooser)[:MAX_CAPTIONS]].float()
    embedded = prompt_encoder()([phrase for phrase, _ in phrases])
    answers = torch.tensor([n for _, n in phrases] + [len(styles)] * len(kept))
    importance = torch.ones(len(answers))
    importance[len(embedded) :] = CAPTIONS_WEIGHT * len(embedded) / max(1, len(kept))
    weights = _fit(torch.cat([embedded, kept]), answers, importance, len(styles) + 1)
    return PromptAdapter(weights, tuple(styles))


def _fit(
    texts: torch.Tensor, answers: torch.Tensor, importance: torch.Tensor, classes: int
) -> torch.Tensor:
    """Fit a multinomial logistic regression by L-BFGS; return (classes, 385), the bias last."""
    scale = torch.full((TEXT_DIM + 1,), TEXT_DIM**-0.5)
    scale[-1] = BIAS
    inputs = torch.cat([texts, torch.ones(len(texts), 1)], 1) * scale
    weights = torch.zeros(classes, TEXT_DIM + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=ITERATIONS, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        errors = F.cross_entropy(inputs @ weights.T, answers, reduction="none")
        total = (errors * importance).sum() / importance.sum() + PENALTY * weights.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return (weights.detach() * scale).contiguous()
