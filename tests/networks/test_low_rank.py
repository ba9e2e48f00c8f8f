"""Low-rank changes of weights: what is stored is the nearest change of its rank."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from riffusion.errors import ModelError
from riffusion.networks.int8 import Int8Linear
from riffusion.networks.low_rank import (
    apply_change,
    load_change,
    read_change,
    save_change,
    train_low_rank,
    write_change,
)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(24, 40), nn.LayerNorm(40), nn.Linear(40, 12))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), rank=st.integers(1, 8))
def test_a_trained_change_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rank: int
) -> None:
    path = tmp_path_factory.mktemp("change") / "change.safetensors"
    before, student, again = network(), network(), network()
    train_low_rank(student, rank)
    torch.manual_seed(seed)
    with torch.no_grad():
        for value in student.parameters():
            if value.requires_grad:
                value.add_(0.1 * torch.randn(value.shape))
    change = read_change(student, before)
    save_change(change, path)
    apply_change(again, load_change(path))
    x = torch.randn(5, 24)
    with torch.no_grad():
        torch.testing.assert_close(again(x), student(x), atol=0.02, rtol=0.02)
        assert (again(x) - before(x)).abs().max() > 0.1
    resumed = network()
    train_low_rank(resumed, rank)
    write_change(resumed, change)
    with torch.no_grad():
        torch.testing.assert_close(resumed(x), student(x))


def test_large_matrices_change_by_products_alone() -> None:
    student = network()
    train_low_rank(student, 4)
    trained = sum(value.numel() for value in student.parameters() if value.requires_grad)
    assert trained == 4 * (24 + 40) + 4 * (40 + 12) + 40 + 2 * 40 + 12


def test_a_change_of_other_shapes_is_refused() -> None:
    student = network()
    train_low_rank(student, 4)
    change = read_change(student, network())
    with pytest.raises(ModelError, match="another network"):
        apply_change(nn.Sequential(nn.Linear(3, 3)), change)
    other = network()
    train_low_rank(other, 5)
    with pytest.raises(ModelError, match="rank"):
        write_change(other, change)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        load_change(tmp_path / "none.safetensors")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), loud=st.floats(1e-3, 1e3), bias=st.booleans())
def test_products_in_eight_bits_are_near(seed: int, loud: float, bias: bool) -> None:
    torch.manual_seed(seed)
    linear = nn.Linear(64, 48, bias=bias)
    x = loud * torch.randn(2, 10, 64)
    with torch.inference_mode():
        wanted, found = linear(x), Int8Linear(linear)(x)
        again = Int8Linear(linear)(x)
    assert found.shape == wanted.shape
    assert (found - wanted).square().mean().sqrt() < 0.03 * wanted.std()
    assert torch.equal(found, again)
