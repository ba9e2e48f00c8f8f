"""Restyling: a recording of any length generated anew, in windows that continue each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from riffusion.audio.waveform import Waveform
from riffusion.engines.clip import ClipRequest
from riffusion.engines.protocol import Engine
from riffusion.errors import InvalidInput
from riffusion.jam.anchors import sound_window
from riffusion.jam.clip_window import MIN_CONTEXT_S, UNUSED_FRAMES
from riffusion.jam.stitcher import Stitcher
from riffusion.spectral.spectrogram import Spectrogram

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RestyleWindow:
    """One window of a recording: the frames to generate and the samples that are new in it.

    The window begins at frame ``first_frame`` of the recording. Its new part is the samples from
    ``start`` to ``stop`` (not included), and ``progress`` is its position on the whole walk, from
    0 to 1.
    """

    first_frame: int
    start: int
    stop: int
    progress: float


def count_samples(engine: Engine, count: int) -> int:
    """Return the samples per channel that ``count`` windows cover."""
    return (engine.frames - UNUSED_FRAMES + (count - 1) * _new_frames(engine)) * _hop(engine)


def plan_windows(engine: Engine, samples: int) -> list[RestyleWindow]:
    """Return the windows that cover ``samples`` samples without gaps.

    Each overlaps the one before by at least a second. Raises InvalidInput when the windows of the
    engine are too short for that.
    """
    hop, new = _hop(engine), _new_frames(engine)
    stops = [engine.frames - UNUSED_FRAMES]
    while stops[-1] * hop < samples:
        stops.append(stops[-1] + new)
    starts = [0, *stops[:-1]]
    last = max(1, len(stops) - 1)
    context = _context_frames(engine)
    return [
        RestyleWindow(max(0, start - context), start * hop, min(stop * hop, samples), index / last)
        for index, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def restyle(
    engine: Engine,
    source: Waveform,
    make_request: Callable[[float, Spectrogram], ClipRequest],
) -> Iterator[Samples]:
    """Generate ``source`` anew and yield it in blocks (channels, samples) float32.

    ``source`` is at the rate and channels of the engine, as ``matched_to_engine`` returns it; the
    blocks together are as long. ``make_request(progress, anchor)`` returns the request for the
    window at ``progress``, 0 to 1, whose part of the source is ``anchor``. Each window has the last
    second of the one before as its context and continues its phases, so that there is no seam to
    hear. Memory does not grow with the length. Raises InvalidInput as the engine does.
    """
    params = engine.params
    stitcher = Stitcher(params, engine.channels, engine.frames, engine.vocoder)
    length = source.samples.shape[1]
    played = 0
    for window in plan_windows(engine, length):
        anchor = sound_window(source, engine, window.first_frame * params.hop_length)
        request = make_request(window.progress, anchor)
        context = window.start // params.hop_length - window.first_frame
        if context:
            request = replace(request, context=stitcher.context(window.start, context))
        stitcher.push(window.start, window.first_frame, engine.generate([request])[0])
        block = stitcher.play_to(window.stop)
        played += block.shape[1]
        yield block
    # The master's output is a little later than its input, so the end is still inside it.
    end = stitcher.play_to(length + stitcher.reach_back + params.hop_length)
    yield end[:, : length - played]


def _hop(engine: Engine) -> int:
    """Return the samples from one frame to the next."""
    return engine.params.hop_length


def _context_frames(engine: Engine) -> int:
    """Return how many frames of a window are those of the one before: at least a second."""
    step = engine.context_step
    return -(-round(MIN_CONTEXT_S / engine.params.frame_s) // step) * step


def _new_frames(engine: Engine) -> int:
    """Return how many frames each window but the first adds.

    Raises InvalidInput when the window is too short to add any.
    """
    context = _context_frames(engine)
    new = engine.frames - UNUSED_FRAMES - context
    if new < 1:
        raise InvalidInput("window", f"{engine.frames} frames", f"needs over {context}")
    return new
