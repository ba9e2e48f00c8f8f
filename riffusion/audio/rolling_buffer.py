"""RollingBuffer: the recent part of an endless signal, addressed by absolute position."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

SPARE = 4  # one over the share of free space after what is kept


class RollingBuffer:
    """A growing float32 array whose last axis has absolute positions and whose past is dropped.

    Positions are samples or frames. What is kept is copied only when the space behind it is full.
    """

    def __init__(self, empty: Array) -> None:
        self._start = 0
        # What is kept is within ``_data``, from ``_first`` up to ``_end``.
        self._data = empty
        self._first = self._end = 0

    @property
    def start(self) -> int:
        """The oldest position that is kept."""
        return self._start

    @property
    def stop(self) -> int:
        """One past the newest position."""
        return self._start + self._end - self._first

    def append(self, data: Array) -> None:
        """Add ``data`` after the newest position."""
        end = self._end + data.shape[-1]
        if end > self._data.shape[-1]:
            kept = self._data[..., self._first : self._end]
            count = kept.shape[-1]
            space = count + max(data.shape[-1], count // SPARE)
            self._data = np.empty((*data.shape[:-1], space), np.float32)
            self._data[..., :count] = kept
            self._first, self._end, end = 0, count, count + data.shape[-1]
        self._data[..., self._end : end] = data
        self._end = end

    def read(self, start: int, stop: int) -> Array:
        """Return a copy of positions ``start`` to ``stop``. Raises IndexError if one is gone."""
        if not self._start <= start <= stop <= self.stop:
            raise IndexError(f"{start} to {stop} is not within {self._start} to {self.stop}")
        shift = self._first - self._start
        return self._data[..., start + shift : stop + shift].copy()

    def cut(self, stop: int) -> None:
        """Drop everything from ``stop`` on."""
        self._end = self._first + min(max(0, stop - self._start), self._end - self._first)

    def forget(self, before: int) -> None:
        """Drop everything before ``before``. Its memory is used again."""
        if before > self._start:
            self._first = min(self._first + before - self._start, self._end)
            self._start = before
