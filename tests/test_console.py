"""Console examples of the pages: the output is what the program prints, and every command line is understood."""

import importlib.util
import os
import re
import shlex
from pathlib import Path

import pytest

from adaptwin.cli.commands import COMMANDS
from adaptwin.surrogate.compilation import compile_planning

PROJECT = Path(__file__).resolve().parents[1]
PLACEHOLDER = re.compile(r"\.\.\.|<[a-z ]+>")
PLAN = """\
1 GPU for 2 adapters with 1.00 requests/s.
Objective min-gpus, strategy pack, seed 0, planned in {} (search {}){}with
251 surrogate predictions and 3 twin runs.
GPU    Adapters
gpu-0         2
"""


def load_console():
    spec = importlib.util.spec_from_file_location("console", PROJECT / "making" / "console.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


console = load_console()
PAGES = {str(page.relative_to(PROJECT)): page.read_text(encoding="utf-8") for page in console.PAGES}
IN_EVERY_RUN = ("README.md", "docs/tutorial/first-plan.md", "docs/how-to/replan.md", "docs/how-to/export.md")
WITH_EXAMPLES = [page for page, text in PAGES.items() if "\n```console\n" in text]


def command_lines(block):
    """Return the command lines of a console or bash block."""
    if block.language == "console":
        return [example.command.replace("\\\n", "") for example in console.examples(block.code)]
    return block.code.replace("\\\n", "").splitlines()


def calls(command_line):
    """Return the words of each call of adaptwin in a command line."""
    tokens = shlex.shlex(command_line, posix=True, punctuation_chars="|&;<>")
    tokens.whitespace_split = True
    found = [[]]
    for token in tokens:
        if set(token) <= set("|&;<>"):
            found.append([])
        else:
            found[-1].append(token)
    return [words[1:] for words in found if words and Path(words[0]).name == "adaptwin"]


def documented_calls():
    """Yield the words of every call on the pages, named after page and line of the block."""
    for page, text in PAGES.items():
        for block in console.blocks(text):
            lines = command_lines(block) if block.language in ("console", "bash") else []
            for words in (words for line in lines if not PLACEHOLDER.search(line) for words in calls(line)):
                yield pytest.param(words, id=f"{page}:{block.line} {' '.join(words)}")


@pytest.fixture(scope="session")
def shell(tmp_path_factory):
    """A shell that runs the same command on the same files only once, whatever the process of the tests."""
    compile_planning()  # so that no command says that it compiles
    of_process = tmp_path_factory.getbasetemp()
    known = (of_process.parent if "PYTEST_XDIST_WORKER" in os.environ else of_process) / "commands"
    known.mkdir(exist_ok=True)
    return console.Shell(known)


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=() if page in IN_EVERY_RUN else pytest.mark.long) for page in WITH_EXAMPLES]
)
def test_the_output_on_the_page_is_what_the_program_prints(page, shell, tmp_path):
    console.prepare(tmp_path)
    now = console.updated(PAGES[page], tmp_path, shell)
    assert now == PAGES[page], f"run `make console`:\n{console.difference(PAGES[page], now)}"


@pytest.mark.parametrize("words", list(documented_calls()))
def test_every_command_line_of_the_pages_is_understood(words, understood):
    understood(words)


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_in_blocks_of_console_or_bash(page):
    outside = re.sub(r"^```(console|bash)\n.*?^```$", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    assert (
        re.findall(rf"^ *(?:\$ )?(?:\.venv/bin/)?adaptwin (?:{'|'.join(COMMANDS)})\b.*$", outside, re.MULTILINE) == []
    )


@pytest.mark.parametrize("page", PAGES)
def test_commands_without_output_have_no_dollar(page):
    assert [block for block in console.blocks(PAGES[page]) if block.language == "bash" and "$ " in block.code] == []


def test_the_pages_have_examples():
    assert len(WITH_EXAMPLES) >= 8
    assert len(list(documented_calls())) >= 30


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("adaptwin plan f.yaml --out p.yaml  # comment", [["plan", "f.yaml", "--out", "p.yaml"]]),
        ("make demo && .venv/bin/adaptwin verify 'p 1.yaml'", [["verify", "p 1.yaml"]]),
        ("adaptwin profiles > a.txt; adaptwin export p.yaml | head -n 3", [["profiles"], ["export", "p.yaml"]]),
        ("echo adaptwin", []),
    ],
)
def test_calls_are_found_in_command_lines(line, found):
    assert calls(line) == found


def test_a_console_block_is_commands_with_their_output():
    first, second = console.examples("$ one \\\n    two\n\nsaid\n$ three\n")
    assert first == ("one \\\n    two", "\nsaid\n")
    assert second == ("three", "")
    with pytest.raises(ValueError, match="begins with"):
        console.examples("one\n$ two\n")


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        ("", "a\nb\nc\nd\ne\n"),
        ("x\nx\n...\n", "a\nb\n...\n"),
        ("...\nx\n", "...\ne\n"),
        ("x\n...\nx\nx\n", "a\n...\nd\ne\n"),
        ("x\n...\nc\nx\n...\n", "a\n...\nc\nd\n...\n"),
    ],
)
def test_the_same_lines_are_left_out(shown, kept):
    assert console.shortened_alike(shown, "a\nb\nc\nd\ne\n") == kept


def test_a_part_that_is_no_longer_printed_is_named():
    with pytest.raises(ValueError, match="'z'"):
        console.shortened_alike("a\n...\nz\n...\n", "a\nb\n")


def test_only_durations_of_planning_may_differ(tmp_path):
    page = f"```console\n$ plan\n{PLAN.format('9.3 s', '1.4 s', ', ')}```\n"
    slower = PLAN.format("12.3 s", "974 ms", ",\n")
    assert console.updated(page, tmp_path, lambda *_: slower) == page
    other = slower.replace("3 twin runs", "4 twin runs")
    assert console.updated(page, tmp_path, lambda *_: other) == f"```console\n$ plan\n{other}```\n"


def test_a_named_block_of_yaml_is_a_file_for_the_commands_below(tmp_path):
    page = "```yaml\n# f.yaml\na: 1\n```\n```console\n$ cat f.yaml\n```\n"
    assert console.updated(page, tmp_path, console.run).endswith("$ cat f.yaml\n# f.yaml\na: 1\n```\n")


def test_output_and_errors_are_in_order_without_blanks_at_the_end(tmp_path):
    assert console.run("echo 'a  '; echo b >&2; echo c", tmp_path) == "a\nb\nc\n"


def test_a_command_runs_once_on_the_same_files(tmp_path):
    """The second folder gets the file that the command wrote in the first one."""
    known, *folders = [tmp_path / "known", tmp_path / "one", tmp_path / "two"]
    for folder in (known, *folders):
        folder.mkdir()
    command = "echo said; echo $$ > written"
    assert [console.Shell(known)(command, folder) for folder in folders] == ["said\n"] * 2
    assert len({(folder / "written").read_text() for folder in folders}) == 1
