"""The table of adapters: search, order, all rows, the file of it, and the commands beside it."""

import csv
import json

import pytest
from playwright.sync_api import Page
from tests.browser.conftest import PHONE, TABLET
from tests.browser.pages import large_plan

SHOWN = "#adapter-table tbody tr:not([hidden])"
COLUMNS = 10


@pytest.fixture(scope="module")
def page(opened):
    with opened("1000", accept_downloads=True, permissions=["clipboard-read", "clipboard-write"]) as seen:
        yield seen.page


@pytest.fixture(autouse=True)
def fresh(page):
    page.reload()


def column(page: Page, place: int) -> list[str]:
    """Return the text of a column of the rows that are shown."""
    rows = f"(rows) => rows.map((row) => row.cells[{place}].textContent.trim())"
    return page.locator(SHOWN).evaluate_all(rows)


def data_of(page: Page) -> dict[str, list]:
    return json.loads(page.locator("script.columns").text_content())


def sorted_values(page: Page, key: str) -> list:
    """Return the values of a column in the order of the rows that are shown."""
    columns = data_of(page)
    places = {pair: place for place, pair in enumerate(zip(columns["adapter"], columns["server"], strict=True))}
    return [columns[key][places[pair]] for pair in zip(column(page, 0), column(page, 1), strict=True)]


def test_the_first_hundred_adapters_are_shown_until_all_are_asked_for(page):
    everything = len(data_of(page)["adapter"])
    assert everything == 1001  # one of them is split over two servers
    assert page.locator(SHOWN).count() == 100
    assert page.locator(".found").inner_text() == "100 of 1,001"
    page.get_by_role("button", name="Show all").click()
    assert page.locator(SHOWN).count() == everything
    assert page.get_by_role("button", name="Show all").count() == 0


def test_words_in_any_column_find_adapters(page):
    page.get_by_role("searchbox").fill("tenant-01 gpu-1")
    found = list(zip(column(page, 0), column(page, 1), strict=True))
    assert found
    assert all("tenant-01" in name and server.startswith("gpu-1") for name, server in found)
    page.get_by_role("searchbox").fill("no such adapter")
    assert page.locator(SHOWN).count() == 0
    assert page.locator(".found").inner_text() == "0 of 0"


def test_each_column_sorts_down_and_then_up(page):
    heads = page.locator("#adapter-table thead th")
    assert heads.count() == COLUMNS
    for place in range(COLUMNS):
        head = heads.nth(place)
        key = head.get_attribute("data-key")
        for order in ("descending", "ascending"):
            head.get_by_role("button").click()
            assert head.get_attribute("aria-sort") == order
            assert page.locator("#adapter-table th[aria-sort]").count() == 1
            values = [value for value in sorted_values(page, key) if value is not None]
            if key not in ("adapter", "server"):  # whose numbers count as numbers: gpu-10 follows gpu-9
                assert values == sorted(values, reverse=order == "descending")
    heads.nth(1).get_by_role("button").click()
    assert column(page, 1)[0] == "gpu-11"


def test_the_file_holds_the_data_of_every_adapter(page, tmp_path):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "adapters.csv"
    path = tmp_path / "adapters.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = data_of(page)
    assert list(rows[0]) == list(columns)
    for key, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            assert row[key] == "" if value is None else type(value)(row[key]) == value
    plan = large_plan(1000)
    assert {(row["adapter"], row["server"]) for row in rows} == {
        (name, server.name) for server in plan.servers for name in server.adapters
    }


def test_hostile_names_survive_the_file(opened, tmp_path):
    with opened("hostile", accept_downloads=True) as seen:
        columns = data_of(seen.page)
        with seen.page.expect_download() as download:
            seen.page.get_by_role("button", name="Download CSV").click()
        download.value.save_as(tmp_path / "hostile.csv")
    with (tmp_path / "hostile.csv").open(encoding="utf-8", newline="") as file:
        assert [row["adapter"] for row in csv.DictReader(file)] == columns["adapter"]


def test_a_gpu_links_to_its_adapters(page):
    page.locator("details.gpu").nth(3).locator("summary").click()
    page.locator("details.gpu").nth(3).get_by_role("link", name="Its adapters").click()
    assert page.get_by_role("searchbox").input_value() == "gpu-3"
    assert page.evaluate("location.hash") == "#adapters"
    assert set(column(page, 1)) == {"gpu-3"}


def test_a_link_to_a_gpu_opens_its_section(page):
    page.locator("table.gpus").get_by_role("link", name="gpu-7", exact=True).click()
    section = page.locator("details.gpu").nth(7)
    assert section.get_attribute("open") is not None
    assert section.locator("p").first.is_visible()


def test_the_button_copies_the_command(page):
    first = page.locator("button.copy").first
    command = first.evaluate("(button) => button.parentElement.querySelector('code').textContent")
    first.click()
    page.wait_for_function("(text) => navigator.clipboard.readText().then((copied) => copied === text)", arg=command)
    assert first.inner_text() == "Copied"
    section = page.locator("details.gpu").first
    section.locator("summary").click()
    section.locator("button.copy").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == section.locator("pre code").text_content()
    assert "vllm serve" in copied


@pytest.mark.parametrize("width", [PHONE, TABLET])
def test_a_narrow_window_shows_cards_that_can_be_sorted(opened, width):
    with opened("1000", width) as seen:
        assert seen.page.locator(SHOWN).count() == 25
        seen.page.get_by_role("button", name="tokens/s").click()
        values = sorted_values(seen.page, "tokens_per_second")
        assert values == sorted(values, reverse=True)
