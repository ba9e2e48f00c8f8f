"""LiveVocoder: the learned vocoder for music that is heard while it is made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from riffusion.audio.waveform import Waveform
from riffusion.networks.precision import is_bfloat16_faster
from riffusion.networks.threads import each_on_one_core
from riffusion.spectral.griffin_lim import check_prefix
from riffusion.spectral.log_mel import log_mel
from riffusion.spectral.phases import Known, crossfade_step
from riffusion.spectral.spectrogram import Spectrogram, SpectrogramParams, mel_bank
from riffusion.spectral.stft import Stft
from riffusion.vocoder.band_stereo import fit_channels
from riffusion.vocoder.bands import BandsToBins
from riffusion.vocoder.chained import FEWEST_FRAMES, ChainedGriffinLim, SynthesisWindow
from riffusion.vocoder.inference import Features, InferenceNetwork
from riffusion.vocoder.learned import COARSE_CERTAINTY, MOMENTUM, check_spectrogram
from riffusion.vocoder.network import VocoderNetwork
from riffusion.vocoder.recurrence import FAINTEST, Spectrum
from riffusion.vocoder.recurrence_fast import unroll_block
from riffusion.vocoder.stereo import side_signs

Samples = npt.NDArray[np.float32]

LIVE_ITERATIONS = (4, 2)
# The network reads a short tile first, so that the first samples come soon.
FIRST_FRAMES, TILE_FRAMES, BLOCK_FRAMES = 64, 384, 64


class Frames(NamedTuple):
    """A block of frames: complex mid spectra (1, frames, bins), channel gains (channels, frames,
    bins), and whether they are the last ones."""

    mid: torch.Tensor
    channel_gains: torch.Tensor
    last: bool


class LiveVocoder:
    """A vocoder with the network of a ``LearnedVocoder``, in less processor time.

    It implements ``riffusion.vocoder.protocol.StreamingVocoder``: a sound is made block by block,
    and nothing is computed twice. The same call gives the same bits on the same machine.
    """

    def __init__(self, network: VocoderNetwork) -> None:
        self.params: SpectrogramParams = network.params
        self._stft = Stft(self.params)
        self._synthesis = SynthesisWindow(self._stft)
        self._bank = mel_bank(self.params).T.contiguous()
        self._spread = network.spread.cpu().T.contiguous()
        self._signs = side_signs(BandsToBins(network.spread.cpu())).float()
        dtype = torch.bfloat16 if is_bfloat16_faster("cpu") else torch.float32
        self._network = InferenceNetwork(network, dtype)
        bins = torch.arange(network.bins)
        turns = bins * self.params.hop_length / self.params.n_fft % 1.0
        self._own_advance = torch.polar(torch.ones(network.bins), 2 * math.pi * turns).numpy()
        # These signs convert between phases at the centre and at the start of the window.
        self._centre = (1 - 2 * (bins % 2)).float()

    def __call__(
        self, spectrogram: Spectrogram, *, prefix: Waveform | None = None, seed: int = 0
    ) -> Waveform:
        """Return all of ``stream``, after the samples of ``prefix``."""
        heard = [] if prefix is None else [prefix.samples]
        pieces = [*heard, *self.stream(spectrogram, prefix=prefix, seed=seed)]
        return Waveform(np.concatenate(pieces, axis=1), self.params.sample_rate)

    def stream(
        self, spectrogram: Spectrogram, *, prefix: Waveform | None = None, seed: int = 0
    ) -> Iterator[Samples]:
        """Yield the samples (channels, n) that continue ``prefix``, each block once it is final.

        Together they are ``params.samples(frames)`` with the prefix. ``seed`` seeds the random
        phases of the first frame where there is no prefix. Raises what ``LearnedVocoder`` raises.
        """
        check_spectrogram(spectrogram, self.params)
        past = torch.zeros(spectrogram.channels, 0)
        if prefix is not None:
            check_prefix(prefix, spectrogram)
            past = torch.from_numpy(prefix.samples)
        # The other core denoises the next clip meanwhile.
        return each_on_one_core(self._stream(spectrogram, past, seed))

    def _stream(self, spectrogram: Spectrogram, past: torch.Tensor, seed: int) -> Iterator[Samples]:
        stft, params = self._stft, self.params
        first = max(0, (past.shape[1] - stft.right) // params.hop_length)
        origin = first * params.hop_length - stft.left
        known = Known(past[:, max(0, origin) :], max(0, -origin))
        chain = ChainedGriffinLim(stft, self._synthesis, known, LIVE_ITERATIONS, MOMENTUM)
        skipped = past.shape[1] - origin
        left = params.samples(spectrogram.frames) - past.shape[1]
        for frames in self._frames(spectrogram.magnitudes.float(), first, known, seed):
            with torch.inference_mode():
                sound = chain(*frames)
                if skipped:
                    sound = crossfade_step(sound, known, stft)[:, skipped:]
                    skipped = 0
            sound = sound[:, :left]
            left -= sound.shape[1]
            if sound.shape[1]:
                yield sound.numpy()

    def _frames(
        self, magnitudes: torch.Tensor, first: int, known: Known, seed: int
    ) -> Iterator[Frames]:
        """Yield blocks of the frames from ``first`` on of magnitudes (channels, mel, frames)."""
        missing = max(0, first + FEWEST_FRAMES - magnitudes.shape[2])
        if missing:  # they are cut off again
            last = magnitudes[:, :, -1:].expand(-1, -1, missing)
            magnitudes = torch.cat([magnitudes, last], 2)
        before: Spectrum | None = None
        total, reach = magnitudes.shape[2], self._network.reach
        for start, stop in spans(first, total, FIRST_FRAMES, TILE_FRAMES):
            seen = max(0, start - reach)
            window = magnitudes[:, :, seen : stop + reach]
            with torch.inference_mode():
                levels = log_mel(window).expand(2, -1, -1)
                features = self._network.features(levels, slice(start - seen, stop - seen))
            for begin, end in spans(start, stop, FIRST_FRAMES, BLOCK_FRAMES):
                mel = magnitudes.mT[:, begin:end]
                block = slice(begin - start, end - start)
                spectra, gains = self._block(features, block, mel, before, known, seed)
                before = spectra[-1]
                mid = (torch.from_numpy(spectra) * self._centre)[None]
                yield Frames(mid, gains, end == total)

    @torch.inference_mode()
    def _block(
        self,
        features: Features,
        block: slice,
        mel: torch.Tensor,
        before: Spectrum | None,
        known: Known,
        seed: int,
    ) -> tuple[Spectrum, torch.Tensor]:
        """Return mid spectra (frames, bins) and channel gains (channels, frames, bins)."""
        predicted = self._network.predict(features, block)
        mid, gains = fit_channels(
            predicted.mid, predicted.sides, mel, self._bank, self._spread, self._signs
        )
        advance = np.full(mid.shape, COARSE_CERTAINTY, np.complex64)
        advance[:, : predicted.advance.shape[1]] = predicted.advance.numpy()
        advance *= self._own_advance
        slope, sizes = predicted.slope.numpy(), mid.numpy()
        if before is not None:
            return unroll_block(sizes, advance, slope, before), gains
        first = known.mid().first_frame(self._stft)
        if first is None:
            before = self._random(mid[0], seed)
            return unroll_block(sizes, advance, slope, before), gains
        # Silence has no phases to continue.
        faint = self._random(torch.zeros_like(mid[0]), seed)
        before = np.asarray((first[0, 0] * self._centre).numpy(), np.complex64) + faint
        rest = unroll_block(sizes[1:], advance[1:], slope[1:], before)
        return np.concatenate([before[None], rest]), gains

    def _random(self, size: torch.Tensor, seed: int) -> Spectrum:
        """Return a spectrum of random phases with magnitudes ``size``, at least ``FAINTEST``."""
        generator = torch.Generator().manual_seed(seed)
        turns = torch.rand(len(size), generator=generator)
        return np.asarray(torch.polar(size.clamp(min=FAINTEST), 2 * math.pi * turns).numpy())


def spans(start: int, stop: int, first: int, further: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of a range: one of ``first``, then of ``further``.

    The last one takes in a rest that is shorter than ``FEWEST_FRAMES``.
    """
    end = start + first
    while start < stop:
        end = end if end + FEWEST_FRAMES <= stop else stop
        yield start, end
        start, end = end, end + further
