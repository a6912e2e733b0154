"""Chromium without a window, one a session; what it finds wrong on a page is an error of the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

#: Milliseconds that a page has to show what is waited for.
PATIENCE = 15_000
#: Whoever is root has no sandbox; and no request of the browser's own leaves this machine.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's."""
    path = shutil.which("chromium")
    assert path is not None, "chromium was not found; bin/test installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page of somebody who has not been here before; what Chromium finds wrong with it is an error in the end."""
    context = browser.new_context(locale="en", **options)
    page, trouble = context.new_page(), list[str]()
    page.set_default_timeout(PATIENCE)

    def look(message: ConsoleMessage) -> None:
        # A form that is refused is no error of its page, though Chromium says so.
        if message.type in ("error", "warning") and "status of 422" not in message.text:
            trouble.append(message.text)

    page.on("console", look)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    yield page
    context.close()
    assert not trouble, f"the browser has complained: {trouble}"


@pytest.fixture
def page(chromium: Browser, serve: object) -> Iterator[Page]:
    """One, which is closed before its console and the broker of that are: it goes on asking."""
    with watched(chromium) as page:
        yield page
