"""Keep what a jam plays as a section of a song."""

from __future__ import annotations

from dataclasses import replace

from riffusion.harmony import progression
from riffusion.settings import JamSettings
from riffusion.song.model import Section, Song


def kept_section(settings: JamSettings, alpha: float, name: str, bars: int) -> Section:
    """A section that plays what a jam plays at ``alpha`` of its walk.

    It stays where the walk is. Its notes are its own: what comes back in a song is the section,
    not the jam's bytes.
    """
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
    )


def with_section(song: Song | None, section: Section, settings: JamSettings) -> Song:
    """``song`` with ``section`` in the place of the one of its name, or as a new one at its end.

    Without a song, a new one that has the tempo, key and so on of a jam.
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
