"""Downloads of a jam: the track in any format, its long image, and the image of a clip."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from riffusion.audio.waveform import INT16_SCALE
from riffusion.errors import InvalidInput
from riffusion.jam.block import ClipMark
from riffusion.live.stream import JamStream
from riffusion.spectral.image import ImageInfo, encode_image, samples_to_image
from riffusion.spectral.spectrogram import RIFFUSION
from riffusion.spectral.track_image import write_track_image

MEDIA_TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "png": "image/png",
}
IMAGE_SAMPLES = RIFFUSION.samples(512)
CHUNK_BYTES = 1 << 16


def export_track(stream: JamStream, suffix: str, samples: int) -> BinaryIO:
    """Return the first ``samples`` of a track as an open file that no longer has a name.

    Raises InvalidInput for an unknown format, or a track that nobody has heard yet.
    """
    if suffix not in MEDIA_TYPES:
        raise InvalidInput("track format", suffix, f"use one of {', '.join(MEDIA_TYPES)}, json")
    if samples == 0:
        raise InvalidInput("track length", 0, "nothing was heard yet; let it play for a moment")
    with tempfile.TemporaryDirectory(prefix="riffusion-") as folder:
        path = Path(folder) / f"track.{suffix}"
        if suffix == "png":
            info = image_info(stream.mark_at(0), stream.source.format.engine_name)
            write_track_image(stream.track, path, info, stop=samples)
        else:
            stream.track.export(path, stop=samples)
        return path.open("rb")


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file, and close it."""
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def clip_image(stream: JamStream, sample: int) -> bytes:
    """Return a PNG, 512 x 512 in Riffusion's geometry, of the 5.11 s from absolute ``sample`` on.

    Near the end of the track they begin earlier; a shorter track is followed by silence. Raises
    InvalidInput for a sample that the track does not have.
    """
    length = stream.track.length
    if not 0 <= sample < length:
        hint = f"the track has {length} samples so far; use a sample of it"
        raise InvalidInput("clip position", sample, hint)
    start = max(0, min(sample, length - IMAGE_SAMPLES))
    pcm = stream.track.read(start, start + IMAGE_SAMPLES)
    padded = np.pad(pcm, ((0, 0), (0, IMAGE_SAMPLES - pcm.shape[1])))
    samples: npt.NDArray[np.float32] = padded.astype(np.float32) / INT16_SCALE
    info = image_info(stream.mark_at(sample), stream.source.format.engine_name)
    image = samples_to_image(
        lambda first, last: samples[:, first:last], IMAGE_SAMPLES, RIFFUSION, info
    )
    return encode_image(image)


def image_info(mark: ClipMark | None, engine: str) -> ImageInfo:
    """Return the description that an image carries of the clip it shows."""
    if mark is None:
        return ImageInfo(engine=engine)
    return ImageInfo(
        prompt_a=mark.prompt_a,
        prompt_b=mark.prompt_b,
        seed_a=mark.seed_a,
        seed_b=mark.seed_b,
        alpha=mark.alpha,
        engine=engine,
        bpm=mark.bpm,
        harmony=" ".join(mark.chords),
    )
