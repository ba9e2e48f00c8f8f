"""The real page in a real browser: what is heard is the track, whatever the musician does."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from riffusion.engines.base import Engine
from riffusion.serving.fields import NAMES
from riffusion.serving.server import Serving, serve
from riffusion.session import parse_session
from riffusion.spectrogram_image import read_image, read_info
from tests.browsing import (
    chromium,
    counters,
    open_page,
    press_play,
    take_recording,
    wait_for_playhead,
)

# Short bars and few steps, so that little is waited for.
FAST = {"bpm": 180, "steps": 1}
# Far ahead, so that a change rewrites what has arrived even where the machine is busy.
LEAD_S = 15.0
FADE = 256
QUANTUM = 128


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def serving(tiny_engine: Engine) -> Iterator[Serving]:
    with serve(tiny_engine, most_jams=4, lead_s=LEAD_S, grace_s=3.0, sweep_s=0.2) as running:
        yield running


@pytest.fixture
def pages(browser: Browser) -> Iterator[list[Page]]:
    """Pages that are closed when the test is over."""
    opened: list[Page] = []
    yield opened
    for page in opened:
        page.context.close()


@pytest.fixture
def page(browser: Browser, serving: Serving, pages: list[Page]) -> Page:
    pages.append(open_page(browser, serving.url, FAST, record=True))
    return pages[0]


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Stopped.")).to_be_visible()


def master(page: Page) -> npt.NDArray[np.float32]:
    """The track as the server keeps it."""
    answer = httpx.get(page.evaluate("riffusionPlayer.url() + '/track.wav'"), timeout=60)
    samples, _ = soundfile.read(io.BytesIO(answer.content), dtype="float32", always_2d=True)
    return np.asarray(samples.T)


def assert_played_the_master(page: Page) -> None:
    """Stop, and compare every sample that was heard with the server's track.

    On a busy machine the sound may have had to wait: it then fades out, and goes on where it was.
    """
    heard = take_recording(page)
    if page.evaluate("riffusionPlayer.sink.kind") == "buffers":
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
    """Where there is sound: between silences of at least a render quantum of the browser."""
    loud = np.flatnonzero(np.abs(heard).max(0))
    gaps = np.flatnonzero(np.diff(loud) > QUANTUM)
    starts, ends = [0, *(gaps + 1)], [*gaps, len(loud) - 1]
    return [(int(loud[a]), int(loud[b]) + 1) for a, b in zip(starts, ends, strict=True)]


def wait_for_buffer(page: Page) -> int:
    """Wait until there is much to rewrite. Returns the first sample that has not arrived."""
    page.wait_for_function(f"() => riffusionPlayer.report.buffered > {0.8 * LEAD_S} * 44100")
    report = counters(page)
    return int(report["playhead"] + report["buffered"])


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for the server, which lives in this process."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_play_gives_sound_and_pictures(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 2)
    heard = take_recording(page)
    assert np.abs(heard).max() > 0.01
    assert counters(page)["dropouts"] == 0
    expect(page.locator(".riff-dropouts")).to_have_text("Dropouts: 0")
    expect(page.locator(".riff-place")).to_contain_text("180 bpm")
    page.wait_for_function("() => riffusionPlayer.scope.frames > 10")
    colours = page.evaluate(
        """() => {
            const { canvas, pen } = riffusionPlayer.scope;
            const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    assert colours > 20
    page.wait_for_function("() => document.querySelector('.riff-clip img').naturalWidth === 512")


def test_what_is_played_is_the_master_through_changes(page: Page) -> None:
    press_play(page)
    arrived = wait_for_buffer(page)
    page.get_by_label("Prompt A").fill("jazzy saxophone")
    page.get_by_label("Prompt A").press("Enter")
    page.wait_for_function("() => riffusionPlayer.lastChange")
    assert page.evaluate("riffusionPlayer.lastChange") < arrived, "it rewrote nothing"
    page.get_by_label("Tempo (beats per minute)").first.fill("150")
    page.get_by_label("Tempo (beats per minute)").first.press("Enter")
    page.wait_for_function(
        "() => riffusionPlayer.marks.some(m => m.bpm === 150 && m.prompt_a === 'jazzy saxophone')"
    )
    page.wait_for_function(
        "() => riffusionPlayer.report.playhead > riffusionPlayer.lastChange + 44100"
    )
    expect(page.locator(".riff-a")).to_have_text("jazzy saxophone")
    assert counters(page)["late"] == 0
    assert_played_the_master(page)


@pytest.mark.parametrize(
    "query",
    [{"transport": "fetch"}, {"sink": "buffers"}, {"transport": "fetch", "sink": "buffers"}],
    ids=lambda query: "-".join(query.values()),
)
def test_fallbacks_play_the_master_through_a_change(
    browser: Browser, serving: Serving, pages: list[Page], query: dict[str, str]
) -> None:
    page = open_page(browser, serving.url, {**FAST, **query}, record=True)
    pages.append(page)
    press_play(page)
    assert page.evaluate("riffusionPlayer.kind") == query.get("transport", "socket")
    assert page.evaluate("riffusionPlayer.sink.kind") == query.get("sink", "worklet")
    change_what_has_arrived(page)
    assert_played_the_master(page)


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


def test_sockets_that_are_blocked_and_a_missing_worklet_are_got_around(
    browser: Browser, serving: Serving, pages: list[Page]
) -> None:
    page = open_page(browser, serving.url, FAST)
    pages.append(page)
    page.route_web_socket("**/socket*", lambda socket: socket.close())
    page.evaluate(
        "Object.defineProperty(BaseAudioContext.prototype, 'audioWorklet', { value: undefined })"
    )
    press_play(page)
    wait_for_playhead(page, 1)
    assert page.evaluate("[riffusionPlayer.kind, riffusionPlayer.sink.kind]") == [
        "fetch",
        "buffers",
    ]


def test_a_broken_connection_is_mended_and_nothing_is_lost(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 1)
    page.evaluate("riffusionPlayer.transport.break()")
    page.wait_for_function("() => riffusionPlayer.reconnects === 1 && !riffusionPlayer.lostAt")
    wait_for_playhead(page, 4)
    assert counters(page)["late"] == 0
    assert_played_the_master(page)


def test_a_change_while_the_connection_is_broken_is_not_lost(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 1)
    page.evaluate("riffusionPlayer.transport.break()")
    page.get_by_label("Prompt A").fill("techno")
    page.get_by_label("Prompt A").press("Enter")
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.prompt_a === 'techno')")
    assert page.evaluate("riffusionPlayer.reconnects") == 1


