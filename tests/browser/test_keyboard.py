"""With the keyboard alone, all that can be clicked can be reached and used, and is visible when it is reached."""

from tests.browser.test_adapter_table import SHOWN

FOCUS = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
  return { text: at.ariaLabel ?? at.textContent.trim().slice(0, 60), tag: at.tagName, type: at.type,
    seen: box.width > 0 && box.height > 0 && box.right > 0 && box.left < innerWidth, outline: style.outlineStyle };
}"""
MOST_STOPS = 200


def stops(page):
    """Press Tab through the page, and yield what has the focus."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUS)
        if at["tag"] == "BODY":
            return
        yield at


def tab_to(page, **wanted):
    for at in stops(page):
        if all(str(at[key]).startswith(value) for key, value in wanted.items()):
            return
    raise AssertionError(f"no stop with {wanted}")


def test_every_stop_is_seen_and_outlined(opened):
    for width in (390, 1400):
        with opened("briefing", width) as seen:
            reached = list(stops(seen.page))
            assert len(reached) > 20
            for at in reached:
                assert at["seen"], at
                assert at["outline"] != "none", at
            tags = {at["tag"] for at in reached}
            assert {"A", "BUTTON", "SUMMARY", "INPUT", "PRE"} <= tags


def test_copy_search_sort_and_sections_work_by_keys(opened):
    with opened("briefing", permissions=["clipboard-read", "clipboard-write"]) as seen:
        page = seen.page
        tab_to(page, tag="BUTTON", text="Copy: adaptwin export")
        page.keyboard.press("Enter")
        page.wait_for_function("navigator.clipboard.readText().then((text) => text.startsWith('adaptwin export'))")

        section = page.locator("details.gpu").first
        assert section.get_attribute("open") is not None
        tab_to(page, tag="SUMMARY")
        page.keyboard.press("Enter")
        assert section.get_attribute("open") is None
        page.keyboard.press("Space")
        assert section.get_attribute("open") is not None

        tab_to(page, tag="INPUT")
        page.keyboard.type("gpu-1")
        assert page.locator(SHOWN).count() > 0
        assert page.locator(f"{SHOWN} td:nth-child(2)").evaluate_all(
            "(cells) => cells.every((cell) => cell.textContent.startsWith('gpu-1'))"
        )
        tab_to(page, tag="BUTTON", text="requests/s")
        page.keyboard.press("Enter")
        assert page.locator("th[aria-sort=descending]").get_attribute("data-key") == "requests_per_second"
