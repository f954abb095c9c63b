"""adaptwin: the program. Commands are loaded when they are called, so that none waits for another's imports."""

import errno
import importlib.metadata
import os
import sys
from typing import Annotated, Any

import typer
import typer.rich_utils
from typer.core import TyperCommand, TyperGroup

from adaptwin.cli.commands import COMMANDS, HELP_OPTIONS, load_command
from adaptwin.cli.help import example_lines, without_types
from adaptwin.cli.meant import command_meant
from adaptwin.cli.printing import tell
from adaptwin.cli.wrong_call import WrongCallError, in_one_line, naming_option
from adaptwin.errors import AdaptwinError, SpecError, not_one_of
from adaptwin.file_kinds import WrongKind
from adaptwin.interruption import outputs
from adaptwin.terminals import take_every_character, takes_colours

USAGE_ERROR = 2  # typer's exit code for a wrong call; ours for wrong input is 1
WRONG_INPUT = 1
HELP_WORDS = ("help", "?", "-?", "/?")

FIRST_STEPS = (
    "adaptwin profiles",
    "adaptwin plan adapters.csv --profile h100-64gb-llama-3.1-8b-instruct",
    "adaptwin plan fleet.yaml --out plan.yaml --report plan.html",
    "adaptwin export plan.yaml --to vllm --out serve.sh",
)


class LazyGroup(TyperGroup):
    """A group that imports the module of a command only to run it, or to show its own help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=command.help) for name, command in COMMANDS.items()}

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """The context in which the arguments of the program are read."""
        with in_one_line():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: Any) -> Any:
        """Read the arguments of a command, and run it."""
        with in_one_line(ctx):
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the help of the program."""
        without_types(self)
        super().format_help(ctx, formatter)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's signature)
        """All commands, in the order in which people need them."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, loaded; a name that is nearly right is suggested."""
        if args[0] not in COMMANDS:
            hint = "; did you mean --help?" if args[0] in HELP_WORDS else ""
            raise WrongCallError(f"{not_one_of(args[0], COMMANDS)}{hint}")
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(args[0]), rest


program = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP_OPTIONS},
    epilog=example_lines(*FIRST_STEPS),
)


def print_version(wanted: bool) -> None:
    """Print the installed version and exit, if that is wanted."""
    if wanted:
        print(importlib.metadata.version("adaptwin"))
        raise typer.Exit


@program.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Plan multi-LoRA serving with vLLM: how many GPUs, which adapters on which, and with which settings."""


def run(arguments: list[str]) -> int:
    """Run the program with these arguments and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        take_every_character(stream)
    typer.rich_utils.FORCE_TERMINAL = takes_colours(sys.stdout)  # else it leaves bold and dim with NO_COLOR
    outputs.clear()
    try:
        return _exit_code(arguments)
    except AdaptwinError as error:
        tell(f"adaptwin: {' '.join(_message_of(error, arguments).split())}")
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone, as in `adaptwin plan ... | head`
        _drop_output()
    except OSError as error:
        if not _is_of_output(error):
            raise
        _drop_output()
        print(f"adaptwin: the output cannot be written: {error.strerror}", file=sys.stderr)
        return WRONG_INPUT
    return 0


def _message_of(error: AdaptwinError, arguments: list[str]) -> str:
    """Return what is wrong, in the words of the command line."""
    if isinstance(error, WrongKind):
        return f"{error}{command_meant(error, arguments[0])}"
    if isinstance(error, SpecError) and arguments[0] in COMMANDS:
        return naming_option(error, load_command(arguments[0]), arguments[1:])
    return str(error)


def _exit_code(arguments: list[str]) -> int:
    """Call the command that the arguments name, and print all that it has left in the buffer of stdout."""
    try:
        program(args=arguments, prog_name="adaptwin")
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # Rich and Typer make an exit of it
            raise end.__context__ from None
        return WRONG_INPUT if end.code == USAGE_ERROR else int(end.code or 0)
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
    return 0


def _is_of_output(error: OSError) -> bool:
    """Whether nothing more can be written to stdout, as when it is a file on a full disk."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _drop_output() -> None:
    """Let what is still in the buffer of stdout go nowhere, so that nothing is said about it at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
