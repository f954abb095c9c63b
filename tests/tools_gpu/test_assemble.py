"""assemble: from events to a folder that the project itself reads and fits."""

import csv
import subprocess
import sys

import pytest

from adaptwin import Measurements, fit
from law import CONTEXT, PAIR, lawful_seconds
from points import Step

from .conftest import TOOLS
from .made_events import GPU, MODEL, RUN, all_events, loaded, played, started, stepped, write


def assembled(folder, *files, code=0):
    """Run assemble.py; returns the folder that it makes, and what it says."""
    out = folder / "measured"
    command = [sys.executable, str(TOOLS / "assemble.py"), *map(str, files), str(out)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert told.returncode == code, told.stderr
    return out, told.stdout


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    out, _ = assembled(folder, write(folder / "events.jsonl", [*all_events(), played()]))
    return out / MODEL


@pytest.fixture(scope="module")
def fitted(measured):
    return fit(Measurements.read(measured)._replace(runs=()))


def test_the_project_reads_the_folder(measured):
    found = Measurements.read(measured)
    assert found.setup.hardware == GPU
    assert found.setup.memory_settings == (0.9, 1024, 8192)
    assert found.memory.sort("max_loras")["max_loras"].to_list() == [0, 16, 64]
    assert len(found.loads) == 12
    assert len(found.steps) == sum(event["kind"] == "step" for event in all_events()) - len(
        rows(measured / "extra" / "other_steps.csv")
    )
    (run,) = found.runs
    assert run.name == f"16x64+few {RUN.name}"
    assert run.ttft_p50 is None
    assert sum(len(adapter.arrivals) for adapter in run.workload.adapters) == len(RUN.arrivals())


def test_the_fit_finds_what_was_put_in(fitted):
    worst = {each.part: each.worst for each in fitted.residuals}  # in per cent
    mean = {each.part: each.mean for each in fitted.residuals}
    assert worst["KV cache tokens"] < 0.1
    assert worst["adapter loads from host"] < 0.1
    assert worst["adapter loads from disk"] < 0.1
    assert worst["planning a step"] < 0.1
    assert mean["single steps"] < 4
    cost = fitted.profile.step_cost
    assert cost.per_context_token == pytest.approx(CONTEXT, rel=0.1)
    assert cost.per_pair == pytest.approx(PAIR, rel=0.2)


def test_steps_have_their_planning_added_and_their_period_as_measured(measured):
    for row in rows(measured / "steps.csv"):
        assert float(row["period"]) == pytest.approx(lawful_seconds({name: float(row[name]) for name in LAWFUL}))
        assert float(row["seconds"]) == pytest.approx(float(row["period"]) + float(row["planning"]))


LAWFUL = ("tokens", "context", "prefill_pairs", "max_loras", "adapters")


def test_what_the_fit_has_no_columns_for_is_kept_beside_it(measured):
    asked = {row["name"] for row in rows(measured / "extra" / "other_steps.csv")}
    fitted = {row["name"] for row in rows(measured / "steps.csv")}
    assert Step(chunk=2048, prompts=1, behind=8192).name in asked
    assert Step(64, waiting=1000).name in asked
    assert Step(32, adapters=16, base_too=True).name in asked
    planned = sum(int(row["count"]) for row in rows(measured / "planning.csv"))
    assert planned == len(rows(measured / "steps.csv"))
    assert not any("behind" in name or "waiting" in name or "base_too" in name for name in fitted)


def test_like_loads_are_one_row_with_their_median(tmp_path):
    warm = [{**loaded("disk", 8, 16), "seconds": seconds, "cold": False} for seconds in (0.01, 0.5, 0.03)]
    events = [started("64x16"), *warm, loaded("disk", 8, 16, cold=True), loaded("host", 0, 16), loaded("host", 8, 16)]
    out, _ = assembled(tmp_path, write(tmp_path / "events.jsonl", events))
    disk, host = rows(out / MODEL / "loads.csv")
    assert (disk["source"], float(disk["seconds"]), int(disk["count"])) == ("disk", 0.03, 3)
    assert (host["source"], int(host["count"])) == ("host", 1)
    assert len(rows(out / MODEL / "extra" / "all_loads.csv")) == 6


def test_every_single_step_is_in_the_raw_table(tmp_path):
    out, _ = assembled(tmp_path, write(tmp_path / "events.jsonl", all_events()))
    if (out / "raw.csv").is_file():  # no pyarrow
        assert len(rows(out / "raw.csv")) == 2 * sum(event["kind"] == "step" for event in all_events())
    else:
        assert (out / "raw.parquet").is_file()


def test_variants_of_an_engine_stay_out_of_the_fit(tmp_path):
    usual, variant = ([stepped(word, Step(8)), stepped(word, Step(32))] for word in ("64x16", "64x16+sync"))
    events = [started("64x16"), started("64x16+sync"), *usual, stepped("64x16", Step(1)), *variant]
    out, _ = assembled(tmp_path, write(tmp_path / "events.jsonl", events))
    assert {row["engine"] for row in rows(out / MODEL / "steps.csv")} == {"64x16"}
    assert len(rows(out / MODEL / "extra" / "other_steps.csv")) == 2


def test_the_variant_that_all_engines_needed_is_the_one_for_the_fit(tmp_path):
    events = [started("64x16+triton"), stepped("64x16+triton", Step(8))]
    out, _ = assembled(tmp_path, write(tmp_path / "events.jsonl", events))
    found = Measurements.read(out / MODEL)
    assert len(found.steps) == len(found.memory) == 1
    assert "triton" in found.setup.source


def test_events_of_several_calls_count_once(tmp_path):
    events = [started("64x16"), stepped("64x16", Step(8)), loaded("host", 16, 16)]
    files = [write(tmp_path / "one.jsonl", events), write(tmp_path / "two.jsonl", [*events, loaded("host", 8, 16)])]
    out, _ = assembled(tmp_path, *files)
    assert len(rows(out / MODEL / "steps.csv")) == 1
    assert len(rows(out / MODEL / "loads.csv")) == 2


def test_gpus_are_not_mixed(tmp_path):
    events = [
        event for gpu in (GPU, "NVIDIA H200") for event in (started("64x16", gpu), stepped("64x16", Step(8), gpu))
    ]
    out, _ = assembled(tmp_path, write(tmp_path / "events.jsonl", events))
    folders = [path for path in out.iterdir() if path.is_dir()]
    assert sorted(path.name for path in folders) == [f"{MODEL}-nvidia-h100-80gb-hbm3", f"{MODEL}-nvidia-h200"]
    assert {Measurements.read(path).setup.hardware for path in folders} == {GPU, "NVIDIA H200"}
    assert all(len(Measurements.read(path).steps) == 1 for path in folders)


def test_a_line_that_is_cut_off_is_left_out(tmp_path):
    path = write(tmp_path / "events.jsonl", [started("64x16"), stepped("64x16", Step(8)), stepped("64x16", Step(1))])
    path.write_text(path.read_text()[:-40])
    out, _ = assembled(tmp_path, path)
    assert len(rows(out / MODEL / "steps.csv")) == 1


def test_without_an_engine_that_started_there_is_no_folder(tmp_path):
    assembled(tmp_path, write(tmp_path / "events.jsonl", [{"kind": "check", "what": "kernels", "code": 1}]), code=1)


def test_what_the_scripts_measure_is_read_by_the_project(machine, tmp_path):
    machine.measure("run", "--budget", "1000", "--no-runs", "--plan", "tiny:2x16 tiny:0 tiny:4x8", "--only", "8")
    out, told = assembled(tmp_path, machine.state / "events.jsonl")
    assert "24 steps for the fit" in told
    found = Measurements.read(out / "tiny")
    assert len(found.memory) == 3
    assert set(found.loads["source"]) == {"host", "disk"}
