"""adaptwin: the program. Commands are loaded when they are called, so that none waits for another's imports."""

import importlib
import importlib.metadata
import os
import sys
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from adaptwin.errors import AdaptwinError

USAGE_ERROR = 2  # typer's exit code for a wrong call; ours for wrong input is 1
WRONG_INPUT = 1


class Command(NamedTuple):
    """Where a command lives, and what it does in one line."""

    module: str
    help: str


COMMANDS = {
    "plan": Command("plan", "Find the fewest GPUs that serve a fleet, and verify the plan."),
    "simulate": Command("simulate", "Simulate one vLLM server under a fleet's traffic."),
    "verify": Command("verify", "Play a plan again with fresh arrivals, one run per GPU."),
    "explain": Command("explain", "Why a plan is as it is, what it could still take, and what would save a GPU."),
    "replan": Command("replan", "Change a running plan as little as a new fleet allows, and list the steps."),
    "export": Command("export", "Write a plan in the words of a serving stack."),
    "workload": Command("workload", "Make a fleet file: from a trace, from PEFT folders, or synthetic."),
    "fit": Command("fit", "Fit a profile to a folder of measurements."),
    "compare": Command("compare", "Show a simulated run beside a measured one."),
    "sweep": Command("sweep", "Play a design of servers and traffic, as data to learn from."),
    "train": Command("train", "Train predictors on the runs of a sweep, and distil small ones."),
    "profiles": Command("profiles", "List the shipped profiles, and how true they are."),
}


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's signature)
        """All commands, in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command, loaded; None when there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        command = COMMANDS[cmd_name]
        loaded = typer.main.get_command(importlib.import_module(f"adaptwin.cli.{command.module}").app)
        loaded.name, loaded.short_help = cmd_name, command.help
        return loaded


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def print_version(wanted: bool) -> None:
    """Print the installed version and exit, if that is wanted."""
    if wanted:
        print(importlib.metadata.version("adaptwin"))
        raise typer.Exit


@app.callback()
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
        app(args=arguments, prog_name="adaptwin")
    except SystemExit as end:
        return WRONG_INPUT if end.code == USAGE_ERROR else int(end.code or 0)
    except AdaptwinError as error:
        print(f"adaptwin: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has gone, as in `adaptwin plan ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
