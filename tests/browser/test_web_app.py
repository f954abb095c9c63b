"""The web app in a browser: from a file to a plan, downloads, more traffic, two plans, errors where they belong."""

import io
import json
import re
import zipfile
from contextlib import contextmanager

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from pypdf import PdfReader
from tests.browser.conftest import DESKTOP, HEIGHT, PHONE, Opened
from tests.browser.test_keyboard import stops, tab_to
from tests.browser.test_widths import BEYOND
from tests.web.program import FLEET, PROFILE, App

from adaptwin import Plan
from adaptwin.export.registry import STACKS

PLANNING = 300_000  # ms, for what waits for a plan
UNSTARTED = re.compile("^(waiting.*|starting)?$")
LOG_WITHOUT_UNIT = "time,adapter,prompt_tokens,completion_tokens\n100,a,10,20\n50000,b,10,20\n99999,a,10,20\n"
PAGES = ("/", "/server", "/compare", "/plans/{plan}")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    app = App(tmp_path_factory.mktemp("app") / "jobs.db", "--workers", "2")
    yield app
    app.stop()


@pytest.fixture(scope="module")
def plan_id(app):
    """A plan that was made through the API."""
    return app.planned()


@pytest.fixture
def visit(browser, app):
    """Return a context manager that opens a page of the app; it must complain of nothing and ask no other server."""

    @contextmanager
    def visiting(path="/", width=DESKTOP, complaints=(), **settings):
        context = browser.new_context(viewport={"width": width, "height": HEIGHT}, **settings)
        try:
            seen = Opened(context.new_page())
            seen.page.goto(f"{app.url}{path}")
            seen.page.wait_for_load_state("networkidle")
            yield seen.page
            assert [each for each in seen.complaints if not any(part in each for part in complaints)] == []
            elsewhere = [each for each in seen.requests if not each.startswith((app.url, "data:", "blob:"))]
            assert elsewhere == []
        finally:
            context.close()

    return visiting


# Move a slider, and return the milliseconds until the figures have changed on the screen.
MOVE = """([name, value]) => {
  const slider = document.getElementById(name), start = performance.now();
  const changed = new Promise((done) => new MutationObserver((_, watcher) => {
    watcher.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
  }).observe(document.getElementById("cards"), { childList: true, subtree: true }));
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  return changed;
}"""


def ask(page, fleet=FLEET):
    """Write a fleet into the page, and press Plan."""
    page.get_by_label("Or write them here").fill(fleet)
    page.get_by_role("button", name="Plan", exact=True).click()


def test_from_a_file_to_the_plan_and_its_report(visit, tmp_path):
    file = tmp_path / "adapters.csv"
    file.write_text(FLEET, encoding="utf-8")
    with visit() as page:
        page.get_by_label("Choose a file").set_input_files(file)
        expect(page.get_by_label("Or write them here")).to_have_value(FLEET)
        page.get_by_role("button", name="Plan", exact=True).click()
        page.wait_for_url("**/plans/*")
        expect(page.get_by_role("heading", level=1)).to_have_text("Planning adapters.csv")
        expect(page.get_by_role("heading", level=1)).to_have_text("1 GPU for 20 adapters", timeout=PLANNING)
        expect(page.locator("#about")).to_contain_text("adapters.csv")
        report = page.frame_locator("#report")
        expect(report.get_by_role("heading", level=1)).to_contain_text("20 adapters")
        report.locator("body").evaluate("document.querySelector('.plot').scrollIntoView()")
        expect(report.locator(".js-plotly-plot svg").first).to_be_visible()
        report.locator(".tools input").first.fill("tenant-07")
        expect(report.locator(".adapter-table tbody tr:not([hidden])")).to_have_count(1)


def test_a_file_can_be_dropped(visit):
    with visit() as page:
        page.evaluate(
            """(text) => {
              const data = new DataTransfer();
              data.items.add(new File([text], "fleet.yaml"));
              const dropped = new DragEvent("drop", { dataTransfer: data, cancelable: true });
              document.getElementById("drop").dispatchEvent(dropped);
            }""",
            "adapters:\n- {name: a, rank: 8, rate: 1}\n",
        )
        expect(page.get_by_label("This is")).to_have_value("yaml")


