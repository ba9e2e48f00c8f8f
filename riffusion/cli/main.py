"""The command line: ``python -m riffusion COMMAND``.

This module reads arguments and prints errors; the commands are in riffusion/cli/commands.py. The
options that are settings come from the schema.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

from riffusion import __version__
from riffusion.compat.arguments import add_commands
from riffusion.engines.arguments import add_engine_arguments
from riffusion.errors import InvalidInput, RiffusionError
from riffusion.jam.schema import settings_for
from riffusion.jam.setting import Scope

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130
COMMANDS = "riffusion.cli.commands"
# The defaults on the command line, where they are not the default of the schema.
JAM_DEFAULTS = {
    "prompt_a": None,
    "seed_a": "0",
    "prompt_b": "prompt A, with seed B",
    "seed_b": "1",
}
# The files that options for anchors and masks may name.
FILES = {"anchor": "a name, or an audio or image file", "mask": "a name, or an image file"}

# Commands of the training room by name: their module, and what they do.
TRAINING = {
    "corpus": ("corpus.build", "render captioned music to train on"),
    "corpus-sound": ("corpus.sound", "render songs of the corpus to sound files"),
    "train": ("engine.train", "train the engine on a corpus"),
    "distill": ("engine.distill", "teach the engine to play in few steps"),
    "train-vocoder": ("vocoder.train", "train the vocoder on sound files"),
    "train-analysis": ("analysis.train", "fit what recordings are analysed by to a corpus"),
    "evaluate": ("evaluation.engine", "measure a trained engine"),
    "evaluate-songs": ("evaluation.songs", "measure whether the sections of songs come back"),
    "evaluate-sound": ("evaluation.sound", "measure the vocoders, from spectrogram to sound"),
}


class UsageError(Exception):
    """The arguments do not make a command."""


class _Parser(argparse.ArgumentParser):
    """A parser that leaves it to ``main`` to print what is wrong, in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 bad input, 1 failed, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        parsed = build_parser(arguments[:1]).parse_args(arguments)
        parsed.run(parsed)
    except (UsageError, InvalidInput) as error:
        return print_error(error, BAD_INPUT)
    except RiffusionError as error:
        return print_error(error, FAILED)
    except KeyboardInterrupt:
        return print_error("stopped", INTERRUPTED)
    return 0


def run() -> NoReturn:
    """Run the command line of this process and exit. SIGTERM stops it like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())


def print_error(error: object, code: int) -> int:
    """Print an error in one line on standard error and return ``code``."""
    print("riffusion:", " ".join(str(error).split()), file=sys.stderr)
    return code


def load_command(module: str, name: str) -> Callable[[argparse.Namespace], None]:
    """Return a function of ``module`` that is imported when it runs.

    So ``--help`` need not wait for PyTorch.
    """

    def run_command(arguments: argparse.Namespace) -> None:
        getattr(import_module(module), name)(arguments)

    return run_command


def build_parser(chosen: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of all commands.

    Those of the training room load their modules only when ``chosen`` names them.
    """
    parser = _Parser(prog="riffusion", description="Live, infinite AI jamming, without the page.")
    parser.add_argument("--version", action="version", version=f"riffusion {__version__}")
    commands = parser.add_subparsers(metavar="command", dest="command", required=True)
    add_jam(commands.add_parser("jam", help="play a walk between two prompts into a file"))
    add_generate(commands.add_parser("generate", help="make one clip of a prompt"))
    add_encode(commands.add_parser("encode", help="turn audio into a spectrogram image"))
    add_decode(commands.add_parser("decode", help="turn a spectrogram image into audio"))
    add_replay(commands.add_parser("replay", help="make the track of a session file again"))
    add_song(commands.add_parser("song", help="play a song of sections that come back"))
    add_commands(commands, load_command)
    for name, (place, what) in TRAINING.items():
        training = commands.add_parser(name, help=what)
        if name in chosen:
            module = import_module(f"riffusion.training.{place}")
            module.add_arguments(training)
            training.set_defaults(run=module.main)
    return parser


def add_jam(jam: argparse.ArgumentParser) -> None:
    """Add the options of ``jam``: the settings of a jam, its length and its files."""
    add_settings(jam, "jam", JAM_DEFAULTS)
    jam.set_defaults(seed_a=0, seed_b=1)
    jam.add_argument("--seconds", type=number, default=60.0, help="length (default: 60)")
    add_opening(jam)
    add_engine_arguments(jam)
    add_track_arguments(jam)
    jam.add_argument(
        "--session", dest="save", metavar="FILE", help="a .json file that replays the same track"
    )
    jam.set_defaults(run=load_command(COMMANDS, "jam"))


def add_opening(jam: argparse.ArgumentParser) -> None:
    """Add the options for a recording that the jam goes on from."""
    jam.add_argument(
        "--continue",
        dest="recording",
        metavar="FILE",
        help="go on from the last minute of a recording, in its time and key; --seconds counts "
        "from there, and --bpm, --beats-per-bar, --downbeat and --key correct what is heard",
    )
    jam.add_argument(
        "--downbeat",
        type=number,
        metavar="SECONDS",
        help="where a bar of the recording begins (default: as it is heard)",
    )


