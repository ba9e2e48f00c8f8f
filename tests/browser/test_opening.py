"""Musicians go on from a recording, a file or the microphone, on the real page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from riffusion.audio.waveform import Waveform, write_audio
from riffusion.serving.server import Serving
from tests.bands import band
from tests.browser.heard import FAST, assert_played_the_master, newest_jam, wait_until
from tests.browsing import open_page, press_play, wait_for_playhead

BPM = 118.0
# A microphone that hears the band: the page's context plays it into a stream.
MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
  if (window.isDenied) throw new DOMException("denied", "NotAllowedError");
  const context = new AudioContext();
  const response = await fetch(window.bandUrl);
  const sound = await context.decodeAudioData(await response.arrayBuffer());
  const source = new AudioBufferSourceNode(context, { buffer: sound });
  const microphone = new MediaStreamAudioDestinationNode(context);
  source.connect(microphone);
  source.start();
  return microphone.stream;
};
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A band in G sharp minor whose bars begin at 0.4 s and so on."""
    path = tmp_path_factory.mktemp("recordings") / "band.flac"
    sound = band("G#m", BPM, 4, 0.4, 7.0)
    # Microphones are never quite silent, and a silence would count as a dropout.
    hiss = np.random.default_rng(0).normal(0, 0.003, sound.samples.shape).astype(np.float32)
    write_audio(Waveform(0.9 * sound.samples + hiss, sound.sample_rate), path)
    return path


def open_part(page: Page) -> None:
    page.get_by_role("button", name="Go on from a recording").click()
    expect(page.get_by_role("button", name="Record eight seconds")).to_be_visible()


def choose(page: Page, path: Path) -> None:
    page.get_by_label("A recording to go on from").set_input_files(path)
    expect(page.get_by_text(re.compile("Heard: "))).to_be_visible()


def test_the_next_play_goes_on_from_a_file_in_its_time_and_key(
    page: Page, serving: Serving, recording: Path
) -> None:
    open_part(page)
    choose(page, recording)
    expect(page.get_by_text("118.0 bpm, 4 beats in a bar, key G#m")).to_be_visible()
    expect(page.get_by_text("The next Play starts with it.")).to_be_visible()
    expect(page.locator("#bpm input[type=number]")).to_have_value(re.compile(r"^11[78](\.\d+)?$"))
    expect(page.locator("#key input")).to_have_value("Ab minor")
    press_play(page)
    expect(page.get_by_text(re.compile("your recording"))).to_be_visible()
    session = newest_jam(serving)
    wait_until(lambda: session.position > 8 * 44100)
    opening = session.saved().opening
    assert opening is not None
    bars = (opening.bar_line_s - 0.4) / (240 / BPM)
    assert bars == pytest.approx(3, abs=0.03)
    assert session.settings.bpm == pytest.approx(BPM, rel=1e-3)
    assert session.settings.key == "Abm"
    start = opening.samples(44100)
    wait_for_playhead(page, start / 44100 + 1)
    expect(page.get_by_text(re.compile(r"bar 1 ·"))).to_be_visible()
    assert_played_the_master(page)


def test_what_is_heard_is_corrected_and_the_recording_removed(
    page: Page, serving: Serving, recording: Path
) -> None:
    open_part(page)
    choose(page, recording)
    before = page.evaluate("riffusionPlayer.opening.opening.bar_line_s")
    page.get_by_role("button", name="Bar line a beat earlier").click()
    page.wait_for_function(
        "before => Math.abs(riffusionPlayer.opening.opening.bar_line_s - before) > 0.1", arg=before
    )
    moved = page.evaluate("riffusionPlayer.opening.opening.bar_line_s")
    assert (before - moved) * BPM / 60 % 4 == pytest.approx(1, abs=0.05)
    page.get_by_label("Its beats in a bar").fill("3")
    page.get_by_label("Its beats in a bar").press("Enter")
    expect(page.get_by_text(re.compile("3 beats in a bar"))).to_be_visible()
    page.get_by_role("button", name="Remove the recording").click()
    expect(page.get_by_text(re.compile("Heard: "))).to_be_hidden()
    press_play(page)
    assert newest_jam(serving).saved().opening is None


def test_eight_seconds_from_the_microphone(
    browser: Browser, serving: Serving, pages: list[Page], recording: Path
) -> None:
    long = recording.with_name("long.flac")
    write_audio(band("G#m", BPM, 4, 0.4, 12.0), long)
    page = open_page(browser, serving.url, FAST, script=MICROPHONE)
    pages.append(page)
    page.route("**/band.flac", lambda route: route.fulfill(path=long))
    page.evaluate("window.bandUrl = location.origin + '/band.flac'")
    open_part(page)
    page.get_by_role("button", name="Record eight seconds").click()
    expect(page.get_by_text(re.compile(r"Recording… \d s"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Heard: 11[78]\.\d bpm"))).to_be_visible(timeout=30_000)
    assert page.evaluate("riffusionPlayer.opening.opening.bar_line_s") > 4


def test_bad_recordings_are_refused_in_words(
    browser: Browser, serving: Serving, pages: list[Page], tmp_path: Path
) -> None:
    page = open_page(browser, serving.url, FAST, script=MICROPHONE)
    pages.append(page)
    open_part(page)
    status = page.locator("#opening [role=status]")
    (tmp_path / "text.wav").write_text("no sound")
    page.get_by_label("A recording to go on from").set_input_files(tmp_path / "text.wav")
    expect(status).to_contain_text("is not audio")
    soundfile.write(tmp_path / "short.wav", np.ones(9000) * 0.1, 44100)
    page.get_by_label("A recording to go on from").set_input_files(tmp_path / "short.wav")
    expect(status).to_contain_text("at least 3 s")
    page.evaluate("window.isDenied = true")
    page.get_by_role("button", name="Record eight seconds").click()
    expect(status).to_contain_text("no microphone")
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * 44100)
    soundfile.write(tmp_path / "noise.wav", noise, 44100)
    choose(page, tmp_path / "noise.wav")
    expect(page.get_by_text(re.compile("No steady beat is heard"))).to_be_visible()
    assert page.evaluate("riffusionPlayer.opening") == {}
    page.get_by_label("Tempo of the recording").fill("120")
    page.get_by_label("Tempo of the recording").press("Enter")
    expect(status).to_contain_text("The next Play starts with it.")
