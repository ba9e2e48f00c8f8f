"""Measures of how near a section captured from a jam is to what was heard of the jam.

It is measured with the captured sound as anchor, and from the settings alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from riffusion.audio.track import TrackFile
from riffusion.audio.waveform import INT16_SCALE, Waveform
from riffusion.engines.protocol import Engine
from riffusion.jam.session import JamSession, render
from riffusion.song.capture import capture_section, cut_passage, find_passage, with_section
from riffusion.song.model import Section, Song
from riffusion.song.placement import place_sections
from riffusion.song.takes import section_settings
from riffusion.training.evaluation.repetition import embed_passage, play_song
from riffusion.training.evaluation.style_judge import StyleJudge

# The bars that a jam has played before the captured ones.
BARS_BEFORE = 4


@dataclass(frozen=True)
class CaptureMeasures:
    """Distances of embeddings to the captured passage.

    ``kept`` is that of the section with its sound as anchor, ``recipe`` that of the section from
    its settings alone, and ``following`` that of the bars that the jam played next.
    """

    title: str
    seconds: float
    kept: float
    recipe: float
    following: float


def measure_capture(
    engine: Engine,
    judge: StyleJudge,
    song: Song,
    section: Section,
    bars: int,
    strength: float | None,
) -> CaptureMeasures:
    """Play a jam as ``section`` asks, capture ``bars`` bars, and play those as a section.

    ``strength`` replaces the usual strength of the anchor. Raises ValueError where the chords of
    the section take more bars.
    """
    settings = replace(section_settings(song, section), path="hold")
    jam = JamSession(engine, settings)
    segment = jam.segment_at(0)
    sample = segment.grid.bar_sample(BARS_BEFORE + bars)
    with TrackFile(jam.sample_rate, jam.channels) as track:
        for block in render(jam, segment.grid.bar_sample(BARS_BEFORE + 2 * bars)):
            track.write(block.start, block.samples)
        passage = find_passage(segment, sample, bars)
        if passage is None:
            raise ValueError(f"{bars} bars are less than the chords of {section.name!r} take")
        anchor = cut_passage(track, *passage)
        pcm = track.read(0, track.length)
    jammed = Waveform((pcm / INT16_SCALE).astype(np.float32), jam.sample_rate)
    start, stop = passage
    captured = embed_passage(judge, jammed, start, stop)

    def distance(wave: Waveform, first: int, last: int) -> float:
        return float(np.linalg.norm(embed_passage(judge, wave, first, last) - captured))

    def measure_section(kept: Section) -> float:
        # The section plays twice, because a song fades out over its last bar.
        song = replace(with_section(None, kept, settings), order=(kept.name, kept.name))
        return distance(play_song(engine, song), 0, place_sections(song, jam.sample_rate)[0].stop)

    kept = capture_section(segment, sample, section.name, bars, anchor)
    if strength is not None:
        kept = replace(kept, strength=strength)
    return CaptureMeasures(
        title=song.title,
        seconds=(stop - start) / jam.sample_rate,
        kept=measure_section(kept),
        recipe=measure_section(capture_section(segment, sample, section.name, bars)),
        following=distance(jammed, stop, stop + (stop - start)),
    )
