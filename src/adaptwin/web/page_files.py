"""The pages, and the files that they consist of: a fixed list, so that no path of a client reaches the disk."""

import importlib.resources

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

_PAGES = "adaptwin.web.pages"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}

pages_router = APIRouter(include_in_schema=False)


def page_file(name: str) -> Response:
    """Return a file of the pages, by its name in the package."""
    content = importlib.resources.files(_PAGES).joinpath(name).read_bytes()
    return Response(content, headers={"Content-Type": _TYPES[name[name.rindex(".") :]], "Cache-Control": "no-cache"})


def _served_files() -> frozenset[str]:
    names = (each.name for each in importlib.resources.files(_PAGES).iterdir())
    return frozenset(name for name in names if name.endswith((".css", ".js")))


_SERVED = _served_files()


@pages_router.get("/")
def plan_page() -> Response:
    """Return the page that asks for a plan."""
    return page_file("index.html")


@pages_router.get("/plans/{plan_id}")
def page_of_plan(plan_id: str) -> Response:  # noqa: ARG001 (the page reads it from its address)
    """Return the page of one plan."""
    return page_file("plan.html")


@pages_router.get("/compare")
def compare_page() -> Response:
    """Return the page that holds two plans against each other."""
    return page_file("compare.html")


@pages_router.get("/server")
def server_page() -> Response:
    """Return the page of one server."""
    return page_file("server.html")


@pages_router.get("/pages/{name}")
def file_of_page(name: str) -> Response:
    """Return a file that a page consists of."""
    if name not in _SERVED:
        raise HTTPException(404, "there is no such file")
    return page_file(name)
