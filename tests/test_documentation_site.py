"""The documentation site: the navigation, the pages that it is built from, and the check of its links. No Sphinx."""

import importlib.util
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"


def load_site():
    spec = importlib.util.spec_from_file_location("documentation_site", PROJECT / "making" / "documentation_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


site = load_site()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    site.copy_pages(folder)
    return folder


def test_the_navigation_has_every_page_of_docs_once():
    listed = [page for section in site.navigation() for page in section.pages]
    assert len(listed) == len(set(listed))
    assert {page for page in listed if page.is_relative_to(DOCS)} == {*DOCS.glob("**/*.md")} - {site.HOME}


def test_the_kinds_of_pages_are_in_order():
    kinds = [section.title.partition(":")[0] for section in site.navigation()]
    assert list(dict.fromkeys(kinds)) == [
        "Tutorial",
        "How-to",
        "Reference",
        "Explanation",
        "Measured",
        "For developers",
    ]


def test_no_label_stands_twice():
    labels = [label for section in site.navigation() for label in section.pages.values()]
    assert len(labels) == len(set(labels)) > 40
    assert not any(label.startswith("How to ") for label in labels)


def test_every_relative_link_of_the_copied_pages_leads_to_a_file(pages):
    """Those of the repository are checked by test_documents.py; here they have moved."""
    checked = 0
    for page in pages.rglob("*.md"):
        prose = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", prose):
            if "://" not in target:
                assert (page.parent / target).exists(), (page, target)
                checked += 1
    assert checked > 200


def test_links_lead_to_where_the_pages_are_on_the_site():
    page = DOCS / "tutorial" / "first-plan.md"
    text = (
        "[a](running-fleet.md#ranks) [b](../README.md) [c](../../README.md) [d](../../examples/fleet.yaml) [e](#own)\n"
        "[f](https://vllm.ai) [g](../../src/adaptwin/placement/configurations) ![h](../images/accuracy.png)\n"
        "```text\n[a](../../examples/fleet.yaml)\n```\n"
    )
    moved, found = site.linked(text, page)
    assert moved == (
        "[a](running-fleet.md#ranks) [b](../index.md) [c](../README.md) [d](../examples/fleet.yaml.md) [e](#own)\n"
        "[f](https://vllm.ai) [g](../src/adaptwin/placement/configurations/index.md) ![h](../images/accuracy.png)\n"
        "```text\n[a](../../examples/fleet.yaml)\n```\n"
    )
    assert PROJECT / "examples" / "fleet.yaml" in found


def test_a_file_outside_docs_is_shown_as_it_is(pages):
    shown = (pages / "examples" / "fleet.yaml.md").read_text(encoding="utf-8")
    assert (PROJECT / "examples" / "fleet.yaml").read_text(encoding="utf-8") in shown


@pytest.mark.parametrize(
    ("html", "trouble"),
    [
        ('<a href="other.html#here">', None),
        ('<a href="https://vllm.ai">', None),
        ('<a href="missing.html">', "leads nowhere"),
        ('<a href="other.html#there">', "no such heading"),
        ('<a href="#there">', "no such heading"),
        ('<script src="https://cdn.example/x.js">', "is loaded from another site"),
        ('<link rel="stylesheet" href="//fonts.example/a.css">', "is loaded from another site"),
        ('<img src="missing.png">', "leads nowhere"),
    ],
)
def test_the_links_of_built_pages_are_checked(tmp_path, html, trouble):
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    (tmp_path / "other.html").write_text('<h1 id="here">Here</h1>', encoding="utf-8")
    found = site.broken_links(tmp_path)
    assert [line.rpartition(": ")[2] for line in found] == ([trouble] if trouble else [])


def test_a_style_sheet_loads_nothing_from_another_site(tmp_path):
    (tmp_path / "a.css").write_text("@import url('https://fonts.example/a.css');", encoding="utf-8")
    (tmp_path / "b.css").write_text("a { background: url(data:image/png;base64,AA) } /* https://x */", encoding="utf-8")
    assert site.broken_links(tmp_path) == ["a.css: loads something from another site"]
