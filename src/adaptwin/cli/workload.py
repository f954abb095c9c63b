"""adaptwin workload: fleet files from request logs, metrics and traces, from PEFT folders, or synthetic."""

import typer

from adaptwin.cli.workload_from_log import LOG_EXAMPLES, from_log
from adaptwin.cli.workload_from_metrics import METRICS_EXAMPLES, from_metrics
from adaptwin.cli.workload_from_peft import PEFT_EXAMPLES, from_peft
from adaptwin.cli.workload_from_trace import TRACE_EXAMPLES, from_trace
from adaptwin.cli.workload_synth import SYNTH_EXAMPLES, synth

workload_commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Make a fleet file from a log, metrics, a trace or PEFT folders, or a synthetic one.",
)
workload_commands.command(epilog=TRACE_EXAMPLES)(from_trace)
workload_commands.command(epilog=LOG_EXAMPLES)(from_log)
workload_commands.command(epilog=METRICS_EXAMPLES)(from_metrics)
workload_commands.command(epilog=SYNTH_EXAMPLES)(synth)
workload_commands.command(epilog=PEFT_EXAMPLES)(from_peft)
