"""A page asks the network for nothing and has nothing to complain about, in any of its states."""

import pytest
from tests.browser.conftest import DESKTOP, PHONE, draw_all
from tests.browser.pages import PAGES


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_no_complaint_on_the_console_and_no_request_but_the_file(opened, file_of, name, width):
    with opened(name, width) as seen:
        page = seen.page
        page.evaluate(
            "window.refused = []; addEventListener('securitypolicyviolation', (e) => refused.push(e.blockedURI))"
        )
        draw_all(page)
        page.emulate_media(color_scheme="dark")
        page.emulate_media(media="print")
        assert page.evaluate("refused") == []
    assert seen.complaints == []
    assert seen.requests == [file_of(name).as_uri()]


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_is_drawn(opened, name):
    with opened(name) as seen:
        draw_all(seen.page)
        undrawn = (
            "[...document.querySelectorAll('.plot')].filter((box) => !box.querySelector('svg')).map((box) => box.id)"
        )
        assert seen.page.evaluate(undrawn) == []


def test_names_of_users_run_no_script(opened):
    with opened("hostile") as seen:
        alerts = []
        seen.page.on("dialog", lambda dialog: alerts.append(dialog.message))
        draw_all(seen.page)
        assert alerts == []
