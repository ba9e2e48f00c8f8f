"""The original's commands that convert between audio and spectrogram images."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from riffusion.audio.waveform import Waveform, check_audio_output, read_audio
from riffusion.compat.files import check_extension, list_audio_files, make_folder, process_files
from riffusion.errors import InvalidInput
from riffusion.spectral.image import WRITTEN_AS as IMAGES
from riffusion.spectral.image import audio_to_image as draw_image
from riffusion.spectral.image import open_image, write_image
from riffusion.spectral.long_audio import decode_file
from riffusion.spectral.spectrogram import SpectrogramParams
from riffusion.spectral.tags import POWER, exif_table
from riffusion.storage import check_output


def audio_to_image(arguments: Namespace) -> None:
    """Write the spectrogram image of an audio file in the geometry that the options choose."""
    check_output("--image", arguments.image, IMAGES)
    sound = read_audio(arguments.audio)
    params = read_geometry(arguments, sound.sample_rate)
    write_image(draw_image(sound, params, stereo=arguments.stereo), arguments.image)
    print(f"Wrote {arguments.image}")


def image_to_audio(arguments: Namespace) -> None:
    """Decode a spectrogram image into an audio file."""
    check_audio_output("--audio", arguments.audio)
    seconds = decode_file(arguments.image, arguments.audio, extended=arguments.extend_band)
    print(f"Wrote {arguments.audio} ({seconds:.2f} seconds)")


def print_exif(arguments: Namespace) -> None:
    """Print the tags of a spectrogram image."""
    for name, value in exif_table(open_image(arguments.image)).items():
        print(f"{name:<20} = {value!s:>15}")


def audio_to_images_batch(arguments: Namespace) -> None:
    """Write a spectrogram image of each audio file of a folder."""
    suffix = check_extension("--image-extension", arguments.image_extension, IMAGES)
    params = read_geometry(arguments, arguments.sample_rate)
    files = list_audio_files(arguments.audio_dir, limit=arguments.limit)
    folder = make_folder(arguments.output_dir)

    def convert(file: Path) -> Iterator[Path]:
        path = folder / f"{file.stem}{suffix}"
        write_image(_draw_like_original(read_audio(file), params, mono=arguments.mono), path)
        yield path

    report(*process_files(files, convert, arguments.num_threads))


def report(written: list[Path], problems: list[str]) -> None:
    """Print how many files a batch wrote and which it left out."""
    for problem in problems:
        print(f"Left out {problem}")
    print(f"Wrote {len(written)} files")


def read_geometry(arguments: Namespace, sample_rate: int) -> SpectrogramParams:
    """Return the time and frequency grid that the options choose. Raises InvalidInput."""
    if arguments.power_for_image != POWER:
        hint = f"images are written with {POWER}; any power is read"
        raise InvalidInput("--power-for-image", arguments.power_for_image, hint)
    return SpectrogramParams(
        sample_rate=sample_rate,
        hop_length=_to_samples(arguments.step_size_ms, sample_rate),
        win_length=_to_samples(getattr(arguments, "window_duration_ms", 100), sample_rate),
        n_fft=_to_samples(getattr(arguments, "padded_duration_ms", 400), sample_rate),
        mel_bands=arguments.num_frequencies,
        min_hz=float(arguments.min_frequency),
        max_hz=float(arguments.max_frequency),
    )


def _to_samples(milliseconds: int, sample_rate: int) -> int:
    """Return a duration in samples, rounded down as the original does."""
    return int(milliseconds / 1000 * sample_rate)


def _draw_like_original(sound: Waveform, params: SpectrogramParams, *, mono: bool) -> Image.Image:
    """Draw a stereo image, also of a mono sound, unless ``mono``, as the original's batch does."""
    if not mono and sound.channels == 1:
        sound = Waveform(sound.samples.repeat(2, axis=0), sound.sample_rate)
    return draw_image(sound, params, stereo=not mono)