def add_generate(generate: argparse.ArgumentParser) -> None:
    """Add the options of ``generate``: a prompt, the settings of a clip and its files."""
    generate.add_argument("prompt", help='what to play, for example "church bells"')
    generate.add_argument(
        "--seed", type=whole, default=0, help="the noise that the clip starts from (default: 0)"
    )
    defaults = {entry.name: entry.clip_default_in_words for entry in settings_for("clip")}
    add_settings(generate, "clip", defaults)
    add_engine_arguments(generate)
    generate.add_argument("--out", help="the clip: .wav, .flac, .mp3 or .ogg")
    generate.add_argument("--image", help="its spectrogram: .png")
    generate.set_defaults(run=load_command(COMMANDS, "generate"))


def add_encode(encode: argparse.ArgumentParser) -> None:
    """Add the options of ``encode``."""
    encode.add_argument("audio", help="an audio file")
    encode.add_argument("image", help="the image to write: .png")
    encode.set_defaults(run=load_command(COMMANDS, "encode"))


def add_decode(decode: argparse.ArgumentParser) -> None:
    """Add the options of ``decode``."""
    decode.add_argument("image", help="a spectrogram image, ours or of the original Riffusion")
    decode.add_argument("audio", help="the audio to write: .wav, .flac, .mp3 or .ogg")
    decode.set_defaults(run=load_command(COMMANDS, "decode"))


def add_replay(replay: argparse.ArgumentParser) -> None:
    """Add the options of ``replay``."""
    replay.add_argument("session", help="a session file, from jam --session or from the page")
    replay.add_argument("--seconds", type=number, help="length (default: the session's own)")
    add_engine_arguments(replay)
    add_track_arguments(replay)
    replay.set_defaults(run=load_command(COMMANDS, "replay"))


def add_song(song: argparse.ArgumentParser) -> None:
    """Add the options of ``song``: what to plan, what replaces the plan's own, and the files."""
    song.add_argument(
        "line",
        nargs="?",
        help='what to plan: "melancholy bossa nova, three minutes"; "" for anything at all',
    )
    song.add_argument("--minutes", type=number, help="length (default: as the line says, or 3)")
    song.add_argument("--seed", type=whole, help="another plan of the same line (default: 0)")
    song.add_argument("--plan", help="a .yaml or .json: written with a line, played without one")
    song.add_argument("--out", help="the song: .wav, .flac, .mp3 or .ogg, with a .cue beside it")
    song.add_argument("--image", help="its long spectrogram: .png")
    song.add_argument(
        "--variation",
        type=number,
        help="how sections differ on return, a number from 0 to 1 (default: as the plan says)",
    )
    add_settings(song, "song", {entry.name: "as the plan says" for entry in settings_for("song")})
    add_engine_arguments(song)
    song.set_defaults(run=load_command("riffusion.cli.song", "song"))


def add_settings(
    parser: argparse.ArgumentParser, scope: Scope, defaults: Mapping[str, str | None]
) -> None:
    """Add an option for each setting that can be given in ``scope``.

    ``defaults`` say in words what holds without an option, where that is not the default of the
    schema; None makes it required. An option that is not given is None. Values are checked by
    whoever plays them.
    """
    for entry in settings_for(scope):
        default = defaults.get(entry.name, entry.default_in_words)
        without = "required" if default is None else f"default: {default}"
        files = f": {FILES[entry.kind]}" if entry.kind in FILES else ""
        summary = entry.summary[0].lower() + entry.summary[1:]
        # An option for yes or no needs no value; argparse calls that an action.
        kind: dict[str, Any] = (
            {"action": argparse.BooleanOptionalAction}
            if entry.kind == "flag"
            else {"type": TYPES.get(entry.kind, str)}
        )
        parser.add_argument(
            f"--{entry.name.replace('_', '-')}",
            required=default is None,
            help=f"{summary}{files} ({without})".replace("%", "%%"),
            **kind,
        )


def add_track_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the files of a track."""
    parser.add_argument("--out", required=True, help="the track: .wav, .flac, .mp3 or .ogg")
    parser.add_argument("--image", help="its long spectrogram: .png")


def whole(text: str) -> int:
    """Read a whole number. Raises ArgumentTypeError."""
    try:
        return int(text)
    except ValueError as error:
        message = f"{text[:40]!r} is not a whole number; use one like 42"
        raise argparse.ArgumentTypeError(message) from error


def number(text: str) -> float:
    """Read a number. Raises ArgumentTypeError."""
    try:
        return float(text)
    except ValueError as error:
        message = f"{text[:40]!r} is not a number; use one like 0.5"
        raise argparse.ArgumentTypeError(message) from error


TYPES: dict[str, Callable[[str], object]] = {"whole": whole, "number": number}
