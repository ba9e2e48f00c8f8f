"""CLIP embeddings of prompts, with weights in brackets and of any length."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F

from riffusion.engines.blending import blend_prompts
from riffusion.engines.clip import ClipRequest
from riffusion.errors import InvalidInput

EMPHASIS = 1.1
MAX_WEIGHT = 10.0
CACHE_SIZE = 256

TOKEN = re.compile(
    r"""\\ (?P<escaped> [()\[\]\\])
    | : \s* (?P<weight> [+-]? (?: \d+ (?:\.\d*)? | \.\d+)) \s* (?P<closed> \))
    | (?P<bracket> [()\[\]])
    | (?P<text> [^\\:()\[\]]+ | [\\:])""",
    re.VERBOSE,
)


def parse_weights(prompt: str) -> list[tuple[str, float]]:
    """Split a prompt into (text, weight) pieces.

    ``(x)`` weighs 1.1, ``[x]`` 1 / 1.1 and ``(x:1.5)`` 1.5. Brackets nest and multiply; a
    backslash makes a bracket a letter. A bracket that is never closed reaches to the end, and one
    that was never opened is a letter. Raises InvalidInput for weights over 10.
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
            hint = f"{text!r} has too much of it; use at most {MAX_WEIGHT:g}"
            raise InvalidInput("prompt weight", weight, hint)
    return _join(pieces)


def _join(pieces: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Join neighbouring pieces of equal weight."""
    joined: list[tuple[str, float]] = []
    for text, weight in pieces:
        if joined and joined[-1][1] == weight:
            joined[-1] = (joined[-1][0] + text, weight)
        else:
            joined.append((text, weight))
    return joined


class WeightedPromptEncoder:
    """A CLIP text encoder for weighted prompts of any length.

    Prompts beyond 75 tokens are encoded in chunks of 75, each between a start and an end token.
    ``embed(prompt)`` returns the embedding, float32 (1, tokens, width) on ``device``; the last 256
    are cached.
    """

    def __init__(self, tokenizer: Any, encoder: Any, device: torch.device) -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._device = device
        self._chunk_size = tokenizer.model_max_length - 2
        # The cache is the instance's, so that it is freed with the engine.
        self.embed = lru_cache(CACHE_SIZE)(self._embed)

    def encode_walk(self, request: ClipRequest) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the negative and the positive embedding of a request, its prompts blended.

        Both are (1, tokens, width) of one length: shorter prompts are filled up with empty chunks.
        """
        prompts = (request.start, request.end, *(other.prompt for other in request.others))
        texts = {text for prompt in prompts for text in (prompt.negative, prompt.text)}
        longest = max(self.embed(text).shape[1] for text in texts)
        negative = blend_prompts(request, lambda p: self._fill(self.embed(p.negative), longest))
        positive = blend_prompts(request, lambda p: self._fill(self.embed(p.text), longest))
        return negative, positive

    def _fill(self, embedding: torch.Tensor, tokens: int) -> torch.Tensor:
        """Append empty chunks up to ``tokens`` tokens."""
        empty = self.embed("")
        missing = (tokens - embedding.shape[1]) // empty.shape[1]
        return torch.cat([embedding, *[empty] * missing], dim=1)

    def _embed(self, prompt: str) -> torch.Tensor:
        """Return the embedding of a weighted prompt, float32 (1, 77 chunks, width)."""
        pieces = [(self._tokenize(text), weight) for text, weight in parse_weights(prompt)]
        tokens = list(chain.from_iterable(ids for ids, _ in pieces))
        weights = list(chain.from_iterable([weight] * len(ids) for ids, weight in pieces))
        chunks = max(1, math.ceil(len(tokens) / self._chunk_size))
        ids = torch.stack([self._chunk(tokens, at) for at in range(chunks)])
        plain: torch.Tensor = self._encoder(ids.to(self._device))[0].float().flatten(0, 1)[None]
        if all(weight == 1 for weight in weights):
            return plain
        missing = chunks * self._chunk_size - len(weights)
        filled = torch.tensor(weights + [1.0] * missing).reshape(chunks, self._chunk_size)
        scale = F.pad(filled, (1, 1), value=1.0).reshape(1, -1, 1).to(self._device)
        # The mean is kept, because a shifted mean would change every other word too.
        emphasised: torch.Tensor = plain * scale
        mean = emphasised.mean()
        if mean.abs() <= torch.finfo(mean.dtype).eps * emphasised.abs().mean():
            return emphasised  # the mean is rounding errors or 0, and no factor restores it
        return emphasised * (plain.mean() / mean)

    def _tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text without start and end."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def _chunk(self, tokens: list[int], number: int) -> torch.Tensor:
        """Return start token, tokens of chunk ``number``, end token and padding, int64 (77,)."""
        own = tokens[number * self._chunk_size : (number + 1) * self._chunk_size]
        kind = self._tokenizer
        padding = [kind.pad_token_id] * (self._chunk_size - len(own))
        return torch.tensor([kind.bos_token_id, *own, kind.eos_token_id, *padding])
