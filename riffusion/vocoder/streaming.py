"""Fast Griffin-Lim of frames as they come: what ``improve_phases`` does to a whole.

An iteration needs the frames that share samples with its own, so each runs a step behind the one
before it, and a few frames more. All iterations take their steps at once, as one batch: nothing is
computed twice, nothing old is kept, and short steps cost no more than long ones.
"""

from __future__ import annotations

from collections import deque

import torch

from riffusion.spectral.griffin_lim import with_magnitude
from riffusion.spectral.stft import TINY, Stft, power

STEP_FRAMES = 32


class StreamingGriffinLim:
    """Iterations of the middle, then of each channel by itself, then the sound."""

    def __init__(
        self, stft: Stft, channels: int, iterations: tuple[int, int], momentum: float
    ) -> None:
        self._stft = stft
        self._middle = _Iterations(stft, 1, iterations[0], momentum)
        self._apart = _Iterations(stft, channels, iterations[1], momentum)
        self._sounds = _Sounds(stft, 1, channels)
        early = torch.zeros(channels, self._middle.delay, stft.bins, dtype=torch.complex64)
        self._coming, self._placing = _Waiting(early[:1, :0]), _Waiting(early)
        self._frames = 0
        # Of the next sample: they begin before the first one.
        self._place = -(self._middle.delay + self._apart.delay) * stft.hop

    def __call__(self, middle: torch.Tensor, placing: torch.Tensor, last: bool) -> torch.Tensor:
        """The samples (channels, n) that are settled by these further frames: complex spectra
        ``middle`` (1, frames, bins), whose magnitudes stay, and ``placing`` (channels, frames,
        bins), the factors of the channels. All that remain where they are the ``last``."""
        self._frames += middle.shape[1]
        self._coming.add(middle)
        self._placing.add(placing)
        start, hop = self._place, self._stft.hop
        end = (self._frames - 1) * hop + len(self._stft.window)
        sound = [torch.zeros(len(placing), 0)]
        while self._coming.frames >= STEP_FRAMES or (last and self._place < end):
            sound.append(self._step())
            self._place += STEP_FRAMES * hop
        return torch.cat(sound, 1)[:, max(0, -start) : max(0, end - start) if last else None]

    def _step(self) -> torch.Tensor:
        """``STEP_FRAMES`` frames further, past the end by silent ones that do not count."""
        middle, counted = self._middle(*self._coming.step())
        placing, _ = self._placing.step()
        channels, counted = self._apart(middle * placing, counted)
        return self._sounds(channels[None], counted[None])[0]


