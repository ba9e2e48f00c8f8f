"""Fixtures shared by the whole suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch

from riffusion.engines.loading import load_engine
from riffusion.engines.protocol import Engine
from riffusion.serving.server import Serving, serve
from tests.ports import unused_port


def save_tiny_model(folder: Path, channels: int) -> Path:
    """Save a model folder of the shipped kind with a tiny network and random weights."""
    from riffusion.engines.compact.network import SpectrogramTransformer
    from riffusion.networks.weights import write_network

    torch.manual_seed(0)
    network = SpectrogramTransformer(
        channels=channels, width=32, depth=1, heads=2, bottleneck=16, mean=-2.0, std=1.0
    )
    # These weights start at zero, with which every clip would be the same grey.
    for layer in (network.draw, network.modulation, network.last_modulation):
        torch.nn.init.normal_(layer.weight, std=0.2)
    write_network(network, folder, exact=True)
    return folder


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the shipped kind with a tiny network and random weights."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny", channels=1)


@pytest.fixture(scope="session")
def tiny_engine(tiny_model_folder: Path) -> Engine:
    """A real engine that is a thousand times smaller and takes milliseconds for a clip."""
    return load_engine(str(tiny_model_folder), "cpu")


@pytest.fixture(scope="session")
def tiny_stereo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder like ``tiny_model_folder`` with two channels, left and right."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny-stereo", channels=2)


@pytest.fixture(scope="session")
def tiny_stereo_engine(tiny_stereo_folder: Path) -> Engine:
    """A real engine of ``tiny_stereo_folder``."""
    return load_engine(str(tiny_stereo_folder), "cpu")


@pytest.fixture(scope="session")
def tiny_stable_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion checkpoint in diffusers format, tiny, with random weights."""
    from tests.tiny_stable import save_tiny_stable

    folder = tmp_path_factory.mktemp("models") / "tiny-stable"
    save_tiny_stable(folder)
    return folder


@pytest.fixture(scope="module")
def serving(tiny_engine: Engine) -> Iterator[Serving]:
    """The page and the API on loopback."""
    with serve(tiny_engine, port=unused_port()) as running:
        yield running


@pytest.fixture
def client(serving: Serving) -> Iterator[httpx.Client]:
    """A client of that server, or of the one that a file of tests starts for itself."""
    with httpx.Client(base_url=serving.url, timeout=120) as client:
        yield client
