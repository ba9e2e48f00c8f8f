"""The request for a clip of a jam: what its settings ask of the engine in its window."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from riffusion.engines.clip import ClipRequest, LoopNoise, NoisePlace, Prompt
from riffusion.engines.noise import derive_seed
from riffusion.engines.protocol import Engine
from riffusion.jam.anchor_loops import AnchorLoop, blend_anchors
from riffusion.jam.clip_window import ClipWindow
from riffusion.jam.timeline import Segment, Timeline
from riffusion.spectral.spectrogram import Spectrogram


@dataclass(frozen=True)
class AnchorLoops:
    """The anchors of a clip's settings as loops: at the start and at the end of the walk."""

    start: AnchorLoop | None = None
    end: AnchorLoop | None = None


def build_request(
    engine: Engine,
    timeline: Timeline,
    window: ClipWindow,
    index: int,
    context: Spectrogram | None,
    anchors: AnchorLoops,
) -> ClipRequest:
    """Return the request to ``engine`` for clip ``index``, which plays ``window``.

    ``context`` is the spectrogram of the first ``window.context`` frames, or None.
    """
    segment = timeline.at(window.start)
    frames = np.arange(window.first_frame, window.first_frame + engine.frames)
    sheet = timeline.lead_sheet(frames * engine.params.hop_length, window.start)
    request = replace(
        prompt_request(segment, window, index),
        noise=loop_noise(engine, timeline, window),
        bpm=window.bpm,
        lead_sheet=sheet,
        context=context,
    )
    return _with_anchor(request, segment, window, anchors)


def prompt_request(segment: Segment, window: ClipWindow, index: int) -> ClipRequest:
    """Return the request for the prompts and controls of clip ``index``.

    Without a loop each clip has noise seeds of its own.
    """
    settings, blend = segment.settings, segment.blend(window.bar)

    def seeded(prompt: Prompt) -> Prompt:
        own = prompt.seed if segment.loop.bars else derive_seed(prompt.seed, index)
        return replace(prompt, seed=own)

    return ClipRequest(
        start=seeded(blend.start),
        end=seeded(blend.end),
        alpha=blend.alpha,
        others=tuple(replace(other, prompt=seeded(other.prompt)) for other in blend.others),
        controls=segment.controls(window.bar),
        guidance=settings.guidance,
        steps=settings.steps,
        quality=settings.quality,
    )


def loop_noise(engine: Engine, timeline: Timeline, window: ClipWindow) -> LoopNoise | None:
    """Return the noise of a window with the bars of its loop; None without a loop.

    Bars before the clip have the noise that they were generated from.
    """
    segment, hop = timeline.at(window.start), engine.params.hop_length
    if not segment.loop.bars:
        return None
    first_sample = window.first_frame * hop
    last_sample = first_sample + engine.params.samples(engine.frames)
    bar = timeline.at(min(first_sample, window.start)).grid.bar_at(first_sample)
    places = []
    while (line := _bar_line(timeline, segment, bar)) < last_sample:
        loop = timeline.at(min(line, window.start)).loop
        frame = line // hop - window.first_frame
        places.append(NoisePlace(frame, loop.place(bar), loop.turn_at(bar)))
        bar += 1
    first, *others = places
    places = [replace(first, first_frame=min(first.first_frame, 0)), *others]
    own = math.floor(window.bar)
    own_frame = _bar_line(timeline, segment, own) // hop - window.first_frame
    return LoopNoise(tuple(places), own_frame, segment.loop.turn_at(own))


def _bar_line(timeline: Timeline, segment: Segment, bar: int) -> int:
    """Return the sample of a bar line, as known at the beginning of ``segment``."""
    known = segment.grid if bar >= segment.bar else None
    return known.bar_sample(bar) if known else timeline.bar_sample(bar)


def _with_anchor(
    request: ClipRequest, segment: Segment, window: ClipWindow, anchors: AnchorLoops
) -> ClipRequest:
    """Return the request with what its anchors have at the window, blended as the walk goes."""
    loops = [loop for loop in (anchors.start, anchors.end) if loop]
    if not loops or request.lead_sheet is None:
        return request
    settings = segment.settings
    held = math.floor(window.bar) - math.floor(segment.loop.heard_bar(window.bar))
    since = (segment.anchor_bar + held) * settings.beats_per_bar
    windows = [loop.window(request.lead_sheet.beats - since, settings) for loop in loops]
    (anchor, mask), (end, _) = windows[0], windows[-1]
    if len(loops) == 2:
        anchor = blend_anchors(anchor, end, segment.walked(window.bar))
    return replace(request, anchor=anchor, strength=settings.strength, mask=mask)
