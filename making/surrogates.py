"""Make the shipped surrogates: sweep, train, ship, and write docs/measured/surrogate.md.

    make surrogates                                                # everything: about an hour on two cores
    PYTHONPATH=benchmarks python making/surrogates.py --no-ship    # only the page, with surrogates trained anew
    PYTHONPATH=benchmarks python making/surrogates.py --mixes 1200 --no-ship --no-page    # a quick look, in minutes

The sections on real servers and on traffic outside the training mixes need the measurements beside the project, and are
left out without them.
"""

import argparse
import math
import pickle
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import polars as pl
from rich.console import Console

import learners
import other_families
from adaptwin import (
    Plan,
    Profile,
    Run,
    Server,
    Surrogate,
    Workload,
    derive_profile,
    load_design,
    load_profile,
    make_plan,
    shipped_profiles,
    sweep,
)
from adaptwin.arrays import Array
from adaptwin.calibration.compare import compare
from adaptwin.cli.progress import progress_bar
from adaptwin.report.training.page import write_training_report
from adaptwin.report.training.table import training_table
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on
from adaptwin.surrogate.features import Features, features_of
from adaptwin.surrogate.findings import Findings, ScoreLine, find
from adaptwin.surrogate.model_tree import evaluate, plant
from adaptwin.surrogate.outputs import NAMES, OUTPUTS, figures_of
from adaptwin.surrogate.region import clip_to
from adaptwin.surrogate.score import ScoreWithInterval, error, f1
from adaptwin.surrogate.surrogate import Prediction
from adaptwin.surrogate.teacher import Teacher
from adaptwin.surrogate.train import Training, train
from adaptwin.twin.simulate import Case, simulate_many
from adaptwin.workload.demand.traffic import sum_demands
from adaptwin.workload.sources.synthetic import synthesize
from derived_plans import derived_plans
from h100_runs import DATA, MODELS, PROJECT, measured_runs
from hardware_left_out import left_out
from measured_page import PAGES, cores, generated_by, paragraph, section
from unlike_laws import unlike_laws

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = PAGES / "surrogate.md"
SHIPPED = PROJECT / "src" / "adaptwin" / "surrogate" / "data"
SHORT = {name: model.rsplit("-", 1)[0].replace("-instruct", "") for model, name in MODELS.items()}
EACH = 150  # cases per family of traffic and profile
FLEETS = ((100, 20.0), (300, 60.0), (1000, 120.0))  # adapters, requests/s: plans whose twin runs are counted
PLANNED = (  # GPU and model of derived profiles for which plans are made
    ("l4", "Qwen2.5-7B-Instruct"),
    ("l4", "Llama-3.2-1B-Instruct"),
    ("rtx-4090", "Llama-3.2-1B-Instruct"),
    ("rtx-4090", "Qwen2.5-7B-Instruct"),
    ("l40s", "Qwen2.5-7B-Instruct"),
    ("a100-sxm-80gb", "Llama-3.1-8B-Instruct"),
    ("a100-sxm-80gb", "Qwen3-8B"),
    ("h100-sxm", "Llama-3.1-8B-Instruct"),
    ("h100-sxm", "Qwen3-14B"),
    ("h200", "Llama-3.1-8B-Instruct"),
    ("h200", "Qwen2.5-32B-Instruct"),
    ("b200", "Llama-3.1-8B-Instruct"),
    ("b200", "Qwen2.5-32B-Instruct"),
)
TIMED = 20_000  # rows in a timed batch
REPEATS = 7  # of every timing, of which the fastest counts

WHAT = """This page shows how accurate the predictions of the shipped surrogates are, against the twin and against real
servers, how fast they are, and how often a planner still runs the twin."""

HOW = """The training data are {runs:,} runs of the twin: {measured:,} on the measured profiles, the others on {derived}
profiles derived from data sheets. Large models are trained on them, and small models are distilled from the large ones;
the small models are shipped. [The surrogate](../explanation/surrogate.md) explains why.
For a surrogate of your own, see [how to train one](../how-to/train-a-surrogate.md). Errors are mean absolute percentage
errors unless a table says otherwise. An event counts as predicted where its probability is above one half.
Throughput is predicted as the served share of the offered tokens, so its error does not include the randomness of the
arrivals. The [glossary](../reference/glossary.md) explains the terms."""