def test_a_plan_shows_how_far_it_is_and_is_cancelled(visit, app):
    with visit() as page:
        page.get_by_role("button", name="200 adapters").click()
        page.get_by_role("button", name="Plan", exact=True).click()
        expect(page.locator("#stage")).not_to_have_text(UNSTARTED, timeout=PLANNING)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Cancelled: example of 200 adapters")
        assert app.call("/v1/plans?most=1")[0]["state"] == "cancelled"
        page.get_by_role("link", name="Change and try again").click()
        expect(page.get_by_label("Or write them here")).to_have_value(re.compile("tenant-199"))
        expect(page.locator("#latest tbody tr").first).to_contain_text("cancelled")


def test_a_plan_that_is_made_outlives_a_reload(visit):
    with visit() as page:
        page.get_by_role("button", name="200 adapters").click()
        page.get_by_role("button", name="Plan", exact=True).click()
        expect(page.locator("#stage")).not_to_have_text(UNSTARTED, timeout=PLANNING)
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("Planning example of 200 adapters")
        expect(page.locator("#stage")).not_to_have_text(UNSTARTED)
        page.go_back()
        expect(page.get_by_label("Or write them here")).to_have_value(re.compile("tenant-199"))
        page.locator("#latest").get_by_role("link", name="example of 200 adapters").first.click()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")


def test_a_plan_that_is_removed_while_it_is_followed_says_so(visit):
    gone = {"status": 404, "json": {"detail": "there is no such plan"}}
    running = {"id": "gone", "state": "running", "ahead": 0, "created": 0, "title": "a.csv"}
    answers = iter([{"status": 200, "json": running}, gone])
    with visit(complaints=("404",)) as page:
        page.route("**/v1/plans/gone/events", lambda route: route.fulfill(**gone))
        page.route("**/v1/plans/gone", lambda route: route.fulfill(**next(answers)))
        page.goto(f"{page.url}plans/gone")
        expect(page.get_by_role("alert").first).to_have_text("there is no such plan")
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_the_list_follows_unfinished_plans(visit, app):
    with visit() as page:
        job = app.call("/v1/plans", {"fleet": FLEET, "format": "csv", "profile": PROFILE, "title": "followed.csv"})
        page.reload()
        row = page.locator("#latest tbody tr").filter(has=page.locator(f"a[href='/plans/{job['id']}']"))
        expect(row).to_contain_text(re.compile("queued|running"))
        expect(row).to_contain_text("1 GPU", timeout=PLANNING)
        expect(page.get_by_role("link", name="All plans")).to_be_visible()


def test_wrong_input_is_not_in_the_list(visit, app):
    asked = {"fleet": "name,rank\na,8\n", "format": "csv", "profile": PROFILE, "title": "wrong.csv"}
    plan_id = app.call("/v1/plans", asked)["id"]
    with visit(f"/plans/{plan_id}") as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("There is no plan for wrong.csv")
        expect(page.get_by_role("alert").first).to_contain_text("missing column")
        page.get_by_role("link", name="Change and try again").click()
        expect(page.locator("#latest tbody tr").first).to_be_visible()
        assert "wrong.csv" not in page.locator("#latest").inner_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x00\x00sheet", "This is not a text file: save the sheet as CSV."),
        ("name,rank,rate\nmünchen,8,1\n".encode("latin-1"), "save the sheet as CSV UTF-8"),
    ],
)
def test_a_file_that_is_not_text_is_refused(visit, tmp_path, content, said):
    file = tmp_path / "adapters.xlsx"
    file.write_bytes(content)
    with visit() as page:
        page.get_by_label("Choose a file").set_input_files(file)
        expect(page.get_by_role("alert")).to_contain_text(said)
        expect(page.get_by_label("Choose a file")).to_be_focused()
        expect(page.get_by_label("Or write them here")).to_have_value("")


