"""Keep what a jam plays as a section of a song: what is asked for, and what was heard of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import INT16_SCALE, Waveform, encode_audio
from riffusion.errors import InvalidInput
from riffusion.jam.asset import AssetRef, make_upload
from riffusion.jam.settings import JamSettings
from riffusion.jam.timeline import Segment
from riffusion.music.harmony import progression
from riffusion.song.model import Section, Song

# How much goes of what was heard when the section is played: it is recognised, and goes on past
# the end of what was kept (docs/songs.md has the measurement).
KEPT_STRENGTH = 0.3
# Eight bars of four beats at the slowest tempo, and 6 MB.
MAX_KEPT_S = 32.0


def kept_section(
    segment: Segment, sample: int, name: str, bars: int, heard: AssetRef | None = None
) -> Section:
    """A section that plays what a jam plays at ``sample``, where ``segment`` rules.

    It stays where the walk is. Its clips start from what was ``heard``, as ``heard_passage`` cuts
    it; without it from what the jam's did.
    """
    settings, alpha = segment.settings, segment.alpha(segment.grid.bar_at(sample))
    walks = settings.prompt_a != settings.prompt_b and 0 < alpha < 1
    return Section(
        name=name,
        bars=bars,
        prompt=settings.prompt_a if walks or alpha < 0.5 else settings.prompt_b,
        prompt_b=settings.prompt_b if walks else None,
        blend=round(alpha, 3) if walks else None,
        key=settings.key,
        chords=settings.chords,
        bpm=settings.bpm,
        controls=settings.controls,
        anchor=heard or settings.anchor,
        strength=KEPT_STRENGTH if heard else settings.strength,
    )


def heard_passage(segment: Segment, sample: int, bars: int) -> tuple[int, int] | None:
    """From which sample to which the last ``bars`` bars lie that were whole at ``sample``.

    They begin with the first chord, as a section does, and all belong to ``segment``: nothing of
    what was played before the last change. Fewer bars are whole rounds of the chords, so that they
    can go round. None where not one round was heard.
    """
    chords, grid = len(segment.chords), segment.grid
    room = int(MAX_KEPT_S * grid.sample_rate / grid.bar_samples)
    first = segment.bar + (segment.chords_bar - segment.bar) % chords
    heard = grid.bar_at(sample) - first
    most = bars if bars <= room else room // chords * chords
    length = most if most <= heard else heard // chords * chords
    if length <= 0:
        return None
    start = first + (heard - length) // chords * chords
    return grid.bar_sample(start), grid.bar_sample(start + length)


def cut_passage(track: TrackFile, start: int, stop: int) -> AssetRef | None:
    """What a track has from one sample to another, as an anchor; None for silence."""
    pcm = track.read(start, stop)
    if not pcm.any():
        return None
    samples = (pcm / INT16_SCALE).astype(np.float32)
    return make_upload(encode_audio(Waveform(samples, track.sample_rate), ".flac"))


def with_section(song: Song | None, section: Section, settings: JamSettings) -> Song:
    """``song`` with ``section`` in the place of the one of its name, or as a new one at its end.

    Without a song, a new one that has the tempo, key and so on of a jam. Raises InvalidInput where
    the two count other bars.
    """
    if song is None:
        plain = replace(section, key="", bpm=None)
        return Song(
            (plain,),
            (section.name,),
            bpm=settings.bpm,
            key=settings.key,
            beats_per_bar=settings.beats_per_bar,
            guidance=settings.guidance,
            steps=settings.steps,
        )
    if settings.beats_per_bar != song.beats_per_bar:
        legal = f"the song counts {song.beats_per_bar}; keep it as a section of another song"
        raise InvalidInput("beats in a bar of the jam", settings.beats_per_bar, legal)
    section = replace(
        section,
        key="" if _same_key(section.key, song.key) else section.key,
        bpm=None if section.bpm == song.bpm else section.bpm,
    )
    others = tuple(other for other in song.sections if other.name != section.name)
    if len(others) < len(song.sections):
        sections = tuple(section if o.name == section.name else o for o in song.sections)
        return replace(song, sections=sections)
    return replace(song, sections=(*others, section), order=(*song.order, section.name))


def _same_key(key: str, other: str) -> bool:
    return progression(key) == progression(other)