END = generated_by(
    "surrogates",
    after="a change to the twin, the shipped profiles, the features or the training",
    note="The same command trains the shipped surrogates.",
)


def main() -> None:
    """Sweep, train, ship and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="folder of the sweep, completed first; by default one in results")
    parser.add_argument("--mixes", type=int, help="number of mixes to simulate; by default those of the design")
    parser.add_argument("--kept", action="store_true", help="take the models of the last call instead of training anew")
    parser.add_argument("--no-ship", action="store_true", help="do not replace the shipped surrogates")
    parser.add_argument("--no-page", action="store_true", help="do not write docs/measured/surrogate.md")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    runs = RESULTS / ("planning" if arguments.mixes is None else f"planning-{arguments.mixes}")
    training, findings = _trained(arguments.runs or runs, arguments.mixes, kept=arguments.kept)
    measured = {name: training.surrogates[name] for name in shipped_profiles()}
    shown = findings._replace(scores={name: findings.scores[name] for name in measured})
    Console().print(training_table(shown, measured))
    if not arguments.no_ship:
        for name, surrogate in measured.items():
            surrogate.write(SHIPPED / f"{name}.json")
    sections = [*_held_out(shown), _derived(training), _weakest(findings), left_out(training)]
    sections += [_unlike(training), _learners(training), *_beside_real(training)]
    sections += [_guard(training, findings), _plans(training), _speed(training), _cost()]
    print("\n\n".join(sections))
    if not arguments.no_page:
        write_training_report(shown, measured, RESULTS / "training.html")
        PAGE.write_text("\n\n".join([_head(training), *sections, END]) + "\n", encoding="utf-8")


def _trained(runs: Path, mixes: int | None, *, kept: bool) -> tuple[Training, Findings]:
    """Return a training on the sweep, of the whole design or of some mixes, and its findings; kept for a later call."""
    file = RESULTS / f"training-{runs.name}.pickle"
    if kept and file.exists():
        return pickle.loads(file.read_bytes())  # noqa: S301 (our own)
    design = load_design("planning")
    if mixes is not None:
        design = design.model_copy(update={"mixes": mixes})
    with progress_bar() as progress:
        dataset = sweep(design, runs, progress=progress)
        training = train(dataset, progress=progress)
        findings = find(training, progress=progress)
    file.write_bytes(pickle.dumps((training, findings)))
    return training, findings


def _head(training: Training) -> str:
    """Return title and introduction of the page."""
    of_measured = training.examples.rows["profile"].is_in(shipped_profiles())
    derived = len(training.surrogates) - len(shipped_profiles())
    how = HOW.format(runs=len(of_measured), measured=int(of_measured.sum()), derived=derived)
    return f"# Accuracy and speed of the surrogate\n\n{paragraph(WHAT)}\n\n{paragraph(how)}"


def _held_out(findings: Findings) -> list[str]:
    sections = []
    for name, lines in findings.scores.items():
        body = [[line.figure, _interval(line, line.teacher), _interval(line, line.distilled)] for line in lines]
        title = f"Accuracy on held-out runs, {SHORT.get(name, name)}"
        note = "" if sections else paragraph(HELD_OUT_NOTE)
        sections.append(section(title, ["figure", "large models", "distilled"], body, note))
    return sections


HELD_OUT_NOTE = """Every mix - adapters with their popularity, ranks and lengths, on a server - was predicted by models
that were trained on other mixes. Loads are drawn evenly, on a logarithmic scale, from nearly idle to 2.5 times what the
server can do; runs placed at the boundary of overload are left out. In brackets: where the figure would lie 95 times in
100 if other mixes had been drawn."""


def _interval(line: ScoreLine, score: ScoreWithInterval) -> str:
    unit = f" {line.unit}" if line.unit else ""
    digits = ".3f" if not line.unit else ".1f"
    value = f"{score.value:{digits}}{unit}"
    return value if math.isnan(score.low) else f"{value} ({score.low:{digits}} to {score.high:{digits}})"


def _weakest(findings: Findings) -> str:
    body = [
        [
            line.dimension,
            line.regime,
            f"{line.runs:,}",
            f"{line.throughput:.1f}",
            f"{line.itl:.1f}",
            f"{line.ttft:.0f}",
            f"{100 * line.overload_wrong:.1f}",
            f"{100 * line.overloaded:.0f}",
        ]
        for line in findings.regimes
    ]
    header = ["quantity", "range", "runs", "throughput", "mean ITL", "median TTFT", "overload wrong", "overloaded"]
    note = """Errors of the distilled models in per cent, on held-out mixes at drawn loads; that of TTFT is the median
    error. The last two columns are shares of the runs in per cent: those for which overload is predicted wrongly, and
    those that are overloaded."""
    return section("Where the surrogate is weak", header, body, paragraph(note))


def _derived(training: Training) -> str:
    """List the scores of the distilled and the large models on every derived profile."""
    body = []
    for name, scores in training.scores.items():
        if name not in shipped_profiles():
            small, large = scores["distilled"], scores["teacher"]
            row = [name, f"{small['runs']:,.0f}"]
            row += [
                f"{small[key]:.1f} / {large[key]:.1f}" for key in ("served_mean", "itl_mean_mean", "ttft_p50_median")
            ]
            row += [f"{small[key]:.3f} / {large[key]:.3f}" for key in ("starvation_f1", "overload_f1")]
            body.append(row)
    header = ["profile", "runs", "throughput", "mean ITL", "median TTFT", "starvation F1", "overload F1"]
    return section("Accuracy on held-out runs, derived profiles", header, sorted(body), paragraph(DERIVED_NOTE))


DERIVED_NOTE = """Errors of the distilled / the large models in per cent, and F1, on the derived profiles of the
training data: mixes were held out, hardware was not. The error of TTFT is the median error. These are errors against
the twin; those of the twin with derived profiles against real servers are on [another page](hardware.md)."""


def _unlike(training: Training) -> str:
    derived = [one.profile for name, one in training.surrogates.items() if name not in shipped_profiles()]
    with TemporaryDirectory(dir=RESULTS) as folder:
        return unlike_laws(next(iter(training.surrogates.values())), derived, Path(folder))


def _learners(training: Training) -> str:
    header, body = ["learner", "throughput", "mean ITL", "starvation F1"], learners.compared(training.examples)
    return section("Choice of learner and features", header, body, paragraph(LEARNERS_NOTE))


LEARNERS_NOTE = f"""Errors and F1 of learners trained on {learners.ROWS:,} runs of all profiles, with every fifth mix
held out. All learners but the last use the steady state's answer and, except for the first, correct it by the same
features. The last one has only the inputs of the paper's models: sum and spread of the rates, three figures of the
ranks, slots and adapters, but no lengths, bursts or server settings."""


class Asked(NamedTuple):
    """Cases, with the runs of the twin and the predictions for them."""

    cases: Sequence[other_families.Case]
    runs: Sequence[Run]
    again: Sequence[Run]  # with another seed, which shows how far two runs differ by chance alone
    distilled: list[Prediction]
    large: Array  # (cases, outputs)


def _beside_real(training: Training) -> list[str]:
    """Return the sections that need the measurements beside the project."""
    if not DATA.is_dir():
        print(f"sections on other traffic and on real servers are left out: no measurements in {DATA}")
        return []
    profiles = [training.surrogates[name].profile for name in shipped_profiles()]
    return [_other_families(_ask(training, list(other_families.cases(profiles, EACH)))), _real_runs(training)]


def _ask(training: Training, asked: list[other_families.Case]) -> Asked:
    runs, again = (
        simulate_many(Case(case.profile, case.server, case.workload, case.workload.seed + shift) for case in asked)
        for shift in (0, 1000)
    )
    chosen = [training.surrogates[case.profile.name] for case in asked]
    distilled = [s.predict(case.workload, case.server) for s, case in zip(chosen, asked, strict=True)]
    rows = [_seen(s, case.workload, case.server) for s, case in zip(chosen, asked, strict=True)]
    return Asked(asked, runs, again, distilled, _say(training.teacher, rows))


def _seen(surrogate: Surrogate, workload: Workload, server: Server) -> tuple[Array, Array]:
    """Return the features of a server, and the steady state's answers."""
    demand = sum_demands(demands_on(surrogate.profile, server, workload))
    return features_of(demand, server.limits(surrogate.profile), costs_of(surrogate.profile, server), workload.duration)


