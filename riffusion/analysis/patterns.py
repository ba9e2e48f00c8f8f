"""The patterns of metre and key, fitted on the corpus by ``python -m riffusion train-analysis``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from riffusion.analysis.pitch import FloatArray
from riffusion.errors import ModelError

SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "analysis" / "patterns.safetensors"
STEPS = 12  # of a beat


@dataclass(frozen=True)
class Patterns:
    """Weights of what is heard in the bar, the pulse, the tempo and the key.

    ``three`` (curves, 36) and ``four`` (curves, 48) weigh the curves over a bar of three and four
    beats in twelfths of a beat; ``pulse`` (curves, harmonics) the strength of harmonics of the
    beat; ``tempo`` (2,) the logarithm of the tempo and its square; ``waltz`` (1,) is added for
    three beats. ``key`` (2, 48) weighs pitch classes from the tonic in major and minor, and
    ``mode`` (2,) is added for each.
    """

    three: FloatArray
    four: FloatArray
    pulse: FloatArray
    tempo: FloatArray
    waltz: FloatArray
    key: FloatArray
    mode: FloatArray

    def bar(self, beats: int) -> FloatArray:
        """Return the pattern of a bar, (curves, ``STEPS`` a beat).

        Those of other metres are a first beat and the mean of the other beats of four.
        """
        if beats == 3:
            return self.three
        if beats == 4:
            return self.four
        first, others = self.four[:, :STEPS], self.four[:, STEPS:]
        mean = others.reshape(len(others), -1, STEPS).mean(axis=1)
        return np.concatenate([first, *[mean] * (beats - 1)], axis=1)


@lru_cache(maxsize=2)
def load_patterns(path: Path = SHIPPED) -> Patterns:
    """Return the patterns in a file, by default those that come with the package.

    Raises ModelError where they are missing or damaged.
    """
    try:
        weights = load_file(path)
        return Patterns(**{f.name: weights[f.name].astype(float) for f in fields(Patterns)})
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelError(f"{path} is missing or damaged: install riffusion again") from error


def save_patterns(patterns: Patterns, path: Path) -> None:
    """Write patterns in single precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = asdict(patterns).items()
    save_file({name: np.ascontiguousarray(row, np.float32) for name, row in rows}, path)
