"""adaptwin compare: a simulated run beside a measured one, as a table or as JSON."""

import json

import pytest

from adaptwin import Run, Server
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.plan.fleet import read_fleet

FIGURES = ["throughput", "itl.mean", "itl.p99", "tpot.mean", "ttft.p50", "mean_waiting"]


@pytest.fixture
def run(adaptwin, folder) -> Run:
    """The simulated run in ``run.json``."""
    assert adaptwin("simulate", "fleet.yaml", "--max-loras", 2, "--out", "run.json").code == 0
    return Run.read(folder / "run.json")


@pytest.fixture
def real(folder, run) -> MeasuredRun:
    """The measured run in ``measured.json``: half the throughput, twice the ITL, and no p99 of ITL."""
    workload = read_fleet(folder / "fleet.yaml").workload
    real = MeasuredRun(
        name="real",
        server=Server(max_loras=2, max_lora_rank=16),
        workload=workload,
        throughput=run.throughput / 2,
        starved=True,
        itl_mean=2 * run.itl.mean,
        tpot_mean=run.tpot.mean,
        ttft_p50=4 * run.ttft.p50,
    )
    text = json.dumps(real.file_form())
    (folder / "measured.json").write_text(text, encoding="utf-8")
    real.write(folder / "measured.yaml")
    return real


def rows_of(out) -> dict[str, list[str]]:
    """The table's lines by their first word."""
    return {line.split()[0]: line.split() for line in out.splitlines()[1:] if line.strip()}


def test_compare_prints_every_figure_of_both(adaptwin, real):
    done = adaptwin("compare", "run.json", "measured.json")
    assert (done.code, done.err) == (0, "")
    rows = rows_of(done.out)
    assert list(rows) == [*FIGURES, "starved"]
    assert "2.000" in rows["throughput"]
    assert "0.500" in rows["itl.mean"]
    assert "1.000" in rows["tpot.mean"]
    assert "0.250" in rows["ttft.p50"]
    assert rows["starved"] == ["starved", "true", "false"]


def test_what_was_not_measured_is_a_dash(adaptwin, real):
    rows = rows_of(adaptwin("compare", "run.json", "measured.json").out)
    assert rows["itl.p99"][1] == "–"
    assert rows["mean_waiting"][1] == "–"


def test_intervals_are_shown_where_there_are_any(adaptwin, run, real):
    assert set(run.intervals) == {"throughput", "itl.mean", "ttft.p50"}
    rows = rows_of(adaptwin("compare", "run.json", "measured.json").out)
    assert {name for name, words in rows.items() if "to" in words} == set(run.intervals)
    assert rows["itl.p99"][-1] == "–"


def test_the_table_fits_eighty_columns(adaptwin, real, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = adaptwin("compare", "run.json", "measured.json").out.splitlines()
    assert len(lines) == 1 + len(FIGURES) + 1
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_as_json_it_is_the_figures_of_both(adaptwin, run, real):
    done = adaptwin("compare", "run.json", "measured.json", "--json")
    assert (done.code, done.err) == (0, "")
    rows = json.loads(done.out, parse_constant=pytest.fail)
    assert list(rows) == FIGURES
    assert rows["throughput"] == {"measured": real.throughput, "twin": run.throughput}
    assert rows["itl.mean"] == {"measured": real.itl_mean, "twin": run.itl.mean}
    assert rows["itl.p99"] == {"measured": None, "twin": run.itl.p99}
    assert rows["mean_waiting"] == {"measured": None, "twin": run.mean_waiting}


def test_a_measured_run_may_be_yaml(adaptwin, real):
    as_json, as_yaml = (adaptwin("compare", "run.json", f"measured.{kind}", "--json").out for kind in ("json", "yaml"))
    assert as_json == as_yaml


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_run_in_which_nothing_finished_has_no_latencies(adaptwin, folder, real, words):
    silent = (folder / "fleet.yaml").read_text(encoding="utf-8")
    for rate in ("0.5", "0.3", "0.2"):
        silent = silent.replace(f"rate: {rate}", "rate: 0")
    (folder / "silent.yaml").write_text(silent, encoding="utf-8")
    assert adaptwin("simulate", "silent.yaml", "--max-loras", 2, "--out", "silent.json").code == 0
    done = adaptwin("compare", "silent.json", "measured.json", *words)
    assert done.code == 0
    if words:
        rows = json.loads(done.out, parse_constant=pytest.fail)
        assert rows["itl.mean"] == {"measured": real.itl_mean, "twin": None}
        assert rows["throughput"]["twin"] == 0.0
    else:
        assert "nan" not in done.out


# Wrong input


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("no.json", "measured.json"), "no.json: no such file"),
        (("run.json", "no.json"), "no.json: no such file"),
        (("run.json", "run.json"), "run.json: this is a simulated run, not a measured run"),
        (("measured.json", "run.json"), "measured.json: this is a measured run, not a simulated run"),
        (("run.json", "list.json"), "list.json: expected a mapping of fields, found a list"),
        (("run.json", "broken.json"), "broken.json: line 1: not valid JSON: "),
        (("run.json", "extra.json"), "extra.json: thruput: unknown key (allowed: name, server, workload,"),
    ],
    ids=" ".join,
)
def test_wrong_files_are_refused_in_one_line(adaptwin, folder, real, files, message):
    (folder / "list.json").write_text("[]", encoding="utf-8")
    (folder / "broken.json").write_text('{"name": ', encoding="utf-8")
    (folder / "extra.json").write_text(json.dumps({**real.file_form(), "thruput": 1.0}), encoding="utf-8")
    done = adaptwin("compare", *files)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert done.err.startswith(f"adaptwin: {message}")
