"""What messages, help texts and pages name of the command line exists: commands, and the options of each."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptwin.cli.commands import COMMANDS, load_command

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = sorted((REPOSITORY / "src" / "adaptwin").glob("**/*.py"))
TEXT_FILES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]
LOADED = {name: load_command(name) for name in COMMANDS}
OF_PROGRAM = {"--help", "--version", "--install-completion", "--show-completion"}
OF_OTHER_PROGRAMS = {
    *("--append-result", "--dataset-name", "--metadata", "--num-prompts", "--output-json", "--request-rate"),
    *("--save-detailed", "--save-result", "--block-size", "--enable-chunked-prefill", "--enable-expert-parallel"),
    *("--enable-log-deltas", "--enable-log-outputs", "--enable-log-requests", "--enable-lora", "--enable-lora-bias"),
    *(
        "--lora-modules",
        "--max-log-len",
        "--port",
        "--scheduling-policy",
        "--served-model-name",
        "--speculative",
    ),  # these are vLLM's
    *("--force-reinstall", "--no-deps", "--head", "--build", "--file"),  # pip's, Ray's and Docker's
    *("--config", "--config-text", "--endpoint", "--grpc-health-port", "--grpc-port", "--only-show-errors"),
    *("--pool-name", "--pool-namespace", "--recursive", "--secret", "--tracing", "--values"),  # of exported stacks
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9](?![\w-])")
MARKED = re.compile(
    r"(?:^\$? ?|[`'])adaptwin ([a-z][a-z-]*)", re.MULTILINE
)  # as code, in quotes, or at the start of a line
CALLED = re.compile(r"(?<![\w./-])adaptwin ([a-z][a-z-]*)([^\n`'\";|]*--[^\n`'\";|]*)")  # with an option

CODE = re.compile(r"^```(?:bash|console)\n(.*?)^```$|(`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def options_known(command) -> set[str]:
    """The options of a command and of its sub-commands."""
    parts = (command, *getattr(command, "commands", {}).values())
    params = [param for part in parts for param in part.params]
    return {option for param in params for option in (*param.opts, *param.secondary_opts)} | OF_PROGRAM


KNOWN = set().union(*map(options_known, LOADED.values())) | OF_OTHER_PROGRAMS


def strings_in(source: Path) -> Iterator[str]:
    """The strings of a module, f-strings among them, with X for what is filled in; docstrings are not for users."""
    text = source.read_text(encoding="utf-8")
    if "--" not in text and "adaptwin " not in text:
        return
    tree = ast.parse(text)
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within:
            yield node.value


def wrong_mentions(text: str) -> list[str]:
    """The commands and options in a text that there are not."""
    calls = CALLED.findall(text)
    named = {*MARKED.findall(text), *(name for name, _ in calls)} - {"import"}
    wrong = [f"adaptwin {name}" for name in sorted(named) if name not in COMMANDS]
    for name, call in calls:
        known = options_known(LOADED[name]) if name in COMMANDS else KNOWN
        wrong += [f"adaptwin {name} {option}" for option in OPTION.findall(call) if option not in known]
    return wrong + [option for option in OPTION.findall(text) if option not in KNOWN]


def test_messages_and_help_name_what_there_is():
    wrong = {source.name: found for source in SOURCES for text in strings_in(source) if (found := wrong_mentions(text))}
    assert wrong == {}


@pytest.mark.parametrize("page", TEXT_FILES, ids=lambda page: page.name)
def test_pages_name_what_there_is(page):
    parts = CODE.findall(page.read_text(encoding="utf-8"))
    assert wrong_mentions("\n".join(part for pair in parts for part in pair)) == []


def test_what_there_is_not_would_be_found():
    assert wrong_mentions("see 'adaptwin plann'") == ["adaptwin plann"]
    assert wrong_mentions("use adaptwin verify --strategy") == ["adaptwin verify --strategy"]
    assert wrong_mentions("give it with --prise") == ["--prise"]
    assert wrong_mentions("More: adaptwin verify --stress; also --price") == []
