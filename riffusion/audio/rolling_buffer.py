"""RollingBuffer: the recent part of an endless signal, addressed by absolute position."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


class RollingBuffer:
    """A growing float32 array whose last axis has absolute positions and whose past is dropped.

    Positions are samples or frames.
    """

    def __init__(self, empty: Array) -> None:
        self._start = 0
        self._data = empty

    @property
    def start(self) -> int:
        """The oldest position that is kept."""
        return self._start

    @property
    def stop(self) -> int:
        """One past the newest position."""
        return self._start + int(self._data.shape[-1])

    def append(self, data: Array) -> None:
        """Add ``data`` after the newest position."""
        self._data = np.concatenate([self._data, data], axis=-1)

    def read(self, start: int, stop: int) -> Array:
        """Return a copy of positions ``start`` to ``stop``. Raises IndexError if one is gone."""
        if not self._start <= start <= stop <= self.stop:
            raise IndexError(f"{start} to {stop} is not within {self._start} to {self.stop}")
        return self._data[..., start - self._start : stop - self._start].copy()

    def cut(self, stop: int) -> None:
        """Drop everything from ``stop`` on."""
        self._data = self._data[..., : max(0, stop - self._start)]

    def forget(self, before: int) -> None:
        """Drop everything before ``before``, and its memory."""
        if before > self._start:
            self._data = self._data[..., before - self._start :].copy()
            self._start = before
