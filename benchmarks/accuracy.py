"""Accuracy of the twin: the shipped profiles against all real runs, and against the paper's twin.

Writes docs/measured/accuracy.md, and prints the tables of that page. The profiles were fitted to runs of the
calibration split. The figures to quote are those of the validation split, which no fit has used.
"""

import argparse
import math
from pathlib import Path

import polars as pl

import accuracy_figures as figures
from adaptwin import Lengths, OutOfMemory, Profile, Server, load_profile
from adaptwin.calibration.compare import DEEP_OVERLOAD, compare
from adaptwin.twin.uncertainty import NINE_IN_TEN
from h100_runs import DATA, MODELS, all_rows, measured_runs, require_data
from measured_page import IMAGES, PAGES, bullet, generated_by, paragraph, section

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = PAGES / "accuracy.md"
SHORT = {"llama-3.1-8b-instruct": "Llama-3.1-8B", "qwen-2.5-7b-instruct": "Qwen-2.5-7B"}
SLOT_BANDS = ((1, 8), (9, 16), (17, 32), (33, 64), (65, 128), (129, 512))
ADAPTER_BANDS = ((1, 32), (33, 96), (97, 192), (193, 384))
RATE_BANDS = ((0, 5), (5, 20), (20, 100), (100, 1000))
MANY_RUNNING, MANY_PREEMPTIONS = 20, 500  # mean running requests, and preemptions in an hour
BLOCK = 16  # tokens of a KV block, half of which is empty on average
MOST_SEQS = 2048  # max_num_seqs of all runs
LARGE_RATE = 100.0  # requests/s above which the client and the API server fall behind


def main() -> None:
    """Simulate every completed run of both models, print the tables and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--no-page", action="store_true", help="do not write docs/measured/accuracy.md and its pictures"
    )
    arguments = parser.parse_args()
    require_data()
    RESULTS.mkdir(exist_ok=True)
    rows = pl.concat([_compared(model, split) for model in MODELS for split in ("calibration", "validation")])
    rows.write_json(RESULTS / "accuracy.json")
    sections = [
        _errors(rows),
        _against_paper(rows),
        _bands(rows),
        _starvation(rows),
        _choice_of_slots(rows),
        _startability(),
        _cache(rows),
        _intervals(rows),
        _worst(rows),
        _weaknesses(rows),
    ]
    page = "\n\n".join([HEAD, PICTURES, *sections, END]) + "\n"
    print("\n\n".join(sections))
    if not arguments.no_page:
        PAGE.write_text(page, encoding="utf-8")
        validation = rows.filter(pl.col("split") == "validation")
        figures.scatter(validation, SHORT, IMAGES / "accuracy.png")
        figures.errors_by_band(validation, SHORT, SLOT_BANDS, IMAGES / "accuracy-bands.png")


def _compared(model: str, split: str) -> pl.DataFrame:
    """Simulate the runs of a split, and add what only the table of runs has."""
    profile = load_profile(MODELS[model])
    table = compare(profile, measured_runs(model, split))
    settings = all_rows(model).select(
        pl.col("run_id").alias("name"),
        "folder_group",
        "mean_running",
        (pl.col("mean_kv_usage") * pl.col("kv_cache_tokens") / pl.col("mean_running")).alias("real_kv_per_request"),
        pl.col("preemptions").alias("real_preemptions"),
    )
    return table.join(settings, on="name").with_columns(model=pl.lit(model), split=pl.lit(split))


WHAT = """This page shows how far the twin is from real servers: every completed run of the public H100 data set
(vLLM 0.8.5, 64 GB of GPU memory; arXiv 2508.08343), simulated with the shipped profiles."""

HOW = f"""The profiles were fitted to the micro-benchmarks and the calibration runs
([how](../explanation/calibration.md)). Unless a table says otherwise, figures are those of the validation runs, which
the fit has not used. Each run is simulated with the KV cache size that its server logged and the number of requests
that its client sent. Errors are mean absolute percentage errors. The error of TTFT is the median error of the median
TTFT, over runs outside deep overload (up to {DEEP_OVERLOAD:,} requests waiting on average). The
[glossary](../reference/glossary.md) explains the terms."""

HEAD = f"# Accuracy of the twin\n\n{paragraph(WHAT)}\n\n{paragraph(HOW)}"
END = generated_by(
    "accuracy",
    after="a change to the twin or to the shipped profiles",
    note="The measurements must lie beside the project.",
)

PICTURES = """![Throughput, mean ITL and median TTFT of the validation runs: twin against real](../images/accuracy.png)

