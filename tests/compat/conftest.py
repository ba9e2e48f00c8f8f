"""Fixtures that the tests of the original's commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compat.command_line import tones


@pytest.fixture
def model(tiny_model_folder: Path) -> tuple[str, ...]:
    return ("--model", str(tiny_model_folder), "--device", "cpu")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A stereo recording of 1.5 s with a tone in each channel, at 22050 Hz."""
    return tones(tmp_path / "song.wav", 1.5)
