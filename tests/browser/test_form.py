"""The form's settings and the server: what is sent, what is refused, and where that is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from riffusion.serving.links import NAMES
from riffusion.serving.server import Serving
from tests.browser.heard import FAST, assert_played_the_master, wait_until
from tests.browsing import open_page, press_play, wait_for_playhead

Frames = list[dict[str, Any]]


@pytest.fixture
def frames(page: Page) -> Frames:
    """The messages that the page sends through its sockets, as they come."""
    sent: Frames = []
    page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda data: sent.append(json.loads(data))),
    )
    return sent


def changes(page: Page, frames: Frames, count: int) -> list[dict[str, Any]]:
    """The settings of the first ``count`` change messages, once they were sent and no more come."""

    def arrived() -> list[dict[str, Any]]:
        page.wait_for_timeout(50)  # lets the browser's news in
        return [frame["settings"] for frame in frames if frame["type"] == "change"]

    wait_until(lambda: len(arrived()) >= count)
    page.wait_for_timeout(500)
    assert len(arrived()) == count
    return arrived()


def write(page: Page, label: str, value: str) -> None:
    """Write into a control as a musician does."""
    control = page.get_by_label(label).first
    control.fill(value)
    control.press("Enter")


def error_at(page: Page, element_id: str) -> Locator:
    return page.locator(f"#{element_id}").get_by_role("alert")


def test_a_change_sends_only_what_changed(page: Page, frames: Frames) -> None:
    press_play(page)
    write(page, "Tempo (beats per minute)", "104")
    assert changes(page, frames, 1) == [{"bpm": 104}]
    write(page, "Prompt A", "techno")
    assert changes(page, frames, 2)[1] == {"a": "techno"}


def test_changes_in_one_debounce_go_in_one_message(page: Page, frames: Frames) -> None:
    press_play(page)
    page.get_by_label("Prompt A").fill("techno")
    page.get_by_label("Seed B").fill("7")
    page.get_by_label("Seed B").press("Enter")
    assert changes(page, frames, 1) == [{"a": "techno", "seed_b": "7"}]


def test_what_is_changed_and_changed_back_is_not_sent(page: Page, frames: Frames) -> None:
    press_play(page)
    page.get_by_label("Prompt A").fill("techno")
    page.get_by_label("Prompt A").fill("church bells")
    write(page, "Seed A", "7")
    assert changes(page, frames, 1) == [{"seed_a": "7"}]


def test_a_refused_value_is_shown_at_its_field_and_the_others_are_taken(
    page: Page, frames: Frames
) -> None:
    press_play(page)
    page.get_by_label("Prompt A").fill("   ")
    write(page, "Seed A", "1009")
    message = error_at(page, "prompt-a")
    expect(message).to_contain_text("describe some music")
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.seed_a === 1009)")
    # It stays there while other fields change, and is not sent again with them.
    write(page, "Seed B", "1010")
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.seed_b === 1010)")
    expect(message).to_be_visible()
    expect(page.locator(".riff-notice")).to_be_hidden()
    write(page, "Prompt A", "techno")
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.prompt_a === 'techno')")
    expect(message).to_have_count(0)
    assert changes(page, frames, 3) == [
        {"a": "   ", "seed_a": "1009"},
        {"seed_b": "1010"},
        {"a": "techno"},
    ]
    assert page.evaluate("riffusionPlayer.marks.at(-1).bpm") == 180
    wait_for_playhead(page, 2)
    assert_played_the_master(page)


def test_a_refused_value_is_sent_again_when_it_is_written_again(page: Page, frames: Frames) -> None:
    press_play(page)
    write(page, "Seed A", "minus one")
    message = error_at(page, "seed-a")
    expect(message).to_contain_text("use a whole number")
    page.get_by_label("Seed A").fill("7")
    expect(message).to_have_count(0)
    write(page, "Seed A", "minus one")
    expect(message).to_contain_text("use a whole number")
    assert changes(page, frames, 2) == [{"seed_a": "minus one"}, {"seed_a": "minus one"}]


def test_a_refused_value_is_not_sent_again_after_a_broken_connection(
    page: Page, frames: Frames
) -> None:
    press_play(page)
    write(page, "Seed A", "minus one")
    expect(error_at(page, "seed-a")).to_be_visible()
    page.evaluate("riffusionPlayer.connection.transport.break()")
    page.wait_for_function("() => riffusionPlayer.connection.reconnects === 1")
    everything = changes(page, frames, 2)[1]
    assert set(everything) == set(NAMES) - {"seed_a"}
    assert everything["a"] == "church bells"
    expect(error_at(page, "seed-a")).to_be_visible()


def test_a_field_that_cannot_be_seen_has_its_message_in_the_notice(page: Page) -> None:
    press_play(page)
    # The strength is in a part of the page that is closed.
    page.evaluate("riffusionPlayer.form.refuse('strength', 'use a number from 0 to 1')")
    notice = page.locator(".riff-notice")
    expect(notice).to_contain_text("use a number from 0 to 1")
    # Changes of other fields leave it there.
    write(page, "Prompt A", "techno")
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.prompt_a === 'techno')")
    expect(notice).to_be_visible()
    page.get_by_role("button", name="Start from a clip").click()
    strength = page.locator("#strength input[type=number]")
    strength.fill("0.5")
    strength.press("Enter")
    expect(notice).to_be_hidden()


def test_play_shows_a_refused_value_at_its_field(page: Page) -> None:
    page.get_by_label("Prompt B").fill("")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(error_at(page, "prompt-b")).to_contain_text("prompt B is '': describe some music")
    expect(page.locator(".riff-notice")).to_be_hidden()
    assert page.evaluate("riffusionPlayer.state") == "stopped"
    page.get_by_label("Prompt B").fill("drums")
    expect(error_at(page, "prompt-b")).to_have_count(0)
    press_play(page)


def test_a_change_waits_until_the_connection_is_open(page: Page, frames: Frames) -> None:
    press_play(page)
    page.evaluate("riffusionPlayer.connection.transport.break()")
    write(page, "Seed A", "minus one")
    # The server could not say to a page that does not listen what it refuses.
    expect(error_at(page, "seed-a")).to_contain_text("use a whole number")
    everything = changes(page, frames, 1)[0]
    assert set(everything) == set(NAMES)


def test_the_chunked_transport_shows_refusals_too(
    browser: Browser, serving: Serving, pages: list[Page]
) -> None:
    page = open_page(browser, serving.url, {**FAST, "transport": "fetch"})
    pages.append(page)
    press_play(page)
    write(page, "Prompt A", "   ")
    expect(error_at(page, "prompt-a")).to_contain_text("describe some music")
    write(page, "Prompt A", "techno")
    expect(error_at(page, "prompt-a")).to_have_count(0)
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.prompt_a === 'techno')")


def run_module(page: Page, script: str) -> Any:
    """Return what a script returns that uses the classes of the page's form."""
    return page.evaluate(
        f"""async () => {{
            const {{ Form, Settings }} = await import("/jam/player/form.js");
            {script}
        }}"""
    )


