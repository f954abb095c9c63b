"""The pages, and the files that they consist of: a fixed list, so that no path of a client reaches the disk."""

import importlib.resources
from functools import lru_cache

import jinja2
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, Response

_PAGES = "adaptwin.web.pages"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_IN_NAVIGATION = (("index", "/", "Plan"), ("server", "/server", "One server"), ("compare", "/compare", "Compare"))
_CHECKED_EACH_TIME = {"Cache-Control": "no-cache"}

pages_router = APIRouter(include_in_schema=False)


def page(name: str) -> Response:
    """Return a page in its frame, by the name of its file."""
    return HTMLResponse(_page_text(name), headers=_CHECKED_EACH_TIME)


@lru_cache
def _page_text(name: str) -> str:
    pages = jinja2.PackageLoader("adaptwin.web", "pages")
    environment = jinja2.Environment(loader=pages, autoescape=True, trim_blocks=True, keep_trailing_newline=True)
    return environment.get_template(f"{name}.html").render(name=name, pages=_IN_NAVIGATION)


def _served_files() -> frozenset[str]:
    names = (each.name for each in importlib.resources.files(_PAGES).iterdir())
    return frozenset(name for name in names if name.endswith(tuple(_TYPES)))


_SERVED = _served_files()


@pages_router.get("/")
def plan_page() -> Response:
    """Return the page that asks for a plan."""
    return page("index")


@pages_router.get("/plans/{plan_id}")
def page_of_plan(plan_id: str) -> Response:  # noqa: ARG001 (the page reads it from its address)
    """Return the page of one plan."""
    return page("plan")


@pages_router.get("/compare")
def compare_page() -> Response:
    """Return the page that holds two plans against each other."""
    return page("compare")


@pages_router.get("/server")
def server_page() -> Response:
    """Return the page of one server."""
    return page("server")


@pages_router.get("/pages/{name}")
def file_of_page(name: str) -> Response:
    """Return a file that a page consists of."""
    if name not in _SERVED:
        raise HTTPException(404, "there is no such file")
    content = importlib.resources.files(_PAGES).joinpath(name).read_bytes()
    return Response(content, headers={"Content-Type": _TYPES[name[name.rindex(".") :]], **_CHECKED_EACH_TIME})
