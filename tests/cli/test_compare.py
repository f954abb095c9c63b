"""adaptwin compare: the twin beside what was measured, as a table, a page or JSON."""

import json

import pytest
from tests.calibration.own_files import bench_serve, written
from tests.cli.conftest import PROFILE
from tests.live.replays import replay_of, replayed_run

from adaptwin import Plan, Run, Server, load_profile
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.plan.fleet import read_fleet

TITLES = {
    "throughput": "Throughput, tok/s",
    "itl.mean": "ITL mean",
    "tpot.mean": "TPOT mean",
    "ttft.p50": "TTFT p50",
    "starved": "Starved",
}


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
    """The words of the rows of figures, by figure."""
    lines = out.splitlines()
    found = {
        name: line.removeprefix(title) for name, title in TITLES.items() for line in lines if line.startswith(title)
    }
    return {name: line.split() for name, line in found.items()}


def test_compare_prints_every_measured_figure_with_its_error(adaptwin, real):
    done = adaptwin("compare", "run.json", "measured.json")
    assert (done.code, done.err) == (0, "")
    rows = rows_of(done.out)
    assert list(rows) == list(TITLES)
    assert "+100" in rows["throughput"]
    assert "-50" in rows["itl.mean"]
    assert "0.0" in rows["tpot.mean"]
    assert "-75" in rows["ttft.p50"]
    assert rows["starved"] == ["yes", "no", "differs"]


def test_what_was_not_measured_is_named_below_the_table(adaptwin, real):
    out = " ".join(adaptwin("compare", "run.json", "measured.json").out.split())
    assert "Not measured: Requests/s finished, TTFT mean, TTFT p99, ITL p99, E2E p50" in out
    assert "ITL p99 " not in out


def test_intervals_are_shown_where_there_are_any(adaptwin, run, real):
    assert set(run.intervals) == {"throughput", "itl.mean", "ttft.p50"}
    rows = rows_of(adaptwin("compare", "run.json", "measured.json").out)
    assert {name for name, words in rows.items() if "to" in words} == set(run.intervals)
    assert rows["tpot.mean"][-1] == "–"


def test_as_json_it_is_the_figures_of_both(adaptwin, run, real):
    done = adaptwin("compare", "run.json", "measured.json", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out, parse_constant=pytest.fail)
    [server] = found["servers"]
    figures = server["figures"]
    assert (figures["throughput"]["measured"], figures["throughput"]["twin"]) == (real.throughput, run.throughput)
    assert figures["throughput"]["error"] == pytest.approx(1.0)
    assert figures["throughput"]["interval"] == list(run.intervals["throughput"])
    assert figures["itl.p99"] == {
        "measured": None, "twin": run.itl.p99, "error": None, "spread": None, "interval": None
    }  # fmt: skip
    assert server["starved"] == {"measured": [True], "twin": False}
    assert (server["name"], server["files"], found["doubts"]) == ("real", ["measured.json"], [])


def test_a_measured_run_may_be_yaml(adaptwin, real):
    as_json, as_yaml = (adaptwin("compare", "run.json", f"measured.{kind}", "--json").out for kind in ("json", "yaml"))
    assert as_json == as_yaml.replace("measured.yaml", "measured.json")


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_run_in_which_nothing_finished_has_no_latencies(adaptwin, folder, real, words):
    silent = (folder / "fleet.yaml").read_text(encoding="utf-8")
    for rate in ("0.5", "0.3", "0.2"):
        silent = silent.replace(f"rate: {rate}", "rate: 0")
    (folder / "silent.yaml").write_text(silent, encoding="utf-8")
    real.model_copy(update={"workload": read_fleet(folder / "silent.yaml").workload}).write(folder / "quiet.json")
    assert adaptwin("simulate", "silent.yaml", "--max-loras", 2, "--out", "silent.json").code == 0
    done = adaptwin("compare", "silent.json", "quiet.json", *words)
    assert done.code == 0
    if words:
        figures = json.loads(done.out, parse_constant=pytest.fail)["servers"][0]["figures"]
        assert (figures["itl.mean"]["measured"], figures["itl.mean"]["twin"]) == (real.itl_mean, None)
        assert figures["throughput"]["twin"] == 0.0
    else:
        assert "nan" not in done.out


# Replays, profiles and plans


