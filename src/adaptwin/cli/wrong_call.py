"""Wrong calls: what typer and the functions behind the commands say of arguments, in one line that names the option."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from adaptwin.errors import AdaptwinError, SpecError, did_you_mean
from adaptwin.visible import quoted

WRONG_ARGUMENTS: Any = typer.BadParameter.__base__  # what typer raises for any wrong call
_SECTIONS = (
    "",
    "constraints",
    "planning",
    "server",
    "Server",
    "DerivedProfile",
    "Profile",
    "Workload",
)  # of a field that an option may set

_OF_CONSTRAINTS = {"pinned": "--pin", "apart": "--apart", "together": "--together"}
_ENDINGS = {"requires an argument": "needs a value", "does not take a value": "takes no value"}


class OnceEach(TyperCommand):
    """A command that refuses an option which is given twice, unless it may be repeated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments of the command."""
        given = [] if ctx.resilient_parsing else self.make_parser(ctx).parse_args(args=list(args))[2]
        param: Any
        for param in given:
            takes_one = not getattr(param, "multiple", False) and not getattr(param, "is_flag", False)
            if takes_one and given.count(param) > 1:
                raise typer.BadParameter("is given twice, but takes one value", ctx=ctx, param=param)
        return super().parse_args(ctx, args)


class WrongCallError(AdaptwinError):
    """The arguments are not those of the command."""


@contextmanager
def in_one_line(ctx: Any = None) -> Iterator[None]:
    """Raise what typer says of the arguments as a `WrongCallError`, which names the option and where help is.

    Args:
        ctx: Of the program, which knows the command where the error does not.
    """
    try:
        yield
    except WRONG_ARGUMENTS as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
            raise
        called = " ".join(["adaptwin", *([ctx.invoked_subcommand] if ctx and ctx.invoked_subcommand else [])])
        path = error.ctx.command_path if error.ctx else called
        raise WrongCallError(f"{_in_our_words(error)}; see {path} --help") from None


def _in_our_words(error: Any) -> str:
    """Return what is wrong, as other messages say it."""
    wrong_option = getattr(error, "option_name", None)
    if hasattr(error, "possibilities"):
        options = [name for param in error.ctx.command.params for name in (*param.opts, *param.secondary_opts)]
        return f"{wrong_option}: no such option{did_you_mean(wrong_option, options)}"
    message = error.message.removesuffix(".")
    if found := re.fullmatch(r"Got unexpected extra arguments? ?\(?s?\)? ?\((.*)\)", message):
        return f"{quoted(found[1])} is too much: all arguments of the command are there already"
    for ending, ours in _ENDINGS.items():
        if wrong_option and message.endswith(ending):
            return f"{wrong_option}: {ours}"
    param = getattr(error, "param", None)
    if param is None:
        return f"{wrong_option}: {message}" if wrong_option and wrong_option not in message else message
    name = param.get_error_hint().replace("'", "")
    if hasattr(error, "param_type"):
        return f"{name} is missing"
    if hasattr(error.__context__, "errors"):  # of pydantic
        from adaptwin.spec import Spec, what_is_wrong

        return f"{name}: {what_is_wrong(error.__context__.errors()[0], Spec).removesuffix('.')}"
    return f"{name}: {message}"


def naming_option(error: SpecError, command: Any, words: Sequence[str]) -> str:
    """Return the message of an error, with the option in place of the field that it set in the functions of Python.

    Args:
        error: An error of the command.
        command: The command that was called, as typer has it.
        words: The arguments after the name of the command.
    """
    section, _, field = error.field.rpartition(".")
    if error.file is None and re.fullmatch(r"[A-Z][a-z]\w*", error.field):  # what is wrong with a value as a whole
        kind, _, rest = error.message.partition(": ")
        return f"{_OF_CONSTRAINTS[kind]}: {rest}" if kind in _OF_CONSTRAINTS else error.message
    if error.file is not None or section not in _SECTIONS or not re.fullmatch(r"\w+", field):
        return str(error)
    if isinstance(command, TyperGroup):
        command = command.commands.get(next((word for word in words if word in command.commands), ""))
    options = {param.name: param.opts[0] for param in getattr(command, "params", ()) if param.opts[0].startswith("--")}
    name = next((name for name in (field, field.removesuffix("s"), field.removesuffix("ned")) if name in options), None)
    return f"{options[name]}: {error.message}" if name else str(error)
