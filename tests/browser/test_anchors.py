"""Musicians choose, hear and upload anchors and masks on the real page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from riffusion.jam.anchors import library
from riffusion.serving.server import Serving
from tests.browser.heard import FAST, assert_played_the_master, newest_jam, wait_until
from tests.browsing import open_page, press_play, wait_for_playhead


def open_pickers(page: Page) -> None:
    page.get_by_role("button", name="Start from a clip").click()
    expect(page.get_by_role("radiogroup", name="Start from")).to_be_visible()


def test_anchors_are_shown_with_tempo_key_picture_and_sound(page: Page) -> None:
    open_pickers(page)
    group = page.get_by_role("radiogroup", name="Start from")
    for anchor in library():
        card = group.locator(".riff-card", has=page.locator(f"input[value={anchor.id}]"))
        expect(card).to_contain_text(f"{anchor.bpm:g} bpm, {anchor.key}")
        sound = re.compile(rf"/api/anchors/{anchor.id}\.mp3$")
        expect(card.locator("audio")).to_have_attribute("src", sound)
    picture = group.locator("img").first
    picture.scroll_into_view_if_needed()
    wait_until(lambda: bool(picture.evaluate("image => image.naturalWidth === 512")))


def test_an_anchor_is_taken_up_live_with_its_tempo_and_key(page: Page, serving: Serving) -> None:
    press_play(page)
    open_pickers(page)
    page.get_by_role("radio", name="rock drums").check()
    page.get_by_role("radiogroup", name="Play anew").get_by_role("radio", name="lower half").check()
    page.wait_for_function("() => riffusionPlayer.lastChange")
    session = newest_jam(serving)
    wait_until(lambda: session.settings.mask is not None)
    settings = session.settings
    assert settings.anchor is not None
    assert (settings.anchor.name, settings.bpm, settings.key) == ("rock_drums", 140, "E")
    wait_for_playhead(page, session.changes[-1].sample / 44100 + 1)
    assert_played_the_master(page)


def test_own_sound_and_picture_are_uploaded_and_played(
    page: Page, serving: Serving, tmp_path: Path
) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 330 * np.arange(4 * 44100) / 44100)
    soundfile.write(tmp_path / "mine.wav", tone, 44100)
    Image.new("L", (512, 512), "white").save(tmp_path / "mask.png")
    Image.new("L", (100, 512), "white").save(tmp_path / "narrow.png")
    open_pickers(page)
    page.get_by_label("Your own anchor").set_input_files(tmp_path / "mine.wav")
    expect(page.get_by_role("radio", name="mine.wav")).to_be_checked()
    masks = page.get_by_role("radiogroup", name="Play anew")
    page.get_by_label("Your own mask").set_input_files(tmp_path / "narrow.png")
    expect(masks.get_by_role("status")).to_contain_text("512 x 512")
    page.get_by_label("Your own mask").set_input_files(tmp_path / "mask.png")
    expect(page.get_by_role("radio", name="mask.png")).to_be_checked()
    press_play(page)
    session = newest_jam(serving)
    settings = session.settings
    assert settings.anchor is not None
    assert settings.mask is not None
    assert settings.anchor.is_uploaded
    assert settings.mask.is_uploaded
    assert settings.bpm == FAST["bpm"]


def test_the_walk_ends_on_an_anchor_of_its_own(
    page: Page, serving: Serving, tmp_path: Path
) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 330 * np.arange(4 * 44100) / 44100)
    soundfile.write(tmp_path / "mine.wav", tone, 44100)
    press_play(page)
    open_pickers(page)
    page.get_by_role("radio", name="marimba").check()
    page.get_by_role("tab", name="At the end of the walk").click()
    group = page.get_by_role("radiogroup", name="At the end of the walk")
    group.get_by_role("radio", name="vibraphone").check()
    session = newest_jam(serving)
    wait_until(lambda: session.settings.anchor_b is not None)
    assert session.settings.anchor is not None
    assert session.settings.anchor_b is not None
    assert (session.settings.anchor.name, session.settings.anchor_b.name) == (
        "marimba",
        "vibraphone",
    )
    # Only the anchor at the start brings its tempo along.
    marimba = next(anchor for anchor in library() if anchor.id == "marimba")
    assert session.settings.bpm == marimba.bpm
    group.get_by_label("Your own anchor at the end").set_input_files(tmp_path / "mine.wav")
    expect(group.get_by_role("radio", name="mine.wav")).to_be_checked()
    wait_until(lambda: bool(session.settings.anchor_b and session.settings.anchor_b.is_uploaded))
    page.get_by_role("button", name="Copy a link to this jam").click()
    expect(page.get_by_text("Your own sound and picture are not in it")).to_be_visible()
    assert "anchor=marimba" in page.url
    assert "anchor_b" not in page.url


def test_a_link_opens_with_its_anchor(
    browser: Browser, serving: Serving, pages: list[Page]
) -> None:
    query = {**FAST, "anchor": "marimba", "strength": 0.4, "mask": "middle"}
    pages.append(open_page(browser, serving.url, query))
    open_pickers(pages[0])
    expect(pages[0].get_by_role("radio", name="marimba")).to_be_checked()
    expect(pages[0].get_by_role("radio", name="middle")).to_be_checked()
    press_play(pages[0])
    session = newest_jam(serving)
    settings = session.settings
    assert settings.anchor is not None
    assert (settings.anchor.name, settings.strength, settings.bpm) == ("marimba", 0.4, FAST["bpm"])
