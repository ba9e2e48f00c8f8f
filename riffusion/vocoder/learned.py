"""LearnedVocoder: mel magnitudes to a waveform by a network and a few Griffin-Lim iterations."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
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
from riffusion.spectral.griffin_lim import check_prefix
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.phases import Known, crossfade_step, improve_phases, with_magnitude
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams, mel_bank
from riffusion.spectral.stft import Stft, power
from riffusion.vocoder.bands import BandsToBins
from riffusion.vocoder.frames import PhasedFrames, PredictedFrames
from riffusion.vocoder.network import VocoderNetwork, VocoderOutput
from riffusion.vocoder.recurrence import FAINTEST, Spectrum
from riffusion.vocoder.stereo import fit, from_level, side_over_mid
from riffusion.vocoder.streaming import StreamingGriffinLim

T = TypeVar("T")
Iterations = tuple[int, int]  # of the mid signal, then of each channel by itself

ITERATIONS: Iterations = (6, 2)
MOMENTUM = 0.99
BLOCK_FRAMES, TILE_FRAMES = 64, 256
NOTHING = Known(torch.zeros(1, 0), 0)
# The length of the phasors of the advance above the fine bins, which the network does not predict.
COARSE_CERTAINTY = 0.3


class LearnedVocoder:
    """A vocoder that predicts magnitudes and phase derivatives with a network.

    It implements ``riffusion.vocoder.protocol.Vocoder``. ``iterations`` of fast Griffin-Lim make
    the phases that follow from the derivatives consistent: first those of the mid signal, the mean
    of the channels, then those of each channel by itself. The same call gives the same bits.
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
        # These signs convert between phases at the centre and at the start of the window.
        self._centre = (1 - 2 * (bins % 2)).float()

    @classmethod
    def load(
        cls, folder: Path, device: str = "cpu", *, iterations: Iterations = ITERATIONS
    ) -> LearnedVocoder:
        """Load a vocoder from a folder with config.json and safetensors weights.

        Raises ModelError where it is missing or damaged.
        """
        try:
            network = read_network(VocoderNetwork, folder)
        except Exception as error:
            line = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ModelError(
                f"the vocoder in {folder} cannot be loaded: {line[:200]} Fetch the folder again."
            ) from error
        return cls(network, device, iterations=iterations)

    @property
    def network(self) -> VocoderNetwork:
        """The network, which a ``LiveVocoder`` can share."""
        return self._network

    def __call__(
        self, spectrogram: Spectrogram, *, prefix: Waveform | None = None, seed: int = 0
    ) -> Waveform:
        """Return (channels, ``params.samples(frames)``) samples that continue ``prefix``.

        They begin with exactly the samples of ``prefix``, which came before, and continue its
        phases. ``seed`` seeds the random phases of the first frame where there is no prefix.

        Raises InvalidInput for a spectrogram of another grid, with NaN or infinity, of fewer than
        two frames or more than two channels; InvalidAudio for a prefix that cannot be continued.
        """
        check_spectrogram(spectrogram, self.params)
        stft, params = self._stft, self.params
        length = params.samples(spectrogram.frames)
        past = torch.zeros(spectrogram.channels, 0)
        if prefix is not None:
            check_prefix(prefix, spectrogram)
            past = torch.from_numpy(prefix.samples)
        first = max(0, (past.shape[1] - stft.right) // params.hop_length)
        origin = first * params.hop_length - stft.left
        known = Known(past[:, max(0, origin) :], max(0, -origin))
        predicted = self._predict(spectrogram.cut, first, spectrogram.frames)
        phased = PhasedFrames.concatenated(list(self._with_phases(predicted, known, seed)))
        sound = crossfade_step(self._synthesize(phased, known), known, stft)
        new = sound[:, past.shape[1] - origin : length - origin]
        return Waveform(torch.cat([past, new], dim=1).numpy(), params.sample_rate)

    def blocks(
        self,
        cut: Callable[[int, int], Spectrogram],
        frames: int,
        *,
        block_frames: int = BLOCK_FRAMES,
        seed: int = 0,
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the sound of ``frames`` frames, float32 (channels, n), in bounded memory.

        ``cut(start, stop)`` returns a part of the frames. It is called in another thread, which
        predicts frames ahead while a second one makes samples. Blocks have at most
        ``block_frames`` frames; their length changes samples by less than 1e-4 of full scale.
        """

        def checked(start: int, stop: int) -> Spectrogram:
            window = cut(start, stop)
            check_spectrogram(window, self.params)
            return window

        predictor, synthesizer = sharing_cores(2, "vocoder")
        with predictor, synthesizer:
            tiles = self._predict(checked, 0, frames)
            pieces = (piece for tile in tiles for piece in tile.pieces(block_frames))
            phased = self._with_phases(pieces, NOTHING, seed)
            ready = _run_ahead(predictor, phased, -(-TILE_FRAMES // block_frames))
            yield from _run_ahead(synthesizer, self._synthesize_blocks(ready, frames), 1)

    def _synthesize_blocks(
        self, blocks: Iterable[PhasedFrames], frames: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the samples (channels, n) of ``blocks``, ``frames`` frames in all, once final."""
        stream: StreamingGriffinLim | None = None
        skipped, left = self._stft.left, self.params.samples(frames)
        received = 0
        for block in blocks:
            received += len(block.spectra)
            if stream is None:
                channels = len(block.channel_gains)
                stream = StreamingGriffinLim(self._stft, channels, self._iterations, MOMENTUM)
            final = stream(self._estimate(block), block.channel_gains, received == frames)
            sound = final[:, skipped:][:, :left]
            skipped = max(0, skipped - final.shape[1])
            left -= sound.shape[1]
            if sound.shape[1]:
                yield sound.numpy()

    def _predict(
        self, cut: Callable[[int, int], Spectrogram], first: int, frames: int
    ) -> Iterator[PredictedFrames]:
        """Yield the frames from ``first`` on, ``BLOCK_FRAMES`` at a time.

        The network sees tiles on a fixed grid: errors of phases add up from frame to frame, so its
        output for a frame must not depend on what else it was asked for, not even in the last bit.
        """
        for start in range(first, frames, TILE_FRAMES):
            yield from self._tile(cut, start, min(start + TILE_FRAMES, frames), frames)

    def _tile(
        self, cut: Callable[[int, int], Spectrogram], start: int, stop: int, frames: int
    ) -> Iterator[PredictedFrames]:
        """Yield the frames from ``start`` to ``stop`` out of ``frames`` frames.

        The output of the network for them is freed before the next tile is read.
        """
        reach = self._network.reach
        seen = max(0, start - reach)
        magnitudes = cut(seen, min(stop + reach, frames)).magnitudes.float()
        inside = slice(start - seen, stop - seen)
        output, mel = self._run_network(magnitudes, inside), magnitudes.mT[:, inside]
        for block in range(0, stop - start, BLOCK_FRAMES):
            yield self._convert(output, mel, slice(block, block + BLOCK_FRAMES))

    def _with_phases(
        self, predicted: Iterable[PredictedFrames], known: Known, seed: int
    ) -> Iterator[PhasedFrames]:
        """Yield the same frames with phases that continue each other and what is ``known``."""
        before: Spectrum | None = None
        for frames in predicted:
            is_first = False
            if before is None:
                before, is_first = self._first_spectrum(frames, known, seed)
            phased = frames.with_phases(before, is_first)
            before = phased.spectra[-1]
            yield phased

    def _first_spectrum(
        self, frames: PredictedFrames, known: Known, seed: int
    ) -> tuple[Spectrum, bool]:
        """Return a spectrum (bins,) to continue, and whether it is that of the first frame.

        It is that of the first frame where all its samples are known, otherwise one of random
        phases for the frame before.
        """
        first = known.mid().first_frame(self._stft)
        if first is None:
            return self._random(frames.mid[0], seed), False
        spectrum = np.asarray((first[0, 0] * self._centre).numpy(), np.complex64)
        # Silence has no phases to continue.
        return spectrum + self._random(torch.zeros_like(frames.mid[0]), seed), True

    @torch.inference_mode()
    def _run_network(self, magnitudes: torch.Tensor, frames: slice) -> VocoderOutput:
        """Return the network's output for ``frames`` of magnitudes (channels, mel, frames)."""
        levels = log_mel(magnitudes).expand(2, -1, -1)
        output: VocoderOutput = self._network(levels[None].to(self._device), frames)
        return output

    @torch.inference_mode()
    def _convert(self, output: VocoderOutput, mel: torch.Tensor, frames: slice) -> PredictedFrames:
        """Return ``frames`` of the output, fitted to magnitudes (channels, frames, mel)."""
        levels, sides, advances, slopes = (part[0].mT[..., frames, :].cpu() for part in output)
        mel, mid = mel[:, frames], from_level(levels)
        gains = torch.ones(1, *mid.shape, dtype=torch.complex64)
        if len(mel) == 2:
            side = side_over_mid(mel, sides, self._spread)
            gains = torch.stack([side, -side]).add_(1)
        mid, gains = fit(mid, gains, mel, self._bank, self._spread)
        fine = torch.complex(*advances)
        advance = torch.full(mid.shape, COARSE_CERTAINTY, dtype=torch.complex64)
        advance[:, : fine.shape[1]] = fine
        slope = torch.complex(*slopes)
        return PredictedFrames(mid, gains, (advance * self._own_advance).numpy(), slope.numpy())

    def _random(self, size: torch.Tensor, seed: int) -> Spectrum:
        """Return a spectrum of random phases with magnitudes ``size``, at least ``FAINTEST``."""
        generator = torch.Generator().manual_seed(seed)
        turns = torch.rand(len(size), generator=generator)
        return np.asarray(torch.polar(size.clamp(min=FAINTEST), 2 * math.pi * turns).numpy())

    def _estimate(self, frames: PhasedFrames) -> torch.Tensor:
        """Return the mid spectra (1, frames, bins) that the iterations start from."""
        return (torch.from_numpy(frames.spectra) * self._centre)[None]

    def _synthesize(self, frames: PhasedFrames, known: Known) -> torch.Tensor:
        """Return the samples (channels, n) of ``frames``, over all their windows."""
        mid = self._improve(self._estimate(frames), known.mid(), self._iterations[0])
        channels = self._improve(mid * frames.channel_gains, known, self._iterations[1])
        return self._stft.to_sound(channels, self._stft.envelope(len(frames.spectra)))

    def _improve(self, spectra: torch.Tensor, known: Known, iterations: int) -> torch.Tensor:
        """Return spectra of the same magnitudes (channels, frames, bins) with better phases."""
        magnitudes = power(spectra).sqrt_()
        aim = improve_phases(self._stft, magnitudes, spectra, known, iterations, MOMENTUM)
        return with_magnitude(magnitudes, aim, out=aim)


def check_spectrogram(spectrogram: Spectrogram, params: SpectrogramParams) -> None:
    """Raise InvalidInput where a vocoder that was trained for ``params`` cannot decode it."""
    if spectrogram.params != params:
        hint = f"this vocoder was trained for {params}; use griffin_lim"
        raise InvalidInput("spectrogram", spectrogram.params, hint)
    if spectrogram.frames < 2:
        raise InvalidInput("spectrogram", f"{spectrogram.frames} frames", "needs at least two")
    if spectrogram.channels > 2:
        hint = "one or two can be played"
        raise InvalidInput("spectrogram", f"{spectrogram.channels} channels", hint)
    spectrogram.peak()


def _run_ahead(thread: Executor, items: Iterator[T], count: int) -> Iterator[T]:
    """Yield the same items, while another ``thread`` makes the next ``count`` of them."""
    following = deque(thread.submit(next, items, None) for _ in range(count))
    while (item := following.popleft().result()) is not None:
        following.append(thread.submit(next, items, None))
        yield item