@pytest.mark.parametrize(
    ("name", "text", "guess"),
    [
        ("a.csv", "Name;Rank;Rate\na;8;1\n", "csv"),
        ("a.tsv", "RANK\tname\trate\n8\ta\t1\n", "csv"),
        ("a.csv", "name,tokens\na,8\n", "csv"),
        ("a.csv", "time,adapter,input\n1,a,8\n", "log"),
        ("a.txt", "adapters:\n- {name: a}\n", "yaml"),
    ],
)
def test_the_kind_of_a_file_is_guessed(visit, name, text, guess):
    with visit() as page:
        file = {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
        page.get_by_label("Choose a file").set_input_files(file)
        expect(page.get_by_label("This is")).to_have_value(guess)
        expect(page.get_by_label("Times in the log are in")).to_be_visible(visible=guess == "log")


@pytest.mark.parametrize(
    ("currency", "is_right"), [("USD", True), ("€", True), ("", True), ("12", False), ("a b", False)]
)
def test_a_currency_is_letters_or_a_sign(visit, currency, is_right):
    with visit() as page:
        page.get_by_label("Currency").fill(currency)
        assert page.get_by_label("Currency").evaluate("(input) => input.checkValidity()") == is_right


def test_the_typical_price_is_taken(visit):
    with visit() as page:
        page.get_by_label("Figures of").select_option("derived")
        page.get_by_label("GPU", exact=True).select_option("l40s")
        page.get_by_role("button", name="Use this price").click()
        expect(page.get_by_label("Price of a GPU per hour")).to_have_value("1.3")


def test_what_if_traffic_doubles_and_both_plans_side_by_side(visit, plan_id):
    with visit(f"/plans/{plan_id}") as page:
        page.get_by_label("What if traffic is multiplied by").fill("2")
        page.get_by_role("button", name="Plan for it").click()
        page.wait_for_url("**/compare?*", timeout=PLANNING)
        expect(page.locator("#answer")).to_contain_text(re.compile("^Second plan: traffic × 2, .*GPU.*headroom"))
        table = page.get_by_role("table")
        expect(table.get_by_role("row", name="Traffic")).to_contain_text("differs")
        expect(table.get_by_role("row", name="Adapters 20 20")).not_to_contain_text("differs")
        expect(table).to_contain_text("GPUs")
        rates = [float(text) for text in re.findall(r"([\d.]+) req/s", table.inner_text())]
        assert rates == [6.0, 12.0]


def test_a_factor_out_of_range_is_refused(visit, plan_id):
    with visit(f"/plans/{plan_id}") as page:
        page.get_by_label("What if traffic is multiplied by").fill("0")
        page.get_by_role("button", name="Plan for it").click()
        expect(page.get_by_role("alert")).to_have_text("The traffic can be multiplied by 0.01 to 100.")


def test_a_plan_of_the_address_that_is_not_there_is_not_replaced(visit, plan_id):
    with visit(f"/compare?a={plan_id}&b=none", complaints=("404",)) as page:
        expect(page.get_by_role("alert")).to_contain_text("none")
        expect(page.get_by_label("First plan")).to_have_value(plan_id)
        expect(page.get_by_label("Second plan")).to_have_value("")
        expect(page.get_by_role("table")).to_have_count(0)


def test_every_export_is_downloaded(visit, plan_id):
    with visit(f"/plans/{plan_id}") as page:
        choices = page.get_by_label("Download").locator("option").evaluate_all("all => all.map((each) => each.value)")
        assert set(choices) == {"plan", "report", *STACKS}
        for choice in choices:
            page.get_by_label("Download").select_option(choice)
            with page.expect_download() as download:
                page.get_by_role("link", name="Download", exact=True).click()
            content = download.value.path().read_bytes()
            name = download.value.suggested_filename
            if name.endswith(".zip"):
                assert zipfile.ZipFile(io.BytesIO(content)).namelist()
            elif choice == "plan":
                assert Plan.parse(yaml.safe_load(content)).gpus == 1
            elif name.endswith(".json"):
                json.loads(content)
            else:
                assert content.strip(), name


@pytest.mark.parametrize(
    ("fleet", "label", "said"),
    [
        ("name,rank,rate\na,16,much\n", "Or write them here", "much"),
        ("name,rank,rate\na,0.5,1\n", "Or write them here", "0.5"),
        ("", "Or write them here", "Adapters are missing"),
    ],
)
def test_errors_of_a_fleet_are_where_it_is_written(visit, fleet, label, said):
    with visit(complaints=("422",)) as page:
        ask(page, fleet)
        place = page.get_by_label(label)
        expect(place).to_have_attribute("aria-invalid", "true", timeout=PLANNING)
        expect(place).to_be_focused()
        expect(page.get_by_role("alert")).to_contain_text(said)
        assert page.locator("fieldset:has(#text) #error").count() == 1


def test_errors_of_options_are_where_they_are_chosen(visit):
    with visit(complaints=("422",)) as page:
        page.get_by_label("Objective").select_option("slo")
        ask(page)
        page.wait_for_url("**/?edit=*", timeout=PLANNING)
        for label in ("TTFT p99 at most, s", "ITL p99 at most, ms"):
            expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_label("TTFT p99 at most, s")).to_be_focused()
        expect(page.get_by_role("alert")).to_have_text(
            'Fill in "TTFT p99 at most" or "ITL p99 at most", or choose another objective.'
        )
        expect(page.get_by_label("Objective")).to_have_value("slo")
        expect(page.get_by_label("Or write them here")).to_have_value(FLEET)
        page.get_by_label("TTFT p99 at most, s").fill("2")
        page.get_by_label("Price of a GPU per hour").fill("-1")
        page.locator("#form").evaluate("form => { form.noValidate = true }")
        page.get_by_role("button", name="Plan", exact=True).click()
        expect(page.get_by_label("Price of a GPU per hour")).to_have_attribute("aria-invalid", "true", timeout=PLANNING)


