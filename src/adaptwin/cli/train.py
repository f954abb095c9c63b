"""adaptwin train: a folder of twin runs -> Surrogate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import AsJson, OutFile, ReportFile
from adaptwin.cli.printing import show, show_json
from adaptwin.errors import SpecError, not_one_of
from adaptwin.file_kinds import RUNS, recognised
from adaptwin.surrogate.training_folds import TRAINING_FOLDS
from adaptwin.writable import require_writable

if TYPE_CHECKING:
    from adaptwin.dataset.dataset import Dataset
    from adaptwin.surrogate.surrogate import Surrogate

DEFAULT_OUTPUTS = ("starvation", "itl_mean")


def train_command(
    runs: Annotated[
        str,
        typer.Argument(
            metavar="RUNS", help="Folder of runs from 'adaptwin sweep'; with --explain also a surrogate file."
        ),
    ],
    out: OutFile = None,
    report: ReportFile = None,
    as_json: AsJson = False,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Profile whose surrogate is written to --out; needed if the runs have several profiles.",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the rules of the small models, most frequent first.")
    ] = False,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="NAME",
            help="Output that --explain prints, such as ttft_p99; an unknown name lists them all. May be repeated. "
            + default_note(" and ".join(DEFAULT_OUTPUTS)),
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(min=2, metavar="N", help="Number of parts into which the mixes are split; each is held out once."),
    ] = TRAINING_FOLDS,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the parts and the models.")] = 0,
) -> None:
    """Train large models on runs of the twin, distil small ones, and score both on mixes that were held out."""
    from adaptwin.cli.progress import progress_bar
    from adaptwin.dataset.dataset import Dataset
    from adaptwin.report.training.page import write_training_report
    from adaptwin.report.training.table import training_table
    from adaptwin.surrogate.findings import find
    from adaptwin.surrogate.surrogate import load_surrogate
    from adaptwin.surrogate.train import train

    require_writable(out, report, inputs=[runs, *Path(runs).glob("*")])
    wanted = _known_outputs(output)
    if not Path(runs).is_dir():
        if not explain:
            raise recognised(SpecError("no such folder of runs", file=runs), runs, RUNS)
        _print_rules(load_surrogate(runs), wanted)
        return
    dataset = Dataset.read(runs)
    if out or explain:
        profile = _chosen(dataset, profile)
    with progress_bar() as progress:
        training = train(dataset, folds=folds, seed=seed, progress=progress)
        findings = find(training, progress=progress)
    if out:
        training.surrogates[str(profile)].write(out)
    if report:
        write_training_report(findings, training.surrogates, report)
    if as_json:
        show_json({name: surrogate.scores for name, surrogate in training.surrogates.items()})
    else:
        show(training_table(findings, training.surrogates))
    if explain:
        _print_rules(training.surrogates[str(profile)], wanted)


def _known_outputs(output: list[str] | None) -> list[str]:
    from adaptwin.surrogate.outputs import NAMES

    for name in output or ():
        if name not in NAMES:
            raise SpecError(not_one_of(name, NAMES), "output")
    return output or list(DEFAULT_OUTPUTS)


def _chosen(dataset: "Dataset", profile: str | None) -> str:
    """The profile that was asked for, or the only one there is."""
    names = dataset.rows["profile"].unique().sort().to_list()
    if profile is None and len(names) > 1:
        raise SpecError(f"name the profile whose surrogate is wanted: {', '.join(names)}", "profile")
    if profile is not None and profile not in names:
        raise SpecError(not_one_of(profile, names), "profile")
    return profile or str(names[0])


def _print_rules(surrogate: "Surrogate", outputs: list[str]) -> None:
    from adaptwin.report.training.rules import rules_text

    for name in outputs:
        show(rules_text(surrogate, name))
