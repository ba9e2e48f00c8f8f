"""The real page gets around broken connections, careful browsers and a full server."""

from __future__ import annotations

import os
import subprocess
import sys

from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from riffusion.engines.protocol import Engine
from riffusion.serving.server import Serving, serve
from tests.browser.heard import (
    FAST,
    assert_played_the_master,
    wait_until,
)
from tests.browsing import (
    counters,
    open_page,
    press_play,
    wait_for_playhead,
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
    assert page.evaluate("[riffusionPlayer.connection.kind, riffusionPlayer.audio.sink.kind]") == [
        "fetch",
        "buffers",
    ]


def test_a_broken_connection_is_mended_and_nothing_is_lost(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 1)
    page.evaluate("riffusionPlayer.connection.transport.break()")
    page.wait_for_function(
        "() => riffusionPlayer.connection.reconnects === 1 && !riffusionPlayer.connection.lostAt"
    )
    wait_for_playhead(page, 4)
    assert counters(page)["late"] == 0
    assert_played_the_master(page)


def test_a_change_while_the_connection_is_broken_is_not_lost(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 1)
    page.evaluate("riffusionPlayer.connection.transport.break()")
    page.get_by_label("Prompt A").fill("techno")
    page.get_by_label("Prompt A").press("Enter")
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.prompt_a === 'techno')")
    assert page.evaluate("riffusionPlayer.connection.reconnects") == 1


def test_a_connection_that_died_without_a_word_is_replaced(
    browser: Browser, tiny_engine: Engine, pages: list[Page]
) -> None:
    dead: list[WebSocketRoute] = []
    sockets: list[WebSocketRoute] = []

    def relay(socket: WebSocketRoute) -> None:
        """Pass messages on both ways until the socket is dead, which nobody is told."""
        server = socket.connect_to_server()
        sockets.append(socket)
        socket.on_message(lambda message: None if socket in dead else server.send(message))
        server.on_message(lambda message: None if socket in dead else socket.send(message))

    with serve(tiny_engine, lead_s=2.0) as serving:
        page = open_page(browser, serving.url, FAST)
        pages.append(page)
        page.route_web_socket("**/socket*", relay)
        page.evaluate("riffusionPlayer.connection.silentMs = 500")
        press_play(page)
        dead.extend(sockets)
        page.wait_for_function("() => riffusionPlayer.connection.reconnects === 1")
        wait_for_playhead(page, 6)
        assert len(sockets) == 2
        assert page.evaluate("riffusionPlayer.connection.lostAt") is None


def test_sound_that_the_browser_holds_back_goes_on_after_a_click(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 0.5)
    page.evaluate("riffusionPlayer.audio.context.suspend()")
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
    playing = {stream.id for stream in serving.registry.playing}
    page.evaluate(
        "() => { AudioWorklet.prototype.addModule = () => Promise.reject(Error('no sound')); }"
    )
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("no sound")
    wait_until(lambda: {stream.id for stream in serving.registry.playing} <= playing)


def test_play_with_an_empty_prompt_says_what_to_do(page: Page) -> None:
    page.get_by_label("Prompt B").fill("")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("prompt B is '': describe some music")
    page.get_by_label("Prompt B").fill("drums")
    press_play(page)


def test_a_full_server_says_so(browser: Browser, tiny_engine: Engine, pages: list[Page]) -> None:
    with serve(tiny_engine, max_jams=1) as serving:
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
