"""A real browser that opens the page, for tests and benchmarks.

with chromium() as browser, serve(engine) as serving:
    page = open_page(browser, serving.url, record=True)
    press_play(page)
    ...
    heard = take_recording(page)   # float32 (channels, samples), what the audio graph played
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)
PATIENCE_MS = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, or else playwright's own. Raises where there is neither."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def open_page(
    browser: Browser, url: str, query: Mapping[str, object] | None = None, *, record: bool = False
) -> Page:
    """The page in a window of its own, ready for Play. Errors of its scripts go to ``errors``."""
    page = browser.new_context(accept_downloads=True).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url + ("?" + urlencode(query) if query else ""))
    page.wait_for_function(
        "() => Boolean(window.riffusionPlayer?.formReady && riffusionPlayer.press)"
    )
    if record:
        page.evaluate("riffusionPlayer.record()")
    return page


def press_play(page: Page) -> None:
    """Press Play and wait for the first sound."""
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => riffusionPlayer.state === 'playing'")


def wait_for_playhead(page: Page, seconds: float) -> None:
    page.wait_for_function(
        "samples => riffusionPlayer.report.playhead >= samples", arg=seconds * 44100
    )


def counters(page: Page) -> dict[str, Any]:
    """Playhead, buffered, dropouts and late samples; time to the first sound in ms."""
    script = "({...riffusionPlayer.report, first_sound_ms: riffusionPlayer.firstSoundMs})"
    result: dict[str, Any] = page.evaluate(script)
    return result


def take_recording(page: Page) -> npt.NDArray[np.float32]:
    """What the audio graph played since the last call, float32 (channels, samples)."""
    taken = page.evaluate("riffusionPlayer.recording.take()")
    samples = np.frombuffer(base64.b64decode(taken["data"]), "<f4")
    return samples.reshape(-1, taken["channels"]).T
