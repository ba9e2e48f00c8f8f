"""These functions drive the page in a real browser, for tests and benchmarks.

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
TIMEOUT_MS = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the system's Chromium, or else playwright's own. Raises where there is neither."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def open_page(
    browser: Browser,
    url: str,
    query: Mapping[str, object] | None = None,
    *,
    record: bool = False,
    script: str = "",
) -> Page:
    """Open the page in a window of its own and return it, ready for Play.

    ``record`` keeps what is played for ``take_recording``; ``script`` runs before all others.
    """
    page = browser.new_context(accept_downloads=True).new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.add_init_script(script)
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
    """Wait until so much of the track was heard."""
    page.wait_for_function(
        "samples => riffusionPlayer.report.playhead >= samples", arg=seconds * 44100
    )


def counters(page: Page) -> dict[str, Any]:
    """Return the last report of the player, and the time to the first sound in ms."""
    script = "({...riffusionPlayer.report, first_sound_ms: riffusionPlayer.firstSoundMs})"
    result: dict[str, Any] = page.evaluate(script)
    return result


def take_recording(page: Page) -> npt.NDArray[np.float32]:
    """Return what the audio graph played since the last call, (channels, samples) float32."""
    taken = page.evaluate("riffusionPlayer.recording.take()")
    samples = np.frombuffer(base64.b64decode(taken["data"]), "<f4")
    return samples.reshape(-1, taken["channels"]).T
