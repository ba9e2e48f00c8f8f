"""Fast Griffin-Lim of frames as they come: what ``improve_phases`` does to a whole.

Each iteration needs the frames that share samples with its own, so it waits for those, and runs
about a window behind the one before it. Nothing is computed twice and nothing old is kept.
"""

from __future__ import annotations

import torch

from riffusion.phase import with_magnitude
from riffusion.stft import TINY, Stft


class FlowingGriffinLim:
    """``iterations`` of fast Griffin-Lim of one channel, then its sound in any number of them."""

    def __init__(self, stft: Stft, iterations: int, momentum: float) -> None:
        self._passes = [_Pass(stft, momentum) for _ in range(iterations)]
        self._placing = _Waiting()
        self._sound = _Sound(stft)

    def __call__(
        self, magnitudes: torch.Tensor, estimate: torch.Tensor, placing: torch.Tensor, last: bool
    ) -> torch.Tensor:
        """The samples (channels, n) that are settled by these further frames: ``magnitudes`` and a
        complex ``estimate`` (1, frames, bins), and ``placing`` (channels, frames, bins), the
        factors of the channels. All that remain where they are the ``last``."""
        self._placing.add(placing)
        spectrum, before = estimate, torch.zeros_like(estimate)
        for one in self._passes:
            spectrum, before, magnitudes = one(spectrum, before, magnitudes, last)
        return self._sound(spectrum * self._placing.take(spectrum.shape[1]), last)


class _Pass:
    """One iteration: a spectrum by way of its sound, with its magnitudes put back."""

    def __init__(self, stft: Stft, momentum: float) -> None:
        self._stft, self._inertia = stft, momentum / (1 + momentum)
        self._sound = _Sound(stft)
        self._samples = torch.zeros(1, 0)
        self._before, self._magnitudes = _Waiting(), _Waiting()

    def __call__(
        self, spectrum: torch.Tensor, before: torch.Tensor, magnitudes: torch.Tensor, last: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Fewer frames than came, or more at the last: the spectrum, what it was rebuilt as, which
        the next iteration leads away from, and its magnitudes."""
        self._before.add(before)
        self._magnitudes.add(magnitudes)
        rebuilt = self._rebuilt(spectrum, last)
        count = rebuilt.shape[1]
        aim = torch.sub(rebuilt, self._before.take(count), alpha=self._inertia)
        wanted = self._magnitudes.take(count)
        now = self._stft.silence(aim)[..., : self._stft.bins]
        return with_magnitude(wanted, aim, out=now), rebuilt, wanted

    def _rebuilt(self, spectrum: torch.Tensor, last: bool) -> torch.Tensor:
        length, hop = len(self._stft.window), self._stft.hop
        samples = torch.cat([self._samples, self._sound(spectrum, last)], 1)
        count = max(0, (samples.shape[1] - length) // hop + 1)
        self._samples = samples[:, count * hop :].clone()
        if not count:
            return spectrum[:, :0]
        return self._stft.to_frames(samples[:, : (count - 1) * hop + length])


class _Sound:
    """``Stft.to_sound`` of frames as they come: the samples that no later frame shares."""

    def __init__(self, stft: Stft) -> None:
        self._stft = stft
        self._shared: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, spectrum: torch.Tensor, last: bool) -> torch.Tensor:
        stft, frames = self._stft, spectrum.shape[1]
        if not frames and not last:
            return torch.zeros(len(spectrum), 0)
        sound, weight = stft.windowed(spectrum), stft.squared(frames)
        if self._shared is not None:
            for part, shared in zip((sound, weight), self._shared, strict=True):
                part[:, : shared.shape[1]] += shared
        done = sound.shape[1] if last else frames * stft.hop
        self._shared = sound[:, done:].clone(), weight[:, done:].clone()
        return sound[:, :done].div_(weight[:, :done].clamp_min_(TINY))


class _Waiting:
    """Frames (channels, n, bins) that wait for those that come after them."""

    def __init__(self) -> None:
        self._frames = torch.empty(0)  # which goes with frames of any shape

    def add(self, frames: torch.Tensor) -> None:
        self._frames = torch.cat([self._frames, frames], 1)

    def take(self, count: int) -> torch.Tensor:
        taken, self._frames = self._frames[:, :count], self._frames[:, count:]
        return taken
