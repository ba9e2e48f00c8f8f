"""Capture turns what a jam plays into a section of a song: its settings, and a passage of its audio
as the anchor.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import INT16_SCALE, Waveform, encode_audio
from riffusion.jam.asset import AssetRef, make_upload
from riffusion.jam.schema import DEFAULTS, settings_for
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import Segment
from riffusion.music.harmony import progression
from riffusion.song.model import Section, Song, section_fields

# The strength with which a section plays its captured passage: the passage is recognised, and
# continues past its own end (docs/songs.md has the measurement).
CAPTURE_STRENGTH = 0.3
# This is eight bars of four beats at the slowest tempo, and 6 MB.
MAX_CAPTURE_S = 32.0


def capture_section(
    segment: Segment, sample: int, name: str, bars: int, passage: AssetRef | None = None
) -> Section:
    """Return a section that plays what a jam plays at ``sample``, which lies in ``segment``.

    The section stays where the walk is, at the tempo of that moment. Its clips start from
    ``passage``, which ``cut_passage`` returns, or without one from the anchor of the jam.
    """
    # Before its first bar a jam plays a recording.
    bar = max(segment.bar, segment.grid.bar_at(sample))
    settings, blend = segment.settings, segment.blend(bar)
    walks = blend.start != blend.end and 0 < blend.alpha < 1
    values = settings.by_setting()
    values = {entry.name: values[entry.name] for entry in settings_for("section")}
    values |= {"bpm": segment.grid.tempo_at(bar), "ramp_bars": DEFAULTS["ramp_bars"]}
    if passage:
        values |= {"anchor": passage, "strength": CAPTURE_STRENGTH}
    return Section(
        name=name,
        bars=bars,
        prompt=blend.start if walks or blend.alpha < 0.5 else blend.end,
        prompt_b=blend.end if walks else None,
        blend=round(blend.alpha, 3) if walks else None,
        **section_fields(values),
    )


def find_passage(segment: Segment, sample: int, bars: int) -> tuple[int, int] | None:
    """Return from which sample to which the last ``bars`` whole bars before ``sample`` lie.

    The passage begins with the first chord, as a section does, and lies in ``segment``, so that it
    has nothing from before the last change, nor from a ramp, whose bars are not of one length.
    Where there are fewer bars it is whole rounds of the progression, so that it can repeat. Returns
    None where not one round was played.
    """
    chords, grid = len(segment.chords), segment.grid
    begin = math.ceil(max(segment.bar, grid.ramp_end))
    room = int(MAX_CAPTURE_S * grid.sample_rate / grid.bar_samples)
    first = begin + (segment.chords_bar - begin) % chords
    played = grid.bar_at(sample) - first
    most = bars if bars <= room else room // chords * chords
    length = most if most <= played else played // chords * chords
    if length <= 0:
        return None
    start = first + (played - length) // chords * chords
    return grid.bar_sample(start), grid.bar_sample(start + length)


def cut_passage(track: TrackFile, start: int, stop: int) -> AssetRef | None:
    """Return samples ``start`` to ``stop`` of a track as an anchor, or None for silence."""
    pcm = track.read(start, stop)
    if not pcm.any():
        return None
    samples = (pcm / INT16_SCALE).astype(np.float32)
    return make_upload(encode_audio(Waveform(samples, track.sample_rate), ".flac"))


def with_section(song: Song | None, section: Section, settings: JamSettings) -> Song:
    """Return ``song`` with ``section`` instead of the one of its name, or as a new one at its end.

    Without a song, it is a new one with the settings that songs have, as ``settings`` say, and the
    tempo of the section.
    """
    shared = [entry.name for entry in settings_for("section") if "song" in entry.scopes]
    values = settings.by_setting()
    if song is None:
        common = {entry.name: values[entry.name] for entry in settings_for("song")}
        common |= {"bpm": section.bpm}
        return Song((section.without(shared),), (section.name,), **common)
    same = [name for name in shared if _is_same(name, getattr(section, name), getattr(song, name))]
    section = section.without(same)
    others = tuple(other for other in song.sections if other.name != section.name)
    if len(others) < len(song.sections):
        sections = tuple(section if o.name == section.name else o for o in song.sections)
        return replace(song, sections=sections)
    return replace(song, sections=(*others, section), order=(*song.order, section.name))


def _is_same(name: str, value: Any, other: Any) -> bool:
    """Return whether two values of a setting sound the same; a key has more than one spelling."""
    return progression(value) == progression(other) if name == "key" else bool(value == other)
