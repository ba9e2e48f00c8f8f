"""Prompts to what a Stable Diffusion UNet listens to: CLIP, with weights and beyond 77 tokens."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F

from riffusion.engines.clip import ClipRequest
from riffusion.errors import InvalidInput
from riffusion.music.walk import lerp

EMPHASIS = 1.1
MAX_WEIGHT = 10.0
REMEMBERED = 256

TOKEN = re.compile(
    r"""\\ (?P<escaped> [()\[\]\\])
    | : \s* (?P<weight> [+-]? (?: \d+ (?:\.\d*)? | \.\d+)) \s* (?P<closed> \))
    | (?P<bracket> [()\[\]])
    | (?P<text> [^\\:()\[\]]+ | [\\:])""",
    re.VERBOSE,
)


def weighted_pieces(prompt: str) -> list[tuple[str, float]]:
    """Pieces of a prompt with their weights: ``(x)`` 1.1, ``[x]`` 1 / 1.1, ``(x:1.5)`` 1.5.

    Brackets nest and multiply; a backslash makes one a letter. One that is never closed reaches
    to the end, one that was never opened is a letter. Raises InvalidInput for weights over 10.
    """
    pieces: list[tuple[str, float]] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def weigh(start: int, factor: float) -> None:
        pieces[start:] = [(text, weight * factor) for text, weight in pieces[start:]]

    for match in TOKEN.finditer(prompt):
        bracket, weight = match["bracket"], match["weight"]
        if bracket in opened:
            opened[bracket].append(len(pieces))
        elif weight and opened["("]:
            weigh(opened["("].pop(), float(weight))
        elif bracket == ")" and opened["("]:
            weigh(opened["("].pop(), EMPHASIS)
        elif bracket == "]" and opened["["]:
            weigh(opened["["].pop(), 1 / EMPHASIS)
        else:
            pieces.append((match["escaped"] or match[0], 1.0))
    for start in opened["("]:
        weigh(start, EMPHASIS)
    for start in opened["["]:
        weigh(start, 1 / EMPHASIS)
    for text, weight in pieces:
        if not abs(weight) <= MAX_WEIGHT:
            legal = f"{text!r} has too much of it; use at most {MAX_WEIGHT:g}"
            raise InvalidInput("prompt weight", weight, legal)
    return _joined(pieces)


def _joined(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The same with neighbours of equal weight put together."""
    joined: list[tuple[str, float]] = []
    for text, weight in pieces:
        if joined and joined[-1][1] == weight:
            joined[-1] = (joined[-1][0] + text, weight)
        else:
            joined.append((text, weight))
    return joined


class StableText:
    """CLIP embeddings of prompts, each computed once. float32 (1, tokens, width) on ``device``.

    Prompts beyond 75 tokens are read in pieces of 75, each between a start and an end token; the
    shorter of two prompts is filled up with empty pieces.
    """

    def __init__(self, tokenizer: Any, encoder: Any, device: torch.device) -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._device = device
        self._room = tokenizer.model_max_length - 2
        # On the instance, so that what is remembered goes when the engine goes.
        self.embed = lru_cache(REMEMBERED)(self._embed)

    def walked(self, request: ClipRequest) -> tuple[torch.Tensor, torch.Tensor]:
        """What guidance leads away from, and what it leads to, of one length."""
        ends = (request.start, request.end)
        texts = [end.negative for end in ends] + [end.text for end in ends]
        embeddings = [self.embed(text) for text in texts]
        longest = max(embedding.shape[1] for embedding in embeddings)
        filled = [self._filled(embedding, longest) for embedding in embeddings]
        not_a, not_b, a, b = filled
        return lerp(not_a, not_b, request.alpha), lerp(a, b, request.alpha)

    def _filled(self, embedding: torch.Tensor, tokens: int) -> torch.Tensor:
        empty = self.embed("")
        missing = (tokens - embedding.shape[1]) // empty.shape[1]
        return torch.cat([embedding, *[empty] * missing], dim=1)

    def _embed(self, prompt: str) -> torch.Tensor:
        pieces = weighted_pieces(prompt)
        read = [self._tokens(text) for text, _ in pieces]
        tokens = list(chain.from_iterable(read))
        weights = list(
            chain.from_iterable(
                [weight] * len(ids) for ids, (_, weight) in zip(read, pieces, strict=True)
            )
        )
        chunks = max(1, math.ceil(len(tokens) / self._room))
        ids = torch.stack([self._chunk(tokens, at) for at in range(chunks)])
        plain: torch.Tensor = self._encoder(ids.to(self._device))[0].float().flatten(0, 1)[None]
        if all(weight == 1 for weight in weights):
            return plain
        missing = chunks * self._room - len(weights)
        filled = torch.tensor(weights + [1.0] * missing).reshape(chunks, self._room)
        scale = F.pad(filled, (1, 1), value=1.0).reshape(1, -1, 1).to(self._device)
        # The mean of the whole stays what it was, or weights would shift every other word too.
        emphasised: torch.Tensor = plain * scale
        mean = emphasised.mean()
        if mean.abs() <= torch.finfo(mean.dtype).eps * emphasised.abs().mean():
            return emphasised  # a mean of rounding errors, or none: no factor restores it
        return emphasised * (plain.mean() / mean)

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def _chunk(self, tokens: list[int], number: int) -> torch.Tensor:
        """Start, the tokens of this chunk, end, padding: (room + 2,)."""
        own = tokens[number * self._room : (number + 1) * self._room]
        kind = self._tokenizer
        padding = [kind.pad_token_id] * (self._room - len(own))
        return torch.tensor([kind.bos_token_id, *own, kind.eos_token_id, *padding])
