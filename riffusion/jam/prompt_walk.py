"""Where a jam stands among its prompts: the two that it walks between, and those beside them."""

from __future__ import annotations

from dataclasses import dataclass

from riffusion.engines.clip import Prompt, WeightedPrompt
from riffusion.jam.settings import JamSettings


@dataclass(frozen=True)
class PromptBlend:
    """The prompts that are heard: ``alpha`` from ``start`` (0) to ``end`` (1), and ``others``.

    The weights of the others are relative to that of the walk between the two, which is 1.
    """

    start: Prompt
    end: Prompt
    alpha: float
    others: tuple[WeightedPrompt, ...] = ()


def blend_prompts(settings: JamSettings, position: float) -> PromptBlend:
    """Return the prompts that are heard at ``position`` of the walk.

    The prompts whose weight is over 0 lie at 0, 1 and so on, and past the last one the walk is on
    its way to the first. Between two of them each counts by its weight. On the path "together" all
    count by their weights and the position does not matter.
    """
    heard = settings.heard_prompts()
    if settings.path == "together":
        (start, weight), (end, end_weight), *others = heard if len(heard) > 1 else heard * 2
        pair = weight + end_weight
        alpha = _share(weight, end_weight, 0.5)
        return PromptBlend(start, end, alpha, tuple(WeightedPrompt(p, w / pair) for p, w in others))
    number = int(position) % len(heard)
    alpha = position - int(position)
    if alpha == 0.0 and number:
        # The end of a way is still on it, so that a mark names both of its prompts.
        number, alpha = number - 1, 1.0
    (start, weight), (end, end_weight) = heard[number], heard[(number + 1) % len(heard)]
    return PromptBlend(start, end, _share(weight, end_weight, alpha))


def _share(start: float, end: float, alpha: float) -> float:
    """Return ``alpha`` bent by the weights of both ends."""
    if start == end:
        return alpha
    return alpha * end / ((1 - alpha) * start + alpha * end)
