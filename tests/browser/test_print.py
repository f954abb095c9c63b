"""A page on paper: no figure is cut, every adapter is in it, and each sheet says what it is a part of."""

import io
import re

import pytest
from pypdf import PdfReader
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.pages import PLANS, large_plan, small_plan

PAPER = (703, 1000)  # pixels between the margins of a sheet of A4
SIZES = """() => [...document.querySelectorAll(".js-plotly-plot")].map((box) => {
  const { width, height, right } = box.querySelector("svg").getBoundingClientRect();
  return { id: box.id, width, height, right };
})"""


def printed(page, paper: str = "A4") -> list[str]:
    """Return the text of each sheet, with single spaces."""
    pdf = page.pdf(prefer_css_page_size=True, format=paper)
    return [" ".join(sheet.extract_text().split()) for sheet in PdfReader(io.BytesIO(pdf)).pages]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize(("name", "plan"), [("briefing", small_plan), ("1000", lambda: large_plan(1000))])
def test_every_adapter_is_printed_and_every_sheet_says_what_it_is(opened, name, plan, width):
    with opened(name, width) as seen:
        sheets = printed(seen.page)
    names = {adapter.name for adapter in plan().workload.adapters}
    assert names <= set(re.split(r"[ ,:]+", " ".join(sheets)))
    for place, sheet in enumerate(sheets, 1):
        assert f"{place} / {len(sheets)}" in sheet
        assert "adaptwin 2026-11-30" in sheet
        assert "plan.yaml" in sheet
        assert f"Plan: {plan().gpus} GPUs for {len(names):,} adapters" in sheet
    of_adapters = [sheet for sheet in sheets if sum(name in sheet for name in names) > 30]
    assert of_adapters
    for sheet in of_adapters:  # the head of the table stands on each
        assert "TTFT p50 TTFT p99 ITL mean verdict" in sheet


@pytest.mark.parametrize("name", PLANS)
def test_figures_fit_a_sheet(opened, name):
    with opened(name, DESKTOP) as seen:
        page = seen.page
        page.set_viewport_size({"width": PAPER[0], "height": PAPER[1]})
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.wait_for_timeout(500)
        sizes = page.evaluate(SIZES)
        assert sizes
        for each in sizes:
            assert each["right"] <= PAPER[0], each
            assert each["height"] <= PAPER[1] - 100, each  # its caption is on the same sheet
        assert page.evaluate("document.documentElement.scrollWidth") <= PAPER[0]  # or the browser would shrink it


def test_the_page_is_as_before_after_printing(opened):
    with opened("briefing") as seen:
        page = seen.page
        page.evaluate("scrollTo(0, document.querySelector('.plot').offsetTop)")
        page.wait_for_selector(".js-plotly-plot")
        before = page.locator(".js-plotly-plot").first.bounding_box()
        printed(page)
        page.wait_for_timeout(1000)
        after = page.locator(".js-plotly-plot").first.bounding_box()
        assert (after["width"], after["height"]) == (before["width"], before["height"])
