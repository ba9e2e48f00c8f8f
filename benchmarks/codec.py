"""Image to sound beside the original Riffusion's way, on the same images in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from PIL import Image

from benchmarks.options import Options
from benchmarks.report import Row
from riffusion.anchors import anchor_image, anchor_sound, library
from riffusion.spectrogram import RIFFUSION, mel_spectrogram
from riffusion.spectrogram_image import audio_to_image, from_image, image_to_audio
from riffusion.waveform import Waveform

Decoder = Callable[[Image.Image], Waveform]
ITERATIONS = 32
MOMENTUM = 0.99


def original_decoder() -> Decoder:
    """torchaudio's least-squares inverse mel scale and Griffin-Lim over all 17,640 points, as the
    original has them; the transforms are built once."""
    # Only after riffusion, which lets it load beside a torch without CUDA.
    from torchaudio.transforms import GriffinLim, InverseMelScale

    unmel = InverseMelScale(
        n_stft=RIFFUSION.n_fft // 2 + 1,
        n_mels=RIFFUSION.mel_bands,
        sample_rate=RIFFUSION.sample_rate,
        f_min=RIFFUSION.min_hz,
        f_max=RIFFUSION.max_hz,
    )
    phases = GriffinLim(
        n_fft=RIFFUSION.n_fft,
        n_iter=ITERATIONS,
        win_length=RIFFUSION.win_length,
        hop_length=RIFFUSION.hop_length,
        power=1.0,
        momentum=MOMENTUM,
    )

    def decode(image: Image.Image) -> Waveform:
        torch.manual_seed(0)
        return Waveform(phases(unmel(from_image(image).magnitudes)).numpy(), RIFFUSION.sample_rate)

    return decode


def measure(options: Options) -> list[Row]:
    """Seconds and error of both ways on the anchors of the library, after one to warm up."""
    ways: dict[str, Decoder] = {"ours": image_to_audio, "original": original_decoder()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    errors: dict[str, list[float]] = {name: [] for name in ways}
    for name, decode in ways.items():
        decode(anchor_image(library()[0]))
        for anchor in library():
            sound = anchor_sound(anchor)
            image = audio_to_image(sound)
            begin = time.perf_counter()
            decoded = decode(image)
            seconds[name].append(time.perf_counter() - begin)
            errors[name].append(error(sound, decoded))
    ratio = median(np.divide(seconds["original"], seconds["ours"]).tolist())
    closer = median(errors["ours"]) / median(errors["original"])
    note = f"{len(library())} images of 5.11 s, the same run"
    return [
        Row("image to sound", 1000 * median(seconds["ours"]), "ms", "", note),
        Row(
            "the original's way", 1000 * median(seconds["original"]), "ms", "", "lstsq, n_fft 17640"
        ),
        Row("times faster", ratio, "x", ">= 8", "median of the images' own ratios"),
        Row("error of ours", 100 * median(errors["ours"]), "%", "", "mel magnitudes, best gain"),
        Row("error of the original's", 100 * median(errors["original"]), "%"),
        Row("our error over the original's", closer, "", "<= 1"),
    ]


def error(source: Waveform, decoded: Waveform) -> float:
    """Distance of mel magnitudes over their norm, at the gain that makes it least.

    An image does not keep how loud the sound was.
    """
    length = min(source.samples.shape[1], decoded.samples.shape[1])
    wanted, heard = (
        mel_spectrogram(Waveform(sound.samples[:, :length], sound.sample_rate)).magnitudes.double()
        for sound in (source, decoded)
    )
    heard = heard * (wanted * heard).sum() / heard.square().sum()
    return float((heard - wanted).norm() / wanted.norm())
