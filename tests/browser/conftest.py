"""These fixtures open the page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from riffusion.engines.protocol import Engine
from riffusion.serving.server import Serving, serve
from tests.browser.heard import FAST, LEAD_S
from tests.browsing import (
    chromium,
    open_page,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def serving(tiny_engine: Engine) -> Iterator[Serving]:
    with serve(tiny_engine, max_jams=4, lead_s=LEAD_S, grace_s=3.0, sweep_s=0.2) as running:
        yield running


@pytest.fixture
def pages(browser: Browser) -> Iterator[list[Page]]:
    """Close the pages of this list when the test is over."""
    opened: list[Page] = []
    yield opened
    for page in opened:
        page.context.close()


@pytest.fixture
def page(browser: Browser, serving: Serving, pages: list[Page]) -> Page:
    pages.append(open_page(browser, serving.url, FAST, record=True))
    return pages[0]
