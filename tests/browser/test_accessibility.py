"""axe-core finds no violation in any page, light or dark, on a phone or a desk."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.browser.conftest import DESKTOP, PHONE, draw_all
from tests.browser.pages import PAGES


@pytest.mark.parametrize("name", [name for name in PAGES if name != "5000"])  # as 1000, but it takes minutes
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_axe_finds_no_violation(opened, name, scheme, width):
    with opened(name, width, color_scheme=scheme) as seen:
        draw_all(seen.page)
        found = Axe().run(seen.page, options={"resultTypes": ["violations"]}).response["violations"]
        said = [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]
        assert said == []
