"""The sound of one clip of a track, vocoded piece by piece as it is needed.

A vocoder that streams goes on from piece to piece by itself. Any other one is called for each piece
again: it gets the end of the piece before, to continue, and frames beyond the end of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from riffusion.audio.rolling_buffer import RollingBuffer
from riffusion.audio.waveform import Waveform
from riffusion.spectral.spectrogram import Spectrogram
from riffusion.vocoder.protocol import StreamingVocoder, Vocoder

Samples = npt.NDArray[np.float32]

# A vocoder gets this much of the past, so that its phases and filters have settled at a bar line.
RUN_UP_S = 0.25
# A clip is vocoded in pieces of this length, so that its beginning can be played sooner.
PIECE_S = 1.5


@dataclass(frozen=True)
class ClipSound:
    """The sound of ``frames``, which begin at absolute frame ``first_frame`` of a track.

    It continues ``audio`` from its end on, where the clip fades in, a little before sample
    ``start``. Each piece must be appended to ``audio`` before the next one is asked for.
    """

    audio: RollingBuffer
    vocoder: Vocoder
    frames: Spectrogram
    first_frame: int
    start: int

    def pieces(self) -> Iterator[Samples]:
        """Yield the pieces, float32 (channels, n), that follow each other up to the last frame."""
        if isinstance(self.vocoder, StreamingVocoder):
            first, prefix = self._past(self.audio.stop)
            window = self.frames.cut(first - self.first_frame, self.frames.frames)
            yield from self.vocoder.stream(window, prefix=prefix)
            return
        end, hop = self._last_frame, self.frames.params.hop_length
        begin = self.start
        while (done := self.audio.stop) < end * hop:
            yield self._vocode(self.vocoder, done, self._piece_stop(begin // hop))
            begin = self.audio.stop

    @property
    def is_continued_by_vocoder(self) -> bool:
        """Whether the vocoder goes on from what it made, not from what ``audio`` made of it."""
        return isinstance(self.vocoder, StreamingVocoder)

    @property
    def _last_frame(self) -> int:
        return self.first_frame + self.frames.frames - 1

    @property
    def _margin(self) -> int:
        """The number of frames beyond a piece that a vocoder gets, to join it to the next one."""
        return 4 * math.ceil(self.frames.params.win_length / self.frames.params.hop_length)

    def _piece_stop(self, frame: int) -> int:
        """Return the frame at which the piece from ``frame`` on ends.

        A piece takes in the rest of the clip where that would be too short for one of its own.
        """
        stop = frame + round(PIECE_S / self.frames.params.frame_s)
        return stop if stop + self._margin < self._last_frame else self._last_frame

    def _past(self, start: int) -> tuple[int, Waveform | None]:
        """Return the first frame that a vocoder gets for samples from ``start`` on, and what
        sounds from there to ``start``."""
        params = self.frames.params
        run_up = round(RUN_UP_S / params.frame_s)
        first = max(self.first_frame, start // params.hop_length - run_up)
        if start <= first * params.hop_length:
            return first, None
        sound = self.audio.read(first * params.hop_length, start)
        return first, Waveform(sound, params.sample_rate)

    def _vocode(self, vocoder: Vocoder, start: int, stop_frame: int) -> Samples:
        """Return the audio from sample ``start`` to frame ``stop_frame``."""
        hop = self.frames.params.hop_length
        first, prefix = self._past(start)
        stop = stop_frame + self._margin + 1
        window = self.frames.cut(first - self.first_frame, stop - self.first_frame)
        sound = vocoder(window, prefix=prefix).samples
        return sound[:, start - first * hop : (stop_frame - first) * hop]
