"""Playing a sound of any length anew: windows that follow it, each continuing the one before."""

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
class Piece:
    """A window from frame ``first_frame`` on, whose new part sounds from ``start`` to ``stop``
    (samples). ``share``: where it is on the whole way, 0 to 1."""

    first_frame: int
    start: int
    stop: int
    share: float


def samples_of(engine: Engine, count: int) -> int:
    """Samples that ``count`` windows make."""
    return (engine.frames - UNUSED_FRAMES + (count - 1) * _new_frames(engine)) * _hop(engine)


def pieces(engine: Engine, samples: int) -> list[Piece]:
    """The windows that cover ``samples`` samples, a second of each over the one before."""
    hop, new = _hop(engine), _new_frames(engine)
    stops = [engine.frames - UNUSED_FRAMES]
    while stops[-1] * hop < samples:
        stops.append(stops[-1] + new)
    starts = [0, *stops[:-1]]
    last = max(1, len(stops) - 1)
    return [
        Piece(max(0, start - _context(engine)), start * hop, min(stop * hop, samples), index / last)
        for index, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def _hop(engine: Engine) -> int:
    return engine.params.hop_length


def _context(engine: Engine) -> int:
    """Frames of each window that are those of the one before: at least a second."""
    step = engine.context_step
    return -(-round(MIN_CONTEXT_S / engine.params.frame_s) // step) * step


def _new_frames(engine: Engine) -> int:
    """Frames that each window but the first adds. InvalidInput for windows too short to add any."""
    new = engine.frames - UNUSED_FRAMES - _context(engine)
    if new < 1:
        raise InvalidInput("window", f"{engine.frames} frames", f"needs over {_context(engine)}")
    return new


def play_through(
    engine: Engine,
    source: Waveform,
    ask: Callable[[float, Spectrogram], ClipRequest],
) -> Iterator[Samples]:
    """``source`` (as ``matched_to_engine`` gives it) anew, block by block, just as long.

    ``ask(share, anchor)`` says what is asked for at ``share`` of the way. Each window begins with
    the last second of the one before as its context, and its phases go on from it, so there is
    no seam to hear. Memory does not grow with the length.
    """
    params = engine.params
    stitcher = Stitcher(params, engine.channels, engine.frames, engine.vocoder)
    length = source.samples.shape[1]
    made = 0
    for piece in pieces(engine, length):
        anchor = sound_window(source, engine, piece.first_frame * params.hop_length)
        context = piece.start // params.hop_length - piece.first_frame
        asked = ask(piece.share, anchor)
        if context:
            asked = replace(asked, context=stitcher.context(piece.start, context))
        stitcher.push(piece.start, piece.first_frame, engine.generate([asked])[0])
        block = stitcher.play_to(piece.stop)
        made += block.shape[1]
        yield block
    # The master gives out a little later than it takes in.
    end = stitcher.play_to(length + stitcher.reach_back + params.hop_length)
    yield end[:, : length - made]