def test_settings_know_what_the_server_does_not_know(page: Page) -> None:
    assert run_module(
        page,
        """const settings = new Settings(["a", "bpm"]);
        settings.read(["bells", 100]);
        const steps = [settings.takeAll(), settings.takeDifferences()];
        steps.push(settings.read(["bells", 104]), settings.takeDifferences());
        steps.push(settings.takeDifferences());
        return steps;""",
    ) == [{"a": "bells", "bpm": 100}, None, ["bpm"], {"bpm": 104}, None]


def test_what_is_pressed_is_sent_once_for_each_press(page: Page) -> None:
    assert run_module(
        page,
        """const settings = new Settings(["bpm"]);
        settings.read([100]);
        settings.press("drop", 4);
        const steps = [settings.takeAll(), settings.takeDifferences()];
        for (const bars of [4, 4]) {
            settings.press("drop", bars);
            steps.push(settings.takeDifferences(), settings.takeDifferences());
        }
        steps.push(settings.repeat());
        return steps;""",
    ) == [{"bpm": 100}, None, {"drop": 4}, None, {"drop": 4}, None, {"bpm": 100}]


def test_settings_do_not_repeat_what_was_refused(page: Page) -> None:
    assert run_module(
        page,
        """const settings = new Settings(["a", "bpm"]);
        settings.read(["bells", 100]);
        settings.takeAll();
        settings.read(["bells", 999]);
        settings.takeDifferences();
        const steps = [settings.refuse("bpm"), settings.repeat()];
        settings.read(["drums", 999]);
        steps.push(settings.takeDifferences());
        settings.read(["drums", 998]);
        settings.read(["drums", 999]);
        steps.push(settings.takeDifferences());
        return steps;""",
    ) == [True, {"a": "bells"}, {"a": "drums"}, {"bpm": 999}]


def test_a_refusal_that_comes_after_another_change_is_not_shown(page: Page) -> None:
    assert run_module(
        page,
        """const settings = new Settings(["bpm"]);
        settings.read([999]);
        settings.takeAll();
        settings.read([100]);
        return [settings.refuse("bpm"), settings.takeDifferences()];""",
    ) == [False, {"bpm": 100}]


def test_a_message_about_no_field_goes_to_the_notice(page: Page) -> None:
    page.evaluate("riffusionPlayer.form.refuse('', 'the message is too long')")
    expect(page.locator(".riff-notice")).to_contain_text("the message is too long")
