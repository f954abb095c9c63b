"""A page of a thousand adapters is fluid: times on this machine, which the tests print."""

import statistics

import pytest
from tests.browser.conftest import DESKTOP, PHONE, draw_all

LOAD = 2.0  # seconds until the page can be used
TYPED = 0.1  # seconds from a letter to the next picture, in the middle
LONGEST = 0.2  # seconds of a task while scrolling, once the figures are drawn

OBSERVE = """window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((each) => each.duration)))
  .observe({ type: "longtask", buffered: true });"""
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
FRAME = "const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));"
TYPE = (
    "async () => {"
    + FRAME
    + """
  const search = document.querySelector(".tools input"), took = [];
  search.scrollIntoView();
  for (let n = 0; n < 30; n++) await frame();
  for (const text of ["t", "te", "ten", "tena", "tenant-0", "tenant-01", "gpu", "gpu-3", ""]) {
    await frame();
    const start = performance.now();
    search.value = text;
    search.dispatchEvent(new Event("input"));
    await frame();
    took.push(performance.now() - start);
  }
  return took;
}"""
)
SCROLL = (
    "async () => {"
    + FRAME
    + """
  tasks.length = 0;
  for (let top = 0; top < document.documentElement.scrollHeight; top += 600) { scrollTo(0, top); await frame(); }
  await frame();
  return Math.max(0, ...tasks);
}"""
)


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_thousand_adapters_are_fluid(browser, file_of, capsys, width):
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.add_init_script(OBSERVE)
    page = context.new_page()
    page.goto(file_of("1000").as_uri())
    page.wait_for_function(f"{LOADED} > 0")
    loaded = page.evaluate(LOADED) / 1000
    draw_all(page)
    typed = [took / 1000 for took in page.evaluate(TYPE)]
    first, again = (page.evaluate(SCROLL) / 1000 for _ in range(2))
    context.close()
    with capsys.disabled():
        print(f"\n1,000 adapters, {width} px: usable after {loaded:.2f} s")
        print(f"a letter typed: {statistics.median(typed):.3f} s (longest {max(typed):.3f} s)")
        print(f"longest task while scrolling: {first:.3f} s (again {again:.3f} s)")
    assert loaded < LOAD
    assert statistics.median(typed) < TYPED
    assert again < LONGEST