def _say(teacher: Teacher, seen: list[tuple[Array, Array]]) -> Array:
    """Predict with the large models, shape (rows, outputs)."""
    features, steady_answers = (np.array(column) for column in zip(*seen, strict=True))
    learned = np.column_stack([teacher.learned(output, features) for output in OUTPUTS])
    figures = figures_of(learned, steady_answers)
    return np.column_stack([figures[name] for name in NAMES])


def _other_families(asked: Asked) -> str:
    family = np.array([case.family for case in asked.cases])
    inside = np.array([prediction.inside for prediction in asked.distilled])
    everything = np.ones(len(family), np.bool_)
    body = [_family_row(asked, name, family == name) for name in dict.fromkeys(family.tolist())]
    body += [_family_row(asked, "all", everything), _family_row(asked, "all inside the region", inside)]
    body.append(_again_row(asked))
    header = ["traffic", "runs", "inside", "throughput", "mean ITL", "median TTFT", "starvation F1", "overload correct"]
    return section("Traffic outside the training mixes", header, body, paragraph(OTHER_NOTE))


OTHER_NOTE = """Errors in per cent, of the distilled / the large models, against one run of the twin per case; that of
TTFT is the median error. No training mix has ServeGen's production clients (each with its own rate, bursts and
lengths), the lengths of the Azure traces, lognormal popularities or requests of two kinds. "Inside" is the share of
cases inside the region of the training data, in per cent. Starvation is that of the server, as in the paper. The last
column is the share of cases for which overload, of the server or of an adapter on it, is predicted correctly. The last
row compares the twin with itself: it shows how far runs differ by chance."""


