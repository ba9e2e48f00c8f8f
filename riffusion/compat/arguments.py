"""The options of the original Riffusion's commands, and of its playground's tasks as commands.

Names and defaults are the original's. An option that it needed and this one does not (the device
of the codec) is accepted and changes nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from riffusion.engines.arguments import add_engine_arguments

Parser = TypeVar("Parser", bound=argparse.ArgumentParser)
Run = Callable[[argparse.Namespace], None]
Lookup = Callable[[str, str], Run]
Add = Callable[[str, str, Run], argparse.ArgumentParser]

CONVERT = "riffusion.compat.convert"
SLICE = "riffusion.compat.slice"
TASKS = "riffusion.compat.tasks"
STEMS = "riffusion.compat.stems"


def add_commands(
    commands: argparse._SubParsersAction[Parser],
    command: Lookup,
) -> None:
    """Add all commands to a parser.

    ``command(module, function)`` returns a callable that imports the function when it is called,
    so that help answers at once.
    """

    def add(name: str, words: str, run: Run) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=words, description=words.capitalize() + ".")
        parser.set_defaults(run=run)
        return parser

    _add_codec(add, command)
    _add_slicing(add, command)
    _add_tasks(add, command)
    split = add("split", "split audio into stems with demucs", command(STEMS, "split"))
    split.add_argument("--audio", required=True, help="an audio file")
    split.add_argument("--output-dir", required=True, help="where a file for each stem goes")
    split.add_argument("--extension", default="wav", help="wav, flac, mp3 or ogg")
    split.add_argument("--stem-model", default="htdemucs", help="a model that demucs knows")
    split.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def _add_codec(add: Add, command: Lookup) -> None:
    """Add the commands between audio and images."""
    to_image = add(
        "audio-to-image", "audio to a spectrogram image", command(CONVERT, "audio_to_image")
    )
    to_image.add_argument("--audio", required=True, help="an audio file")
    to_image.add_argument("--image", required=True, help="the image to write: .png or .jpg")
    _add_geometry(to_image)
    to_image.add_argument("--window-duration-ms", type=int, default=100)
    to_image.add_argument("--padded-duration-ms", type=int, default=400)
    to_image.add_argument("--stereo", action="store_true", help="left is green, right is blue")

    to_audio = add(
        "image-to-audio", "a spectrogram image to audio", command(CONVERT, "image_to_audio")
    )
    to_audio.add_argument("--image", required=True, help="a spectrogram image")
    to_audio.add_argument("--audio", required=True, help="the audio: .wav, .flac, .mp3 or .ogg")
    to_audio.add_argument(
        "--extend-band", action="store_true", help="guess what lies above the image's range"
    )
    _add_codec_device(to_audio)

    print_exif = add(
        "print-exif", "what an image says about itself", command(CONVERT, "print_exif")
    )
    print_exif.add_argument("--image", required=True, help="a spectrogram image")

    batch = add(
        "audio-to-images-batch",
        "a folder of audio to spectrogram images",
        command(CONVERT, "audio_to_images_batch"),
    )
    _add_folders(batch)
    batch.add_argument("--image-extension", default="jpg", help="jpg or png (default jpg)")
    _add_geometry(batch)
    batch.add_argument("--sample-rate", type=int, default=44100)
    _add_flag(batch, "mono", "mix to one channel")


def _add_slicing(add: Add, command: Lookup) -> None:
    """Add the commands that cut clips out of recordings."""
    one = add("sample-clips", "cut clips out of an audio file", command(SLICE, "sample_clips"))
    one.add_argument("--audio", required=True, help="an audio file")
    one.add_argument("--output-dir", required=True, help="where the clips go")
    one.add_argument("--num-clips", type=int, default=1)
    one.add_argument("--extension", default="wav", help="wav, flac, mp3 or ogg")

    many = add(
        "sample-clips-batch", "cut clips out of a folder", command(SLICE, "sample_clips_batch")
    )
    _add_folders(many)
    many.add_argument("--num-clips-per-file", type=int, default=1)
    many.add_argument("--extension", default="mp3", help="wav, flac, mp3 or ogg")
    many.add_argument("--glob", default="*", help="which files of the folder")
    for parser in (one, many):
        parser.add_argument("--duration-ms", type=int, default=5120, help="of each clip")
        parser.add_argument("--seed", type=int, default=-1, help="-1 cuts elsewhere each time")
        _add_flag(parser, "mono", "mix to one channel")


def _add_tasks(add: Add, command: Lookup) -> None:
    """Add the tasks of the playground."""
    text = _add_text_to_audio(add, command)
    restyled = _add_audio_to_audio(add, command)
    between = add("interpolation", "a walk between two prompts", command(TASKS, "interpolation"))
    between.add_argument("--num-interpolation-steps", type=int, default=12, help="clips on the way")
    between.add_argument("--alpha-power", type=float, default=1.0, help="above 1 lingers half-way")
    for parser in (restyled, between):
        _add_ends(parser, both_needed=parser is between)
        parser.add_argument(
            "--output", required=True, help="what to write: .wav, .flac, .mp3, .ogg"
        )
    for parser, strength in ((text, 0.75), (restyled, 0.55), (between, 0.75)):
        _add_sampling(parser, strength)
        if parser is not restyled:
            parser.add_argument("--seed-image", help="an anchor's name, or an audio or image file")
        add_engine_arguments(parser)


def _add_text_to_audio(add: Add, command: Lookup) -> argparse.ArgumentParser:
    """Add the task that generates a clip of a prompt, or a batch of clips."""
    text = add("text-to-audio", "a clip of a prompt, or of many", command(TASKS, "text_to_audio"))
    text.add_argument("--prompt", help="what to play")
    text.add_argument("--negative-prompt", help="what not to play")
    text.add_argument("--seed", type=int, default=42)
    text.add_argument("--batch", help="a JSON file with params and entries, instead of a prompt")
    text.add_argument("--num-seeds", type=int, default=1, help="clips of each entry of a batch")
    text.add_argument("--audio", help="the clip: .wav, .flac, .mp3 or .ogg")
    text.add_argument("--image", help="its spectrogram: .png or .jpg")
    text.add_argument("--output-dir", help="where the clips of a batch go, with an index.json")
    return text


def _add_audio_to_audio(add: Add, command: Lookup) -> argparse.ArgumentParser:
    """Add the task that restyles a recording."""
    words, run = "play a whole recording anew", command(TASKS, "audio_to_audio")
    restyled = add("audio-to-audio", words, run)
    restyled.add_argument("--audio", required=True, help="the recording, of any length")
    restyled.add_argument("--start-time-s", type=float, default=0.0)
    restyled.add_argument("--duration-s", type=float, help="how much of it (default: all)")
    restyled.add_argument(
        "--magic-mix", action="store_true", help="keep its layout: mix it in at each step"
    )
    restyled.add_argument("--kmax", type=float, default=0.5, help="its --denoising (default 0.5)")
    restyled.add_argument("--kmin", type=float, default=0.3, help="where mixing ends (default 0.3)")
    restyled.add_argument(
        "--mix-factor", type=float, default=0.5, help="0 mixes in only the recording, 1 none of it"
    )
    return restyled


def _add_ends(parser: argparse.ArgumentParser, *, both_needed: bool) -> None:
    """Add the options of the two ends of a walk."""
    parser.add_argument("--prompt-a", required=True, help="what to play")
    hint = "where it goes" if both_needed else "where it goes (default: nowhere)"
    parser.add_argument("--prompt-b", required=both_needed, help=hint)
    parser.add_argument("--seed-a", type=int, default=42)
    parser.add_argument("--seed-b", type=int, default=42)
    parser.add_argument("--denoising-b", type=float, help="at the far end (default: --denoising)")
    parser.add_argument("--negative-prompt", help="what not to play")


def _add_sampling(parser: argparse.ArgumentParser, strength: float) -> None:
    """Add the options of the sampler; ``strength`` is the default of --denoising."""
    parser.add_argument("--num-inference-steps", type=int, default=25, help="denoiser steps a clip")
    parser.add_argument("--guidance", type=float, default=7.0, help="how closely to follow")
    parser.add_argument(
        "--denoising", type=float, default=strength, help="0 keeps what is there, 1 ignores it"
    )


def _add_geometry(parser: argparse.ArgumentParser) -> None:
    """Add the options of a spectrogram image."""
    parser.add_argument("--step-size-ms", type=int, default=10, help="time of a column")
    parser.add_argument("--num-frequencies", type=int, default=512, help="rows")
    parser.add_argument("--min-frequency", type=int, default=0, help="Hz")
    parser.add_argument("--max-frequency", type=int, default=10000, help="Hz")
    parser.add_argument("--power-for-image", type=float, default=0.25, help="only 0.25 is written")
    _add_codec_device(parser)


def _add_codec_device(parser: argparse.ArgumentParser) -> None:
    """Add the --device that the original needed."""
    parser.add_argument("--device", help="taken for the original's sake; this runs on the CPU")


def _add_folders(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands for whole folders."""
    parser.add_argument("--audio-dir", required=True, help="a folder of audio files")
    parser.add_argument("--output-dir", required=True, help="made if it is not there")
    parser.add_argument("--num-threads", type=int, help="default: as many as cores")
    parser.add_argument("--limit", type=int, default=-1, help="most files (default: all)")


def _add_flag(parser: argparse.ArgumentParser, name: str, words: str) -> None:
    """Add --NAME and --no-NAME, off by default."""
    switch = argparse.BooleanOptionalAction
    parser.add_argument(f"--{name}", action=switch, default=False, help=words)
