"""Help: every option is described, defaults are stated, examples are calls that the program understands."""

import shlex

import click
import pytest

from adaptwin.cli.commands import COMMANDS, load_command
from adaptwin.cli.main import FIRST_STEPS
from adaptwin.placement.objectives.registry import OBJECTIVES
from adaptwin.placement.strategies.registry import STRATEGIES

WIDTH = 78  # columns of an 80-column terminal that a help text has
WITHOUT_DEFAULT = {  # options that are not given have no value, rather than a default
    *("out", "report", "gpus", "pin", "apart", "together", "profile", "address"),
    *("gpu", "model", "price_per_hour"),
    *("rate", "rates", "rank", "ranks_from", "input_mean", "output_mean"),
}


def commands():
    """Every command that can be run, by what is typed."""
    for name in COMMANDS:
        command = load_command(name)
        inner = getattr(command, "commands", None)
        yield from ((f"{name} {sub}", found) for sub, found in inner.items()) if inner else ((name, command),)


ALL = dict(commands())
EXAMPLES = {  # those of the table of commands, of the program and of the commands of a group
    *(example for command in COMMANDS.values() for example in command.examples),
    *(line.strip() for command in ALL.values() for line in command.epilog.splitlines()[1:]),
    *FIRST_STEPS,
}


def options_of(command):
    return [param for param in command.params if param.name != "help"]


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_described_in_a_sentence(name):
    for option in options_of(ALL[name]):
        assert option.help, option.name
        assert option.help[0].isupper(), option.help
        assert option.help.rstrip("]/dim[").rstrip().endswith((".", "]", ":")) or "default" in option.help, option.help


@pytest.mark.parametrize("name", ALL)
def test_every_option_states_its_default(name):
    for option in options_of(ALL[name]):
        if option.required or option.name in WITHOUT_DEFAULT or getattr(option, "is_flag", False):
            continue
        assert option.default is not None or option.show_default is not True or "default:" in option.help, option.name


@pytest.mark.parametrize("example", sorted(EXAMPLES))
def test_every_example_is_understood_and_fits_a_line(example, understood):
    assert len(example) <= WIDTH
    program_name, *words = shlex.split(example)
    assert program_name == "adaptwin"
    understood(words)


def test_examples_of_unknown_options_would_be_noticed():
    command = load_command("plan")
    with pytest.raises(Exception, match="No such option"):
        command.make_context("plan", ["fleet.yaml", "--no-such-option"])


@pytest.mark.parametrize("name", ["", *ALL])
def test_help_shows_examples_in_80_columns(adaptwin, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    done = adaptwin(*name.split(), "--help")
    assert done.code == 0
    assert "Examples\n" in click.unstyle(done.out).replace(" \n", "\n").replace("  ", "")
    assert max(len(line) for line in click.unstyle(done.out).splitlines()) <= 80


@pytest.mark.parametrize("name", ["", *ALL])
def test_help_shows_no_type_beside_flags_and_arguments(adaptwin, name):
    shown = adaptwin(*name.split(), "--help").out
    assert not {"<bool>", "<path>", "<list[Path]>", "<str>"} & set(shown.split())


def test_names_and_defaults_of_objectives_and_strategies_are_listed(adaptwin):
    said = " ".join(click.unstyle(adaptwin("plan", "--help").out).replace("│", " ").split())
    assert f"One of {', '.join(OBJECTIVES)}. [default: the fleet's, or min-gpus]" in said
    assert f"One of {', '.join(STRATEGIES)}. [default: the fleet's, or pack]" in said


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("pln",), "did you mean plan?"),
        (("help",), "did you mean --help?"),
        (("plan", "fleet.yaml", "--stratgy", "pack"), "did you mean --strategy?"),
        (("plan", "fleet.yaml", "--pin", "a0=gpuu"), "did you mean gpu-0?"),
        (("workload", "from-trac"), "did you mean from-trace?"),
        (("plan", "fleet.yaml", "--head-room", "1%"), "--headroom"),
        (("plan", "fleet.yaml", "--objective", "min_gpus"), "did you mean min-gpus?"),
        (("plan", "fleet.yaml", "--strategy", "pakc"), "did you mean pack?"),
        (("plan", "fleet.yaml", "--pin", "basis=gpu-0"), "did you mean base?"),
        (("plan", "fleet.yaml", "--profile", "h100-64gb-llama"), "did you mean h100-64gb-llama-3.1-8b-instruct?"),
        (("plan", "fleet.yaml", "--profile", "h100-llama"), "did you mean h100-64gb-llama-3.1-8b-instruct?"),
        (("plan", "fleet.yaml", "--objective", "min-gpu"), "did you mean min-gpus?"),
        (("plan", "fleet.yaml", "--pin", "a0=gpu-O"), "did you mean gpu-0?"),
        (("plan", "fleet.yaml", "--pin", "a0=GPU1"), "did you mean gpu-1?"),
        (("sweep", "planing", "--out", "runs"), "did you mean planning?"),
    ],
)
def test_what_is_nearly_right_is_suggested(adaptwin, words, meant):
    done = adaptwin(*words)
    assert done.code == 1
    assert meant in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("ex", "explain export"),
        ("plan --obj", "--objective"),
        ("plan --objective min-l", "min-latency"),
        ("plan --strategy pap", "paper_greedy"),
        ("plan --profile h100-64gb-q", "h100-64gb-qwen-2.5-7b-instruct"),
        ("plan --gpu l40", "l40s"),
        ("simulate --model Qwen/Qwen3-14B-", "Qwen/Qwen3-14B-Base"),
        ("derive --gpu h2", "h200"),
        ("export --to v", "vllm"),
        ("workload from-p", "from-peft"),
    ],
)
def test_the_shell_completes_commands_options_and_names(adaptwin, monkeypatch, typed, completed):
    monkeypatch.setenv("_ADAPTWIN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"adaptwin {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split())))
    assert adaptwin().out.split() == completed.split()
