"""Networks on disk: small files, and almost the same numbers again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from hypothesis import given, settings
from hypothesis import strategies as st

from riffusion.networks.weights import read_network, write_network
from riffusion.vocoder.network import VocoderNetwork


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 100), loud=st.floats(1e-6, 1e3))
def test_a_network_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, seed: int, loud: float
) -> None:
    torch.manual_seed(seed)
    folder = tmp_path_factory.mktemp("network")
    network = VocoderNetwork(width=16, hidden=24, depth=2)
    with torch.no_grad():
        network.trunk.blocks[0].up.weight.mul_(loud)
        network.trunk.blocks[0].up.weight[3] = 0.0
    write_network(network, folder)
    again = read_network(VocoderNetwork, folder)
    written, read = network.state_dict(), again.state_dict()
    assert written.keys() == read.keys()
    for name, value in written.items():
        off = (value - read[name]).abs()
        if "blocks." in name and value.ndim == 2:  # half a step in eight bits
            assert (off <= value.abs().amax(1, keepdim=True) / 253).all()
        else:
            assert (off <= value.abs() / 1000 + 1e-6).all()


def test_a_small_file_is_what_it_is_for(tmp_path: Path) -> None:
    network = VocoderNetwork(width=64, hidden=128, depth=4)
    write_network(network, tmp_path)
    matrices = sum(
        value.numel()
        for name, value in network.state_dict().items()
        if "blocks." in name and value.ndim == 2
    )
    others = sum(value.numel() for value in network.state_dict().values()) - matrices
    size = (tmp_path / "diffusion_pytorch_model.safetensors").stat().st_size
    assert size < 1.1 * (matrices + 2 * others) + 10_000


def test_weights_are_read_exactly_as_they_were_written(tmp_path: Path) -> None:
    network = VocoderNetwork(width=8, hidden=8, depth=1)
    write_network(network, tmp_path, exact=True)
    again = read_network(VocoderNetwork, tmp_path)
    assert again.config == network.config
    assert torch.equal(network.draw.weight, again.draw.weight)


def test_what_diffusers_wrote_is_read_too(tmp_path: Path) -> None:
    network = VocoderNetwork(width=8, hidden=8, depth=1)

    class Reference(ModelMixin, ConfigMixin):  # type: ignore[misc]
        config_name = "config.json"

        @register_to_config  # type: ignore[untyped-decorator]
        def __init__(self, width: int, hidden: int, depth: int) -> None:
            super().__init__()
            self.trunk, self.draw = network.trunk, network.draw
            self.bass, self.draw_bass = network.bass, network.draw_bass

    Reference(width=8, hidden=8, depth=1).save_pretrained(tmp_path)
    again = read_network(VocoderNetwork, tmp_path)
    assert again.config == network.config
    assert torch.equal(network.draw.weight, again.draw.weight)


@pytest.mark.parametrize("content", ["", "[]", '{"wdith": 8}'])
def test_a_damaged_configuration_is_refused(tmp_path: Path, content: str) -> None:
    write_network(VocoderNetwork(width=8, hidden=8, depth=1), tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config|Expecting value"):
        read_network(VocoderNetwork, tmp_path)
