"""Fixtures of the tests of vocoders."""

from __future__ import annotations

import pytest
import torch

from riffusion.vocoder.network import VocoderNetwork


@pytest.fixture(scope="module")
def network() -> VocoderNetwork:
    """A tiny one with random weights, its answers as far from nothing as trained ones are."""
    torch.manual_seed(0)
    network = VocoderNetwork(width=16, hidden=16, depth=2)
    torch.nn.init.normal_(network.draw.weight, std=0.1)
    torch.nn.init.normal_(network.draw_bass.weight, std=0.1)
    return network
