"""Fast Griffin-Lim over frames as they arrive: ``improve_phases`` of a stream.

An iteration needs the frames that share samples with its own, so each runs a step and a few frames
behind the iteration before it. All iterations take their steps at once, as one batch: nothing is
computed twice, nothing old is kept, and short steps cost no more than long ones.
"""

from __future__ import annotations

from collections import deque

import torch

from riffusion.spectral.phases import with_magnitude
from riffusion.spectral.stft import TINY, Stft, power

STEP_FRAMES = 32


class StreamingGriffinLim:
    """Iterations of the mid signal, then of each channel by itself, then the samples."""

    def __init__(
        self, stft: Stft, channels: int, iterations: tuple[int, int], momentum: float
    ) -> None:
        self._stft = stft
        self._mid = _Iterations(stft, 1, iterations[0], momentum)
        self._apart = _Iterations(stft, channels, iterations[1], momentum)
        self._sounds = _Sounds(stft, 1, channels)
        early = torch.zeros(channels, self._mid.delay, stft.bins, dtype=torch.complex64)
        self._waiting, self._gains = _Waiting(early[:1, :0]), _Waiting(early)
        self._frames = 0
        # The position of the next sample; the first ones lie before the sound.
        self._place = -(self._mid.delay + self._apart.delay) * stft.hop

    def __call__(self, mid: torch.Tensor, channel_gains: torch.Tensor, last: bool) -> torch.Tensor:
        """Return the samples (channels, n) that are final after these further frames.

        ``mid`` (1, frames, bins) are complex spectra whose magnitudes stay; ``channel_gains``
        (channels, frames, bins) are the complex factors of the channels. With ``last`` all samples
        that remain are returned.
        """
        self._frames += mid.shape[1]
        self._waiting.add(mid)
        self._gains.add(channel_gains)
        start, hop = self._place, self._stft.hop
        end = (self._frames - 1) * hop + len(self._stft.window)
        sound = [torch.zeros(len(channel_gains), 0)]
        while self._waiting.frames >= STEP_FRAMES or (last and self._place < end):
            sound.append(self._step())
            self._place += STEP_FRAMES * hop
        return torch.cat(sound, 1)[:, max(0, -start) : max(0, end - start) if last else None]

    def _step(self) -> torch.Tensor:
        """Advance by ``STEP_FRAMES`` frames; past the end these are silent and do not count."""
        mid, counted = self._mid(*self._waiting.step())
        channel_gains, _ = self._gains.step()
        channels, counted = self._apart(mid * channel_gains, counted)
        return self._sounds(channels[None], counted[None])[0]


class _Iterations:
    """Iterations of some channels.

    Tensors are (iterations, channels, frames, ...) with the last iteration first: so the history of
    magnitudes, cut into rows as long as a step and its lag, has a row for each iteration.
    """

    def __init__(self, stft: Stft, channels: int, iterations: int, momentum: float) -> None:
        self._stft, self._inertia = stft, momentum / (1 + momentum)
        self._lag = -(-len(stft.window) // stft.hop) - 1  # frames that need the frames after them
        self._rows = (iterations, STEP_FRAMES + self._lag)
        history = self._rows[0] * self._rows[1]
        self.delay = max(0, history - STEP_FRAMES)  # of the output, in frames
        self._magnitudes = torch.zeros(channels, history, stft.bins)
        self._counted = torch.zeros(history)
        # The input of each iteration, after the output of the last one.
        self._spectra = stft.silence(torch.empty(iterations + 1, channels, STEP_FRAMES, 0))
        step = (iterations, channels, STEP_FRAMES, stft.bins)
        self._rebuilt = torch.zeros(step, dtype=torch.complex64)  # one step ago
        self._earlier = self._rebuilt[:, :, : self._lag].clone()  # the step before that one
        self._samples = torch.zeros(iterations, channels, self._lag * stft.hop)
        self._sounds = _Sounds(stft, iterations, channels)

    def __call__(
        self, estimate: torch.Tensor, counted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take ``STEP_FRAMES`` further spectra and return as many finished ones of earlier frames.

        Spectra are (channels, frames, bins). ``counted`` (frames,) is 1 for frames that count, and
        is returned for the finished ones.
        """
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
        """Return ``rebuilt`` less the inertia times what the iterations before it rebuilt."""
        aim, lag = rebuilt.clone(), self._lag
        aim[:-1, :, :lag].sub_(self._earlier[1:], alpha=self._inertia)
        aim[:-1, :, lag:].sub_(self._rebuilt[1:, :, :-lag], alpha=self._inertia)
        self._earlier, self._rebuilt = self._rebuilt[:, :, -lag:].clone(), rebuilt
        return aim


class _Sounds:
    """``Stft.to_sound`` of frames as they arrive: the samples that no later frame shares."""

    def __init__(self, stft: Stft, rows: int, channels: int) -> None:
        self._stft = stft
        shared = len(stft.window) - stft.hop
        self._sounds, self._weights = torch.zeros(rows, channels, shared), torch.zeros(rows, shared)
        self._divisor = torch.empty(0)
        self._alike = 0  # consecutive steps in which all frames counted

    def __call__(self, spectra: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        """Return samples (rows, channels, n) of spectra (rows, channels, frames, bins).

        Frames that are 0 in ``counted`` (rows, frames) do not count.
        """
        stft = self._stft
        sounds = stft.windowed(spectra.flatten(0, 1)).view(*spectra.shape[:2], -1)
        done = spectra.shape[2] * stft.hop
        self._alike = self._alike + 1 if counted.all() else 0
        if self._alike <= 2:  # after that, the weights stay the same
            weights = _overlapped(stft.squared(counted), self._weights, done)
            self._divisor = weights.clamp_min(TINY)[:, None]
        return _overlapped(sounds, self._sounds, done).div_(self._divisor)


def _overlapped(now: torch.Tensor, before: torch.Tensor, done: int) -> torch.Tensor:
    """Return the first ``done`` samples of ``now``, with the overlap of ``before`` added.

    Afterwards ``before`` holds the rest of ``now``.
    """
    now[..., : before.shape[-1]] += before
    before.copy_(now[..., done:])
    return now[..., :done]


class _Waiting:
    """A queue of frames (channels, n, bins) that wait for their step."""

    def __init__(self, first: torch.Tensor) -> None:
        self._parts, self._none = deque([first]), first[:, :0]
        self.frames = first.shape[1]

    def add(self, part: torch.Tensor) -> None:
        """Append ``part`` at the end."""
        self._parts.append(part)
        self.frames += part.shape[1]

    def step(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``STEP_FRAMES`` frames, silent past the end, and 1 for those that count."""
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
