"""docs/reference/command-line.md: every command with its arguments, options and examples."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from rich.text import Text

from adaptwin.cli.commands import COMMANDS, load_command
from adaptwin.cli.deliver_plans import NOT_PROMISED
from adaptwin.cli.main import WRONG_INPUT
from adaptwin.errors import Infeasible, ServerError
from measured_page import generated_by
from reference_text import code, link, paragraph, prose, table

WHAT = "This page shows every command of `adaptwin` with its arguments, options, defaults and examples."

HOW = """Every command prints its part of this page with `--help`, such as `adaptwin plan --help`; `adaptwin --version`
prints the version. [Files](files.md) describes the files that commands read and write."""

VALUES = """`TIME` is a number of seconds, or has a unit: `2s`, `500ms`. Headroom and margin are numbers or in per cent:
`0.2`, `20%`. [How to describe your adapters](../how-to/your-adapters.md) explains the kinds of arrivals and
popularities."""

JSON_NOTE = """With `--json`, a command prints JSON instead of tables, for other programs to read. Progress and messages
go to the standard error output. Every command has the option. Where there is no result, nothing is printed."""

EXIT_CODES = (
    (0, "done"),
    (WRONG_INPUT, "wrong input, and the message names the place; or `adaptwin doctor` found that something is wrong"),
    (Infeasible.exit_code, "no solution: no plan exists, or a server would not start; the message names the cause"),
    (NOT_PROMISED, "a plan was made but is not verified, or `adaptwin verify` found that it does not hold"),
    (ServerError.exit_code, "a running server cannot be used, or died; what was measured until then is kept"),
)
EXIT_NOTE = """Errors go to the standard error output, each in one line that begins with `adaptwin:`. For a wrong
call, such as an unknown option or `--gpus two`, the line names the option and the command that prints its help."""

COMPLETION = """Commands, options and names such as those of profiles, objectives and strategies can be completed with
the tab key. Install the completion for your shell once, then start a new shell:"""
COMPLETION_COMMAND = "adaptwin --install-completion"
COMPLETION_NOTE = "`adaptwin --show-completion` prints the script instead of installing it."

END = generated_by("reference", after="a change to a command or to one of its options")

PLAIN_PANEL = "Options"
DEFAULT_NOTE = re.compile(r"\s*\[default: (.*)\]$", re.DOTALL)


class Called(NamedTuple):
    """A command that can be run, as typed after ``adaptwin``."""

    name: str
    help: str  # one line
    command: Any


class Described(NamedTuple):
    """An argument or option, as the tables show it."""

    name: str
    value: str
    meaning: str
    default: str
    panel: str


def command_line_page() -> str:
    """Return the page."""
    parts = ["# Command line", paragraph(WHAT), paragraph(HOW), *_overview(), *_common_parts()]
    for name in COMMANDS:
        parts += _described(name)
    return "\n\n".join([*parts, END]) + "\n"


def commands_of(name: str) -> list[Called]:
    """Return the commands that are run by a name: itself, or the sub-commands of a group."""
    command = load_command(name)
    inner = getattr(command, "commands", None)
    if not inner:
        return [Called(name, COMMANDS[name].help, command)]
    return [Called(f"{name} {sub}", plain(found.help).split("\n\n")[0], found) for sub, found in inner.items()]


def _overview() -> Iterator[str]:
    rows = [[link(code(f"adaptwin {name}"), f"adaptwin {name}"), prose(COMMANDS[name].help)] for name in COMMANDS]
    yield table(["command", "does"], rows)
    yield paragraph(VALUES)


def _common_parts() -> Iterator[str]:
    yield "## Exit codes"
    yield table(["code", "meaning"], [[str(number), meaning] for number, meaning in EXIT_CODES])
    yield paragraph(EXIT_NOTE)
    yield "## JSON"
    yield paragraph(JSON_NOTE)
    yield "## Shell completion"
    yield paragraph(COMPLETION)
    yield _console(COMPLETION_COMMAND)
    yield COMPLETION_NOTE


def _described(name: str) -> Iterator[str]:
    """Describe a command, or a group with its sub-commands."""
    calls = commands_of(name)
    yield f"## adaptwin {name}"
    if calls[0].name == name:
        yield from _details(calls[0])
        return
    yield prose(COMMANDS[name].help)
    yield table(["command", "does"], [[link(code(f"adaptwin {c.name}"), c.name), prose(c.help)] for c in calls])
    for called in calls:
        yield f"### {called.name}"
        yield from _details(called)


def _details(called: Called) -> Iterator[str]:
    first, *further = (paragraph(prose(part)) for part in plain(called.command.help).split("\n\n"))
    yield first
    yield f"Usage: {code(_usage(called))}"
    yield from further
    params = [_param(called.command, param) for param in called.command.params if param.name != "help"]
    if arguments := [[each.name, each.meaning] for each in params if not each.panel]:
        yield table(["argument", "what it is"], arguments)
    for panel in dict.fromkeys(each.panel for each in params if each.panel):
        yield f"**{panel}**"
        rows = [[each.name, each.value, each.meaning, each.default] for each in params if each.panel == panel]
        yield table(["option", "value", "what it does", "default"], rows)
    _, *examples = plain(called.command.epilog).splitlines()
    yield f"**Examples**\n\n{_console(*(example.strip() for example in examples))}"


def _usage(called: Called) -> str:
    """Return how the command is called: its arguments, and the options that it cannot do without."""
    needed = [
        param.metavar if _is_argument(param) else f"{param.opts[0]} {param.metavar}"
        for param in called.command.params
        if param.required
    ]
    return " ".join(["adaptwin", called.name, *needed, "[OPTIONS]"])


def _param(command: Any, param: Any) -> Described:
    text = plain(param.help)
    meaning = DEFAULT_NOTE.sub("", text)
    if _is_argument(param):
        return Described(code(param.metavar), "", prose(meaning), "", "")
    noted = DEFAULT_NOTE.search(text)
    default = prose(noted[1]) if noted else _default(param)
    value = "" if param.is_flag else _value(command, param)
    return Described(code(param.opts[0]), value, prose(meaning), default, param.rich_help_panel or PLAIN_PANEL)


def _is_argument(param: Any) -> bool:
    return not param.opts[0].startswith("-")


def _value(command: Any, param: Any) -> str:
    """Name the value of an option: its choices, or a placeholder with the lowest value."""
    hint = get_type_hints(inspect.unwrap(command.callback), include_extras=True)[param.name]
    kind, *notes = get_args(hint)
    choices = next((part for part in (kind, *get_args(kind)) if get_origin(part) is Literal), None)
    if choices is not None:
        return " or ".join(map(code, get_args(choices)))
    least = next((note.min for note in notes if getattr(note, "min", None) is not None), None)
    value = " or ".join(map(code, param.metavar.split("|")))
    return value if least is None else f"{value}, at least {least:g}"


def _default(param: Any) -> str:
    if param.required:
        return "*required*"
    if param.is_flag:
        return "off"
    known = param.show_default if isinstance(param.show_default, str) else param.default
    if known is None:
        return "none"
    return code(f"{known:g}" if isinstance(known, float) else known)


def plain(markup: str | None) -> str:
    """Return help text without rich's markup."""
    return Text.from_markup(inspect.cleandoc(markup or "")).plain.strip()


def _console(*lines: str) -> str:
    return "\n".join(["```bash", *lines, "```"])
