"""The command line: ``python -m riffusion COMMAND``.

Reads arguments and says what went wrong; the work is in riffusion/cli/commands.py.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from riffusion.compat.arguments import add_commands
from riffusion.engines.arguments import add_engine_arguments
from riffusion.errors import InvalidInput, RiffusionError

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130

# Commands of the training room by name: their module, and what they do.
TRAINING = {
    "corpus": ("corpus.build", "render captioned music to train on"),
    "corpus-sound": ("corpus.sound", "render songs of the corpus to sound files"),
    "train": ("engine.train", "train the engine on a corpus"),
    "train-vocoder": ("vocoder.train", "train the vocoder on sound files"),
    "evaluate": ("evaluation.engine", "measure a trained engine"),
    "evaluate-songs": ("evaluation.songs", "measure whether the sections of songs come back"),
    "evaluate-sound": ("evaluation.sound", "measure the vocoders, from spectrogram to sound"),
}


class UsageError(Exception):
    """Arguments that do not make a command."""


class _Parser(argparse.ArgumentParser):
    """Leaves it to ``main`` to say what is wrong, in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 bad input, 1 failed, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        parsed = build_parser(arguments[:1]).parse_args(arguments)
        parsed.run(parsed)
    except (UsageError, InvalidInput) as error:
        return complain(error, BAD_INPUT)
    except RiffusionError as error:
        return complain(error, FAILED)
    except KeyboardInterrupt:
        return complain("stopped", INTERRUPTED)
    return 0