def test_a_connection_that_died_without_a_word_is_replaced(
    browser: Browser, tiny_engine: Engine, pages: list[Page]
) -> None:
    with serve(tiny_engine, lead_s=2.0) as serving:
        page = open_page(browser, serving.url, FAST)
        pages.append(page)
        page.evaluate("riffusionPlayer.silentMs = 500")
        press_play(page)
        # What still comes is thrown away, and no end is told.
        page.evaluate(
            """() => {
                const player = riffusionPlayer;
                player.audio = player.event = () => {};
                player.connect = () => {
                    delete player.audio, delete player.event, delete player.connect;
                    player.connect();
                };
            }"""
        )
        page.wait_for_function("() => riffusionPlayer.reconnects === 1 && !riffusionPlayer.lostAt")
        wait_for_playhead(page, 6)


def test_who_stops_and_plays_at_once_hears_the_second_jam(page: Page, serving: Serving) -> None:
    before = {stream.id for stream in serving.stage.streams}
    page.evaluate(
        """() => {
            riffusionPlayer.press();
            setTimeout(() => { riffusionPlayer.stop(); riffusionPlayer.press(); }, 5);
        }"""
    )
    page.wait_for_function("() => riffusionPlayer.state === 'playing'")
    wait_for_playhead(page, 1)
    playing = page.evaluate("riffusionPlayer.jam.id")
    new = {stream.id for stream in serving.stage.streams} - before
    wait_until(lambda: {s.id for s in serving.stage.playing} & new == {playing})


def test_sound_that_the_browser_holds_back_is_told_and_goes_on(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 0.5)
    page.evaluate("riffusionPlayer.context.suspend()")
    expect(page.get_by_role("status").filter(has_text="holds the sound back")).to_be_visible()
    playhead = counters(page)["playhead"]
    page.locator(".riff-time").click()
    expect(page.get_by_role("status").filter(has_text="Playing.")).to_be_visible()
    page.wait_for_function(
        "playhead => riffusionPlayer.report.playhead > playhead + 44100", arg=playhead
    )
    assert counters(page)["dropouts"] == 0
    assert_played_the_master(page)


def test_a_player_that_cannot_make_sound_leaves_no_jam_behind(page: Page, serving: Serving) -> None:
    playing = {stream.id for stream in serving.stage.playing}
    page.evaluate(
        "() => { AudioWorklet.prototype.addModule = () => Promise.reject(Error('no sound')); }"
    )
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("no sound")
    wait_until(lambda: {stream.id for stream in serving.stage.playing} <= playing)


def test_stop_is_silence_and_play_begins_anew(page: Page, serving: Serving) -> None:
    press_play(page)
    wait_for_playhead(page, 1)
    first = page.evaluate("riffusionPlayer.jam.id")
    stop(page)
    assert not serving.stage.find(first).playing
    playhead = page.evaluate("riffusionPlayer.report.playhead")
    press_play(page)
    assert page.evaluate("riffusionPlayer.jam.id") != first
    assert page.evaluate("riffusionPlayer.report.playhead") < playhead + 44100
    # A second press right after the first is taken for a double click.
    wait_for_playhead(page, 1)
    stop(page)


