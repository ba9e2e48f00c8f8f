"""Magnitudes to sound by the learned vocoder."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from riffusion.audio.waveform import Waveform
from riffusion.errors import InvalidInput, ModelError
from riffusion.networks.threads import sharing_cores
from riffusion.networks.weights import read_network
from riffusion.spectral.griffin_lim import Known, check_prefix, improve_phases, join, with_magnitude
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams, mel_bank
from riffusion.spectral.stft import Stft, power
from riffusion.vocoder.bands import BandsToBins
from riffusion.vocoder.network import VocoderNetwork, VocoderOutput
from riffusion.vocoder.recurrence import FAINTEST, Spectrum, unroll_phases
from riffusion.vocoder.stereo import fit, from_level, side_over_middle
from riffusion.vocoder.streaming import StreamingGriffinLim

T = TypeVar("T")
Iterations = tuple[int, int]  # of the middle, then of each channel by itself

ITERATIONS: Iterations = (6, 2)
MOMENTUM = 0.99
BLOCK_FRAMES, TILE_FRAMES = 64, 256
TINY = 1e-9
NOTHING = Known(torch.zeros(1, 0), 0)
# Of the advance above the fine bins, which the network does not tell.
COARSE_CERTAINTY = 0.3


@dataclass(frozen=True)
class Score:
    """What is to be played of some frames: the middle's magnitudes (frames, bins), the factors
    ``placing`` (channels, frames, bins) that make the channels of it, and the phasors of the steps
    of its phases, ``advance`` and ``slope`` (frames, bins)."""

    middle: torch.Tensor
    placing: torch.Tensor
    advance: Spectrum
    slope: Spectrum

    def pieces(self, frames: int) -> Iterator[Score]:
        """The same, ``frames`` at a time."""
        for start in range(0, len(self.middle), frames):
            some = slice(start, start + frames)
            steps = self.advance[some], self.slope[some]
            yield Score(self.middle[some], self.placing[:, some], *steps)

    def phased(self, before: Spectrum, heard: bool = False) -> PhasedFrames:
        """With phases that go on from ``before``: the spectrum of the frame before the first, or of
        the first itself, if that was ``heard``."""
        rest = slice(int(heard), None)
        sizes, steps = self.middle[rest].numpy(), (self.advance[rest], self.slope[rest])
        spectra = unroll_phases(sizes, *steps, before)
        if heard:
            spectra = np.concatenate([before[None], spectra])
        return PhasedFrames(spectra, self.placing)


@dataclass(frozen=True)
class PhasedFrames:
    """Frames with phases: the spectra (frames, bins) of the middle, and ``placing`` as in
    ``Score``."""

    spectra: Spectrum
    placing: torch.Tensor

    @classmethod
    def joined(cls, parts: Sequence[PhasedFrames]) -> PhasedFrames:
        """One after the other."""
        placing = torch.cat([part.placing for part in parts], 1)
        return cls(np.concatenate([part.spectra for part in parts]), placing)


class LearnedVocoder:
    """Implements ``riffusion.spectral.griffin_lim.Vocoder``. The same call gives the same bits.

    ``iterations`` of fast Griffin-Lim settle the phases that the network's steps lead to: of the
    middle, which both channels go on from, then of each by itself.
    """

    def __init__(
        self,
        network: VocoderNetwork,
        device: str = "cpu",
        *,
        iterations: Iterations = ITERATIONS,
    ) -> None:
        self._network = nn.Module.to(network, device, torch.float32).eval()
        self._device = torch.device(device)
        self._iterations = iterations
        self.params: SpectrogramParams = network.params
        self._stft = Stft(self.params)
        self._bank, self._spread = mel_bank(self.params), BandsToBins(network.spread.cpu())
        bins = torch.arange(network.bins)
        turns = bins * self.params.hop_length / self.params.n_fft % 1.0
        self._own_advance = torch.polar(torch.ones(network.bins), 2 * math.pi * turns)
        # Between phases at the centre of the window and those at its start.
        self._centre = (1 - 2 * (bins % 2)).float()

    @classmethod
    def load(
        cls, folder: Path, device: str = "cpu", *, iterations: Iterations = ITERATIONS
    ) -> LearnedVocoder:
        """Load a folder with config.json and safetensors weights. Raises ModelError."""
        try:
            network = read_network(VocoderNetwork, folder)
        except Exception as error:
            line = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ModelError(
                f"the vocoder in {folder} cannot be loaded: {line[:200]} Fetch the folder again."
            ) from error
        return cls(network, device, iterations=iterations)

    def __call__(
        self, spectrogram: Spectrogram, *, prefix: Waveform | None = None, seed: int = 0
    ) -> Waveform:
        """(channels, ``params.samples(frames)``) samples that begin with ``prefix``, sound already
        heard, and continue its phases.

        Raises InvalidInput for a spectrogram of another grid, with NaN or infinity, of fewer than
        two frames or more than two channels; InvalidAudio for a prefix that cannot be continued.
        """
        self._check(spectrogram)
        stft, params = self._stft, self.params
        length = params.samples(spectrogram.frames)
        heard = torch.zeros(spectrogram.channels, 0)
        if prefix is not None:
            check_prefix(prefix, spectrogram)
            heard = torch.from_numpy(prefix.samples)
        first = max(0, (heard.shape[1] - stft.right) // params.hop_length)
        origin = first * params.hop_length - stft.left
        known = Known(heard[:, max(0, origin) :], max(0, -origin))
        scores = self._scores(spectrogram.cut, first, spectrogram.frames)
        tiles = list(self._with_phases(scores, known, seed))
        sound = join(self._play(PhasedFrames.joined(tiles), known), known, stft)
        new = sound[:, heard.shape[1] - origin : length - origin]
        return Waveform(torch.cat([heard, new], dim=1).numpy(), params.sample_rate)

    def blocks(
        self,
        cut: Callable[[int, int], Spectrogram],
        frames: int,
        *,
        block_frames: int = BLOCK_FRAMES,
        seed: int = 0,
    ) -> Iterator[npt.NDArray[np.float32]]:
        """The sound of ``frames`` frames, (channels, n) a block, in memory that does not grow.

        ``cut(start, stop)`` gives those frames, and is called in another thread: one reads ahead
        while another plays. Blocks have ``block_frames`` frames at most; how long they are changes
        nothing one could hear: less than 1e-4 of full scale.
        """

        def checked(start: int, stop: int) -> Spectrogram:
            window = cut(start, stop)
            self._check(window)
            return window

        reader, player = sharing_cores(2, "vocoder")
        with reader, player:
            scores = self._scores(checked, 0, frames)
            pieces = (piece for score in scores for piece in score.pieces(block_frames))
            phased = self._with_phases(pieces, NOTHING, seed)
            ready = _ahead(reader, phased, -(-TILE_FRAMES // block_frames))
            yield from _ahead(player, self._flow(ready, frames), 1)

    def _flow(
        self, blocks: Iterable[PhasedFrames], frames: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        """The sound (channels, n) of ``blocks``, ``frames`` frames in all, as it is settled."""
        flow: StreamingGriffinLim | None = None
        skipped, left = self._stft.left, self.params.samples(frames)
        come = 0
        for block in blocks:
            come += len(block.spectra)
            if flow is None:
                channels = len(block.placing)
                flow = StreamingGriffinLim(self._stft, channels, self._iterations, MOMENTUM)
            settled = flow(self._begun(block), block.placing, come == frames)
            sound = settled[:, skipped:][:, :left]
            skipped = max(0, skipped - settled.shape[1])
            left -= sound.shape[1]
            if sound.shape[1]:
                yield sound.numpy()

    def _scores(
        self, cut: Callable[[int, int], Spectrogram], first: int, frames: int
    ) -> Iterator[Score]:
        """Frames from ``first`` on, ``BLOCK_FRAMES`` at a time, read by the network in tiles on a
        fixed grid: phases go on from bit to bit, so that what the network says of a frame must not
        depend on what else it was asked."""
        for start in range(first, frames, TILE_FRAMES):
            yield from self._tile(cut, start, min(start + TILE_FRAMES, frames), frames)

    def _tile(
        self, cut: Callable[[int, int], Spectrogram], start: int, stop: int, frames: int
    ) -> Iterator[Score]:
        """The frames from ``start`` to ``stop`` of so many. What the network drew of them is gone
        before the next are read."""
        reach = self._network.reach
        seen = max(0, start - reach)
        magnitudes = cut(seen, min(stop + reach, frames)).magnitudes.float()
        inside = slice(start - seen, stop - seen)
        drawing, mel = self._read(magnitudes, inside), magnitudes.mT[:, inside]
        for block in range(0, stop - start, BLOCK_FRAMES):
            yield self._score(drawing, mel, slice(block, block + BLOCK_FRAMES))

    def _with_phases(
        self, scores: Iterable[Score], known: Known, seed: int
    ) -> Iterator[PhasedFrames]:
        """The same with phases, which go on from one to the next, and from what is ``known``."""
        before: Spectrum | None = None
        for score in scores:
            heard = False
            if before is None:
                before, heard = self._begin(score, known, seed)
            frames = score.phased(before, heard)
            before = frames.spectra[-1]
            yield frames

    def _begin(self, score: Score, known: Known, seed: int) -> tuple[Spectrum, bool]:
        """The spectrum to go on from, and whether it is that of the first frame, all heard, or of
        one before it."""
        first = known.middle().first_frame(self._stft)
        if first is None:
            return self._random(score.middle[0], seed), False
        heard = np.asarray((first[0, 0] * self._centre).numpy(), np.complex64)
        # What was silent has no phases to go on from.
        return heard + self._random(torch.zeros_like(score.middle[0]), seed), True

    def _check(self, spectrogram: Spectrogram) -> None:
        if spectrogram.params != self.params:
            legal = f"this vocoder was trained for {self.params}; use griffin_lim"
            raise InvalidInput("spectrogram", spectrogram.params, legal)
        if spectrogram.frames < 2:
            raise InvalidInput("spectrogram", f"{spectrogram.frames} frames", "needs at least two")
        if spectrogram.channels > 2:
            legal = "one or two can be played"
            raise InvalidInput("spectrogram", f"{spectrogram.channels} channels", legal)
        spectrogram.peak()

    @torch.inference_mode()
    def _read(self, magnitudes: torch.Tensor, frames: slice) -> VocoderOutput:
        """What the network makes of these frames of mel magnitudes (channels, mel, frames)."""
        levels = log_mel(magnitudes).expand(2, -1, -1)
        drawing: VocoderOutput = self._network(levels[None].to(self._device), frames)
        return drawing

    @torch.inference_mode()
    def _score(self, drawing: VocoderOutput, mel: torch.Tensor, frames: slice) -> Score:
        """What is to be played of these of the frames drawn, whose magnitudes are ``mel``
        (channels, frames, mel)."""
        drawn, sides, advances, slopes = (part[0].mT[..., frames, :].cpu() for part in drawing)
        mel, middle = mel[:, frames], from_level(drawn)
        placing = torch.ones(1, *middle.shape, dtype=torch.complex64)
        if len(mel) == 2:
            side = side_over_middle(mel, sides, self._spread)
            placing = torch.stack([side, -side]).add_(1)
        middle, placing = fit(middle, placing, mel, self._bank, self._spread)
        fine = torch.complex(*advances)
        advance = torch.full(middle.shape, COARSE_CERTAINTY, dtype=torch.complex64)
        advance[:, : fine.shape[1]] = fine
        slope = torch.complex(*slopes)
        return Score(middle, placing, (advance * self._own_advance).numpy(), slope.numpy())

    def _random(self, size: torch.Tensor, seed: int) -> Spectrum:
        """A spectrum of random phases with magnitudes ``size``, at least ``FAINTEST``."""
        generator = torch.Generator().manual_seed(seed)
        turns = torch.rand(len(size), generator=generator)
        return np.asarray(torch.polar(size.clamp(min=FAINTEST), 2 * math.pi * turns).numpy())

    def _begun(self, frames: PhasedFrames) -> torch.Tensor:
        """The spectrum (1, frames, bins) of the middle to begin the iterations with."""
        return (torch.from_numpy(frames.spectra) * self._centre)[None]

    def _play(self, frames: PhasedFrames, known: Known) -> torch.Tensor:
        """The sound of ``frames`` in all channels, over all windows."""
        middle = self._improve(self._begun(frames), known.middle(), self._iterations[0])
        channels = self._improve(middle * frames.placing, known, self._iterations[1])
        return self._stft.to_sound(channels, self._stft.envelope(len(frames.spectra)))

    def _improve(self, spectra: torch.Tensor, known: Known, iterations: int) -> torch.Tensor:
        """The same magnitudes (channels, frames, bins) with better phases."""
        magnitudes = power(spectra).sqrt_()
        aim = improve_phases(self._stft, magnitudes, spectra, known, iterations, MOMENTUM)
        return with_magnitude(magnitudes, aim, out=aim)


def _ahead(thread: Executor, items: Iterator[T], count: int) -> Iterator[T]:
    """The same items, of which another ``thread`` makes so many ahead."""
    following = deque(thread.submit(next, items, None) for _ in range(count))
    while (item := following.popleft().result()) is not None:
        following.append(thread.submit(next, items, None))
        yield item
