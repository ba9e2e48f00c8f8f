"""Musicians plan, edit, play and capture songs on the real page."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from riffusion.serving.server import Serving
from riffusion.song.plan import plan_text, read_plan
from tests.browsing import (
    chromium,
    counters,
    open_page,
    press_play,
    take_recording,
    wait_for_playhead,
)

PLAN = """\
bpm: 180
steps: 1
order: [intro, verse, chorus, verse]
sections:
  intro: {bars: 1, prompt: piano}
  verse: {bars: 4, prompt: jazz}
  chorus: {bars: 2, prompt: techno}
"""
BAR = 58800  # samples, at 180 bpm
# Gradio has timers of its own: only those of our modules count.
COUNT_INTERVALS = """
const { setInterval } = window;
window.intervals = [];
window.setInterval = (action, ms, ...rest) => {
    if (Error().stack.includes("/jam/player/")) window.intervals.push(ms);
    return setInterval(action, ms, ...rest);
};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, serving: Serving) -> Iterator[Page]:
    opened = open_page(browser, serving.url, {"bpm": 180, "steps": 1, "key": "Dm"}, record=True)
    opened.wait_for_function("() => Boolean(window.riffusionSong)")
    yield opened
    opened.context.close()


def use_plan(page: Page, text: str) -> None:
    """Write a plan into the page's text field, as a musician would."""
    page.evaluate("text => riffusionSong.check(text)", PLAN)
    page.get_by_text("The plan as text").click()
    page.get_by_role("textbox", name="Plan", exact=True).fill(text)
    page.get_by_role("button", name="Use this text").click()


def blocks(page: Page) -> list[str]:
    return page.locator(".riff-timeline button").all_inner_texts()


def plan(page: Page) -> str:
    text: str = page.evaluate("riffusionSong.plan.plan")
    return text


def block(page: Page, index: int) -> tuple[float, float]:
    """Return the middle of a block on the screen."""
    shown = page.locator(".riff-timeline button").nth(index)
    shown.scroll_into_view_if_needed()
    box = shown.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def play_song(page: Page) -> None:
    page.get_by_role("button", name="Play the song").click()
    page.wait_for_function("() => riffusionPlayer.state === 'playing'")


def test_a_line_becomes_a_timeline_that_is_edited(page: Page) -> None:
    page.get_by_label("What song").fill("bossa nova, one minute")
    page.get_by_role("button", name="Plan a song").click()
    expect(page.locator(".riff-song-length")).to_have_text("1:00")
    assert blocks(page) == list(read_plan(plan(page)).order)

    use_plan(page, PLAN)
    expect(page.locator(".riff-timeline button")).to_have_text(
        ["intro", "verse", "chorus", "verse"]
    )
    # Click and edit: every verse changes.
    page.mouse.click(*block(page, 1))
    expect(page.locator(".riff-section-note")).to_contain_text("2 times")
    form = page.locator(".riff-section")
    form.locator("[name=prompt]").fill("funky piano")
    form.locator("[name=bars]").fill("8")
    form.locator("[name=bars]").press("Enter")
    page.wait_for_function("() => riffusionSong.plan.fields.sections.verse.bars === 8")
    verse = read_plan(plan(page)).section("verse")
    assert (verse.prompt.text, verse.bars) == ("funky piano", 8)
    form.locator("[name=arc]").select_option("Build")
    form.locator("[name=loop]").select_option("2 bars")
    page.wait_for_function("() => riffusionSong.plan.fields.sections.verse.loop")
    settings = read_plan(plan(page)).section("verse").settings()
    assert (settings["arc"], settings["loop"]) == ("build", "2")
    form.locator("[name=arc]").select_option("the default")
    page.wait_for_function("() => !riffusionSong.plan.fields.sections.verse.arc")
    # Drag the intro behind the chorus.
    page.mouse.move(*block(page, 0))
    page.mouse.down()
    x, y = block(page, 3)
    page.mouse.move(x - 20, y, steps=5)
    page.mouse.up()
    expect(page.locator(".riff-timeline button")).to_have_text(
        ["verse", "chorus", "intro", "verse"]
    )
    assert read_plan(plan(page)).order == ("verse", "chorus", "intro", "verse")
    # What is wrong is said; the plan stays as it was.
    form.locator("[name=bars]").fill("0")
    form.locator("[name=bars]").press("Enter")
    problem = page.locator(".riff-song-problem")
    expect(problem).to_have_text("bars is 0: use a whole number from 1 to 256")
    assert read_plan(plan(page)).order == ("verse", "chorus", "intro", "verse")


def test_a_section_keeps_the_keyboard_when_the_plan_is_checked_again(page: Page) -> None:
    use_plan(page, PLAN)
    expect(page.locator(".riff-timeline button")).to_have_count(4)
    page.locator(".riff-timeline button").nth(2).focus()
    page.evaluate("text => riffusionSong.check(text)", PLAN.replace("verse, chorus", "verse"))
    expect(page.locator(".riff-timeline button")).to_have_text(["intro", "verse", "verse"])
    expect(page.locator(".riff-timeline button").nth(2)).to_be_focused()


