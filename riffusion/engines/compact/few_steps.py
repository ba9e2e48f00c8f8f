"""Sampling in few steps, with weights that were distilled for it (training/engine/distill.py).

Guidance is in the weights, so that a step needs one evaluation where it once took two. On a
processor the products inside the blocks are in 8 bits, and all runs on one core: that is nearly as
fast as two, leaves the other one to the vocoder, and gives the same bits whatever else runs.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from riffusion.engines.clip import DEFAULT_GUIDANCE
from riffusion.engines.compact.network import Conditioning, SpectrogramTransformer
from riffusion.engines.compact.sampler import Sampler, few_steps
from riffusion.networks import int8
from riffusion.networks.threads import on_one_core

# The layers of a block whose products take most of the time.
PRODUCTS = ("qkv", "attention_out", "gate_up", "down")


class FewSteps:
    """A network of few steps, ready to sample from. It takes the network over.

    ``in_8_bits`` asks for products in 8 bits, where this build of PyTorch has them.
    """

    def __init__(self, network: SpectrogramTransformer, device: str, *, in_8_bits: bool) -> None:
        self._network = nn.Module.to(network, device, torch.float32).eval()
        self._device = torch.device(device)
        if in_8_bits and int8.is_available():
            for block in self._network.blocks:
                int8.quantize_linears(block, PRODUCTS)

    def sampler(self, both: Conditioning, guidance: float, start: float) -> Sampler:
        """Return the steps from time ``start`` on.

        ``both`` has two rows for each clip: first all with their prompts, then all of what guidance
        leads away from.
        """
        times = few_steps(start)
        if len(times) == 1:
            return Sampler(times, lambda images, _: images, second_order=False)
        rows, weights = distilled_guidance(both, guidance)
        count = len(rows.text)
        # What does not depend on the image is computed once for all steps.
        steps = torch.tensor(times[:-1], device=self._device).repeat_interleave(count)
        numbers = torch.arange(count, device=self._device).repeat(len(times) - 1)
        with on_one_core():
            prepared = self._network.prepare(steps, rows.rows(numbers))
        places = {now: n * count for n, (now, _) in enumerate(pairwise(times))}

        def denoise(images: torch.Tensor, now: float) -> torch.Tensor:
            place = places[now]
            repeated = images.repeat(len(weights), 1, 1, 1)
            with on_one_core():
                clean = self._network.denoise(repeated, prepared.rows(slice(place, place + count)))
            parts = clean.float().chunk(len(weights))
            return sum((w * part for w, part in zip(weights, parts, strict=True)), 0 * images)

        return Sampler(times, denoise, second_order=False)


def distilled_guidance(both: Conditioning, scale: float) -> tuple[Conditioning, tuple[float, ...]]:
    """Return rows of conditioning and the weights with which their clips have a guidance ``scale``.

    ``both`` has rows with prompts, and as many with negative prompts or without any; so many rows
    belong to each weight. Weights of a network
    that was distilled at scale w give S(c) = f + w (c - f) for a conditioning c, where f is
    without prompt and controls. So n + g (c - n), which leads from a negative prompt n to c at
    scale g, is (g S(c) + (1 - g) S(n) + (w - 1) f) / w, and f is S(f).
    """
    distilled = DEFAULT_GUIDANCE
    parts: tuple[Conditioning, ...]
    weights: tuple[float, ...]
    size = len(both.text) // 2
    prompted, negative = (both.rows(torch.arange(n * size, (n + 1) * size)) for n in (0, 1))
    if bool(negative.text_known.any()):
        parts = (prompted, negative, prompted.unguided())
        weights = (scale / distilled, (1 - scale) / distilled, (distilled - 1) / distilled)
    else:
        parts = (prompted, negative)
        weights = (scale / distilled, (distilled - scale) / distilled)
    # A weight of zero costs an evaluation for nothing.
    kept = [(part, weight) for part, weight in zip(parts, weights, strict=True) if weight]
    rows = kept[0][0]
    for part, _ in kept[1:]:
        rows = rows.joined(part)
    return rows, tuple(weight for _, weight in kept)
