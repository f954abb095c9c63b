"""COMMANDS: every command, in the order in which people need them, with what it does and examples of its use."""

import importlib
import inspect
from typing import Any, NamedTuple

import typer

from adaptwin.cli.help import example_lines, without_types
from adaptwin.cli.wrong_call import OnceEach


class Command(NamedTuple):
    """Where a command (or group of commands) is, what it does in one line, and examples."""

    module: str
    function: str
    help: str
    examples: tuple[str, ...]


HELP_OPTIONS = ["-h", "--help"]

COMMANDS = {
    "plan": Command(
        "plan",
        "plan_command",
        "Find the fewest GPUs that serve a fleet, and verify the plan.",
        (
            "adaptwin plan fleet.yaml --out plan.yaml --report plan.html",
            "adaptwin plan adapters.csv --profile h100-64gb-llama-3.1-8b-instruct",
            "adaptwin plan adapters.csv --gpu l40s --model Qwen/Qwen2.5-7B-Instruct",
            "adaptwin plan fleet.yaml --headroom 20% --spare 1",
            "adaptwin plan fleet.yaml --objective slo --ttft-p99 2s --itl-p99 50ms",
            "adaptwin plan fleet.yaml --objective min-latency --gpus 4",
            "adaptwin plan fleet.yaml --rates-over-time rates.csv --schedule --out day",
        ),
    ),
    "simulate": Command(
        "simulate",
        "simulate_command",
        "Simulate one vLLM server under a fleet's traffic.",
        (
            "adaptwin simulate fleet.yaml --max-loras 48 --max-cpu-loras 201",
            "adaptwin simulate fleet.yaml --max-loras 16 --duration 600 --repeats 5",
        ),
    ),
    "verify": Command(
        "verify",
        "verify_command",
        "Simulate a plan again with fresh arrivals.",
        (
            "adaptwin verify plan.yaml --seed 7",
            "adaptwin verify plan.yaml --arrivals gamma:cv=3",
            "adaptwin verify plan.yaml --stress",
        ),
    ),
    "report": Command(
        "report",
        "report_command",
        "Write a page about a plan: is it safe, what does it cost, what if traffic grows.",
        ("adaptwin report plan.yaml", "adaptwin report plan.yaml --out page.html --more-traffic 1.5,2,3"),
    ),
    "serve": Command(
        "serve",
        "serve_command",
        "Serve a web page for planning, with a JSON API.",
        ("adaptwin serve", "adaptwin serve --host 0.0.0.0 --port 8080 --workers 2"),
    ),
    "explain": Command(
        "explain",
        "explain_command",
        "Say what limits each GPU of a plan, and what would save one.",
        ("adaptwin explain plan.yaml", "adaptwin explain plan.yaml --rank 64 --rate 0.5 --gpu gpu-0"),
    ),
    "replan": Command(
        "replan",
        "replan_command",
        "Adapt a running plan to a changed fleet, and list the steps.",
        (
            "adaptwin replan plan.yaml new-fleet.yaml --out new-plan.yaml",
            "adaptwin replan plan.yaml new-fleet.yaml --move-cost 0.001",
        ),
    ),
    "export": Command(
        "export",
        "export_command",
        "Write the configuration that runs a plan on a serving stack.",
        (
            "adaptwin export plan.yaml --to vllm --out serve.sh",
            "adaptwin export plan.yaml --to kserve --out manifests/",
        ),
    ),
    "workload": Command(
        "workload",
        "workload_commands",
        "Make a fleet file from a log, a trace or PEFT folders.",
        (
            "adaptwin workload from-log log.jsonl --rank 16 --base-model llama --out f.yaml",
            "adaptwin workload from-trace azure.csv --adapters 99 --ranks 8 --out f.yaml",
            "adaptwin workload from-peft adapters/ --rate 0.1 --out fleet.yaml",
            "adaptwin workload synth --adapters 200 --rate 40 --ranks 8 --out fleet.yaml",
        ),
    ),
    "profiles": Command(
        "profiles",
        "profiles_command",
        "List measured profiles, and GPUs and models to derive others for.",
        ("adaptwin profiles", "adaptwin profiles --gpus", "adaptwin profiles --models --json"),
    ),
    "derive": Command(
        "derive",
        "derive_command",
        "Derive a profile from the data sheet of a GPU and a model's shapes.",
        (
            "adaptwin derive --gpu l40s --model Qwen2.5-7B-Instruct --out l40s.yaml",
            "adaptwin derive --gpu h100-sxm --model my-model/config.json --price 2.5",
        ),
    ),
    "fit": Command(
        "fit",
        "fit_command",
        "Fit a profile to measurements of your own server, or to files that you have of it.",
        (
            "adaptwin fit measurements/ --out my-gpu.yaml",
            "adaptwin fit vllm.log idle.json --gpu l40s --out my-gpu.yaml",
            "adaptwin plan fleet.yaml --profile my-gpu.yaml",
        ),
    ),
    "measure": Command(
        "measure",
        "measure_command",
        "Time a running server, for 'adaptwin fit'.",
        (
            "adaptwin measure http://localhost:8000 --gpu l40s --out measured/",
            "adaptwin measure http://localhost:8000 --gpu l40s --idle --out measured/",
            "adaptwin fit measured/ --out my-gpu.yaml",
        ),
    ),
    "apply": Command(
        "apply",
        "apply_command",
        "Bring running servers to a plan, with no adapter ever unserved.",
        (
            "adaptwin apply plan.yaml --servers servers.yaml --routes routes.yaml --dry-run",
            "adaptwin apply plan.yaml --servers servers.yaml --routes routes.yaml",
        ),
    ),
    "watch": Command(
        "watch",
        "watch_command",
        "Watch a running fleet: does its plan hold for the next hour?",
        (
            "adaptwin watch --plan p.yaml --servers s.yaml --router http://litellm:4000",
            "adaptwin watch --plan p.yaml --servers s.yaml --apply --routes routes.yaml",
            "adaptwin watch --plan plan.yaml --simulate rates.csv --report day.html",
        ),
    ),
    "replay": Command(
        "replay",
        "replay_command",
        "Send a fleet's traffic to running servers, and report what they did.",
        (
            "adaptwin replay fleet.yaml --url http://localhost:8000 --out replay.json",
            "adaptwin replay plan.yaml --url gpu-0=http://a:8000 --url gpu-1=http://b:8000",
            "adaptwin replay fleet.yaml --url http://localhost:8000 --prompts prompts.jsonl",
        ),
    ),
    "diagnose": Command(
        "diagnose",
        "diagnose_command",
        "Say what binds running servers, and which one change ends it.",
        (
            "adaptwin diagnose http://localhost:8000",
            "adaptwin diagnose gpu-0=http://a:8000 gpu-1=http://b:8000 --plan plan.yaml",
            "adaptwin diagnose http://prometheus:9090 --plan plan.yaml --watch 5m",
        ),
    ),
    "compare": Command(
        "compare",
        "compare_command",
        "Compare the twin with what was measured.",
        (
            "adaptwin compare run.json measured.json",
            "adaptwin compare my-gpu.yaml monday.json tuesday.json --report compare.html",
            "adaptwin compare plan.yaml replay.json",
        ),
    ),
    "sweep": Command(
        "sweep",
        "sweep_command",
        "Simulate many servers and workloads, to train a surrogate on.",
        (
            "adaptwin sweep planning --out runs --mixes 50",
            "adaptwin sweep design.yaml --out runs --profile my-gpu.yaml",
        ),
    ),
    "train": Command(
        "train",
        "train_command",
        "Train a surrogate on the runs of a sweep.",
        (
            "adaptwin train runs --out surrogate.json --report training.html",
            "adaptwin train surrogate.json --explain --output ttft_p99",
            "adaptwin plan fleet.yaml --surrogate surrogate.json",
        ),
    ),
    "doctor": Command(
        "doctor",
        "doctor_command",
        "Check this installation, and say what the twin does not model.",
        ("adaptwin doctor", "adaptwin doctor --json --skip-self-test"),
    ),
}


def load_command(name: str) -> Any:
    """Return a command, or group of commands, with its options and its examples."""
    command = COMMANDS[name]
    found = getattr(importlib.import_module(f"adaptwin.cli.{command.module}"), command.function)
    epilog = example_lines(*command.examples)
    if isinstance(found, typer.Typer):
        loaded = typer.main.get_command(found)
        loaded.epilog = epilog
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode="rich")
        single.command(cls=OnceEach, epilog=epilog)(found)
        loaded = typer.main.get_command(single)
    for each in (loaded, *getattr(loaded, "commands", {}).values()):
        each.help = _unwrapped(each.help)
        each.context_settings["help_option_names"] = HELP_OPTIONS
        without_types(each)
    loaded.name, loaded.short_help = name, command.help
    return loaded


def _unwrapped(text: str | None) -> str:
    """The paragraphs of a docstring, each in one line: typer keeps line breaks, which are those of the source."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text or "").split("\n\n"))