@pytest.mark.parametrize(
    ("changes", "label", "said"),
    [
        ({"Objective": "min-cost"}, "Price of a GPU per hour", 'Fill in "Price of a GPU per hour".'),
        ({"Figures of": ""}, "Figures of", "Choose a GPU and a model"),
        ({"This is": "log"}, "Times in the log are in", 'choose their unit in "Times in the log are in".'),
    ],
)
def test_errors_are_in_words_of_the_page(visit, changes, label, said):
    fleet = LOG_WITHOUT_UNIT if "This is" in changes else FLEET
    with visit() as page:
        for name, value in changes.items():
            page.get_by_label(name).select_option(value)
        ask(page, fleet)
        expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true", timeout=PLANNING)
        expect(page.get_by_role("alert")).to_contain_text(said)
        assert "--" not in page.get_by_role("alert").inner_text()


def test_a_plan_that_is_not_there_says_so(visit):
    with visit("/plans/none", complaints=("404",)) as page:
        expect(page.get_by_role("alert")).to_have_text("there is no such plan")


def test_sliders_answer_within_200_ms(visit, capsys):
    with visit("/server") as page:
        expect(page.locator("#verdict")).not_to_have_text("…")
        moves = [("max_loras", 8), ("max_loras", 128), ("rate", 2), ("rate", 24), ("high", 50), ("prompt", 1500)]
        took = [page.evaluate(MOVE, move) for move in moves]
        expect(page.locator("#kv")).to_have_js_property("max", 1)
    with capsys.disabled():
        print(
            f"\na slider answers after {sorted(took)[len(took) // 2]:.0f} ms in the median, {max(took):.0f} ms at most"
        )
    assert max(took) < 200


def test_the_page_of_one_server_says_when_it_is_too_much_and_keeps_its_settings(visit):
    with visit("/server", complaints=("422",)) as page:
        expect(page.locator("#kv-is")).to_contain_text("%")
        for name, value in (("rate", "60"), ("prompt", "4000")):
            page.locator(f"#{name}").fill(value)
        expect(page.get_by_role("alert")).to_have_text("Too much to simulate: lower the rate or the lengths.")
        expect(page.locator("#verdict")).to_have_text("")
        expect(page.locator("#cards")).to_be_empty()
        page.locator("#prompt").fill("400")
        expect(page.get_by_role("alert")).to_be_hidden()
        page.reload()
        expect(page.locator("#prompt")).to_have_value("400")
        expect(page.locator("#rate-is")).to_have_text("60")


def test_first_paint_is_fast(visit, capsys):
    for path in ("/", "/server"):
        with visit(path) as page:
            page.reload()
            page.wait_for_load_state("networkidle")
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        with capsys.disabled():
            print(f"\n{path}: first paint after {paint:.0f} ms")
        assert paint < 500


