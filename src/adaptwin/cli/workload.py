"""adaptwin workload: fleet files from request logs, metrics and traces, from PEFT folders, or synthetic."""

from typing import Any

import typer
from typer.core import TyperGroup

from adaptwin.cli.workload_from_log import LOG_EXAMPLES, from_log
from adaptwin.cli.workload_from_metrics import METRICS_EXAMPLES, from_metrics
from adaptwin.cli.workload_from_peft import PEFT_EXAMPLES, from_peft
from adaptwin.cli.workload_from_trace import TRACE_EXAMPLES, from_trace
from adaptwin.cli.workload_synth import SYNTH_EXAMPLES, synth
from adaptwin.cli.wrong_call import OnceEach, WrongCallError
from adaptwin.errors import not_one_of


class WorkloadGroup(TyperGroup):
    """The sub-commands, of which one that is nearly right is suggested."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The sub-command that the arguments name."""
        if args[0] not in self.commands:
            raise WrongCallError(f"{not_one_of(args[0], self.commands)}; see {ctx.command_path} --help")
        return super().resolve_command(ctx, args)


workload_commands = typer.Typer(
    cls=WorkloadGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Make a fleet file from a log, metrics, a trace or PEFT folders, or a synthetic one.",
)
workload_commands.command(cls=OnceEach, epilog=TRACE_EXAMPLES)(from_trace)
workload_commands.command(cls=OnceEach, epilog=LOG_EXAMPLES)(from_log)
workload_commands.command(cls=OnceEach, epilog=METRICS_EXAMPLES)(from_metrics)
workload_commands.command(cls=OnceEach, epilog=SYNTH_EXAMPLES)(synth)
workload_commands.command(cls=OnceEach, epilog=PEFT_EXAMPLES)(from_peft)
