"""The real page plays, stops, keeps the track, and plays in several windows."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from riffusion.engines.protocol import Engine
from riffusion.jam.session_file import parse_session
from riffusion.serving.server import Serving, serve
from riffusion.spectral.image import read_image, read_info
from tests.browser.heard import (
    FAST,
    LEAD_S,
    assert_played_the_master,
    change_what_has_arrived,
    master,
    stop,
    wait_until,
)
from tests.browsing import (
    counters,
    open_page,
    press_play,
    take_recording,
    wait_for_playhead,
)


def test_play_gives_sound_and_pictures(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 2)
    heard = take_recording(page)
    assert np.abs(heard).max() > 0.01
    assert counters(page)["dropouts"] == 0
    expect(page.locator(".riff-dropouts")).to_have_text("Dropouts: 0")
    expect(page.locator(".riff-place")).to_contain_text("180 bpm")
    page.wait_for_function("() => riffusionPlayer.nowPlaying.spectrogram.frames > 10")
    colours = page.evaluate(
        """() => {
            const { canvas, pen } = riffusionPlayer.nowPlaying.spectrogram;
            const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    assert colours > 20
    page.wait_for_function("() => document.querySelector('.riff-clip img').naturalWidth === 512")


@pytest.mark.parametrize(
    "query", [{}, {"transport": "fetch", "sink": "buffers"}], ids=["", "fallbacks"]
)
def test_stereo_is_heard_seen_and_kept(
    browser: Browser,
    tiny_stereo_engine: Engine,
    pages: list[Page],
    query: dict[str, str],
) -> None:
    with serve(tiny_stereo_engine, lead_s=LEAD_S) as serving:
        page = open_page(browser, serving.url, {**FAST, **query}, record=True)
        pages.append(page)
        press_play(page)
        change_what_has_arrived(page)
        url = page.evaluate("riffusionPlayer.url()")
        assert_played_the_master(page)
        track = master(page)
        assert track.shape[0] == 2
        assert not np.array_equal(track[0], track[1])
        red, left, right = np.asarray(
            read_image(httpx.get(f"{url}/clip/0.png").content).convert("RGB")
        ).transpose(2, 0, 1)
        assert not red.any()
        assert not np.array_equal(left, right)
        mp3, _ = soundfile.read(io.BytesIO(httpx.get(f"{url}/track.mp3", timeout=60).content))
        shared = min(len(mp3), track.shape[1])
        for side in range(2):
            assert np.corrcoef(mp3[:shared, side], track[side, :shared])[0, 1] > 0.9


def test_who_stops_and_plays_at_once_hears_the_second_jam(page: Page, serving: Serving) -> None:
    before = {stream.id for stream in serving.registry.streams}
    page.evaluate(
        """() => {
            riffusionPlayer.press();
            setTimeout(() => { riffusionPlayer.stop(); riffusionPlayer.press(); }, 5);
        }"""
    )
    page.wait_for_function("() => riffusionPlayer.state === 'playing'")
    wait_for_playhead(page, 1)
    playing = page.evaluate("riffusionPlayer.jam.id")
    new = {stream.id for stream in serving.registry.streams} - before
    wait_until(lambda: {s.id for s in serving.registry.playing} & new == {playing})


def test_stop_is_silence_and_play_begins_anew(page: Page, serving: Serving) -> None:
    press_play(page)
    wait_for_playhead(page, 1)
    first = page.evaluate("riffusionPlayer.jam.id")
    stop(page)
    assert not serving.registry.find(first).playing
    playhead = page.evaluate("riffusionPlayer.report.playhead")
    press_play(page)
    assert page.evaluate("riffusionPlayer.jam.id") != first
    assert page.evaluate("riffusionPlayer.report.playhead") < playhead + 44100
    # A second press right after the first is taken for a double click.
    wait_for_playhead(page, 1)
    stop(page)


def test_two_plays_in_a_row_are_one_jam(page: Page, serving: Serving) -> None:
    before = {stream.id for stream in serving.registry.streams}
    page.get_by_role("button", name="Play", exact=True).dblclick()
    page.wait_for_function("() => riffusionPlayer.state === 'playing'")
    assert len({stream.id for stream in serving.registry.streams} - before) == 1


def test_two_pages_have_two_jams(browser: Browser, serving: Serving, pages: list[Page]) -> None:
    for seed in (1, 2):
        page = open_page(browser, serving.url, {**FAST, "seed_a": seed}, record=True)
        pages.append(page)
        press_play(page)
    for page in pages:
        wait_for_playhead(page, 2)
    one, two = (page.evaluate("riffusionPlayer.jam.id") for page in pages)
    assert one != two
    first, second = (master(page)[:, :44100] for page in pages)
    assert not np.array_equal(first, second)
    assert_played_the_master(pages[0])
    wait_for_playhead(pages[1], 3)
    assert_played_the_master(pages[1])


def test_closing_the_tab_ends_the_work(page: Page, serving: Serving) -> None:
    press_play(page)
    stream = serving.registry.find(page.evaluate("riffusionPlayer.jam.id"))
    page.close()
    wait_until(lambda: not stream.playing)
    assert stream.source.progress.position < 30 * 44100
    wait_until(lambda: stream.id not in [left.id for left in serving.registry.playing])


def test_downloads(page: Page, tmp_path: Path) -> None:
    press_play(page)
    wait_for_playhead(page, 1)
    stop(page)
    for name, suffix in (("WAV", "wav"), ("FLAC", "flac"), ("MP3", "mp3"), ("OGG", "ogg")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        path = tmp_path / download.value.suggested_filename
        assert path.name == f"riffusion.{suffix}"
        download.value.save_as(path)
        assert soundfile.info(path).duration > 0.9
    with page.expect_download() as download:
        page.get_by_role("link", name="Session", exact=True).click()
    session = parse_session(download.value.path().read_bytes())
    assert session.settings.bpm == 180
    with page.expect_download() as download:
        page.get_by_role("link", name="Spectrogram", exact=True).click()
    assert read_image(download.value.path().read_bytes()).size[1] == 512
    with page.expect_download() as download:
        page.get_by_role("link", name="Save its image").click()
    image = read_image(download.value.path().read_bytes())
    info = read_info(image)
    assert image.size == (512, 512)
    assert info is not None
    assert info.prompt_a == "church bells"


def test_space_plays_and_stops_but_writes_in_texts(page: Page) -> None:
    page.get_by_label("Prompt A").press("End")
    page.get_by_label("Prompt A").press("Space")
    assert page.evaluate("riffusionPlayer.state") == "idle"
    expect(page.get_by_label("Prompt A")).to_have_value("church bells ")
    page.get_by_label("Prompt A").blur()
    page.keyboard.press("Space")
    page.wait_for_function("() => riffusionPlayer.state === 'playing'")
    page.wait_for_function("() => performance.now() - riffusionPlayer.pressedAt > 500")
    page.keyboard.press("Space")
    expect(page.get_by_role("status").filter(has_text="Stopped.")).to_be_visible()
