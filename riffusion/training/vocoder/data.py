"""Batches for the training of the vocoder: random crops of recordings, as inputs and targets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch

from riffusion.errors import InvalidInput
from riffusion.spectral.spectrogram import SpectrogramParams, mel_bank
from riffusion.vocoder.bands import band_to_bin
from riffusion.vocoder.network import QUIETEST_LEVEL

RELOAD_S = 300.0  # since recordings may still be rendered while a run goes on
AUDIO = ("*.flac", "*.wav")
TONES = 0.2  # the share of crops that are tones instead of music
TONE_HZ = (40.0, 3000.0)
MAX_PARTIALS = 10
QUIETEST_POWER = 1e-9
# The random equalizer is a level, a tilt and three waves over all bands; deviations in dB.
EQUALIZER_DB = (4.0, 3.0, 2.0, 1.5, 1.0)


class Recordings:
    """The audio files in a folder, of which random stereo crops are drawn."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self._folder, self._rate = folder, sample_rate
        self._files = self._find_files()
        self._found_at = time.perf_counter()

    def draw_crops(
        self, rng: np.random.Generator, size: int, samples: int, tones: float = TONES
    ) -> torch.Tensor:
        """Return float32 crops (size, 2, samples), of which a share ``tones`` is tones."""
        if time.perf_counter() - self._found_at > RELOAD_S:
            self._files, self._found_at = self._find_files(), time.perf_counter()
        crops = [
            draw_tones(rng, samples, self._rate)
            if rng.random() < tones
            else self._draw_crop(rng, samples)
            for _ in range(size)
        ]
        return torch.from_numpy(np.stack(crops))

    def _find_files(self) -> list[Path]:
        files = sorted(path for form in AUDIO for path in self._folder.glob(form))
        if not files:
            hint = "it has no FLAC or WAV file; make some: python -m riffusion corpus-sound"
            raise InvalidInput("sound folder", str(self._folder), hint)
        return files

    def _draw_crop(self, rng: np.random.Generator, samples: int) -> npt.NDArray[np.float32]:
        path, start = self.draw_place(rng, samples)
        return self.read(path, start, samples)

    def draw_place(self, rng: np.random.Generator, samples: int) -> tuple[Path, int]:
        """Return a random file and a sample in it that at least ``samples`` samples follow.

        Raises InvalidInput where the file is too short, or not stereo at the right rate.
        """
        path = self._files[int(rng.integers(len(self._files)))]
        about = soundfile.info(path)
        if about.samplerate != self._rate or about.channels != 2 or about.frames < samples:
            what = f"{path.name}: {about.channels} channels at {about.samplerate} Hz"
            hint = f"needs stereo at {self._rate} Hz, at least {samples} samples"
            raise InvalidInput("recording", what, hint)
        return path, int(rng.integers(about.frames - samples + 1))

    @staticmethod
    def read(path: Path, start: int, samples: int) -> npt.NDArray[np.float32]:
        """Return samples (2, samples) of a file from sample ``start`` on."""
        sound, _ = soundfile.read(path, samples, start, dtype="float32")
        return np.ascontiguousarray(sound.T)


def draw_tones(rng: np.random.Generator, samples: int, sample_rate: int) -> npt.NDArray[np.float32]:
    """Return a few notes, pure or with partials, steady or fading: float32 (2, samples).

    Rendered music is tuned to one scale and full of partials. A vocoder that was trained on nothing
    else plays a whistle or a bent note at the nearest pitch it knows.
    """
    seconds = np.arange(samples) / sample_rate
    sound = np.zeros((2, samples))
    for _ in range(rng.integers(1, 5)):
        pitch_hz = np.exp(rng.uniform(*np.log(TONE_HZ)))
        partials = np.arange(1, rng.integers(1, MAX_PARTIALS + 1) + 1)
        partials = partials[partials * pitch_hz < sample_rate / 2]
        levels = partials ** -rng.uniform(0.5, 2.0)
        turns = np.outer(partials * pitch_hz, seconds) + rng.random((len(partials), 1))
        note = levels @ np.sin(2 * np.pi * turns) * np.exp(-rng.uniform(0, 6) * seconds)
        seat = rng.uniform(0, np.pi / 2)
        sound += rng.uniform(0.02, 0.15) * np.outer([np.cos(seat), np.sin(seat)], note)
    return sound.astype(np.float32)


def count_samples(frames: int, params: SpectrogramParams) -> int:
    """Return the number of samples under the analysis windows of ``frames`` frames."""
    return (frames - 1) * params.hop_length + params.win_length


@dataclass(frozen=True)
class VocoderBatch:
    """Inputs and targets of a batch of crops.

    The input ``levels`` (batch, 2, mel, frames) are base-10 mel levels. The targets are ``middle``,
    complex (batch, bins, frames) with phases at the centre of the analysis window, and ``sides``
    (batch, mel, frames), base-10 levels of the side over the mid channel.
    """

    levels: torch.Tensor
    middle: torch.Tensor
    sides: torch.Tensor

    def joined(self, other: VocoderBatch) -> VocoderBatch:
        """Return both batches as one."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return VocoderBatch(*(torch.cat(pair) for pair in pairs))


def make_batch(
    sound: torch.Tensor,
    curves: torch.Tensor,
    params: SpectrogramParams,
    generated: torch.Tensor | None = None,
) -> VocoderBatch:
    """Return the batch of ``sound`` (batch, 2, samples) through equalizers ``curves`` (batch, mel).

    The equalizers are base-10 levels. ``generated`` are levels (batch, 2, mel, frames) that replace
    those of the sound as input.
    """
    bank = mel_bank(params).to(sound.device)
    spread = band_to_bin(params)[0].to(sound.device)
    framed = sound.unfold(-1, params.win_length, params.hop_length)
    window = torch.hann_window(params.win_length, device=sound.device)
    spectrum = torch.fft.rfft(framed * window)[..., : len(spread)].transpose(-1, -2)
    spectrum = spectrum * (10 ** (curves @ spread.T))[:, None, :, None]
    levels = (bank @ spectrum.abs()).clamp(min=10**QUIETEST_LEVEL).log10()
    if generated is not None:
        levels = (generated + curves[:, None, :, None]).clamp(min=QUIETEST_LEVEL)
    left, right = spectrum.unbind(1)
    centred = torch.tensor([1.0, -1.0], device=sound.device).repeat(len(spread))[: len(spread)]
    middle, side = (left + right) / 2 * centred[:, None], (left - right) / 2
    power = (bank @ middle.abs().square()).clamp(min=QUIETEST_POWER)
    side_power = (bank @ side.abs().square()).clamp(min=QUIETEST_POWER)
    return VocoderBatch(levels, middle, (side_power / power).log10() / 2)


def draw_equalizers(rng: np.random.Generator, size: int, bands: int) -> torch.Tensor:
    """Return random equalizers as base-10 levels (size, bands)."""
    places = np.pi * (np.arange(bands) + 0.5) / bands
    waves = np.cos(np.arange(len(EQUALIZER_DB))[:, None] * places)
    gains = rng.normal(size=(size, len(EQUALIZER_DB))) * np.array(EQUALIZER_DB) / 20
    return torch.from_numpy((gains @ waves).astype(np.float32))