def _family_row(asked: Asked, name: str, chosen: Array) -> list[str]:
    index = np.flatnonzero(chosen)
    runs, small = [asked.runs[i] for i in index], [asked.distilled[i] for i in index]
    large = {output: asked.large[index, column] for column, output in enumerate(NAMES)}
    served = np.array([run.throughput / run.offered_throughput for run in runs])
    starved, overloaded = np.array([run.starved for run in runs]), np.array([run.worst != "ok" for run in runs])
    mixes = np.arange(len(runs))
    cells = [name, str(len(runs)), f"{100 * np.mean([prediction.inside for prediction in small]):.0f}"]
    for output, actual, middle in (
        ("served", served, np.nanmean),
        ("itl_mean", np.array([run.itl.mean for run in runs]), np.nanmean),
        ("ttft_p50", np.array([run.ttft.p50 for run in runs]), np.nanmedian),
    ):
        predictions = np.array([getattr(prediction, output) for prediction in small])
        cells.append(f"{middle(error(predictions, actual)):.1f} / {middle(error(large[output], actual)):.1f}")
    flags = [f1(p, starved, mixes).value for p in (np.array([g.starvation for g in small]), large["starvation"])]
    cells.append(f"{flags[0]:.3f} / {flags[1]:.3f}")
    right = [((p > 0.5) == overloaded).mean() for p in (np.array([g.overload for g in small]), large["overload"])]
    return [*cells, f"{100 * right[0]:.1f} / {100 * right[1]:.1f}"]


def _again_row(asked: Asked) -> list[str]:
    """Compare the twin with itself under another seed; no prediction of a single run can be much better than this."""
    first, second = asked.runs, asked.again
    served = [np.array([run.throughput / run.offered_throughput for run in runs]) for runs in (second, first)]
    itl = [np.array([run.itl.mean for run in runs]) for runs in (second, first)]
    ttft = [np.array([run.ttft.p50 for run in runs]) for runs in (second, first)]
    flag = f1(
        np.array([float(run.starved) for run in second]), np.array([r.starved for r in first]), np.arange(len(first))
    )
    right = np.mean([(a.worst != "ok") == (b.worst != "ok") for a, b in zip(first, second, strict=True)])
    cells = [f"{np.nanmean(error(*served)):.1f}", f"{np.nanmean(error(*itl)):.1f}", f"{np.nanmedian(error(*ttft)):.1f}"]
    return [
        "all, twin with another seed",
        str(len(first)),
        "",
        *cells,
        f"{flag.value:.3f}",
        f"{100 * right:.1f}",
    ]


