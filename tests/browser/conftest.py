"""A real browser. `make test-browser` says where it is; without that these tests are skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSER = os.environ.get("ACCLIMATE_BROWSER")
LOOK = (Path(__file__).parent / "look.js").read_text("utf-8")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Headless Chromium, driven by Playwright."""
    if not BROWSER:
        pytest.skip("needs a browser: make test-browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(chromium: Any) -> Look:
    """``look(page, width, dark)`` opens a file and says what is wrong with it, and what the console said."""

    def see(page: Path, width: int, dark: bool = False) -> dict[str, Any]:
        scheme = "dark" if dark else "light"
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab, said = context.new_page(), []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else said.append(asked.url))
        tab.goto(page.as_uri())
        found: dict[str, Any] = tab.evaluate(LOOK)
        context.close()
        return {**found, "said": said}

    return see
