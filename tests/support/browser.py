"""Headless Chromium, driven through Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from .requirements import require

# Without these, Chromium looks up its vendor's hosts at every start. Root needs --no-sandbox.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser with an empty profile, closed at the end.

    Without one on PATH the test ends as :func:`require` says.
    """
    program = require(
        shutil.which("chromium") or shutil.which("chromium-browser"), "chromium is not installed"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
