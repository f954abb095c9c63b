"""Helpers of tests that read reports: HTML pages, and text on a terminal."""

import io
import json
import re
from html.parser import HTMLParser
from typing import Any

from plotly.offline import get_plotlyjs
from rich.console import Console


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.text += data

    def ids(self) -> list[str | None]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def words(self) -> str:
        """Return the text with single spaces."""
        return " ".join(self.text.split())


def without_plotly(html: str) -> str:
    before, plotly, after = html.partition(get_plotlyjs())
    assert plotly
    return before + after


def drawn(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="drawn">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def assert_loads_nothing(html: str) -> None:
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    policies = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    assert len(policies) == 1
    assert "default-src 'none'" in str(policies[0])
    rest = without_plotly(html)
    assert "http:" not in rest
    assert "https:" not in rest
    assert "@import" not in rest


def rendered(renderable: object, width: int = 80) -> str:
    console = Console(width=width, record=True, force_terminal=False, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def words(renderable: object) -> str:
    """Return the rendered text with single spaces."""
    return " ".join(rendered(renderable).split())


def assert_fits(text: str) -> None:
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
