"""Debian's Chromium, and the pages that it opens."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.browser.pages import PAGES

PHONE, TABLET, DESKTOP = WIDTHS = (390, 800, 1400)
HEIGHT = 900


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.exit("tests/browser need Chromium in PATH; on Debian: apt-get install chromium", returncode=1)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses to run as root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def file_of(tmp_path_factory) -> Callable[[str], Path]:
    """Return a function from the name of a page to its file; each page is made once."""
    folder = tmp_path_factory.mktemp("pages")

    def file(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_text(PAGES[name](), encoding="utf-8")
        return path

    return file


class Opened:
    """A page in the browser, with what it said on the console and what it asked the network for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _heard(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@pytest.fixture(scope="session")
def opened(browser, file_of):
    """Return a context manager that opens a page by its name."""

    @contextmanager
    def open_page(name: str, width: int = DESKTOP, **settings) -> Iterator[Opened]:
        context: BrowserContext = browser.new_context(viewport={"width": width, "height": HEIGHT}, **settings)
        try:
            seen = Opened(context.new_page())
            seen.page.goto(file_of(name).as_uri())
            yield seen
        finally:
            context.close()

    return open_page


def draw_all(page: Page) -> None:
    """Open every section and scroll to the end of the page and back, so that every figure is drawn."""
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.evaluate(
        """async () => {
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          for (const box of document.querySelectorAll(".plot")) {
            box.scrollIntoView();
            for (let n = 0; n < 600 && !box.classList.contains("js-plotly-plot"); n++) await frame();
          }
          scrollTo(0, 0);
          await frame();
        }"""
    )
