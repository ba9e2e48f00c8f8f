"""Overlapping patches: the tokens of the shipped network, cut from an image and added up again.

A token owns ``patch`` frames and also spans ``overlap`` frames of each neighbour, so that token
boundaries leave no grid in the image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def to_patches(frames: torch.Tensor, patch: int, overlap: int) -> torch.Tensor:
    """Cut an image into overlapping patches.

    ``frames`` is (batch, frames, height). Returns (batch, tokens, (patch + 2 overlap) height),
    with zeros beyond both ends of the image.
    """
    padded = F.pad(frames, (0, 0, overlap, overlap))
    windows = padded.unfold(1, patch + 2 * overlap, patch)
    return windows.transpose(2, 3).flatten(2)


def overlap_add(tokens: torch.Tensor, patch: int, overlap: int, height: int) -> torch.Tensor:
    """Add overlapping patches up to an image: the adjoint of ``to_patches``.

    ``tokens`` is (batch, tokens, (patch + 2 overlap) height), and ``overlap`` is 0 or half of
    ``patch``. Returns (batch, frames, height).
    """
    if overlap == 0:
        return tokens.reshape(len(tokens), -1, height)
    batch, count, _ = tokens.shape
    first, second = tokens.view(batch, count, 2, patch, height).unbind(2)
    # With an overlap of half a patch on each side exactly two tokens draw a frame.
    summed = F.pad(first, (0, 0, 0, 0, 0, 1)) + F.pad(second, (0, 0, 0, 0, 1, 0))
    whole = summed.reshape(batch, (count + 1) * patch, height)
    return whole[:, overlap:-overlap]
