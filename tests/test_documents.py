"""The pages hang together: links lead somewhere, the index has every page, and what is named exists."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE, DOCS = ROOT / "src" / "adaptwin", ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("**/*.md"))]
FOR_DEVELOPERS = [ROOT / "CONTRIBUTING.md", DOCS / "design.md", DOCS / "extending.md"]
EXAMPLES = {"enable_prefix_caching", "min_load", "highest_load", "created", "prompt_tokens", "completion_tokens"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
pages_for_developers = pytest.mark.parametrize("page", FOR_DEVELOPERS, ids=lambda page: page.name)


@cache
def prose(page: Path) -> str:
    """The page without its blocks of code and of console output."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)


def links(page: Path) -> list[str]:
    """Targets of the page's links and pictures, except those on other sites."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def paths(page: Path) -> set[str]:
    """Paths of the repository that the page names in backticks: with a folder, or with the suffix of a file."""
    words = re.findall(r"`([^`\s]+)`", prose(page))
    return {word for word in words if re.fullmatch(r"[\w.-]+(/[\w.-]*)+|[\w-]+\.(md|py|toml)", word)}


def exists(path: str) -> bool:
    """Whether a path is there, below the root or the package; of a file that a recipe adds, whether its folder is."""
    place = Path(path).parent if "NAME" in path else path
    return (ROOT / place).exists() or (SOURCE / place).exists()


def test_there_is_something_to_check():
    assert sum(len(links(page)) for page in PAGES) > 150
    assert all(len(paths(page)) > 5 for page in FOR_DEVELOPERS)


@every_page
def test_every_link_leads_to_a_file_and_a_heading(page):
    broken = []
    for target in links(page):
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert broken == []


def test_the_index_has_every_page():
    index = DOCS / "README.md"
    listed = {(DOCS / target.partition("#")[0]).resolve() for target in links(index)}
    assert {page for page in DOCS.glob("**/*.md") if page != index} <= listed


@pages_for_developers
def test_every_path_that_is_named_exists(page):
    assert sorted(path for path in paths(page) if not exists(path)) == []


def test_every_name_in_the_recipes_is_in_the_source():
    words = re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`", prose(DOCS / "extending.md"))
    names = {word.split(".")[-1] for word in words if "NAME" not in word} - EXAMPLES
    assert len(names) > 50
    sources = [*SOURCE.glob("**/*.py"), *(ROOT / "tests").glob("*/**/*.py"), ROOT / "Makefile"]
    known = set(re.findall(r"\w+", "\n".join(path.read_text(encoding="utf-8") for path in sources)))
    assert sorted(names - known) == []
