"""Build the documentation site from the pages of the repository: make docs.

Sphinx reads a copy of the pages. docs/README.md becomes the home page, and its tables, in their order, the navigation.
A page outside docs keeps its path. A link to another file of the repository leads to a page that shows the file, and a
link to a folder to a list of its files. So a link works on the site as it does in the repository, and the site needs no
address of the repository.

Every warning of Sphinx is an error. Then all links of the built pages are checked, with their anchors, and that no page
loads anything from another site. Links to other sites are not followed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"
HOME = DOCS / "README.md"
ABOUT = PROJECT / "README.md"  # the first page of the navigation, which no table lists
SETTINGS = PROJECT / "making" / "site"  # conf.py and the style sheet
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "bash"}
SHOWN = {*LANGUAGES, ".csv", ".jsonl", ".txt"}  # other files can be downloaded
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}

_UNLISTED = "---\norphan: true\n---\n"  # tells Sphinx that the navigation leaves a page out on purpose
_FENCE = re.compile(r"^( *)(```+).*?^\1\2$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_ELSEWHERE = re.compile(r"(@import|url\()\s*[\"']?(https?:)?//")  # what a style sheet loads from another site
_HEADING = re.compile(r"^(###?) (.+)\n((?:(?!##).*\n)*)", re.MULTILINE)  # with the text below it
_ROW = re.compile(r"^\| \[([^\]]+)\]\(([^)#\s]+)\)", re.MULTILINE)


class Section(NamedTuple):
    """A part of the navigation: the table below a heading of the home page."""

    title: str
    pages: dict[Path, str]  # label by page


def navigation() -> list[Section]:
    """Return the navigation: a section for every table of the home page that lists pages."""
    sections, kind = [], ""
    for level, title, text in _HEADING.findall(HOME.read_text(encoding="utf-8")):
        kind = title.partition(":")[0] if level == "##" else kind
        pages = {(DOCS / target).resolve(): _label(name) for name, target in _ROW.findall(text)}
        if pages:
            sections.append(Section(kind if level == "##" else f"{kind}: {title}", pages))
    return sections


def _label(name: str) -> str:
    short = name.removeprefix("How to ")
    return short[0].upper() + short[1:]


def place(path: Path) -> Path:
    """Return where a file or folder of the repository is on the site, below its root."""
    if path == HOME:
        return Path("index.md")
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS)
    inside = path.relative_to(PROJECT)
    if path.is_dir():
        return inside / "index.md"
    return inside.with_name(f"{inside.name}.md") if path.suffix in SHOWN else inside


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a page with everything changed but its blocks of code."""
    parts, at = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, change(text[at:])])


def linked(text: str, page: Path) -> tuple[str, list[Path]]:
    """Return a page with its links as they are on the site, and the files and folders that they lead to."""
    found = []
    base = page if page.is_dir() else page.parent

    def moved(link: re.Match[str]) -> str:
        file, mark, anchor = link[1].partition("#")
        if not file or "://" in link[1]:
            return link[1]
        target = (base / file).resolve()
        if not target.exists():
            return link[1]  # Sphinx says that it leads nowhere
        found.append(target)
        return f"{os.path.relpath(place(target), place(page).parent)}{mark}{anchor}"

    return outside_code(text, lambda prose: _LINK.sub(moved, prose)), found


def copy_pages(folder: Path) -> None:
    """Write everything that the site is made of into a folder: the pages, and what they lead to."""
    listed = {HOME, ABOUT, *(page for section in navigation() for page in section.pages)}
    waiting, done = sorted(listed), set()
    while waiting:
        path = waiting.pop()
        if path in done:
            continue
        done.add(path)
        target = folder / place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix != ".md":
            shutil.copyfile(path, target)
            continue
        text, more = linked(_text(path), path)
        waiting += more
        unlisted = path not in listed and not path.is_relative_to(DOCS)
        target.write_text((_UNLISTED if unlisted else "") + text, encoding="utf-8")
    with (folder / place(HOME)).open("a", encoding="utf-8") as home:
        home.write(_toctrees())


def _text(path: Path) -> str:
    """Return the page for a page, a file or a folder."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    title = f"# {path.relative_to(PROJECT)}\n\n"
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in SHOWN)
        return title + "".join(f"- [{file.name}]({file.name})\n" for file in files)
    return f"{title}````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text(encoding='utf-8')}````\n"


def _toctrees() -> str:
    about = f"\n```{{toctree}}\n:hidden:\n\nWhat adaptwin is <{place(ABOUT).with_suffix('')}>\n```\n"
    return about + "".join(_toctree(section) for section in navigation())


def _toctree(section: Section) -> str:
    rows = "".join(f"{label} <{place(page).with_suffix('')}>\n" for page, label in section.pages.items())
    return f"\n```{{toctree}}\n:hidden:\n:caption: {section.title}\n\n{rows}```\n"


class Page(HTMLParser):
    """What a built page links to, what it loads, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links and the anchor of a tag."""
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and LOADED[tag] in values:
            self.loads.append(values[LOADED[tag]])


def broken_links(site: Path) -> list[str]:
    """Return what is wrong with the links of a built site, a line each."""
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}
    found = []
    for file, page in pages.items():
        for link in (*page.links, *page.loads):
            trouble = _trouble(link, file, pages, loaded=link in page.loads)
            if trouble:
                found.append(f"{file.relative_to(site)}: {link}: {trouble}")
    sheets = [sheet for sheet in sorted(site.rglob("*.css")) if _ELSEWHERE.search(sheet.read_text(encoding="utf-8"))]
    return found + [f"{sheet.relative_to(site)}: loads something from another site" for sheet in sheets]


def _trouble(link: str, file: Path, pages: dict[Path, Page], *, loaded: bool) -> str | None:
    parts = urlsplit(link)
    if parts.scheme == "data":
        return None
    if parts.scheme or parts.netloc:
        return "is loaded from another site" if loaded else None
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.is_file():
        return "leads nowhere"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "no such heading"
    return None


def build(site: Path) -> int:
    """Build the site into a folder, and return an exit code."""
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder) / "pages"
        copy_pages(pages)
        made = Path(folder) / "site"
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-j", "auto", "-c", str(SETTINGS)]
        done = subprocess.run([*command, "-d", str(Path(folder) / "cache"), str(pages), str(made)], check=False)
        if done.returncode:
            return done.returncode
        for name in (".buildinfo", "objects.inv"):
            (made / name).unlink(missing_ok=True)
        broken = broken_links(made)
        print("\n".join(broken), end="\n" if broken else "")
        if broken:
            return 1
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(made, site)
    print(f"{len(list(site.rglob('*.html')))} pages in {site.name}/; open {site.name}/index.html")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("site", type=Path, nargs="?", default=PROJECT / "site", help="Folder that it is built into.")
    sys.exit(build(parser.parse_args().site.resolve()))
