"""On a phone, a tablet and a desk, a page is as wide as the window, and nothing in it is cut."""

import pytest
from tests.browser.conftest import PHONE, WIDTHS, draw_all
from tests.browser.pages import PAGES, PLANS

# Elements that reach beyond the window, outside of regions that scroll by themselves; drawings cut what they draw.
BEYOND = """() => {
  const scrolls = (each) => each.closest(".scroll, pre, svg, thead");
  const isBeyond = ({ width, left, right }) => width && (right > innerWidth + 1 || left < -1);
  return [...document.querySelectorAll("body *")]
    .filter((each) => !scrolls(each) && isBeyond(each.getBoundingClientRect()))
    .map((each) => `${each.tagName} ${each.className} ${each.textContent.trim().slice(0, 40)}`);
}"""
# Tables that are wider than what holds them.
CUT = """() => [...document.querySelectorAll("table, figure, svg.main-svg")]
  .filter((each) => each.getBoundingClientRect().width > each.parentElement.getBoundingClientRect().width + 1)
  .map((each) => `${each.tagName} ${each.className.baseVal ?? each.className}`)"""
SHOWN = """(label) => [...document.querySelectorAll(`.gpus td[data-label='${label}']`)]
  .map((cell) => ({ text: cell.innerText, box: cell.getBoundingClientRect().toJSON() }))"""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_window(opened, name, width):
    with opened(name, width) as seen:
        draw_all(seen.page)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.page.evaluate(BEYOND) == []
        cut = seen.page.evaluate(CUT)
        if name not in PLANS and width == PHONE:  # tables of other reports may scroll there, in a region of their own
            cut = [each for each in cut if not each.startswith("TABLE wide")]
        assert cut == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [name for name in PLANS if name != "front"])
def test_every_gpu_shows_its_verdict_and_its_headroom(opened, name, width):
    with opened(name, width) as seen:
        gpus = seen.page.locator("table.gpus[aria-label=GPUs] tbody tr").count()
        for label in ("verdict", "headroom"):
            cells = seen.page.evaluate(SHOWN, label)
            assert len(cells) == gpus > 0
            for cell in cells:
                assert cell["text"].strip()
                assert cell["box"]["width"] > 0
                assert cell["box"]["right"] <= width


def test_every_table_is_there_without_javascript(opened):
    with opened("briefing", java_script_enabled=False) as seen:
        page = seen.page
        assert page.locator("noscript").first.inner_text()
        for table in page.locator("table").all():
            assert table.is_visible()
        assert page.locator(".adapter-table tbody tr").count() >= 60
        assert page.locator(".tools, button.copy").locator("visible=true").count() == 0
