"""The original's commands between audio and images."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from riffusion.audio.waveform import WRITTEN_AS as AUDIO
from riffusion.audio.waveform import Waveform, read_audio
from riffusion.compat.files import check_extension, list_audio_files, make_folder, process_files
from riffusion.errors import InvalidInput
from riffusion.spectral.image import WRITTEN_AS as IMAGES
from riffusion.spectral.image import audio_to_image as image_of
from riffusion.spectral.image import open_image, write_image
from riffusion.spectral.long_audio import decode_file
from riffusion.spectral.spectrogram import SpectrogramParams
from riffusion.spectral.tags import POWER, exif_table
from riffusion.storage import check_output


def audio_to_image(arguments: Namespace) -> None:
    """Write the spectrogram image of an audio file, in the geometry that was asked for."""
    check_output("--image", arguments.image, IMAGES)
    sound = read_audio(arguments.audio)
    params = geometry(arguments, sound.sample_rate)
    write_image(image_of(sound, params, stereo=arguments.stereo), arguments.image)
    print(f"Wrote {arguments.image}")


def image_to_audio(arguments: Namespace) -> None:
    """Write the sound of a spectrogram image."""
    check_output("--audio", arguments.audio, AUDIO)
    seconds = decode_file(arguments.image, arguments.audio, extended=arguments.extend_band)
    print(f"Wrote {arguments.audio} ({seconds:.2f} seconds)")


def exif(arguments: Namespace) -> None:
    """Print what an image says about itself."""
    for name, value in exif_table(open_image(arguments.image)).items():
        print(f"{name:<20} = {value!s:>15}")


def audio_to_images_batch(arguments: Namespace) -> None:
    """Write the spectrogram image of each file of a folder."""
    suffix = check_extension("--image-extension", arguments.image_extension, IMAGES)
    params = geometry(arguments, arguments.sample_rate)
    files = list_audio_files(arguments.audio_dir, limit=arguments.limit)
    folder = make_folder(arguments.output_dir)

    def work(file: Path) -> Iterator[Path]:
        path = folder / f"{file.stem}{suffix}"
        write_image(_image(read_audio(file), params, mono=arguments.mono), path)
        yield path

    report(*process_files(files, work, arguments.num_threads))


def report(written: list[Path], problems: list[str]) -> None:
    """Say what a batch wrote and what it left out."""
    for problem in problems:
        print(f"Left out {problem}")
    print(f"Wrote {len(written)} files")


def geometry(arguments: Namespace, sample_rate: int) -> SpectrogramParams:
    """The grid that the options describe. Raises InvalidInput."""
    if arguments.power_for_image != POWER:
        legal = f"images are written with {POWER}; any power is read"
        raise InvalidInput("--power-for-image", arguments.power_for_image, legal)
    return SpectrogramParams(
        sample_rate=sample_rate,
        hop_length=_samples(arguments.step_size_ms, sample_rate),
        win_length=_samples(getattr(arguments, "window_duration_ms", 100), sample_rate),
        n_fft=_samples(getattr(arguments, "padded_duration_ms", 400), sample_rate),
        mel_bands=arguments.num_frequencies,
        min_hz=float(arguments.min_frequency),
        max_hz=float(arguments.max_frequency),
    )


def _samples(milliseconds: int, sample_rate: int) -> int:
    return int(milliseconds / 1000 * sample_rate)


def _image(sound: Waveform, params: SpectrogramParams, *, mono: bool) -> Image.Image:
    """A stereo image, also of a mono sound, unless ``mono``: the original's batch does so."""
    if not mono and sound.channels == 1:
        sound = Waveform(sound.samples.repeat(2, axis=0), sound.sample_rate)
    return image_of(sound, params, stereo=not mono)
