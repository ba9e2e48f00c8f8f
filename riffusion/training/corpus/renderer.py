"""Scores to sound, through FluidSynth and a General MIDI soundfont."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from riffusion.errors import MissingTool
from riffusion.music.instruments import BASS_PROGRAMS
from riffusion.training.corpus.score import Score

GAIN = 0.35
FULL_SCALE = 32768.0
PAN_CONTROL, CENTRE, HALF_STAGE = 10, 64, 55

# Debian installs soundfonts with permissive licences (MIT, public domain) here.
SOUNDFONTS: tuple[Path, ...] = (
    Path("/usr/share/sounds/sf3/MuseScore_General_Lite.sf3"),
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3"),
)


def installed_soundfonts() -> tuple[Path, ...]:
    """Return the soundfonts of ``SOUNDFONTS`` that are installed. Raises MissingTool if none is."""
    found = tuple(path for path in SOUNDFONTS if path.exists())
    if not found:
        raise MissingTool("no soundfont is installed: apt install fluidr3mono-gm-soundfont")
    return found


@lru_cache(maxsize=4)
def _load_synthesizer(soundfont: Path, sample_rate: int) -> Any:
    try:
        import fluidsynth
    except ImportError as error:
        raise MissingTool(
            "FluidSynth is missing: pip install pyfluidsynth, apt install libfluidsynth3"
        ) from error
    settings = {"synth.lock-memory": 0, "synth.cpu-cores": 1}
    synth = fluidsynth.Synth(gain=GAIN, samplerate=float(sample_rate), channels=16, **settings)
    if synth.sfload(str(soundfont)) < 0:
        raise MissingTool(f"the soundfont {soundfont.name} cannot be loaded")
    return synth


def render(
    score: Score, soundfont: Path, rng: random.Random, sample_rate: int = 44100
) -> npt.NDArray[np.float32]:
    """Play a score in a random room: float32 (2, samples), exactly ``score.seconds`` long.

    Raises MissingTool without FluidSynth or where it cannot load the soundfont.
    """
    synth = _load_synthesizer(soundfont, sample_rate)
    synth.system_reset()
    synth.set_reverb(
        rng.uniform(0.1, 0.9), rng.uniform(0, 0.6), rng.uniform(0.3, 1), rng.uniform(0.1, 0.8)
    )
    _pan_players(synth, score, rng)
    samples_per_beat = 60.0 / score.bpm * sample_rate
    total = round(score.seconds * sample_rate)
    blocks: list[npt.NDArray[np.int16]] = []
    position = 0
    for event in score.events:
        at = min(total, round(event.beat * samples_per_beat))
        if at > position:
            blocks.append(synth.get_samples(at - position))
            position = at
        _send(synth, event.message)
    if position < total:
        blocks.append(synth.get_samples(total - position))
    interleaved = np.concatenate(blocks).astype(np.float32) / FULL_SCALE
    return np.ascontiguousarray(interleaved.reshape(-1, 2).T)


def _pan_players(synth: Any, score: Score, rng: random.Random) -> None:
    """Pan the instruments across a narrow or wide stage, basses in the middle."""
    width = rng.uniform(0.2, 1.0) * HALF_STAGE
    for channel, program in score.players().items():
        seat = CENTRE if program in BASS_PROGRAMS else CENTRE + rng.uniform(-width, width)
        synth.cc(channel, PAN_CONTROL, round(seat))


def _send(synth: Any, message: Any) -> None:
    if message.type == "note_on" and message.velocity:
        synth.noteon(message.channel, message.note, message.velocity)
    elif message.type in ("note_on", "note_off"):
        synth.noteoff(message.channel, message.note)
    elif message.type == "program_change":
        synth.program_change(message.channel, message.program)
    elif message.type == "control_change":
        synth.cc(message.channel, message.control, message.value)
    elif message.type == "pitchwheel":
        synth.pitch_bend(message.channel, message.pitch)
