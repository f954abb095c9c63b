"""Wrong calls: what typer and the functions behind the commands say of arguments, in one line that names the option."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from adaptwin.errors import AdaptwinError, SpecError, did_you_mean
from adaptwin.visible import quoted

USAGE_ERROR: Any = typer.BadParameter.__base__  # what typer raises for any wrong call
_NOT_PARSED = {  # pydantic's types of errors, in words
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "int_parsing_size": "is too large",
    "float_parsing": "is not a number",
}
_SECTIONS = ("", "constraints", "planning", "server", "Workload")  # of a field that an option may set


class WrongCall(AdaptwinError):
    """The arguments are not those of the command."""


@contextmanager
def in_one_line() -> Iterator[None]:
    """Raise what typer says of the arguments as a `WrongCall`, which names the option and where help is."""
    try:
        yield
    except USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
            raise
        path = error.ctx.command_path if error.ctx else "adaptwin"
        raise WrongCall(f"{_said(error)}; see {path} --help") from None


def _said(error: Any) -> str:
    """Return what is wrong, as other messages say it."""
    wrong_option = getattr(error, "option_name", None)
    if hasattr(error, "possibilities"):
        options = [name for param in error.ctx.command.params for name in (*param.opts, *param.secondary_opts)]
        return f"{wrong_option}: no such option{did_you_mean(wrong_option, options)}"
    message = error.message.removesuffix(".")
    param = getattr(error, "param", None)
    if param is None:
        return f"{wrong_option}: {message}" if wrong_option and wrong_option not in message else message
    name = param.get_error_hint().replace("'", "")
    if hasattr(error, "param_type"):
        return f"{name} is missing"
    if hasattr(error.__context__, "errors"):  # of pydantic
        return f"{name}: {_said_of_value(error.__context__.errors()[0])}"
    return f"{name}: {message}"


def _said_of_value(problem: Any) -> str:
    kind, value = problem["type"], problem["input"]
    if kind in _NOT_PARSED:
        return f"{quoted(value)} {_NOT_PARSED[kind]}"
    if kind == "greater_than_equal":
        return f"{value} must be at least {problem['ctx']['ge']:g}"
    return str(problem["msg"]).removeprefix("Value error, ").removesuffix(".")


def naming_option(error: SpecError, command: Any, words: Sequence[str]) -> str:
    """Return the message of an error, with the option in place of the field that it set in the functions of Python.

    Args:
        error: An error of the command.
        command: The command that was called, as typer has it.
        words: The arguments after the name of the command.
    """
    section, _, field = error.field.rpartition(".")
    if error.file is not None or section not in _SECTIONS or not re.fullmatch(r"\w+", field):
        return str(error)
    if isinstance(command, TyperGroup):
        command = command.commands.get(next((word for word in words if word in command.commands), ""))
    options = {param.name: param.opts[0] for param in getattr(command, "params", ()) if param.opts[0].startswith("--")}
    name = next((name for name in (field, field.removesuffix("s"), field.removesuffix("ned")) if name in options), None)
    return f"{options[name]}: {error.message}" if name else str(error)