def test_a_song_plays_jumps_and_goes_on_through_bad_plans(page: Page) -> None:
    use_plan(page, PLAN)
    page.wait_for_function("() => riffusionSong.plan !== null")
    play_song(page)
    wait_for_playhead(page, 0.5)
    expect(page.locator(".riff-place")).to_contain_text("intro")
    expect(page.locator(".riff-playhead")).to_be_visible()

    page.get_by_role("textbox", name="Plan", exact=True).fill(PLAN.replace("bars: 4", "bars: 4000"))
    page.get_by_role("button", name="Use this text").click()
    expect(page.locator(".riff-song-problem")).to_contain_text("line 6: bars is 4000")

    page.mouse.click(*block(page, 2))
    page.get_by_role("button", name="Jump here").click()
    # Earlier than the plan has it, on a bar line.
    chorus = f"mark => mark.section === 'chorus' && mark.place_start < {5 * BAR}"
    page.wait_for_function(f"() => riffusionPlayer.marks.some({chorus})")
    assert page.evaluate(f"riffusionPlayer.marks.find({chorus}).place_start") % BAR == 0
    page.wait_for_function("() => riffusionPlayer.state === 'stopped'")
    expect(page.locator(".riff-status")).to_have_text("The song is over.")
    assert_heard_the_track(page)


def assert_heard_the_track(page: Page) -> None:
    """Compare what was heard with the server's track if nothing had to wait or came late."""
    heard = take_recording(page)
    answer = httpx.get(page.evaluate("riffusionPlayer.url() + '/track.wav'"), timeout=60)
    track, _ = soundfile.read(io.BytesIO(answer.content), dtype="float32", always_2d=True)
    if counters(page)["dropouts"] == counters(page)["late"] == 0:
        first, begins = (int(np.argmax(np.abs(x).max(0) > 0)) for x in (heard, track.T))
        length = min(heard.shape[1] - first, len(track) - begins) - 44100 // 2
        assert length > 4 * BAR
        np.testing.assert_array_equal(
            heard[:, first : first + length], track.T[:, begins : begins + length]
        )


def test_what_the_jam_plays_is_kept_and_played_as_a_song(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 0.5)
    name = page.get_by_label("Keep this as")
    expect(name).to_have_value("chorus")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.locator(".riff-timeline button")).to_have_text(["chorus"])
    name.fill("verse")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.locator(".riff-timeline button")).to_have_text(["chorus", "verse"])
    song = read_plan(plan(page))
    assert (song.bpm, song.key, song.section("verse").prompt.text) == (180, "Dm", "church bells")
    # The jam has gone on; the song takes its place.
    assert page.evaluate("riffusionPlayer.state") == "playing"
    play_song(page)
    page.wait_for_function("() => riffusionPlayer.mark?.section === 'chorus'")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".riff-status")).to_have_text("Stopped.")


def test_a_plan_outlives_the_sounds_that_were_kept(page: Page) -> None:
    gone = plan_text(read_plan(PLAN)).replace("prompt: jazz", "prompt: jazz\n    anchor: own-gone")
    page.evaluate("text => sessionStorage.setItem('riffusion-song', text)", gone)
    page.reload()
    expect(page.locator(".riff-song-problem")).to_contain_text("play from their prompts")
    assert read_plan(plan(page)) == read_plan(PLAN)
    # Whoever names one that is gone is told so, and where.
    page.evaluate("text => riffusionSong.check(text)", gone)
    expect(page.locator(".riff-song-problem")).to_contain_text("anchor is 'own-gone'")


def test_a_kept_section_has_its_sound_to_save(page: Page) -> None:
    press_play(page)
    wait_for_playhead(page, 7.0)  # four bars, the round of the chords, last 5.3 s
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.locator(".riff-timeline button")).to_have_text(["chorus"])
    page.mouse.click(*block(page, 0))
    section = read_plan_fields(page)["chorus"]
    assert section["strength"] == 0.3
    link = page.get_by_role("link", name="Save its sound")
    expect(link).to_be_visible()
    answer = httpx.get(link.evaluate("a => a.href"), timeout=60)
    assert len(soundfile.read(io.BytesIO(answer.content))[0]) == 4 * BAR
    # Without it the section plays from its prompt.
    form = page.locator(".riff-section")
    form.locator("[name=anchor]").fill("")
    form.locator("[name=anchor]").press("Enter")
    page.wait_for_function("() => !('anchor' in riffusionSong.plan.fields.sections.chorus)")
    expect(link).to_be_hidden()


def read_plan_fields(page: Page) -> dict[str, dict[str, object]]:
    """Return the sections of the plan by name."""
    fields: dict[str, dict[str, object]] = page.evaluate("riffusionSong.plan.fields.sections")
    return fields


@pytest.mark.parametrize("query", [{}, {"sink": "buffers"}], ids=["worklet", "buffers"])
def test_the_timeline_moves_without_polling(
    browser: Browser, serving: Serving, query: dict[str, str]
) -> None:
    page = open_page(browser, serving.url, query, script=COUNT_INTERVALS)
    page.wait_for_function("() => Boolean(window.riffusionSong)")
    use_plan(page, PLAN)
    page.wait_for_function("() => riffusionSong.plan !== null")
    play_song(page)
    line = page.locator(".riff-playhead")
    expect(line).to_be_visible()
    left = "line => parseFloat(line.style.left)"
    first = line.evaluate(left)
    wait_for_playhead(page, 1)
    assert line.evaluate(left) > first
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(line).to_be_hidden()
    # The only interval asks the server each minute to keep the stopped track.
    assert page.evaluate("window.intervals") == [60_000]
    page.context.close()
