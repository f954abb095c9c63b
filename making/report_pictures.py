"""Plan the example fleet, and take the pictures of its report for the documentation: make report-pictures."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pypdfium2
from PIL import Image
from playwright.sync_api import Browser

from pictures import PROJECT, chromium, save, save_screen

PRICE = "h100-64gb-llama-3.1-8b-instruct=2.5"
SCREENS = (("desktop", 1400, 900, "light"), ("phone", 390, 844, "light"), ("dark", 1400, 900, "dark"))
SHEETS = 2  # of the printed report, side by side
SHEET_SCALE = 1.25  # pixels of the picture for a point of the sheet
BETWEEN = 16  # pixels between two sheets


def main() -> None:
    """Write report-desktop.png, report-phone.png, report-dark.png and report-print.png."""
    with TemporaryDirectory() as folder:
        report = _make_report(Path(folder))
        with chromium() as browser:
            for name, width, height, scheme in SCREENS:
                _take_screen(browser, report, name, {"width": width, "height": height}, scheme)
            _take_sheets(browser, report)


def _make_report(folder: Path) -> Path:
    """Plan the example fleet, and return the file of its report."""
    plan, report = folder / "plan.yaml", folder / "plan.html"
    fleet = PROJECT / "examples" / "fleet.yaml"
    for words in (
        ["plan", str(fleet), "--price", PRICE, "--currency", "USD", "--out", str(plan)],
        ["report", str(plan), "--out", str(report)],
    ):
        subprocess.run([sys.executable, "-m", "adaptwin", *words], check=True)
    return report


def _take_screen(browser: Browser, report: Path, name: str, viewport: dict, scheme: str) -> None:
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    page.goto(report.as_uri())
    page.wait_for_timeout(2000)
    save_screen(page, f"report-{name}")
    page.close()


def _take_sheets(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    printed = pypdfium2.PdfDocument(page.pdf(prefer_css_page_size=True, format="A4"))
    sheets = [printed[place].render(scale=SHEET_SCALE).to_pil() for place in range(SHEETS)]
    width, height = sheets[0].size
    beside = Image.new("RGB", (SHEETS * width + (SHEETS + 1) * BETWEEN, height + 2 * BETWEEN), "#c8ccd2")
    for place, sheet in enumerate(sheets):
        beside.paste(sheet, (BETWEEN + place * (width + BETWEEN), BETWEEN))
    save(beside, "report-print")


if __name__ == "__main__":
    main()
