"""adaptwin: the program. Commands are loaded when they are called, so that none waits for another's imports."""

import importlib
import importlib.metadata
import os
import sys
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from adaptwin.errors import AdaptwinError

USAGE_ERROR = 2  # typer's exit code for a wrong call; ours for wrong input is 1
WRONG_INPUT = 1


class Command(NamedTuple):
    """The module and the function of a command (or its group of commands), and what it does in one line."""

    module: str
    function: str
    help: str


COMMANDS = {
    "plan": Command("plan", "plan_command", "Find the fewest GPUs that serve a fleet, and verify the plan."),
    "simulate": Command("simulate", "simulate_command", "Simulate one vLLM server under a fleet's traffic."),
    "verify": Command("verify", "verify_command", "Play a plan again with fresh arrivals, one run per GPU."),
    "explain": Command(
        "explain", "explain_command", "Why a plan is as it is, what it could still take, and what would save a GPU."
    ),
    "replan": Command(
        "replan", "replan_command", "Change a running plan as little as a new fleet allows, and list the steps."
    ),
    "export": Command("export", "export_command", "Write a plan in the words of a serving stack."),
    "workload": Command(
        "workload", "workload_commands", "Make a fleet file: from a trace, from PEFT folders, or synthetic."
    ),
    "fit": Command("fit", "fit_command", "Fit a profile to a folder of measurements."),
    "compare": Command("compare", "compare_command", "Show a simulated run beside a measured one."),
    "sweep": Command("sweep", "sweep_command", "Play a design of servers and traffic, as data to learn from."),
    "train": Command("train", "train_command", "Train predictors on the runs of a sweep, and distil small ones."),
    "profiles": Command("profiles", "profiles_command", "List the shipped profiles, with their measured errors."),
}


class LazyGroup(TyperGroup):
    """A group that imports the module of a command only to run it, or to show its own help."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's signature)
        """All commands, in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command with its help in one line, for the list of commands; None when there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name].help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _loaded(name) if name in COMMANDS else command, rest


def _loaded(name: str) -> Any:
    module, function, help_text = COMMANDS[name]
    found = getattr(importlib.import_module(f"adaptwin.cli.{module}"), function)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command()(found)
        found = single
    loaded = typer.main.get_command(found)
    loaded.name, loaded.short_help = name, help_text
    return loaded


program = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


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
    """Plan multi-LoRA serving with vLLM: which adapters on which GPU, with which settings."""


def main() -> None:
    """Run the program; exit code 0 done, 1 wrong input, 2 infeasible, 3 failed verification."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the program with these arguments and return its exit code."""
    try:
        program(args=arguments, prog_name="adaptwin")
    except SystemExit as end:
        return WRONG_INPUT if end.code == USAGE_ERROR else int(end.code or 0)
    except AdaptwinError as error:
        print(f"adaptwin: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone, as in `adaptwin plan ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
