"""Rendering of HTML pages: self-contained files, which load nothing from the network."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from adaptwin.report.style.plots import template
from adaptwin.report.style.words import count, duration, number, percent
from adaptwin.visible import visible, visible_json


class Card(NamedTuple):
    """A card of a page, which shows one headline figure."""

    label: str
    value: str
    note: str = ""
    tone: str = ""  # "good", "warn" or "bad"


class Picture(NamedTuple):
    """The place of a figure on a page; the description also serves readers who cannot see the figure."""

    key: str
    title: str
    description: str


def render(name: str, figures: Mapping[str, go.Figure], **values: Any) -> str:
    """Render the template of this name with the values; `figures` has the figures by the key of their picture."""
    drawn = {
        "figures": {key: _bare(figure) for key, figure in figures.items()},
        "light": _json(template()),
        "dark": _json(template(dark=True)),
    }
    values = {"origin": {"file": "", "made": ""}, **values}
    return _environment().get_template(name).render(drawn=drawn, plotly=get_plotlyjs(), **values)


def fragment(name: str, **values: Any) -> Markup:
    """Render the template of a part of a page, which `render` takes as it is."""
    return Markup(_environment().get_template(name).render(**values))  # noqa: S704 (the template has escaped the values)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("adaptwin.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters.update(count=count, number=number, percent=percent, duration=duration, css_text=_css_text)
    environment.policies["json.dumps_function"] = _data
    environment.policies["json.dumps_kwargs"] = {}
    return environment


def _data(value: Any) -> str:
    """Return the JSON of a value for a script of a page: it reads back equal, and shows what is invisible."""
    return visible_json(json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def _shown(value: Any) -> Any:
    """Return a value as a page shows it: text with invisible characters as escapes, which jinja then escapes."""
    return visible(value, keep="\n") if type(value) is str else value


def _css_text(text: str) -> Markup:
    """Return text as a quoted string of CSS; characters that could end it are escaped."""
    plain = Markup(text).unescape()  # noqa: S704 (the result is escaped below)
    safe = "".join(each if each.isalnum() or each in " .,:;-_/×" else f"\\{ord(each):x} " for each in plain)
    return Markup(f'"{safe}"')  # noqa: S704 (it holds no quote, backslash or angle bracket of the text)


def _json(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = value.to_plotly_json()
    return plain


def _bare(figure: go.Figure) -> dict[str, Any]:
    """Return a figure as plain data without its template, which the page holds once for all figures."""
    figure.layout.template = None
    plain = _json(figure)
    plain["layout"].pop("template", None)
    return plain