![Errors of throughput and mean ITL by number of slots, one point per run](../images/accuracy-bands.png)"""


def _errors_of(rows: pl.DataFrame, figure: str) -> pl.Series:
    """Signed errors of the twin in per cent, of the runs that have the figure."""
    return (rows[f"twin_{figure}"] / rows[f"real_{figure}"] - 1).drop_nulls().drop_nans() * 100


def _mape(rows: pl.DataFrame, figure: str) -> str:
    return f"{_errors_of(rows, figure).abs().mean():.1f}" if len(rows) else "-"


def _bias(rows: pl.DataFrame, figure: str) -> str:
    return f"{_errors_of(rows, figure).mean():+.1f}" if len(rows) else "-"


def _ttft(rows: pl.DataFrame) -> str:
    return f"{_errors_of(rows.filter(~pl.col('deep_overload')), 'ttft_p50').abs().median():.1f}"


def _right(rows: pl.DataFrame) -> str:
    return f"{100 * (rows['twin_starved'] == rows['real_starved']).mean():.1f}"


def _errors(rows: pl.DataFrame) -> str:
    body = []
    for (model, split), part in rows.group_by("model", "split", maintain_order=True):
        served, starved = part.filter(~pl.col("real_starved")), part.filter(pl.col("real_starved"))
        cells = [_mape(part, "throughput"), _mape(served, "throughput"), _mape(starved, "throughput")]
        cells += [_mape(part, "itl_mean"), _mape(part, "tpot_mean"), _mape(part, "itl_p99"), _ttft(part), _right(part)]
        body.append([SHORT[str(model)], str(split), str(len(part)), *cells])
    header = [
        "model",
        "split",
        "runs",
        "throughput",
        "throughput, not starved",
        "throughput, starved",
        "mean ITL",
        "mean TPOT",
        "p99 ITL",
        "median TTFT",
        "starvation correct",
    ]
    note = """Errors in per cent; two columns divide the runs by whether the real server was starved. The last column is
    the share of the runs for which the twin is right about starvation, in per cent."""
    return section("Errors by model", header, body, paragraph(note))


def _against_paper(rows: pl.DataFrame) -> str:
    """Compare with the paper's twin, which was given the real arrivals and, as its cap, the real queue's maximum."""
    paper = pl.read_parquet(DATA / "paper_twin_predictions.parquet").filter(pl.col("completed_benchmark"))
    both = rows.filter(pl.col("split") == "validation").join(paper, left_on="name", right_on="run_id")
    body = []
    for (model,), part in both.group_by("model", maintain_order=True):
        real, itl = part["real_throughput"], part["real_itl_mean"] * 1e3
        raw = (part["dt_total_throughput"] / real - 1).abs().mean() * 100
        corrected = (part["dt_total_throughput_len_corrected"] / real - 1).abs().mean() * 100
        paper_itl = (part["dt_itl"] / itl - 1) * 100
        arrived = part["dt_finished_requests"] / part["dt_arrivals"] < 0.9
        right = 100 * (arrived == part["real_starved"]).mean()
        body.append(
            [SHORT[str(model)], "paper", str(len(part)), f"{raw:.1f} ({corrected:.1f})",
             f"{paper_itl.abs().mean():.1f}", f"{paper_itl.min():+.0f} to {paper_itl.max():+.0f}", f"{right:.1f}"]
        )  # fmt: skip
        ours = _errors_of(part, "itl_mean")
        body.append(
            [SHORT[str(model)], "adaptwin", str(len(part)), _mape(part, "throughput"), _mape(part, "itl_mean"),
             f"{ours.min():+.0f} to {ours.max():+.0f}", _right(part)]
        )  # fmt: skip
    note = """Errors in per cent on the validation runs for which the paper's authors publish the figures of their twin.
    The paper's twin draws requests that are 11 to 13 % too long; the error in brackets is corrected for that. Its
    verdict of starvation compares finished with arrived requests, as its authors do."""
    return section(
        "Comparison with the paper's twin",
        ["model", "twin", "runs", "throughput", "mean ITL", "mean ITL, range", "starvation correct"],
        body,
        paragraph(note),
    )


def _bands(rows: pl.DataFrame) -> str:
    validation = rows.filter(pl.col("split") == "validation")
    parts: list[tuple[str, str, pl.Expr]] = []
    parts += [("slots", f"{low}-{high}", pl.col("max_loras").is_between(low, high)) for low, high in SLOT_BANDS]
    parts += [("adapters", f"{low}-{high}", pl.col("adapters").is_between(low, high)) for low, high in ADAPTER_BANDS]
    parts += [("max_lora_rank", str(rank), pl.col("max_lora_rank") == rank) for rank in (16, 32)]
    parts += [
        ("requests/s", f"{low}-{high}", pl.col("rate").is_between(low, high, closed="left")) for low, high in RATE_BANDS
    ]
    body = []
    for what, label, condition in parts:
        cells = []
        for model in MODELS:
            part = validation.filter((pl.col("model") == model) & condition)
            cells += [str(len(part)), *(f"{_mape(part, f)} ({_bias(part, f)})" for f in ("throughput", "itl_mean"))]
        body.append([what, label, *cells])
    names = [f"{SHORT[model]}: {what}" for model in MODELS for what in ("runs", "throughput", "mean ITL")]
    note = """Errors in per cent on validation runs, grouped by slots, adapters, `max_lora_rank` and request rate. In
    brackets the bias: the mean signed error, which is positive where the twin is too high."""
    return section("Errors by range of settings and traffic", ["quantity", "range", *names], body, paragraph(note))


def _starvation(rows: pl.DataFrame) -> str:
    validation = rows.filter(pl.col("split") == "validation")
    body = []
    for (model,), part in validation.group_by("model", maintain_order=True):
        cells = [
            str(len(part.filter((pl.col("real_starved") == real) & (pl.col("twin_starved") == twin))))
            for real, twin in ((True, True), (True, False), (False, True), (False, False))
        ]
        body.append([SHORT[str(model)], *cells])
    header = ["model", "starved, predicted", "starved, missed", "not starved, false alarm", "not starved, predicted"]
    note = "Numbers of validation runs, by whether the real server was starved and what the twin predicted."
    return section("Starvation", header, body, note)


def _choice_of_slots(rows: pl.DataFrame) -> str:
    """Show what is lost by choosing the number of slots with the highest simulated throughput."""
    cells = []
    for keys, part in rows.group_by("model", "folder_group", "max_lora_rank", "adapters", maintain_order=True):
        if part["max_loras"].n_unique() < 2:
            continue
        best, chosen = part["real_throughput"].max(), part["real_throughput"][part["twin_throughput"].arg_max()]
        cells.append({"model": keys[0], "regret": 100 * (1 - chosen / best)})
    table = pl.DataFrame(cells)
    body = []
    for (model,), part in table.group_by("model", maintain_order=True):
        regret = part["regret"]
        right = int((regret == 0).sum())
        body.append([SHORT[str(model)], str(len(part)), str(right), f"{regret.mean():.2f}", f"{regret.max():.1f}"])
    note = """Each case is a mix of rates and ranks with one number of adapters, measured with several numbers of slots
    (runs of both splits). The twin chooses the number with the highest simulated throughput; the regret is the real
    throughput that this choice loses against the best measured one. In most cases several numbers of slots serve all
    traffic, and noise decides which of them is best."""
    return section(
        "Choice of the number of slots",
        ["model", "cases", "best one chosen", "mean regret, %", "largest regret, %"],
        body,
        paragraph(note),
    )


def _startability() -> str:
    """Compare every run that started or failed for lack of memory with what the profile predicts."""
    cells: dict[tuple[str, str], int] = {}
    for model, name in MODELS.items():
        profile = load_profile(name)
        for row in all_rows(model).iter_rows(named=True):
            if row["server_started"] or row["memory_error"]:
                real = REASONS.get(row["failure"], "started") if row["memory_error"] else "started"
                key = (real, _predicted_start(profile, row))
                cells[key] = cells.get(key, 0) + 1
    outcomes = ("started", "one request does not fit", "no memory left")
    body = [[real, *(str(cells.get((real, said), 0)) for said in outcomes)] for real in outcomes]
    note = """Numbers of runs of both splits, by what happened (rows) and what the profile's memory model predicts
    (columns). Six runs that failed for other reasons (a port in use, an illegal access) are left out. vLLM reports some
    servers without memory left as out of CUDA memory while it loads or warms up; they count as "no memory left"."""
    return section("Whether the server starts", ["real", *(f"predicted: {p}" for p in outcomes)], body, paragraph(note))


REASONS = {"kv_too_small_for_max_seq_len": "one request does not fit"}
REASONS |= dict.fromkeys(
    ("no_memory_for_kv_blocks", "oom_cuda", "oom_warmup_sampler", "oom_cublas_alloc"), "no memory left"
)


def _predicted_start(profile: Profile, row: dict[str, object]) -> str:
    server = Server(max_loras=row["max_loras"], max_lora_rank=row["max_lora_rank"], max_num_seqs=MOST_SEQS)
    try:
        server.limits(profile)
    except OutOfMemory as error:
        return "one request does not fit" if "fewer than one request" in str(error) else "no memory left"
    return "started"


def _cache(rows: pl.DataFrame) -> str:
    """Compare KV cache per running request and preemptions; both depend on how prompt and answer lengths correlate."""
    lengths = Lengths.named("sharegpt").table()
    answer = lengths.output.astype(float)
    alone = lengths.input.mean() + (answer**2).mean() / (2 * answer.mean()) + BLOCK / 2
    body = []
    for (model,), part in rows.filter(pl.col("split") == "validation").group_by("model", maintain_order=True):
        calm = part.filter((pl.col("regime") == "calm") & (pl.col("mean_running") > MANY_RUNNING))
        full = part.filter(pl.col("real_preemptions") > MANY_PREEMPTIONS)
        real, twin = calm["real_kv_per_request"], calm["twin_kv_per_request"]
        ratio = (full["twin_preemptions"] / full["real_preemptions"]).median()
        cells = [str(len(calm)), f"{real.mean():.0f} ± {real.std():.0f}", f"{twin.mean():.0f}", f"{alone:.0f}"]
        body.append([SHORT[str(model)], *cells, str(len(full)), f"{ratio:.2f}"])
    header = [
        "model",
        "calm runs",
        "real, tokens",
        "twin, tokens",
        "independent lengths, tokens",
        "KV-bound runs",
        "preemptions, twin / real",
    ]
    note = f"""KV cache per running request, in validation runs without queue and with over {MANY_RUNNING} running
    requests (mean ± standard deviation); and the median ratio of simulated to real preemptions, in validation runs with
    over {MANY_PREEMPTIONS} of them. "Independent lengths" is what a request would hold if the lengths of prompt and
    answer were independent."""
    return section("KV cache and preemptions", header, body, paragraph(note))


def _intervals(rows: pl.DataFrame) -> str:
    """Show how often validation runs lie inside the 90 % intervals, whose width comes from the calibration runs."""
    validation = rows.filter(pl.col("split") == "validation")
    body = []
    for (model,), part in validation.group_by("model", maintain_order=True):
        profile = load_profile(MODELS[str(model)])
        cells = [
            _coverage(profile, part, figure, name)
            for figure, name in (("throughput", "throughput"), ("itl", "itl_mean"), ("ttft", "ttft_p50"))
        ]
        body.append([SHORT[str(model)], *cells])
    note = """Share of the validation runs, in per cent, whose real figure lies inside the 90 % interval of the twin.
    The width of the intervals comes from the calibration runs."""
    header = ["model", "throughput", "mean ITL", "median TTFT"]
    return section("Coverage of the 90 % intervals", header, body, paragraph(note))


def _coverage(profile: Profile, rows: pl.DataFrame, spread_name: str, figure: str) -> str:
    inside = []
    for row in rows.iter_rows(named=True):
        spread = profile.spread_in(row["regime"])
        sigma = getattr(spread, spread_name) if spread else None
        if sigma and row[f"twin_{figure}"]:
            inside.append(abs(math.log(row[f"real_{figure}"] / row[f"twin_{figure}"])) <= NINE_IN_TEN * sigma)
    return f"{100 * sum(inside) / len(inside):.0f} (of {len(inside)})" if inside else "-"


def _worst(rows: pl.DataFrame) -> str:
    validation = rows.filter(pl.col("split") == "validation").with_columns(
        throughput=100 * (pl.col("twin_throughput") / pl.col("real_throughput") - 1),
        itl=100 * (pl.col("twin_itl_mean") / pl.col("real_itl_mean") - 1),
    )
    validation = validation.with_columns(badness=pl.max_horizontal(pl.col("throughput").abs(), pl.col("itl").abs()))
    body = [
        [SHORT[row["model"]], row["folder_group"], str(row["max_loras"]), str(row["adapters"]), f"{row['rate']:.1f}",
         f"{row['throughput']:+.1f}", f"{row['itl']:+.1f}", "yes" if row["real_starved"] else "no"]
        for row in validation.sort("badness", descending=True).head(10).iter_rows(named=True)
    ]  # fmt: skip
    return section(
        "The ten largest errors",
        ["model", "mix", "slots", "adapters", "requests/s", "throughput, %", "mean ITL, %", "starved"],
        body,
        "Validation runs with the largest error of throughput or mean ITL; signed errors of the twin.",
    )


def _weaknesses(rows: pl.DataFrame) -> str:
    validation = rows.filter(pl.col("split") == "validation")
    flooded, rest = validation.filter(pl.col("rate") > LARGE_RATE), validation.filter(pl.col("rate") <= LARGE_RATE)
    waiting = validation.filter(~pl.col("deep_overload") & (pl.col("regime") == "busy"))
    high_rates = f"""**High request rates.** Above {LARGE_RATE:g} requests/s ({len(flooded)} runs), the error of
    throughput is {_mape(flooded, "throughput")} % (bias {_bias(flooded, "throughput")} %); below, it is
    {_mape(rest, "throughput")} %. At such rates the client and the API server fall behind: scrapes of the metrics take
    10 to 25 s, and tokens arrive seconds late. The twin does not model the processor time of either, so its 99th
    percentile of ITL is inaccurate there as well."""
    near_saturation = f"""**Near saturation.** Where requests begin to queue ({len(waiting)} runs with up to
    {DEEP_OVERLOAD:,} waiting), a few per cent of step time decide between no queue and a long one. The median error of
    the median TTFT is {_ttft(waiting)} %, and errors of single runs are far larger. The profile's intervals reflect
    this."""
    not_measured = """**Outside the data.** Ranks above 32, prompts above 2,048 tokens and other GPUs were not measured.
    The cost of a rank grows in blocks of 16, as in vLLM's kernels. The attention of long prompts to their own earlier
    chunks is not modelled."""
    return "\n".join(["## Known weaknesses", "", *map(bullet, (high_rates, near_saturation, not_measured))])


if __name__ == "__main__":
    main()
