"""The time from Play to the first sound and from a change to hearing it, for a WebSocket client."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from websockets.sync.client import ClientConnection, connect

from benchmarks.app import running_app
from benchmarks.options import PROMPT_A, PROMPT_B, Options
from benchmarks.report import Row
from riffusion.serving.protocol import START

# The tempo and the grid of changes that the bars are for, and those of the page when it opens.
BEAT, PAGE = {"bpm": 120.0, "quantize": "beat"}, {"bpm": 100.0, "quantize": "bar"}
PROMPTS = ("jazzy saxophone", "funky piano", "blues guitar", "afrobeat")
START_SETTINGS = {
    "a": PROMPT_A,
    "b": PROMPT_B,
    "seed_a": 1,
    "seed_b": 2,
    "position": 0.5,
    "path": "manual",
}
REPORT_S = 0.1
TIMEOUT_S = 30.0
# No multiple of a beat or a bar lies between changes, so that they come at any moment of it. Each
# is heard before the next one is sent.
BETWEEN_BEATS_S, BETWEEN_BARS_S = 2.37, 5.3
BEATS_A_REPEAT, BARS_A_REPEAT = 10, 4


@dataclass
class Listener:
    """A client that records what arrives, with a playhead that moves as that of a sound card would.

    ``arrived`` has the time of each first sample, ``changed_at`` the samples where changes take
    effect.
    """

    sample_rate: int
    socket: ClientConnection
    begin: float | None = None
    arrived: dict[int, float] = field(default_factory=dict)
    changed_at: list[int] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def playhead(self) -> float:
        """Return the sample that is due now, 0 before the first arrived."""
        return 0.0 if self.begin is None else (time.monotonic() - self.begin) * self.sample_rate

    def receive(self) -> None:
        """Record what arrives and report the playhead, until the connection closes."""
        reported = 0.0
        for message in self.socket:
            now = time.monotonic()
            with self.news:
                self._take(message, now)
                self.news.notify_all()
            if now - reported > REPORT_S:
                reported = now
                self.send({"type": "position", "sample": int(self.playhead)})

    def report(self) -> None:
        """Report the playhead, since the server waits for room ahead of it."""
        self.send({"type": "position", "sample": int(self.playhead)})

    def send(self, message: dict[str, Any]) -> None:
        """Send a message as JSON."""
        self.socket.send(json.dumps(message))

    def wait_for(self, seconds: float) -> None:
        """Report the playhead for some seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(REPORT_S)
            self.report()

    def _take(self, message: str | bytes, now: float) -> None:
        if isinstance(message, bytes):
            if self.begin is None:
                self.begin = now
            (start,) = START.unpack_from(message)
            self.arrived[int(start)] = now
        elif (event := json.loads(message))["type"] == "changed":
            self.changed_at.append(event["at"])


def measure(options: Options) -> list[Row]:
    """Return medians over fresh jams, and over changes at many moments of the beat and the bar."""
    with running_app(options) as url:
        firsts = [measure_first_sound_s(url) for _ in range(options.repeats)]
        count = BEATS_A_REPEAT * options.repeats
        beats = measure_changes_s(url, BEAT, count, BETWEEN_BEATS_S)
        bars = measure_changes_s(url, PAGE, BARS_A_REPEAT * options.repeats, BETWEEN_BARS_S)
    note = f"WebSocket client, median of {len(firsts)}"
    beats_note, bars_note = (
        f"{settings['bpm']:g} bpm, quantize {settings['quantize']}, {len(changes)} changes"
        for settings, changes in ((BEAT, beats), (PAGE, bars))
    )
    return [
        Row("Play to first samples, warm server", median(firsts), "s", "<= 0.3 s", note),
        Row("change to first changed sample, median", median(beats), "s", "<= 0.7 s", beats_note),
        Row("the same, longest", max(beats), "s", "<= 1.2 s", beats_note),
        Row("change as the page opens, median", median(bars), "s", "", bars_note),
        Row("the same, longest", max(bars), "s", "", bars_note),
    ]


def measure_first_sound_s(url: str) -> float:
    """Return the seconds from asking for a jam to its first samples.

    Raises RuntimeError where none come within 30 s.
    """
    begin = time.monotonic()
    with listening(url, BEAT) as listener, listener.news:
        listener.news.wait_for(lambda: listener.begin is not None, TIMEOUT_S)
        if listener.begin is None:
            raise RuntimeError(f"no sound came within {TIMEOUT_S:.0f} s")
        return listener.begin - begin


def measure_changes_s(
    url: str, settings: Mapping[str, object], count: int, between_s: float
) -> list[float]:
    """Return the seconds from each change of prompt to the first sample that differs.

    The jam has ``settings`` besides its prompts; ``between_s`` seconds lie between changes.
    """
    with listening(url, settings) as listener:
        listener.wait_for(2 * between_s)
        return [
            measure_change_s(listener, PROMPTS[i % len(PROMPTS)], between_s) for i in range(count)
        ]


def measure_change_s(listener: Listener, prompt: str, wait_s: float) -> float:
    """Send a change of prompt; return the seconds until its first sample is due and there.

    Raises RuntimeError where the server announces no change within ``wait_s``.
    """
    known = len(listener.changed_at)
    asked = time.monotonic()
    at_ask = listener.playhead
    listener.send({"type": "change", "settings": {"b": prompt}})
    listener.wait_for(wait_s)
    if len(listener.changed_at) == known:
        raise RuntimeError(f"no change was announced within {wait_s} s")
    place = listener.changed_at[-1]
    planned_s = (place - at_ask) / listener.sample_rate
    # Samples that come after they are due are heard when they come.
    came_s = next(
        (at - asked for start, at in listener.arrived.items() if at > asked and start >= place),
        planned_s,
    )
    return max(planned_s, came_s)


@contextmanager
def listening(url: str, settings: Mapping[str, object]) -> Iterator[Listener]:
    """Yield a listener of a new jam with ``settings``, and stop both at the end."""
    body = json.dumps({**START_SETTINGS, **settings}).encode()
    request = urllib.request.Request(
        f"{url}/jam", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        jam = json.load(answer)
    address = f"{url.replace('http', 'ws', 1)}/jam/{jam['id']}/socket?from=0"
    with connect(address, max_size=None) as socket:
        listener = Listener(jam["sample_rate"], socket)
        thread = threading.Thread(target=listener.receive)
        thread.start()
        try:
            yield listener
        finally:
            listener.send({"type": "stop"})
            socket.close()
            thread.join()
