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
from riffusion.audio.waveform import Waveform
from riffusion.jam.anchors import anchor_sound, library
from riffusion.spectral.image import audio_to_image, from_image, image_to_audio
from riffusion.spectral.spectrogram import RIFFUSION, mel_spectrogram

Vocode = Callable[[Image.Image], Waveform]
ITERATIONS = 32
MOMENTUM = 0.99


def make_original_vocoder() -> Vocode:
    """Return the original's way from an image to sound.

    It is torchaudio's least-squares inverse mel scale and Griffin-Lim over all 17,640 points; the
    transforms are built once.
    """
    # torchaudio loads beside a torch without CUDA only after riffusion was imported.
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

    def vocode(image: Image.Image) -> Waveform:
        torch.manual_seed(0)
        return Waveform(phases(unmel(from_image(image).magnitudes)).numpy(), RIFFUSION.sample_rate)

    return vocode


def measure(options: Options) -> list[Row]:
    """Return seconds and error of both ways on the anchors of the library, mono and stereo.

    It uses one core and counts processor time, since others may use the machine as well.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*compare("mono", Waveform.mono), *compare("stereo", lambda sound: sound)]
    finally:
        torch.set_num_threads(threads)


def compare(name: str, channels: Callable[[Waveform], Waveform]) -> list[Row]:
    """Return the rows of one kind of images, each made sound both ways, after one to warm up."""
    ways: dict[str, Vocode] = {"ours": image_to_audio, "original": make_original_vocoder()}
    sounds = [channels(anchor_sound(anchor)) for anchor in library()]
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    errors: dict[str, list[float]] = {way: [] for way in ways}
    for vocode in ways.values():
        vocode(audio_to_image(sounds[0]))
    for sound in sounds:
        image = audio_to_image(sound)
        # Both ways take turns, so that they see the machine equally busy.
        for way, vocode in ways.items():
            begin = time.process_time()
            made = vocode(image)
            seconds[way].append(time.process_time() - begin)
            errors[way].append(measure_error(sound, made))
    ours_ms, original_ms = (1000 * median(seconds[way]) for way in ways)
    ours, original = (100 * median(errors[way]) for way in ways)
    faster = np.divide(seconds["original"], seconds["ours"])
    closer = np.divide(errors["ours"], errors["original"])
    note = f"{len(sounds)} images of 5.11 s, processor time on one core"
    return [
        Row(f"image to sound, {name}", ours_ms, "ms", "", note),
        Row("the original's way", original_ms, "ms", "", "lstsq, n_fft 17640; the same run"),
        Row("times faster, median", float(np.median(faster)), "x", ">= 8"),
        Row("the same, slowest image", float(faster.min()), "x", ">= 8"),
        Row("error of ours", ours, "%", "", "mel magnitudes, best gain"),
        Row("error of the original's", original, "%"),
        Row("our error over the original's, median", float(np.median(closer)), "", "<= 1"),
        Row("the same, worst image", float(closer.max()), "", "<= 1"),
    ]


def measure_error(source: Waveform, made: Waveform) -> float:
    """Return the distance of mel magnitudes over their norm, at the gain with the least distance.

    An image does not store how loud the sound was.
    """
    length = min(source.samples.shape[1], made.samples.shape[1])
    wanted, found = (
        mel_spectrogram(Waveform(sound.samples[:, :length], sound.sample_rate)).magnitudes.double()
        for sound in (source, made)
    )
    found = found * (wanted * found).sum() / found.square().sum()
    return float((found - wanted).norm() / wanted.norm())
