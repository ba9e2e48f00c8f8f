"""How near a section that was kept from a jam is to what was heard of it, with its sound and from
its recipe alone."""

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
from riffusion.training.evaluation.judge import Judge
from riffusion.training.evaluation.repetition import embedding, played

# What a jam has played when a part of it is kept, beside that part.
BARS_BEFORE = 4


@dataclass(frozen=True)
class KeptMeasures:
    """Distances of embeddings to the passage that was kept: of the section with its sound, from its
    recipe alone, and of the bars that the jam went on with."""

    title: str
    seconds: float
    kept: float
    recipe: float
    following: float


def measure_kept(
    engine: Engine, judge: Judge, song: Song, section: Section, bars: int, strength: float | None
) -> KeptMeasures:
    """Let a jam play what ``section`` of ``song`` asks for, keep ``bars`` bars, and play those.

    ``strength``: of the anchor, where it is not the usual one.
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
    wanted = embedding(judge, jammed, start, stop)

    def distance(wave: Waveform, first: int, last: int) -> float:
        return float(np.linalg.norm(embedding(judge, wave, first, last) - wanted))

    def of_section(kept: Section) -> float:
        # Twice, because a song fades out over its last bar.
        song = replace(with_section(None, kept, settings), order=(kept.name, kept.name))
        return distance(played(engine, song), 0, place_sections(song, jam.sample_rate)[0].stop)

    kept = capture_section(segment, sample, section.name, bars, anchor)
    if strength is not None:
        kept = replace(kept, strength=strength)
    return KeptMeasures(
        title=song.title,
        seconds=(stop - start) / jam.sample_rate,
        kept=of_section(kept),
        recipe=of_section(capture_section(segment, sample, section.name, bars)),
        following=distance(jammed, stop, stop + (stop - start)),
    )
