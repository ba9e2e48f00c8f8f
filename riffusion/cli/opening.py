"""Going on from a recording on the command line: what is heard in it, and how to correct that."""

from __future__ import annotations

from argparse import Namespace

from riffusion.analysis.recording import MAX_S, analyse
from riffusion.audio.waveform import read_ending
from riffusion.errors import InvalidInput
from riffusion.jam.opening import Opening, open_recording, trim_recording

CORRECT = "Correct that with --bpm, --beats-per-bar, --downbeat and --key."


def read_opening(arguments: Namespace) -> Opening | None:
    """Return the opening that the arguments name, None without one, and print what is heard.

    Settings that the arguments leave open become those of the recording. Raises InvalidInput where
    nothing can go on from it.
    """
    if arguments.recording is None:
        if arguments.downbeat is not None:
            raise InvalidInput("--downbeat", arguments.downbeat, "belongs to --continue FILE")
        return None
    ending, begins_s = read_ending(arguments.recording, MAX_S)
    sound = trim_recording(ending)
    downbeat_s = None if arguments.downbeat is None else arguments.downbeat - begins_s
    heard = analyse(sound, arguments.bpm, arguments.beats_per_bar, downbeat_s)
    opening = open_recording(sound, heard)
    print(f"heard: {heard.in_words(begins_s)} {CORRECT}")
    if heard.bars is not None:
        arguments.bpm = arguments.bpm or round(heard.bars.bpm, 2)
        arguments.beats_per_bar = arguments.beats_per_bar or heard.bars.beats_per_bar
    if heard.key is not None:
        arguments.key = arguments.key or heard.key.name
    return opening