def _real_runs(training: Training) -> str:
    """Compare with real validation runs: the twin, with and without the scrapes of metrics, and the surrogate."""
    body = []
    for model, name in MODELS.items():
        surrogate, runs = training.surrogates[name], measured_runs(model, "validation")
        as_trained = [run.model_copy(update={"scrape_every": None, "max_in_flight": None}) for run in runs]
        real = compare(surrogate.profile, runs)
        distilled = [surrogate.predict(run.workload, run.server) for run in runs]
        large = _say(training.teacher, [_seen(surrogate, run.workload, run.server) for run in runs])
        predicted = {
            "twin": _twin_figures(real),
            "twin, as in training": _twin_figures(compare(surrogate.profile, as_trained)),
            "large models": {name: large[:, i] for i, name in enumerate(NAMES)},
            "distilled": {name: np.array([getattr(prediction, name) for prediction in distilled]) for name in NAMES},
        }
        offered = np.array([prediction.throughput / prediction.served for prediction in distilled])
        inside = np.array([prediction.inside for prediction in distilled])
        everywhere = np.ones(len(runs), np.bool_)
        for where, chosen in (("all", everywhere), ("inside", inside)):
            for source, figures in predicted.items():
                part = {name: values[chosen] for name, values in figures.items()}
                throughput = part.get("throughput", part["served"] * offered[chosen] if "served" in part else None)
                body.append(
                    [SHORT[name], where, str(chosen.sum()), source, *_real_row(real.filter(chosen), throughput, part)]
                )
    header = [
        "profile",
        "region",
        "runs",
        "predicted by",
        "throughput",
        "mean ITL",
        "mean ITL, bias",
        "median TTFT",
        "starvation F1",
        "starvation correct",
    ]
    return section("Accuracy on real servers", header, body, paragraph(REAL_NOTE))


REAL_NOTE = """Errors in per cent on validation runs of real servers, vLLM 0.8.5 on an H100 (see
[accuracy of the twin](accuracy.md)), to which neither profiles nor surrogates were fitted; that of TTFT is the median
error outside deep overload. The servers were scraped for metrics every 2 s, which delayed them, and their client had at
most 26,000 requests open, which keeps the queue, and with it the scheduler's work, short in deep overload. The
surrogates are trained without either, so compare them with the rows "twin, as in training". Runs outside the region of
the training data offer up to nine times what a server can do."""


def _twin_figures(table: pl.DataFrame) -> dict[str, Array]:
    return {
        "throughput": table["twin_throughput"].to_numpy(),
        "itl_mean": table["twin_itl_mean"].to_numpy(),
        "ttft_p50": table["twin_ttft_p50"].to_numpy(),
        "starvation": table["twin_starved"].cast(pl.Float64).to_numpy(),
    }


def _real_row(real: pl.DataFrame, throughput: Array, figures: dict[str, Array]) -> list[str]:
    itl = figures["itl_mean"] / real["real_itl_mean"].to_numpy() - 1.0
    calm = ~real["deep_overload"].to_numpy()
    ttft = error(figures["ttft_p50"], real["real_ttft_p50"].to_numpy())[calm]
    starved = real["real_starved"].to_numpy()
    flag = f1(figures["starvation"], starved, np.arange(len(starved))).value
    right = 100 * ((figures["starvation"] > 0.5) == starved).mean()
    return [
        f"{np.nanmean(error(throughput, real['real_throughput'].to_numpy())):.1f}",
        f"{100 * np.nanmean(np.abs(itl)):.1f}",
        f"{100 * np.nanmean(itl):+.1f}",
        f"{np.nanmedian(ttft):.1f}",
        f"{flag:.3f}",
        f"{right:.1f}",
    ]


def _guard(training: Training, findings: Findings) -> str:
    """Count how often the twin is run, for training data at the boundary and in whole plans."""
    profile = load_profile(next(iter(MODELS.values())))
    body = []
    for adapters, rate in FLEETS:
        fleet = synthesize(adapters=adapters, rate=rate, ranks=(8, 16, 32))
        with_, without = (_planned(profile, fleet, one) for one in (training.surrogates[profile.name], None))
        share = with_[0].twin_runs / max(1, with_[0].twin_runs + with_[0].predictions)
        body.append(
            [
                f"{adapters:,}",
                f"{rate:g}",
                f"{with_[0].gpus} / {without[0].gpus}",
                f"{with_[0].predictions:,}",
                f"{with_[0].twin_runs:,} ({100 * share:.0f} %)",
                f"{without[0].twin_runs:,}",
                f"{with_[1]:.1f} / {without[1]:.1f}",
            ]
        )
    header = ["adapters", "requests/s", "GPUs", "predictions", "twin runs", "twin runs without surrogate", "seconds"]
    note = GUARD_NOTE.format(100 * findings.unsure)
    return section("How often a planner runs the twin", header, body, paragraph(note))


