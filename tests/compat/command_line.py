"""Running commands in tests: a recording to work on, and what a refused command says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from riffusion.cli.main import main


def tones(path: Path, seconds: float) -> Path:
    rate = 22050
    time = np.arange(int(seconds * rate)) / rate
    sides = [0.3 * np.sin(2 * np.pi * hz * time) for hz in (440, 660)]
    soundfile.write(path, np.stack(sides, axis=1), rate)
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 2) -> str:
    assert main([str(argument) for argument in arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line
