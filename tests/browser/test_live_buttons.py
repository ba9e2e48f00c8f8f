"""What a musician does while the jam plays reaches the server: each new control and button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from riffusion.jam.session_file import parse_session
from riffusion.serving.server import Serving
from tests.browser.heard import FAST, assert_played_the_master, newest_jam, stop, wait_until
from tests.browsing import open_page, press_play, wait_for_playhead

Act = Callable[[Page], None]


def choose(label: str, choice: str) -> Act:
    """Return what chooses from a list."""

    def act(page: Page) -> None:
        page.get_by_label(label, exact=True).click()
        page.get_by_role("option", name=choice, exact=True).click()

    return act


def write(label: str, value: str) -> Act:
    """Return what writes into a control."""

    def act(page: Page) -> None:
        control = page.get_by_label(label, exact=True).first
        control.fill(value)
        control.press("Enter")

    return act


def number(element_id: str, value: str) -> Act:
    """Return what writes into the number of a slider."""

    def act(page: Page) -> None:
        control = page.locator(f"#{element_id} input[type=number]")
        control.fill(value)
        control.press("Enter")

    return act


ACTS: dict[str, tuple[Act, Any]] = {
    "prompt_c": (write("Prompt C", "slow strings"), "slow strings"),
    "prompt_d": (write("Prompt D", "reggae"), "reggae"),
    "seed_c": (write("Seed C", "77"), 77),
    "negative_a": (write("Negative prompt A", "drums"), "drums"),
    "negative_c": (write("Negative prompt C", "voices"), "voices"),
    "weight_b": (number("weight-b", "0.5"), 0.5),
    "weight_d": (number("weight-d", "0.25"), 0.25),
    "path": (lambda page: page.get_by_label("All together").check(), "together"),
    "walk_bars": (number("walk-bars", "7"), 7),
    "loop": (choose("Loop", "2 bars"), "2"),
    "variation": (number("variation", "0.9"), 0.9),
    "arc": (choose("Arc", "Breathe"), "breathe"),
    "arc_bars": (choose("Length of the arc", "8 bars"), "8"),
    "quantize": (choose("Changes land on", "Next beat"), "beat"),
    "ramp_bars": (number("ramp-bars", "4"), 4),
    "swing": (number("swing", "0.5"), 0.5),
    "hold": (lambda page: page.get_by_role("button", name="Hold").click(), True),
}


def drops(page: Page) -> list[Any]:
    """Return the drops in the session file, in order."""
    content = httpx.get(page.evaluate("riffusionPlayer.url() + '/track.json'"), timeout=60).content
    changes = parse_session(content).changes
    return [change.changes["drop"] for change in changes if change.changes.get("drop")]


def test_each_new_control_changes_what_the_server_plays(page: Page, serving: Serving) -> None:
    press_play(page)
    page.get_by_role("button", name="More prompts").click()
    page.get_by_role("button", name="More controls").click()
    session = newest_jam(serving)
    for name, (act, value) in ACTS.items():
        assert session.settings.by_setting()[name] != value
        act(page)
        wait_until(lambda name=name, value=value: session.settings.by_setting()[name] == value)  # type: ignore[misc]
    expect(page.get_by_role("alert")).to_be_hidden()
    page.wait_for_function(
        "() => riffusionPlayer.report.playhead > riffusionPlayer.lastChange + 44100"
    )
    assert_played_the_master(page)


def test_another_row_comes_when_the_last_prompt_has_a_text(page: Page) -> None:
    page.get_by_role("button", name="More prompts").click()
    expect(page.get_by_label("Prompt C", exact=True)).to_be_visible()
    expect(page.get_by_label("Prompt D", exact=True)).to_be_hidden()
    page.get_by_label("Prompt C", exact=True).fill("slow strings")
    expect(page.get_by_label("Prompt D", exact=True)).to_be_visible()
    expect(page.get_by_label("Prompt E", exact=True)).to_be_hidden()


def test_two_drops_in_a_row_are_two_drops(page: Page) -> None:
    press_play(page)
    button = page.get_by_role("button", name="Drop for 4 bars")
    for count in (1, 2):
        button.click()
        page.wait_for_function(
            "() => riffusionPlayer.lastChange && riffusionPlayer.lastChange !== window.last"
        )
        page.evaluate("window.last = riffusionPlayer.lastChange")
        page.wait_for_function("() => riffusionPlayer.report.playhead > window.last + 22050")
        wait_until(lambda count=count: drops(page) == [4] * count)  # type: ignore[misc]
    page.keyboard.press("f")
    page.wait_for_function("() => riffusionPlayer.lastChange !== window.last")
    page.wait_for_function(
        "() => riffusionPlayer.report.playhead > riffusionPlayer.lastChange + 44100"
    )
    assert drops(page) == [4, 4]
    assert_played_the_master(page)


def test_a_drop_is_in_no_link_and_is_not_repeated(page: Page, serving: Serving) -> None:
    press_play(page)
    page.get_by_role("button", name="Drop for 8 bars").click()
    page.wait_for_function("() => riffusionPlayer.lastChange")
    session = newest_jam(serving)
    before = len(session.changes)
    page.evaluate("riffusionPlayer.connection.transport.break()")
    page.wait_for_function(
        "() => riffusionPlayer.connection.reconnects === 1 && !riffusionPlayer.connection.lostAt"
    )
    wait_for_playhead(page, 3)
    assert len(session.changes) == before
    page.get_by_role("button", name="Copy a link to this jam").click()
    page.wait_for_url("**/?*a=church*")
    assert not {"drop", "fill"} & set(httpx.URL(page.url).params)


def test_hold_is_switched_on_and_off(page: Page, serving: Serving) -> None:
    press_play(page)
    session = newest_jam(serving)
    hold = page.get_by_role("button", name="Hold")
    expect(hold).to_have_attribute("aria-pressed", "false")
    hold.click()
    expect(hold).to_have_attribute("aria-pressed", "true")
    wait_until(lambda: session.settings.hold)
    page.keyboard.press("h")
    expect(hold).to_have_attribute("aria-pressed", "false")
    wait_until(lambda: not session.settings.hold)
    # Whoever writes an h writes an h.
    page.get_by_label("Prompt A").press("End")
    page.get_by_label("Prompt A").press("h")
    expect(page.get_by_label("Prompt A")).to_have_value("church bellsh")
    expect(hold).to_have_attribute("aria-pressed", "false")
    wait_for_playhead(page, session.changes[-1].sample / 44100 + 1)
    assert_played_the_master(page)


def test_there_is_nothing_to_drop_before_play(page: Page) -> None:
    expect(page.get_by_role("button", name="Drop for 1 bar")).to_be_disabled()
    expect(page.get_by_role("button", name="Hold")).to_be_enabled()
    press_play(page)
    expect(page.get_by_role("button", name="Drop for 1 bar")).to_be_enabled()
    page.wait_for_function("() => performance.now() - riffusionPlayer.pressedAt > 500")
    stop(page)
    expect(page.get_by_role("button", name="Drop for 1 bar")).to_be_disabled()


def test_the_last_weight_is_refused_at_its_field_and_the_music_goes_on(
    page: Page, serving: Serving
) -> None:
    press_play(page)
    page.get_by_role("button", name="More prompts").click()
    session = newest_jam(serving)
    number("weight-a", "0")(page)
    wait_until(lambda: session.settings.weight_a == 0)
    number("weight-b", "0")(page)
    message = page.locator("#weight-b").get_by_role("alert")
    expect(message).to_contain_text("give at least one prompt a weight over 0")
    assert session.settings.weight_b == 1
    page.evaluate("() => { window.last = riffusionPlayer.lastChange; }")
    number("weight-b", "0.2")(page)
    expect(message).to_have_count(0)
    wait_until(lambda: session.settings.weight_b == 0.2)
    # A change that is on its way when the page stops is in the track, but not heard.
    page.wait_for_function("() => riffusionPlayer.lastChange !== window.last")
    page.wait_for_function(
        "() => riffusionPlayer.report.playhead > riffusionPlayer.lastChange + 44100"
    )
    assert_played_the_master(page)


@pytest.mark.parametrize(
    ("path", "shown"),
    [("together", ["church bells + techno + strings", ""]), ("manual", ["techno", "strings"])],
)
def test_the_two_prompts_between_which_the_walk_is_are_shown(
    browser: Browser, serving: Serving, pages: list[Page], path: str, shown: list[str]
) -> None:
    query = {**FAST, "b": "techno", "c": "strings", "path": path, "position": 0.75}
    page = open_page(browser, serving.url, query)
    pages.append(page)
    press_play(page)
    expect(page.locator(".riff-a")).to_have_text(shown[0])
    expect(page.locator(".riff-b")).to_have_text(shown[1])
    expect(page.locator(".riff-mix")).to_be_visible(visible=path == "manual")
