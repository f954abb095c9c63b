"""Pictures of pages for the documentation: Debian's Chromium, and small files of what it shows."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = PROJECT / "docs" / "images"
COLOURS = 256  # of a picture, which keeps it small


@contextmanager
def chromium() -> Iterator[Browser]:
    """Open the browser."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses to run as root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        browser.close()


def save_screen(page: Page, name: str) -> None:
    """Save what a page shows as docs/images/NAME.png."""
    file = IMAGES / f"{name}.png"
    page.screenshot(path=file)
    save(Image.open(file), name)


def save(picture: Image.Image, name: str) -> None:
    """Save a picture as docs/images/NAME.png."""
    few = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(IMAGES / f"{name}.png", optimize=True)
