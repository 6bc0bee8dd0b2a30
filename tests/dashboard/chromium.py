"""A real browser for tests: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

PATIENCE = 15_000  # milliseconds


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that was just started; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def quiet(browser: Browser, url: str, **options: Any) -> Iterator[BrowserContext]:
    """A context in which nothing goes wrong: no error on the console (the policy's included), no failing script, and
    no request to anybody but `url`.
    """
    wrong: list[str] = []
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    context.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    context.on("weberror", lambda problem: wrong.append(str(problem.error)))
    context.on("request", lambda request: None if request.url.startswith(url) else wrong.append(request.url))
    try:
        yield context
    finally:
        context.close()
    assert not wrong, "\n".join(wrong)
