"""Whatever a musician changes on the real page, what is heard is the track."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from riffusion.serving.links import NAMES
from riffusion.serving.page import TYPING_MS
from riffusion.serving.server import Serving
from tests.browser.heard import (
    FAST,
    assert_played_the_master,
    change_what_has_arrived,
    newest_jam,
    wait_for_buffer,
)
from tests.browsing import (
    counters,
    open_page,
    press_play,
    wait_for_playhead,
)


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
    assert page.evaluate("riffusionPlayer.connection.kind") == query.get("transport", "socket")
    assert page.evaluate("riffusionPlayer.audio.sink.kind") == query.get("sink", "worklet")
    change_what_has_arrived(page)
    assert_played_the_master(page)


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


def test_bad_input_is_refused_and_the_music_goes_on(page: Page) -> None:
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


def test_a_link_opens_the_same_jam(browser: Browser, serving: Serving, pages: list[Page]) -> None:
    wanted = {
        "a": "सितार & <b>drums</b>", "seed_a": str(2**63 - 1), "b": "عود", "seed_b": "0",
        "path": "manual", "position": "0.25", "walk_bars": "3", "bpm": "93", "key": "Gbm",
        "chords": "Am F C G", "beats": "3", "shape": "1", "density": "0.1", "brightness": "0.9",
        "drums": "0", "guidance": "1.5", "steps": "7", "anchor": "marimba", "strength": "0.4",
        "mask": "upper_half", "swing": "0.6", "reverb": "0.2", "ramp_bars": "5",
        "anchor_b": "vibraphone", "loop": "8", "variation": "0.7", "arc": "build",
        "arc_bars": "32", "hold": "1", "quantize": "loop", "quality": "fine",
        "negative_a": "drums & bass", "weight_a": "0.5", "negative_b": "", "weight_b": "0",
    }  # fmt: skip
    for seed, letter in enumerate("cdefgh"):
        wanted |= {letter: f"music {letter}", f"seed_{letter}": str(seed)}
        wanted |= {f"negative_{letter}": f"not {letter}", f"weight_{letter}": "0.35"}
    assert set(wanted) == set(NAMES)
    page = open_page(browser, serving.url, wanted)
    pages.append(page)
    expect(page.get_by_label("Prompt A")).to_have_value(wanted["a"])
    page.get_by_role("button", name="Copy a link to this jam").click()
    page.wait_for_function("() => document.querySelector('.riff-status').textContent")
    query = dict(httpx.URL(page.url).params)
    assert query == wanted
    expect(page.get_by_role("button", name="Hold")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="More prompts").click()
    expect(page.get_by_label("Prompt H", exact=True)).to_have_value("music h")
    press_play(page)
    settings = newest_jam(serving).settings
    assert [p.text for p, _ in settings.heard_prompts()][1:] == [f"music {x}" for x in "cdefgh"]
    assert settings.hold


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


def test_moving_the_position_takes_the_walk_by_hand(page: Page) -> None:
    press_play(page)
    page.get_by_label("Position on the walk").first.fill("1")
    page.get_by_label("Position on the walk").first.press("Enter")
    expect(page.get_by_label("By hand")).to_be_checked()
    page.wait_for_function("() => riffusionPlayer.marks.some(mark => mark.alpha === 1)")


def test_dice_and_examples_fill_the_form(page: Page) -> None:
    page.get_by_role("button", name="New seed").first.click()
    expect(page.get_by_label("Seed A")).not_to_have_value("1")
    page.get_by_role("button", name="blues guitar").click()
    expect(page.get_by_label("Prompt A")).to_have_value("blues guitar")
    expect(page.get_by_label("Prompt B")).to_have_value("reggae")


def test_dice_and_examples_are_sent_at_once_and_typing_after_a_rest(page: Page) -> None:
    """Whoever types goes on in a moment; a button has said all that there is to say."""
    press_play(page)
    page.evaluate("""() => {
        const { form } = riffusionPlayer;
        const { changeAfter } = form;
        window.rests = [];
        form.changeAfter = (values, restMs) => {
            window.rests.push(restMs);
            changeAfter.call(form, values, restMs);
        };
        window.takeRests = () => rests.splice(0);
    }""")
    page.get_by_role("button", name="New seed").first.click()
    page.wait_for_function("() => rests.length")
    assert TYPING_MS not in page.evaluate("takeRests()")
    page.get_by_role("button", name="blues guitar").click()
    page.wait_for_function("() => riffusionPlayer.form.settings.wanted.b === 'reggae'")
    assert TYPING_MS not in page.evaluate("takeRests()")
    page.wait_for_function("() => riffusionPlayer.form.settings.sent.b === 'reggae'")
    page.get_by_label("Prompt A").press_sequentially("!!!")
    page.wait_for_function("() => riffusionPlayer.form.settings.wanted.a.endsWith('!!!')")
    assert set(page.evaluate("takeRests()")) == {TYPING_MS}
    page.wait_for_function("() => riffusionPlayer.form.settings.sent.a.endsWith('!!!')")
