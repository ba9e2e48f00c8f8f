"""These helpers compare what the page played with what the server kept."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import httpx
import numpy as np
import numpy.typing as npt
import soundfile
from playwright.sync_api import Page, expect

from riffusion.jam.session import JamSession
from riffusion.live.jam_source import JamSource
from riffusion.serving.server import Serving
from tests.browsing import (
    counters,
    take_recording,
)

# Short bars and few steps keep the tests fast.
FAST = {"bpm": 180, "steps": 1}
# The server is so far ahead that a change rewrites what has arrived even on a busy machine.
LEAD_S = 15.0
FADE = 256
QUANTUM = 128


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Stopped.")).to_be_visible()


def master(page: Page) -> npt.NDArray[np.float32]:
    """Return the track as the server keeps it, (channels, samples) float32."""
    answer = httpx.get(page.evaluate("riffusionPlayer.url() + '/track.wav'"), timeout=60)
    samples, _ = soundfile.read(io.BytesIO(answer.content), dtype="float32", always_2d=True)
    return np.asarray(samples.T)


def assert_played_the_master(page: Page) -> None:
    """Stop, and compare every sample that was heard with the server's track.

    On a busy machine the sound may have had to wait: it then fades out, and goes on where it was.
    """
    heard = take_recording(page)
    if page.evaluate("riffusionPlayer.audio.sink.kind") == "buffers":
        # The browser places buffers by time, not by sample: it is right to about -200 dB.
        heard = (np.rint(heard * 32768) / 32768).astype(np.float32)
    stop(page)
    track = master(page)
    track = track[:, int(np.argmax(np.abs(track).max(0) > 0)) :]
    at = 0
    sounds = sounding(heard)
    assert len(sounds) <= 1 + counters(page)["dropouts"]
    for start, end in sounds:
        fade_in = FADE * (at > 0)
        piece = heard[:, start + fade_in : end - FADE]
        expected = track[:, at + fade_in : at + fade_in + piece.shape[1]]
        np.testing.assert_array_equal(piece[:, : expected.shape[1]], expected)
        at += end - start
    assert at > 44100


def sounding(heard: npt.NDArray[np.float32]) -> list[tuple[int, int]]:
    """Return first and last samples of each sound between silences of a render quantum or more."""
    loud = np.flatnonzero(np.abs(heard).max(0))
    gaps = np.flatnonzero(np.diff(loud) > QUANTUM)
    starts, ends = [0, *(gaps + 1)], [*gaps, len(loud) - 1]
    return [(int(loud[a]), int(loud[b]) + 1) for a, b in zip(starts, ends, strict=True)]


def wait_for_buffer(page: Page) -> int:
    """Wait until there is much to rewrite. Returns the first sample that has not arrived."""
    page.wait_for_function(f"() => riffusionPlayer.report.buffered > {0.8 * LEAD_S} * 44100")
    report = counters(page)
    return int(report["playhead"] + report["buffered"])


def newest_jam(serving: Serving) -> JamSession:
    """Return the jam that began last; one whose page was closed may still play for a while."""
    source = serving.registry.playing[-1].source
    assert isinstance(source, JamSource)
    return source.session


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for the server, which lives in this process."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def change_what_has_arrived(page: Page) -> None:
    """Change a prompt while there is much to rewrite, and listen until it was heard."""
    arrived = wait_for_buffer(page)
    page.get_by_label("Prompt B").fill("techno")
    page.get_by_label("Prompt B").press("Enter")
    page.wait_for_function("() => riffusionPlayer.lastChange")
    assert page.evaluate("riffusionPlayer.lastChange") < arrived, "it rewrote nothing"
    page.wait_for_function(
        "() => riffusionPlayer.report.playhead > riffusionPlayer.lastChange + 44100"
    )