@pytest.fixture
def replays(folder, h100_shipped):
    """Three repeats of a replay of the fleet, ``r1.json`` and so on: 1, 2 and 3 times as slow as the twin."""
    workload = read_fleet(folder / "fleet.yaml").workload
    server = Server(max_loras=2, max_lora_rank=16)
    for slower in (1, 2, 3):
        replay_of(replayed_run(h100_shipped, server, workload, slower=slower)).write(folder / f"r{slower}.json")
    return ["r1.json", "r2.json", "r3.json"]


@pytest.fixture
def replayed_plan(planned, h100_shipped):
    """A plan, and ``r.json``, its replay."""
    plan = Plan.read(planned / "plan.yaml")
    [placed] = plan.servers
    run = replayed_run(h100_shipped, placed.server, plan.workload_of(placed), name=placed.name, slower=2)
    replay_of(run).write(planned / "r.json")
    return planned


@pytest.fixture(scope="module")
def h100_shipped():
    """The shipped profile of the fleet."""
    return load_profile(PROFILE)


def test_repeats_have_a_spread_and_the_table_fits_eighty_columns(adaptwin, run, replays, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = adaptwin("compare", "run.json", *replays)
    assert (done.code, done.err) == (0, "")
    assert "-50 % 100.0 %" in " ".join(rows_of(done.out)["itl.mean"])
    assert "Adapters, measured / twin: 3 with requests" in done.out
    assert "…" not in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_profile_by_name_or_file_simulates_what_was_replayed(adaptwin, folder, replays, h100_shipped):
    h100_shipped.write(folder / "profile.yaml")
    outs = [json.loads(adaptwin("compare", name, "r2.json", "--json").out) for name in (PROFILE, "profile.yaml")]
    assert outs[0] == outs[1]
    assert outs[0]["twin"] == PROFILE
    figures = outs[0]["servers"][0]["figures"]
    assert figures["throughput"]["error"] == 0.0
    assert figures["itl.mean"]["error"] == pytest.approx(-0.5)
    assert [each["name"] for each in outs[0]["servers"][0]["adapters"]] == ["a0", "a1", "base"]


def test_a_plan_simulates_its_servers(adaptwin, replayed_plan):
    found = json.loads(adaptwin("compare", "plan.yaml", "r.json", "--json").out)
    assert [server["name"] for server in found["servers"]] == ["gpu-0"]
    assert found["servers"][0]["figures"]["itl.mean"]["error"] == pytest.approx(-0.5)


def test_a_report_is_a_page(adaptwin, folder, run, replays):
    assert adaptwin("compare", "run.json", *replays, "--report", "page.html").code == 0
    assert "The twin beside a measurement" in (folder / "page.html").read_text(encoding="utf-8")


def test_a_report_does_not_replace_what_is_compared(adaptwin, run, replays):
    assert "it is an input of the same command" in adaptwin("compare", "run.json", "r1.json", "--report", "r1.json").err


def test_a_benchmark_may_be_compared_with_a_run(adaptwin, folder):
    fleet = f"profile: {PROFILE}\nduration: 150\nlengths: {{fixed: [200, 100]}}\n"
    (folder / "base.yaml").write_text(f"{fleet}adapters:\n- {{name: base, rank: 0, rate: 1}}\n", encoding="utf-8")
    assert adaptwin("simulate", "base.yaml", "--window", "drain", "--out", "base.json").code == 0
    written(folder / "bench.json", bench_serve())
    done = adaptwin("compare", "base.json", "bench.json")
    assert done.code == 0
    assert "does not say the settings of the server" in " ".join(done.out.split())


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
        (("no-profile", "measured.json"), "profile: 'no-profile' is neither a file nor one of "),
        (("run.json", "other.json"), "other.json: server.max_cpu_loras: 3 was measured, but run.json has 2"),
        (
            ("fleet.yaml", "measured.json"),
            "fleet.yaml: this is a fleet, not a simulated run; did you mean adaptwin plan",
        ),
    ],
    ids=" ".join,
)
def test_wrong_files_are_refused_in_one_line(adaptwin, folder, real, files, message):
    (folder / "list.json").write_text("[]", encoding="utf-8")
    (folder / "broken.json").write_text('{"name": ', encoding="utf-8")
    (folder / "extra.json").write_text(json.dumps({**real.file_form(), "thruput": 1.0}), encoding="utf-8")
    real.model_copy(update={"server": Server(max_loras=3)}).write(folder / "other.json")
    done = adaptwin("compare", *files)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert done.err.startswith(f"adaptwin: {message}")