GUARD_NOTE = """Plans by `pack`, verified by the twin; a slash separates plans with and without the surrogate. One
prediction or one twin run answers whether a server with a given number of slots serves a given set of adapters. Of the
training runs placed at the boundary of overload, the planner would run the twin for {:.0f} %."""


def _planned(profile: Profile, fleet: Workload, surrogate: Surrogate | None) -> tuple[Plan, float]:
    started = time.perf_counter()
    plan = make_plan(profile, fleet, surrogate=surrogate)
    return plan, time.perf_counter() - started


def _plans(training: Training) -> str:
    profiles = [derive_profile(gpu=gpu, model=model) for gpu, model in PLANNED]
    return derived_plans(next(iter(training.surrogates.values())), profiles, FLEETS[:2])


def _speed(training: Training) -> str:
    surrogate = next(iter(training.surrogates.values()))
    features, steady_answers = (
        array[:TIMED] for array in (training.examples.features, training.examples.steady_answers)
    )
    forest = plant([surrogate.trees[name] for name in NAMES], Features._fields)
    region = surrogate.region.arrays()
    one, one_steady_answer = features[:1].copy(), steady_answers[:1].copy()
    fleet = synthesize(adapters=256, rate=10.0, ranks=(8, 16))
    server = Server(max_loras=32, max_lora_rank=16, max_cpu_loras=256)
    demands, limits = demands_on(surrogate.profile, server, fleet), server.limits(surrogate.profile)
    demand, costs = sum_demands(demands), costs_of(surrogate.profile, server)
    rows = len(features)
    timed: list[tuple[str, Callable[[], object], int]] = [
        ("all figures, in a batch", lambda: surrogate.predict_features(features, steady_answers), rows),
        ("part of it: the trees", lambda: evaluate(forest, features), rows),
        ("part of it: the region", lambda: clip_to(region, features), rows),
        ("all figures, a single row", lambda: surrogate.predict_features(one, one_steady_answer), 1),
        ("features of a server (steady state)", lambda: features_of(demand, limits, costs, 3600.0), 1),
        ("sums over 256 adapters", lambda: sum_demands(demands), 1),
        ("`predict(workload, server)` with 256 adapters, whole call", lambda: surrogate.predict(fleet, server), 1),
        ("all figures by the large models, in a batch", lambda: _all_large(training.teacher, features[:2000]), 2000),
    ]
    body = [[what, f"{_microseconds(call, count):.2f}"] for what, call, count in timed]
    note = f"Microseconds per row, a server under its traffic, on one core: the fastest of {REPEATS} repeats."
    return section("Speed of a prediction", ["step", "microseconds"], body, note)


def _all_large(teacher: Teacher, features: Array) -> None:
    for output in OUTPUTS:
        teacher.learned(output, features)


def _microseconds(call: Callable[[], object], rows: int) -> float:
    call()
    best = math.inf
    for _ in range(REPEATS):
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < 0.05:
            call()
            count += 1
        best = min(best, (time.perf_counter() - started) / count)
    return best / rows * 1e6


def _cost() -> str:
    """Measure how long 100,000 runs take, by simulating a part of the design."""
    design = load_design("planning").model_copy(update={"mixes": 600})
    folder = RESULTS / f"timing-{time.time_ns()}"
    started = time.perf_counter()
    rows = sweep(design, folder).rows
    seconds = time.perf_counter() - started
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    hours, capped = rows["duration"].sum() / 3600.0, rows["capped"].mean()
    body = [
        ["runs", f"{len(rows):,}"],
        ["simulated hours", f"{hours:,.0f}"],
        ["seconds", f"{seconds:.0f}"],
        ["runs per second", f"{len(rows) / seconds:.0f}"],
        ["minutes that 100,000 runs would take", f"{100_000 / len(rows) * seconds / 60.0:.0f}"],
        ["runs whose rate was lowered to at most 400,000 requests, %", f"{100 * capped:.1f}"],
    ]
    return section("Cost of the training data", ["quantity", "value"], body, COST_NOTE)


COST_NOTE = f"The first 600 mixes of the design, simulated on {cores()}, including the start of the workers."


if __name__ == "__main__":
    main()
