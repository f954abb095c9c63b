"""Write the pages of docs/reference that are made from the code: the command line, files, the Python API and stacks.

make reference
"""

from collections.abc import Callable
from pathlib import Path

from command_line_page import command_line_page
from files_page import FILES_PAGE, files_page
from python_page import python_page
from stacks_page import STACKS_PAGE, stacks_page

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
REFERENCE_PAGES: dict[str, Callable[[], str]] = {
    "command-line.md": command_line_page,
    FILES_PAGE: files_page,
    "python.md": python_page,
    STACKS_PAGE: stacks_page,
}


def main() -> None:
    """Write all pages."""
    for name, make_page in REFERENCE_PAGES.items():
        (FOLDER / name).write_text(make_page(), encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
