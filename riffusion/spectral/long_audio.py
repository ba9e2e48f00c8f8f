"""The sound of spectrogram images of any length, in bounded memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from riffusion.audio.recording import Recording
from riffusion.audio.waveform import INT16_SCALE, WRITTEN_AS, write_audio
from riffusion.spectral.band_extension import extended_blocks
from riffusion.spectral.griffin_lim import griffin_lim_blocks
from riffusion.spectral.image import image_to_audio, read_image
from riffusion.spectral.long_image import LongImage, open_long_image, png_columns

LONG_COLUMNS = 6000  # a minute: shorter ones are as well kept in memory


def decode_file(
    image: str | os.PathLike[str],
    audio: str | os.PathLike[str],
    *,
    extended: bool = False,
    advance: Callable[[float], None] = lambda _seconds: None,
) -> float:
    """Write the sound of an image file to an audio file and return its seconds.

    ``extended`` adds a guess of what lies above the highest band. ``advance`` is called with the
    seconds that were finished. Raises InvalidImage for an image that is no spectrogram.
    """
    # Only formats that libsndfile writes can grow while they are made.
    can_grow = Path(audio).suffix.lower() in WRITTEN_AS
    if can_grow and png_columns(image) >= LONG_COLUMNS:
        with open_long_image(image) as long:
            return long_image_to_audio(long, audio, extended=extended, advance=advance)
    sound = image_to_audio(read_image(image), extended=extended, advance=advance)
    write_audio(sound, audio)
    return sound.duration_s


def long_image_to_audio(
    image: LongImage,
    path: str | os.PathLike[str],
    *,
    extended: bool = False,
    advance: Callable[[float], None] = lambda _seconds: None,
) -> float:
    """Write the sound of a long image, its loudest sample at full scale; return its seconds.

    The samples are those of ``image_to_audio``. ``advance`` is called with the seconds that were
    finished.
    """
    params = image.layout.params
    samples = params.samples(image.frames)
    peak = 0.0
    # The gain depends on the last sample, so samples wait in a file until it is known.
    with tempfile.TemporaryFile() as waiting:
        blocks = griffin_lim_blocks(image.cut, image.frames)
        if extended:
            blocks = extended_blocks(blocks, params.sample_rate, params.max_hz)
        for block in blocks:
            peak = max(peak, float(np.abs(block).max()))
            waiting.write(np.ascontiguousarray(block.T).tobytes())
            advance(block.shape[1] / params.sample_rate)
        gain = np.float32((INT16_SCALE - 1) / INT16_SCALE / peak if peak else 1.0)
        waiting.seek(0)
        with Recording(path, params.sample_rate, image.channels, samples) as recording:
            size = params.sample_rate * image.channels * np.dtype(np.float32).itemsize
            while data := waiting.read(size):
                sound = np.frombuffer(data, np.float32).reshape(-1, image.channels).T
                recording.write(sound * gain)
    return recording.duration_s
