"""The song command: it plans a song from a line or reads a plan, and plays it into a file."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from riffusion.audio.progress import progress
from riffusion.audio.recording import Recording
from riffusion.audio.waveform import WRITTEN_AS as AUDIO
from riffusion.cli.commands import check_length, given_settings, print_summary, write_track_image
from riffusion.engines.arguments import load_chosen_engine
from riffusion.errors import InvalidInput
from riffusion.song.markers import cue_sheet, image_marks
from riffusion.song.model import Song
from riffusion.song.placement import PlacedSection
from riffusion.song.plan import WRITTEN_AS as PLANS
from riffusion.song.plan import load_plan, save_plan
from riffusion.song.planner import plan_song
from riffusion.song.render import render_song
from riffusion.song.session import SongBlock, SongSession
from riffusion.spectral.image import WRITTEN_AS as IMAGES
from riffusion.spectral.spectrogram import RIFFUSION
from riffusion.spectral.tags import ImageInfo
from riffusion.storage import check_output, write_whole


def song(arguments: Namespace) -> None:
    """Plan a song or read its plan, and play it into a file where one is named."""
    check_output("--out", arguments.out, AUDIO)
    check_output("--image", arguments.image, IMAGES)
    check_output("--plan", arguments.plan, PLANS)
    if arguments.image and not arguments.out:
        raise InvalidInput("--out", "missing", "the image is made from it; give --out song.flac")
    changes = given_settings(arguments, "song")
    if arguments.variation is not None:
        changes["variation"] = arguments.variation
    wanted = replace(_load_song(arguments), **changes)
    check_length(wanted.duration_s, arguments.image)
    if arguments.line is not None and arguments.plan:
        save_plan(wanted, arguments.plan)
    if arguments.out:
        record(wanted, arguments)


def _load_song(arguments: Namespace) -> Song:
    """Return the song of the plan file, or the one that is planned from the line."""
    if arguments.line is None:
        if not arguments.plan:
            hint = "give a line such as 'bossa nova, three minutes', or --plan song.yaml"
            raise InvalidInput("song", "missing", hint)
        for name in ("minutes", "seed"):
            if getattr(arguments, name) is not None:
                hint = "goes with a line; the plan says it itself"
                raise InvalidInput(f"--{name}", getattr(arguments, name), hint)
        return load_plan(arguments.plan)
    if not (arguments.plan or arguments.out):
        hint = "give --plan song.yaml, --out song.flac or both"
        raise InvalidInput("output", "missing", hint)
    if arguments.plan and Path(arguments.plan).exists():
        hint = "is there already, perhaps edited: leave out the line to play it, or name a new one"
        raise InvalidInput("--plan", arguments.plan, hint)
    return plan_song(arguments.line, arguments.minutes, arguments.seed or 0)


def record(wanted: Song, arguments: Namespace) -> None:
    """Play a song into its files. When something stops it early, what was played stays."""
    engine = load_chosen_engine(arguments)
    begin = time.perf_counter()
    with SongSession(engine, wanted) as session:
        rate = session.sample_rate
        recording = Recording(arguments.out, rate, session.channels, session.samples)
        try:
            with recording:
                for place, blocks in groupby(render_song(session), key=lambda block: block.placed):
                    _record_section(recording, place, blocks, len(session.placement))
        finally:
            print_summary(arguments.out, recording.duration_s, begin)
            played = tuple(p for p in session.placement if p.start < recording.length)
            audio = Path(arguments.out)
            sheet = cue_sheet(played, rate, audio.name, wanted.title)
            write_whole(audio.with_suffix(".cue"), sheet.encode())
            if arguments.image and recording.length:
                marks = image_marks(played, RIFFUSION.hop_length)
                info = ImageInfo(
                    prompt_a=wanted.title or None,
                    engine=engine.name,
                    bpm=wanted.bpm,
                    harmony=wanted.key,
                    sections=marks,
                )
                write_track_image(audio, arguments.image, info)


def _record_section(
    recording: Recording, place: PlacedSection, blocks: Iterator[SongBlock], count: int
) -> None:
    rate = recording.sample_rate
    what = f"{place.index + 1}/{count} {place.section.name}"
    with progress(what, (place.stop - place.start) / rate) as advance:
        for block in blocks:
            recording.write(block.samples)
            advance(block.samples.shape[1] / rate)