class _Iterations:
    """Iterations of some channels. Tensors are (iterations, channels, frames, ...), the last
    iteration first: so the history of magnitudes, cut into rows as long as a step and its lag, has
    a row for each of them."""

    def __init__(self, stft: Stft, channels: int, iterations: int, momentum: float) -> None:
        self._stft, self._inertia = stft, momentum / (1 + momentum)
        self._lag = -(-len(stft.window) // stft.hop) - 1  # frames that wait for those after them
        self._rows = (iterations, STEP_FRAMES + self._lag)
        history = self._rows[0] * self._rows[1]
        self.delay = max(0, history - STEP_FRAMES)  # of what comes out, in frames
        self._magnitudes = torch.zeros(channels, history, stft.bins)
        self._counted = torch.zeros(history)
        # What each iteration begins with, and first what the last one leads to.
        self._spectra = stft.silence(torch.empty(iterations + 1, channels, STEP_FRAMES, 0))
        step = (iterations, channels, STEP_FRAMES, stft.bins)
        self._rebuilt = torch.zeros(step, dtype=torch.complex64)  # a step ago
        self._earlier = self._rebuilt[:, :, : self._lag].clone()  # and before that
        self._samples = torch.zeros(iterations, channels, self._lag * stft.hop)
        self._sounds = _Sounds(stft, iterations, channels)

    def __call__(
        self, estimate: torch.Tensor, counted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``STEP_FRAMES`` further spectra (channels, frames, bins) to as many of earlier ones, and
        which of them count, (frames,)."""
        stft, bins = self._stft, self._stft.bins
        if not self._rows[0]:
            return estimate, counted
        self._spectra[-1, ..., :bins] = estimate
        counting = self._counted.view(self._rows)[1:, :STEP_FRAMES]
        sounds = self._sounds(self._spectra[1:], torch.cat([counting, counted[None]]))
        samples = torch.cat([self._samples, sounds], -1)
        self._samples = samples[..., STEP_FRAMES * stft.hop :]
        rebuilt = stft.to_frames(samples)
        aim = self._less_before(rebuilt)
        size = power(estimate).sqrt_()
        self._magnitudes = torch.cat([self._magnitudes[:, STEP_FRAMES:], size], 1)
        self._counted = torch.cat([self._counted[STEP_FRAMES:], counted])
        rows = self._magnitudes.view(len(size), *self._rows, bins)
        wanted = rows[:, :, :STEP_FRAMES].transpose(0, 1)
        with_magnitude(wanted, aim, out=self._spectra[:-1, ..., :bins])
        return self._spectra[0, ..., :bins], self._counted[:STEP_FRAMES]

    def _less_before(self, rebuilt: torch.Tensor) -> torch.Tensor:
        """``rebuilt`` less ``inertia`` times what the iterations before rebuilt of these frames."""
        aim, lag = rebuilt.clone(), self._lag
        aim[:-1, :, :lag].sub_(self._earlier[1:], alpha=self._inertia)
        aim[:-1, :, lag:].sub_(self._rebuilt[1:, :, :-lag], alpha=self._inertia)
        self._earlier, self._rebuilt = self._rebuilt[:, :, -lag:].clone(), rebuilt
        return aim


class _Sounds:
    """``Stft.to_sound`` of frames as they come: the samples that no later frame shares."""

    def __init__(self, stft: Stft, rows: int, channels: int) -> None:
        self._stft = stft
        shared = len(stft.window) - stft.hop
        self._sounds, self._weights = torch.zeros(rows, channels, shared), torch.zeros(rows, shared)
        self._divisor = torch.empty(0)
        self._alike = 0  # steps in which all frames counted

    def __call__(self, spectra: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        """(rows, channels, n) samples of the spectra (rows, channels, frames, bins), of which those
        do not count that are 0 in ``counted`` (rows, frames)."""
        stft = self._stft
        sounds = stft.windowed(spectra.flatten(0, 1)).view(*spectra.shape[:2], -1)
        done = spectra.shape[2] * stft.hop
        self._alike = self._alike + 1 if counted.all() else 0
        if self._alike <= 2:  # after that, they are the same again
            weights = _going_on(stft.squared(counted), self._weights, done)
            self._divisor = weights.clamp_min(TINY)[:, None]
        return _going_on(sounds, self._sounds, done).div_(self._divisor)


def _going_on(now: torch.Tensor, before: torch.Tensor, done: int) -> torch.Tensor:
    """The first ``done`` samples, those that it shares with what was ``before`` added up, which
    then holds the rest."""
    now[..., : before.shape[-1]] += before
    before.copy_(now[..., done:])
    return now[..., :done]


class _Waiting:
    """Frames (channels, n, bins) that wait for their step."""

    def __init__(self, first: torch.Tensor) -> None:
        self._parts, self._none = deque([first]), first[:, :0]
        self.frames = first.shape[1]

    def add(self, part: torch.Tensor) -> None:
        """To the end."""
        self._parts.append(part)
        self.frames += part.shape[1]

    def step(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The next ``STEP_FRAMES``, past the end silent ones, and 1 for those that count."""
        taken, missing = [self._none], STEP_FRAMES
        while self._parts and missing:
            part = self._parts.popleft()
            if part.shape[1] > missing:
                self._parts.appendleft(part[:, missing:])
            taken.append(part[:, :missing])
            missing -= taken[-1].shape[1]
        self.frames -= STEP_FRAMES - missing
        counted = torch.ones(STEP_FRAMES)
        counted[STEP_FRAMES - missing :] = 0
        return torch.nn.functional.pad(torch.cat(taken, 1), (0, 0, 0, missing)), counted
