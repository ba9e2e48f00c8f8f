"""Minutes of playing in a real browser: first sound, dropouts, and every sample that was played."""

from __future__ import annotations

import base64
import io
import time
import urllib.request
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt
import soundfile
from playwright.sync_api import Page

from benchmarks.app import running_app
from benchmarks.options import Options
from benchmarks.report import Row
from tests.browsing import chromium, open_page

PLAYER = "window.riffusionPlayer"
TAKE_EVERY_S = 5.0
TIMEOUT_MS = 60_000
REST_S = 1.0
CHANGED_PROMPT = "jazzy saxophone"
FULL_SCALE = 32768

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Soak:
    """A run holds what the page played, what the server keeps, and what the player counted.

    ``played`` (samples, channels) is in units of 16-bit samples; ``master`` is the track of the
    server.
    """

    played: npt.NDArray[np.float32]
    master: Pcm
    sample_rate: int
    dropouts: int
    late: int


def measure(options: Options) -> list[Row]:
    """Return rows about first sound in fresh jams, and about a long jam with one change."""
    with running_app(options) as url, chromium() as browser:
        page = open_page(browser, url)
        firsts_s = [measure_first_sound_s(page) for _ in range(options.repeats)]
        result = soak(page, 60 * options.soak_minutes)
    compared, different = count_differences(result.played, result.master)
    minutes = f"{compared / result.sample_rate / 60:.1f} minutes in Chromium, one change of prompt"
    note = f"page, median of {len(firsts_s)}"
    return [
        Row("Play to first sound in the page, warm server", median(firsts_s), "s", "<= 2 s", note),
        Row("dropouts", result.dropouts, "", "0", minutes),
        Row("samples that came after they were played", result.late, "", "0", minutes),
        Row("samples played that differ from the master", different, "", "0", minutes),
    ]


def measure_first_sound_s(page: Page) -> float:
    """Press Play, wait for sound, press Stop; return the seconds that the page counted."""
    press_play(page)
    milliseconds = page.evaluate(f"{PLAYER}.firstSoundMs")
    time.sleep(REST_S)
    page.click(".riff-play")
    time.sleep(REST_S)
    return float(milliseconds) / 1000


def press_play(page: Page) -> None:
    """Press Play and wait for the first sound."""
    page.click(".riff-play")
    page.wait_for_function(f"{PLAYER}.firstSoundMs !== null", timeout=TIMEOUT_MS)


def soak(page: Page, seconds: float) -> Soak:
    """Play for ``seconds`` with one change of prompt, and record what leaves the player."""
    page.evaluate(f"{PLAYER}.record()")
    press_play(page)
    begin = time.monotonic()
    taken: list[npt.NDArray[np.float32]] = []
    changed = False
    while (passed := time.monotonic() - begin) < seconds:
        time.sleep(min(TAKE_EVERY_S, seconds - passed))
        taken.append(take_recorded(page))
        if not changed and passed > seconds / 2:
            page.fill("#prompt-b textarea", CHANGED_PROMPT)
            page.press("#prompt-b textarea", "Tab")
            changed = True
    counted = page.evaluate(f"{PLAYER}.report")
    track_url = page.evaluate(f"{PLAYER}.url() + '/track.wav'")
    page.click(".riff-play")
    time.sleep(REST_S)
    taken.append(take_recorded(page))
    with urllib.request.urlopen(track_url) as answer:
        master, sample_rate = soundfile.read(
            io.BytesIO(answer.read()), dtype="int16", always_2d=True
        )
    # A batch is empty where two calls follow each other at once.
    played = np.concatenate([batch for batch in taken if len(batch)])
    return Soak(played, master, sample_rate, counted["dropouts"], counted["late"])


def take_recorded(page: Page) -> npt.NDArray[np.float32]:
    """Return what was played since the last call, (samples, channels).

    The values are in units of 16-bit samples.
    """
    batch = page.evaluate(f"{PLAYER}.recording.take()")
    samples = np.frombuffer(base64.b64decode(batch["data"]), np.float32)
    return samples.reshape(-1, batch["channels"]) * np.float32(FULL_SCALE)


def count_differences(played: npt.NDArray[np.float32], master: Pcm) -> tuple[int, int]:
    """Return how many samples were compared from the first sound on, and how many differ."""
    played = played[np.argmax(played.any(axis=1)) :]
    master = master[np.argmax(master.any(axis=1)) :]
    length = min(len(played), len(master))
    differ = (played[:length] != master[:length]).any(axis=1)
    return length, int(np.count_nonzero(differ))