def test_with_the_keyboard_alone(visit):
    with visit() as page:
        for at in stops(page):
            assert at["seen"], at
            assert at["outline"] != "none", at
        tab_to(page, tag="BUTTON", text="20 adapters")
        page.keyboard.press("Enter")
        tab_to(page, tag="BUTTON", text="Plan")
        page.keyboard.press("Enter")
        page.wait_for_selector("#tools:not([hidden])", timeout=PLANNING)
        tab_to(page, tag="BUTTON", text="Plan for it")
    with visit("/server") as page:
        expect(page.locator("#verdict")).not_to_have_text("…")
        tab_to(page, tag="INPUT", type="range")
        before = page.locator("#max_loras").input_value()
        page.keyboard.press("ArrowRight")
        assert page.locator("#max_loras").input_value() != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_violation_and_nothing_is_wider_than_the_window(visit, plan_id, path, width, scheme):
    with visit(path.format(plan=plan_id), width, color_scheme=scheme) as page:
        page.evaluate("scrollTo(0, 1e6)")
        # The report is a page of its own, which test_accessibility looks at.
        found = Axe().run(page, context={"exclude": ["iframe"]}, options={"resultTypes": ["violations"]})
        violations = found.response["violations"]
        assert [f"{each['id']}: {node['html'][:200]}" for each in violations for node in each["nodes"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(BEYOND) == []


def test_the_report_alone_is_printed(visit, plan_id):
    with visit(f"/plans/{plan_id}") as page:
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Report on its own").click()
        alone = opened.value
        alone.wait_for_load_state("networkidle")
        sheets = PdfReader(io.BytesIO(alone.pdf(prefer_css_page_size=True, format="A4"))).pages
        text = " ".join(sheet.extract_text() for sheet in sheets)
        assert "tenant-07" in text
        assert f"1 / {len(sheets)}" in " ".join(text.split())


def test_the_report_is_as_high_as_its_content_and_is_printed_from_the_page(visit, plan_id):
    with visit(f"/plans/{plan_id}") as page:
        expect(page.frame_locator("#report").get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_function(
            """() => {
              const report = document.getElementById("report"), content = report.contentDocument.documentElement;
              return report.clientHeight > 1000 && content.scrollHeight <= report.clientHeight;
            }"""
        )
        page.evaluate("""() => {
          const inside = document.getElementById("report").contentWindow;
          inside.print = () => { document.title = "printed"; };
        }""")
        page.get_by_role("button", name="Print").click()
        expect(page).to_have_title("printed")
        outer = PdfReader(io.BytesIO(page.pdf(format="A4"))).pages
        assert len(outer) == 1
        assert "The report is printed by the button" in " ".join(outer[0].extract_text().split())
        page.locator("#report").scroll_into_view_if_needed()
        page.wait_for_timeout(500)  # in which figures that were drawn for paper are drawn for the window


def test_names_are_text_on_every_page(visit, app):
    hostile = '"><img src=x onerror=alert(1)>'
    quoted = hostile.replace('"', '""')
    plan_id = app.planned(f'name,rank,rate\n"{quoted}",8,0.3\n')
    for path in (f"/plans/{plan_id}", f"/compare?a={plan_id}", "/"):
        with visit(path) as page:
            alerts = []
            page.on("dialog", lambda dialog, alerts=alerts: alerts.append(dialog.message))
            page.wait_for_timeout(500)
            assert alerts == []
    with visit(f"/v1/plans/{plan_id}/report") as page:
        assert hostile in page.locator(".adapter-table").inner_text()


def test_a_browser_signs_in_with_the_token(browser, tmp_path):
    app = App(tmp_path / "jobs.db", token="a-long-token")
    try:
        page = browser.new_page()
        page.goto(app.url)
        page.get_by_label("Token of this server").fill("wrong-token")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("This is not the token of this server.")
        page.get_by_label("Token of this server").fill("a-long-token")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("How many GPUs for these adapters?")
        assert Axe().run(page).response["violations"] == []
        page.close()
    finally:
        app.stop()
