"""The clip generator of a jam asks the engine for clip after clip and turns them into audio.

It knows the bars of the track, but not what a listener has had of them: that is the session's part.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from riffusion.audio.mastering import Mastering
from riffusion.engines.clip import ClipRequest
from riffusion.engines.prefetch import ClipTask, PrefetchingEngine
from riffusion.jam.anchor_loops import AnchorLoop
from riffusion.jam.asset import AssetRef
from riffusion.jam.block import ClipMarks, Samples, mark_clip
from riffusion.jam.clip_request import AnchorLoops, build_request
from riffusion.jam.clip_window import ClipWindow, clip_window
from riffusion.jam.opening import OpeningSound
from riffusion.jam.settings import JamSettings
from riffusion.jam.stitcher import Stitcher
from riffusion.jam.timeline import Segment, Timeline, whole_bar
from riffusion.vocoder.protocol import Vocoder


class ClipGenerator:
    """Generates the clips of a timeline in order, and can be rewound to a bar of the last 30 s.

    ``load_anchor`` returns the loop of an anchor and a mask. The first clip goes on from the
    recording ``opening``, if there is one.
    """

    def __init__(
        self,
        engine: PrefetchingEngine,
        load_anchor: Callable[[AssetRef, AssetRef | None], AnchorLoop],
        vocoder: Vocoder | None,
        mastering: Mastering | None,
        opening: OpeningSound | None = None,
    ) -> None:
        self.marks = ClipMarks()
        self._engine = engine
        self._load_anchor = load_anchor
        self._vocoder = vocoder
        self._stitcher = Stitcher(
            engine.params, engine.channels, engine.frames, vocoder or engine.vocoder, mastering
        )
        self._next_bar: float = 0
        # The next bar and the timeline when a task was returned last.
        self._prefetched: tuple[float, Timeline | None] = (0, None)
        self._unplayed: tuple[int, ...] = ()
        if opening is not None:
            self._stitcher.open_with(opening.samples, opening.frames)
            self._unplayed = opening.pieces

    @property
    def loudness(self) -> float:
        """The slow loudness in LUFS, before any gain, of the audio so far."""
        return self._stitcher.loudness

    @property
    def next_bar(self) -> float:
        """The bar that the next clip begins with."""
        return self._next_bar

    @property
    def has_pending_audio(self) -> bool:
        """Whether a part of the last clip has not been vocoded and mastered yet."""
        return bool(self._unplayed)

    def next_audio(self) -> Samples:
        """Return the audio that follows, float32 (channels, n), which may be empty.

        It is that of the last clip: its beginning, or what follows up to the next bar line. There
        must be pending audio.
        """
        if not self._stitcher.has_begun:
            return self._stitcher.play_ready(self._unplayed[0])
        bar_line, *later = self._unplayed
        samples = self._stitcher.play_to(bar_line)
        self._unplayed = tuple(later)
        return samples

    def place_clip(self, timeline: Timeline, interrupted: Callable[[], bool]) -> None:
        """Generate the next clip and place its spectrogram on the track, without any sound yet.

        There must be no pending audio. Where ``interrupted`` turns true, raises Interrupted and
        changes nothing.
        """
        segment, window, request = self._next_request(timeline)
        start, index = window.start, self.marks.next_index
        clip = self._engine.generate([request], interrupted=interrupted)[0]
        is_live = segment.settings.quality == "live"
        own = self._engine.live_vocoder if is_live else self._engine.vocoder
        effects = segment.settings.effects()
        self._stitcher.push(start, window.first_frame, clip, effects, self._vocoder or own)
        change = timeline.change_after(start)
        stop_bar = min(window.stop_bar, change.bar) if change else window.stop_bar
        self._unplayed = segment.places(window.bar, stop_bar)
        self._next_bar = whole_bar(stop_bar)
        # As many marks are kept as there are clips to rewind to.
        self.marks.forget(start - self._stitcher.kept_samples)
        self.marks.add(mark_clip(segment, window, index))

    def prefetch(self, timeline: Timeline) -> ClipTask | None:
        """Return the task to generate the next clip, once.

        None where it was returned before, and for the quality "fine", whose evaluations use all
        cores as it is.
        """
        bar, known = self._prefetched
        if bar == self._next_bar and known is timeline:
            return None
        self._prefetched = self._next_bar, timeline
        _, _, request = self._next_request(timeline)
        return self._engine.prefetch(request) if request.quality == "live" else None

    def place_for_change(self, timeline: Timeline, not_before: int, quantize: str) -> float:
        """Return the first place, in bars, where a change rewrites no sample before ``not_before``.

        In what is generated already a change can land only where the track can be rewound to.
        """
        known = (*self._stitcher.bar_lines, *self._unplayed)
        # Nothing changes in a recording that the jam goes on from.
        sample = max(not_before, known[0] if known else 0, timeline.segments[0].start)
        while True:
            place = timeline.next_place(sample, quantize)
            line = timeline.bar_sample(place)
            rewritten = line - self._stitcher.reach_back
            if place >= self._next_bar or (line in known and rewritten >= not_before):
                return place
            sample = line + 1

    def rewind(self, bar: float, bar_line: int) -> tuple[Samples, int] | None:
        """Take back the clips from ``bar`` on, which begins at ``bar_line``.

        Returns the audio up to there that had not been returned before, and the sample at which
        audio resumes; it may lie before the end of what was returned. None where nothing from that
        bar on was generated.
        """
        if bar >= self._next_bar:
            return None
        pieces = [np.zeros((self._engine.channels, 0), np.float32)]
        while self._unplayed and self._unplayed[0] <= bar_line:
            pieces.append(self.next_audio())
        self._unplayed = ()
        self.marks.cut(bar_line)
        self._next_bar = bar
        return np.concatenate(pieces, axis=1), self._stitcher.rewind(bar_line)

    def _next_request(self, timeline: Timeline) -> tuple[Segment, ClipWindow, ClipRequest]:
        """Return the request for the next clip, with its window and the settings there."""
        start = timeline.bar_sample(self._next_bar)
        segment = timeline.at(start)
        window = clip_window(self._engine, segment, self._next_bar)
        context = self._stitcher.context(start, window.context) if window.context else None
        anchors = self._anchors(segment.settings)
        index = self.marks.next_index
        request = build_request(self._engine, timeline, window, index, context, anchors)
        return segment, window, request

    def _anchors(self, settings: JamSettings) -> AnchorLoops:
        """Return the anchors of some settings as loops."""
        return AnchorLoops(
            *(
                self._load_anchor(anchor, settings.mask) if anchor else None
                for anchor in (settings.anchor, settings.anchor_b)
            )
        )