def run() -> NoReturn:
    """What ``python -m riffusion`` and the installed command call. A kill stops like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())


def complain(error: object, code: int) -> int:
    print("riffusion:", " ".join(str(error).split()), file=sys.stderr)
    return code


def command_of(module: str, name: str) -> Callable[[argparse.Namespace], None]:
    """A function of ``module``, loaded when it runs: ``--help`` waits for no PyTorch."""

    def run_command(arguments: argparse.Namespace) -> None:
        getattr(import_module(module), name)(arguments)

    return run_command


def command(name: str) -> Callable[[argparse.Namespace], None]:
    """A function of riffusion.cli.commands."""
    return command_of("riffusion.cli.commands", name)


def build_parser(chosen: Sequence[str] = ()) -> argparse.ArgumentParser:
    """All commands. Those for training load their modules only when ``chosen`` names them."""
    parser = _Parser(prog="riffusion", description="Live, infinite AI jamming, without the page.")
    commands = parser.add_subparsers(metavar="command", dest="command", required=True)

    jam = commands.add_parser("jam", help="play a walk between two prompts into a file")
    add_jam_arguments(jam)

    generate = commands.add_parser("generate", help="make one clip of a prompt")
    generate.add_argument("prompt", help='what to play, for example "church bells"')
    generate.add_argument("--seed", type=whole, default=0, help="which noise to start from")
    add_music_arguments(generate)
    add_engine_arguments(generate)
    generate.add_argument("--out", help="the clip: .wav, .flac, .mp3 or .ogg")
    generate.add_argument("--image", help="its spectrogram: .png")
    add_anchor_arguments(generate)
    generate.set_defaults(run=command("generate"))

    encode = commands.add_parser("encode", help="turn audio into a spectrogram image")
    encode.add_argument("audio", help="an audio file")
    encode.add_argument("image", help="the image to write: .png")
    encode.set_defaults(run=command("encode"))

    decode = commands.add_parser("decode", help="turn a spectrogram image into audio")
    decode.add_argument("image", help="a spectrogram image, ours or of the original Riffusion")
    decode.add_argument("audio", help="the audio to write: .wav, .flac, .mp3 or .ogg")
    decode.set_defaults(run=command("decode"))

    replay = commands.add_parser("replay", help="make the track of a session file again")
    replay.add_argument("session", help="a session file, from jam --session or from the page")
    replay.add_argument("--seconds", type=number, help="another length than the session's own")
    add_engine_arguments(replay)
    add_track_arguments(replay)
    replay.set_defaults(run=command("replay"))

    song = commands.add_parser("song", help="play a song of sections that come back")
    add_song_arguments(song)

    add_commands(commands, command_of)

    for name, (place, what) in TRAINING.items():
        training = commands.add_parser(name, help=what)
        if name in chosen:
            module = import_module(f"riffusion.training.{place}")
            module.add_arguments(training)
            training.set_defaults(run=module.main)
    return parser


def add_jam_arguments(jam: argparse.ArgumentParser) -> None:
    jam.add_argument("--prompt-a", required=True, help='where the walk starts: "church bells"')
    jam.add_argument("--prompt-b", help="where it goes (default: prompt A, with seed B)")
    jam.add_argument("--seed-a", type=whole, default=0, help="noise at A (default 0)")
    jam.add_argument("--seed-b", type=whole, default=1, help="noise at B (default 1)")
    jam.add_argument("--seconds", type=number, default=60.0, help="length (default 60)")
    jam.add_argument("--path", help="ping-pong, once, hold or manual")
    jam.add_argument("--walk-bars", type=whole, help="bars from A to B")
    jam.add_argument("--position", type=number, help="0 is A, 1 is B (with --path manual or hold)")
    add_music_arguments(jam)
    add_anchor_arguments(jam)
    add_engine_arguments(jam)
    add_track_arguments(jam)
    jam.add_argument(
        "--session", dest="save", metavar="FILE", help="a .json file that replays the same track"
    )
    jam.set_defaults(run=command("jam"))


def add_song_arguments(song: argparse.ArgumentParser) -> None:
    song.add_argument(
        "line",
        nargs="?",
        help='what to plan: "melancholy bossa nova, three minutes"; "" for anything at all',
    )
    song.add_argument("--minutes", type=number, help="length (default: as the line says, or 3)")
    song.add_argument("--seed", type=whole, help="another plan of the same line (default 0)")
    song.add_argument("--plan", help="a .yaml or .json: written with a line, played without one")
    song.add_argument("--out", help="the song: .wav, .flac, .mp3 or .ogg, with a .cue beside it")
    song.add_argument("--image", help="its long spectrogram: .png")
    song.add_argument("--variation", type=number, help="0 to 1: how sections differ on return")
    song.add_argument("--guidance", type=number, help="how closely to follow the prompts")
    song.add_argument("--steps", type=whole, help="denoiser steps a clip: more is finer, slower")
    add_engine_arguments(song)
    song.set_defaults(run=command_of("riffusion.cli.song", "song"))


def add_anchor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--anchor", help="what to start from: a name, or an audio or image file")
    parser.add_argument("--strength", type=number, help="0 keeps the anchor, 1 ignores it (0.75)")
    parser.add_argument("--mask", help="what to repaint of it: a name, or an image file")


def add_music_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bpm", type=number, help="tempo in beats per minute")
    parser.add_argument("--key", help="for example Cm, F#, Bb minor")
    parser.add_argument("--beats-per-bar", type=whole, help="3 for a waltz (default 4)")
    parser.add_argument("--chords", help='one chord a bar: "Cm Ab Eb Bb"')
    for name in ("density", "brightness", "drums"):
        parser.add_argument(f"--{name}", type=number, help="0 to 1 (default: as the prompt says)")
    parser.add_argument("--guidance", type=number, help="how closely to follow the prompt")
    parser.add_argument("--steps", type=whole, help="denoiser steps a clip: more is finer, slower")


def add_track_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, help="the track: .wav, .flac, .mp3 or .ogg")
    parser.add_argument("--image", help="its long spectrogram: .png")


def whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        message = f"{text[:40]!r} is not a whole number; use one like 42"
        raise argparse.ArgumentTypeError(message) from error


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        message = f"{text[:40]!r} is not a number; use one like 0.5"
        raise argparse.ArgumentTypeError(message) from error
