"""The prompts of a clip as one: the weighted mean of their texts, and their noises as one noise."""

from __future__ import annotations

from collections.abc import Callable

import torch

from riffusion.engines.clip import ClipRequest, Prompt
from riffusion.music.walk import lerp, slerp, sum_at_unit_length, weighted_mean


def blend_prompts(request: ClipRequest, embed: Callable[[Prompt], torch.Tensor]) -> torch.Tensor:
    """Return the weighted mean of what ``embed`` returns for each prompt of a request.

    Those of its two ends are interpolated linearly; that is where the walk stands.
    """
    pair = lerp(embed(request.start), embed(request.end), request.alpha)
    if not request.others:
        return pair
    others = [embed(other.prompt) for other in request.others]
    return weighted_mean([pair, *others], [1.0, *(other.weight for other in request.others)])


def blend_noise(request: ClipRequest, draw: Callable[[int], torch.Tensor]) -> torch.Tensor:
    """Return the noise of a request, where ``draw`` returns that of a seed.

    The noises of its two ends are interpolated spherically; with further prompts it is the weighted
    sum of all at unit length, so that it stays Gaussian.
    """
    pair = slerp(draw(request.start.seed), draw(request.end.seed), request.alpha)
    if not request.others:
        return pair
    others = [draw(other.prompt.seed) for other in request.others]
    return sum_at_unit_length([pair, *others], [1.0, *(other.weight for other in request.others)])
