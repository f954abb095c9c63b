"""Dark where the reader asks for it, and light on paper."""

import pytest
from tests.browser.conftest import draw_all

COLOURS = """() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,
  getComputedStyle(document.querySelector(".js-plotly-plot .xtick text")).fill]"""


def lightness(colour: str) -> float:
    red, green, blue = (int(part) for part in colour.strip("rgb()").split(","))
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def test_a_dark_page_has_light_text_in_its_figures_too_and_follows_the_reader(opened):
    with opened("briefing", color_scheme="dark") as seen:
        draw_all(seen.page)
        ground, *texts = (lightness(colour) for colour in seen.page.evaluate(COLOURS))
        assert ground < 0.2
        assert min(texts) > 0.7
        seen.page.emulate_media(color_scheme="light")
        seen.page.wait_for_timeout(1000)
        ground, *texts = (lightness(colour) for colour in seen.page.evaluate(COLOURS))
        assert ground > 0.9
        assert max(texts) < 0.3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_white(opened, scheme):
    with opened("briefing", color_scheme=scheme) as seen:
        draw_all(seen.page)
        seen.page.emulate_media(media="print", color_scheme=scheme)
        seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        seen.page.wait_for_timeout(1000)
        ground, *texts = (lightness(colour) for colour in seen.page.evaluate(COLOURS))
        assert ground > 0.99
        assert max(texts) < 0.3
