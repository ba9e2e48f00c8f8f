"""Overlapping patches cover an image, and added up they give it back."""

from __future__ import annotations

import pytest
import torch

from riffusion.engines.compact.patches import overlap_add, to_patches


def test_a_patch_is_its_own_frames_and_half_of_each_neighbour() -> None:
    image = torch.arange(1.0, 25).reshape(1, 24, 1)
    first, second, third = to_patches(image, patch=8, overlap=4)[0]
    assert first.tolist() == [0, 0, 0, 0, *range(1, 13)]
    assert second.tolist() == [*range(5, 21)]
    assert third.tolist() == [*range(13, 25), 0, 0, 0, 0]


def test_patches_put_together_are_twice_the_image() -> None:
    image = torch.randn(2, 64, 4)
    # Two tokens draw every frame, but for the half patches at the ends, which only one token sees.
    back = overlap_add(to_patches(image, 8, 4), 8, 4, height=4)
    assert torch.allclose(back[:, 4:-4], 2 * image[:, 4:-4])
    assert torch.allclose(back[:, :4], image[:, :4])
    assert torch.allclose(back[:, -4:], image[:, -4:])


def test_patches_without_overlap_are_the_image_again() -> None:
    image = torch.randn(2, 64, 4)
    assert torch.equal(overlap_add(to_patches(image, 8, 0), 8, 0, height=4), image)


@pytest.mark.parametrize("overlap", [0, 4])
def test_adding_up_is_the_adjoint_of_cutting(overlap: int) -> None:
    image, tokens = torch.randn(1, 32, 3), torch.randn(1, 4, (8 + 2 * overlap) * 3)
    cut = (to_patches(image, 8, overlap) * tokens).sum()
    added = (image * overlap_add(tokens, 8, overlap, height=3)).sum()
    assert torch.allclose(cut, added, atol=1e-4)
