"""adaptwin: the program. Commands are loaded when they are called, so that none waits for another's imports."""

import importlib
import importlib.metadata
import os
import sys
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from adaptwin.cli.help import examples
from adaptwin.errors import AdaptwinError

USAGE_ERROR = 2  # typer's exit code for a wrong call; ours for wrong input is 1
WRONG_INPUT = 1


class Command(NamedTuple):
    """The module and the function of a command (or its group of commands), and what it does in one line."""

    module: str
    function: str
    help: str


COMMANDS = {  # in the order in which people need them
    "plan": Command("plan", "plan_command", "Find the fewest GPUs that serve a fleet, and verify the plan."),
    "simulate": Command("simulate", "simulate_command", "Simulate one vLLM server under a fleet's traffic."),
    "verify": Command("verify", "verify_command", "Simulate a plan again with fresh arrivals."),
    "explain": Command("explain", "explain_command", "Say what limits each GPU of a plan, and what would save one."),
    "replan": Command("replan", "replan_command", "Adapt a running plan to a changed fleet, and list the steps."),
    "export": Command("export", "export_command", "Write the configuration that runs a plan on a serving stack."),
    "workload": Command(
        "workload", "workload_commands", "Make a fleet file from a trace or PEFT folders, or a synthetic one."
    ),
    "profiles": Command("profiles", "profiles_command", "List the shipped profiles, with their measured errors."),
    "fit": Command("fit", "fit_command", "Fit a profile to measurements of your own server."),
    "compare": Command("compare", "compare_command", "Compare a simulated run with a measured one."),
    "sweep": Command("sweep", "sweep_command", "Simulate many servers and workloads, to train a surrogate on."),
    "train": Command("train", "train_command", "Train a surrogate on the runs of a sweep."),
}
EXAMPLES = examples(
    "adaptwin workload synth --adapters 200 --rate 40 --ranks 8,16 --out fleet.yaml",
    "adaptwin plan fleet.yaml --profile h100-64gb-llama-3.1-8b-instruct --out plan.yaml",
    "adaptwin export plan.yaml --to vllm",
)


class LazyGroup(TyperGroup):
    """A group that imports the module of a command only to run it, or to show its own help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=command.help) for name, command in COMMANDS.items()}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's signature)
        """All commands, in the order in which people need them."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, loaded; a name that is nearly right is suggested."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


def load_command(name: str) -> Any:
    """Return a command, or group of commands, with its options and its examples."""
    module, function, help_text = COMMANDS[name]
    loaded_module = importlib.import_module(f"adaptwin.cli.{module}")
    found = getattr(loaded_module, function)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode="rich")
        single.command(epilog=loaded_module.EXAMPLES)(found)
        found = single
    loaded = typer.main.get_command(found)
    loaded.name, loaded.short_help = name, help_text
    return loaded


program = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, epilog=EXAMPLES
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