def test_two_plays_in_a_row_are_one_jam(page: Page, serving: Serving) -> None:
    before = {stream.id for stream in serving.stage.streams}
    page.get_by_role("button", name="Play", exact=True).dblclick()
    page.wait_for_function("() => riffusionPlayer.state === 'playing'")
    assert len({stream.id for stream in serving.stage.streams} - before) == 1


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
    stream = serving.stage.find(page.evaluate("riffusionPlayer.jam.id"))
    page.close()
    wait_until(lambda: not stream.playing)
    assert stream.session.position < 30 * 44100
    wait_until(lambda: stream.id not in [left.id for left in serving.stage.playing])


def test_ten_changes_in_a_second(page: Page) -> None:
    press_play(page)
    for seed in range(10):
        page.get_by_label("Seed A").fill(str(1000 + seed))
        page.get_by_label("Seed A").press("Enter")
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.seed_a === 1009)")
    page.wait_for_function(
        "() => riffusionPlayer.report.playhead > riffusionPlayer.lastChange + 22050"
    )
    assert counters(page)["late"] == 0
    assert_played_the_master(page)


def test_bad_input_is_told_and_the_music_goes_on(page: Page) -> None:
    press_play(page)
    page.get_by_label("Prompt A").fill("   ")
    page.get_by_label("Prompt A").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("describe some music")
    page.get_by_label("Prompt A").fill("techno")
    page.get_by_label("Prompt A").press("Enter")
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.prompt_a === 'techno')")
    expect(page.get_by_role("alert")).to_be_hidden()
    page.get_by_label("Seed A").fill("minus one")
    page.get_by_label("Seed A").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("use a whole number")
    assert page.evaluate("riffusionPlayer.state") == "playing"
    wait_for_playhead(page, 2)
    assert_played_the_master(page)


def test_play_with_an_empty_prompt_says_what_to_do(page: Page) -> None:
    page.get_by_label("Prompt B").fill("")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("prompt B is '': describe some music")
    page.get_by_label("Prompt B").fill("drums")
    press_play(page)


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


def test_a_link_opens_the_same_jam(browser: Browser, serving: Serving, pages: list[Page]) -> None:
    wanted = {
        "a": "सितार & <b>drums</b>", "seed_a": str(2**63 - 1), "b": "عود", "seed_b": "0",
        "path": "manual", "position": "0.25", "walk_bars": "3", "bpm": "93", "key": "Gbm",
        "chords": "Am F C G", "beats": "3", "shape": "1", "density": "0.1", "brightness": "0.9",
        "drums": "0", "guidance": "1.5", "steps": "7",
    }  # fmt: skip
    assert set(wanted) == set(NAMES)
    page = open_page(browser, serving.url, wanted)
    pages.append(page)
    expect(page.get_by_label("Prompt A")).to_have_value(wanted["a"])
    page.get_by_role("button", name="Copy a link to this jam").click()
    page.wait_for_function("() => document.querySelector('.riff-status').textContent")
    query = dict(httpx.URL(page.url).params)
    assert query == wanted


def test_a_hostile_link_opens_with_a_note(
    browser: Browser, serving: Serving, pages: list[Page]
) -> None:
    query = {
        "a": "x" * 5000, "bpm": "1e9", "seed_a": "<script>alert(1)</script>", "b": "drums",
        "key": "![image](https://example.com/x.png)",
    }  # fmt: skip
    page = open_page(browser, serving.url, query)
    pages.append(page)
    expect(page.get_by_text("Part of this link cannot be used")).to_be_visible()
    expect(page.get_by_label("Prompt A")).to_have_value("church bells")
    expect(page.get_by_label("Prompt B")).to_have_value("drums")
    expect(page.get_by_text("<script>alert(1)</script>")).to_be_visible()
    expect(page.get_by_text("![image](https://example.com/x.png)")).to_be_visible()


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


def test_moving_the_position_takes_the_walk_by_hand(page: Page) -> None:
    press_play(page)
    page.get_by_label("Position between A and B").first.fill("1")
    page.get_by_label("Position between A and B").first.press("Enter")
    expect(page.get_by_label("By hand")).to_be_checked()
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.alpha === 1)")


def test_dice_and_examples_fill_the_form(page: Page) -> None:
    page.get_by_role("button", name="New seed").first.click()
    expect(page.get_by_label("Seed A")).not_to_have_value("1")
    page.get_by_role("button", name="blues guitar").click()
    expect(page.get_by_label("Prompt A")).to_have_value("blues guitar")
    expect(page.get_by_label("Prompt B")).to_have_value("reggae")


def test_a_full_house_is_told(browser: Browser, tiny_engine: Engine, pages: list[Page]) -> None:
    with serve(tiny_engine, most_jams=1) as serving:
        pages.extend(open_page(browser, serving.url, FAST) for _ in range(2))
        press_play(pages[0])
        pages[1].get_by_role("button", name="Play", exact=True).click()
        expect(pages[1].get_by_role("alert")).to_contain_text("places on this machine are taken")


def test_a_missing_browser_is_an_error() -> None:
    script = "from tests.browsing import chromium\nwith chromium(): pass"
    without = {**os.environ, "PATH": "", "PLAYWRIGHT_BROWSERS_PATH": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=without, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "Executable doesn't exist" in done.stderr
