"""Serve the web page, plan on it as people do, and take its pictures for the documentation: make web-pictures."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from pictures import chromium, save_screen

SCREEN = {"width": 1200, "height": 800}
PATIENCE = 300_000  # ms, for a plan


def main() -> None:
    """Write web-form.png, web-plan.png, web-compare.png and web-server.png."""
    with TemporaryDirectory() as folder, _served(Path(folder)) as url, chromium() as browser:
        page = browser.new_page(viewport=SCREEN)
        _ask(page, url)
        page.wait_for_selector("#tools:not([hidden])", timeout=PATIENCE)
        page.wait_for_timeout(2000)
        save_screen(page, "web-plan")
        page.get_by_role("button", name="Plan for it").click()
        page.wait_for_url("**/compare?*", timeout=PATIENCE)
        page.wait_for_selector("table")
        save_screen(page, "web-compare")
        page.goto(f"{url}/server")
        page.wait_for_load_state("networkidle")
        save_screen(page, "web-server")


def _ask(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.get_by_role("button", name="200 adapters").click()
    page.get_by_label("Price of a GPU per hour").fill("2.5")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    save_screen(page, "web-form")
    page.get_by_role("button", name="Plan", exact=True).click()


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "adaptwin",
        "serve",
        "--port",
        "0",
        "--json",
        "--database",
        str(folder / "jobs.db"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.terminate()


if __name__ == "__main__":
    main()
