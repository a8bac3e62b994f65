"""A browser and a running product, shared by the tests of a worker so that they stay quick."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from tests.e2e.browser import NoBrowserError, open_browser
from tests.e2e.product import Product

PATIENCE_MS = 10_000


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; a machine without one skips these tests and says why.

    Of one file, not of the run: while Playwright is open its event loop runs in the main thread, where no
    other test could have one of its own.
    """
    with sync_playwright() as playwright:
        try:
            with open_browser(playwright) as opened:
                yield opened
        except NoBrowserError as error:
            pytest.skip(f"no browser: {error}")


@pytest.fixture(scope="session")
def product(tmp_path_factory):
    """The product, served; each test brings its own parties and trips."""
    made = Product(tmp_path_factory.mktemp("product"))
    yield made
    made.close()


class Watched:
    """Opens pages of the product and keeps what went wrong in them: foreign requests, console errors."""

    def __init__(self, browser, base_url: str) -> None:
        self._browser = browser
        self._base_url = base_url
        self._contexts = []
        self.complaints: list[str] = []
        self.excused: list[str] = []
        """Parts of complaints that a test provokes on purpose (a refused form, a lost network)."""

    def open(self, path: str | None = None, **options):
        """A page in a browser of its own (cookies, storage); ``path`` is opened if given.

        Args:
            path: from the product's root.
            options: of Playwright's ``new_context``; the language is Chinese unless given.
        """
        context = self._browser.new_context(
            base_url=self._base_url,
            **({"locale": "zh-CN", "timezone_id": "Asia/Shanghai"} | options),
        )
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(f"error: {error.error}"))
        page = context.new_page()
        if path is not None:
            page.goto(path)
        return page

    def _on_request(self, request) -> None:
        parts = urlsplit(request.url)
        own = urlsplit(self._base_url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != own.netloc:
            self.complaints.append(f"foreign request: {request.url}")

    def _on_console(self, message) -> None:
        if message.type == "error":
            where = message.location.get("url", "") if message.location else ""
            self.complaints.append(f"console: {message.text} ({where})")

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        left = [said for said in self.complaints if not any(part in said for part in self.excused)]
        assert left == []


@pytest.fixture
def watched(browser, product):
    """Opens pages; the test fails on any request to another host and any error in the console."""
    opened = Watched(browser, product.url)
    yield opened
    opened.close()


@pytest.fixture
def page(watched):
    """One Chinese page at 1440 pixels."""
    return watched.open(viewport={"width": 1440, "height": 900})


@pytest.fixture
def until():
    """Waits until something is so, looking every 50 ms."""

    def wait(is_so, seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.05)

    return wait
