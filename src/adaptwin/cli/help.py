"""Help texts: defaults that typer cannot tell, examples, and no types beside flags and arguments."""

from typing import Any

import typer


def default_note(default: object) -> str:
    """Return a default as the help shows it; typer cannot tell defaults that come from a file."""
    return f"[dim]\\[default: {default}][/dim]"


def example_lines(*commands: str) -> str:
    """Return the end of a help text: example commands, one per line."""
    return "[bold]Examples[/bold]\n" + "\n".join(f"  {command}" for command in commands)


def without_types(command: Any) -> None:
    """Let the help of a command show no type such as ``<bool>`` beside its flags, and none beside its arguments."""
    own_help = command.get_help_option(typer.Context(command))
    for param in (*command.params, *([own_help] if own_help else [])):
        if getattr(param, "is_flag", False):
            param.metavar = ""
        elif not param.opts[0].startswith("-"):
            param.display_type_rich = lambda ctx: None  # noqa: ARG005 (typer's method, of which this is all)
