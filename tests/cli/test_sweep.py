"""adaptwin sweep: a design in, a folder of runs out; what is wrong is named, and then nothing is written."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from adaptwin.dataset.dataset import Dataset
from adaptwin.dataset.design import Design, load_design

LLAMA, QWEN = "h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"
DESIGN = f"""\
profiles: [{LLAMA}, {QWEN}]
mixes: 8
loads: 2
most_requests: 1500
adapters: [1, 2, 8]
lengths: [fixed]
input_mean: [100]
output_mean: [20]
duration: [120]
"""


@pytest.fixture(autouse=True)
def design(folder):
    """The file ``d.yaml`` in the working folder."""
    (folder / "d.yaml").write_text(DESIGN, encoding="utf-8")
    return folder / "d.yaml"


SWEEP = ("sweep", "d.yaml", "--out", "runs", "--jobs", 1)


def test_sweep_writes_a_dataset_and_says_what_is_in_it(adaptwin, folder):
    done = adaptwin(*SWEEP)
    assert done.code == 0
    assert done.out.splitlines()[0].rstrip() == "8 mixes, 16 runs, seed 0"
    lowered = f"{capped(folder)} ({100 * capped(folder) / 16:.1f} %)"
    assert f"Rates lowered to keep a run within 1,500 requests: {lowered}, the lowest to 12.50 requests/s." in (
        " ".join(done.out.split())
    )
    assert done.err.startswith("16 runs in runs after ")
    assert done.err.count("\n") == 1
    dataset = Dataset.read(folder / "runs")
    assert dataset.design == load_design(folder / "d.yaml")
    assert dataset.rows["mix"].to_list() == [mix for mix in range(8) for _ in range(2)]


def capped(folder) -> int:
    return int(Dataset.read(folder / "runs").rows["capped"].sum())


def test_the_table_fits_eighty_columns(adaptwin, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = adaptwin(*SWEEP).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_as_json_it_is_the_design_with_demand_and_shares(adaptwin, folder, design):
    done = adaptwin(*SWEEP, "--json")
    data = json.loads(done.out, parse_constant=pytest.fail)
    rows = Dataset.read(folder / "runs").rows
    assert Design.parse(data["design"]) == load_design(design)
    assert (data["folder"], data["mixes"], data["runs"]) == ("runs", 8, 16)
    assert data["simulated_hours"] == pytest.approx(16 * 120 / 3600)
    assert data["requests"] == rows["arrived"].sum()
    assert data["capped"] == capped(folder) > 0
    assert data["ok"] == (rows["worst"] == "ok").mean()
    assert data["ok"] + data["backlogged"] + data["starved"] == pytest.approx(1)


def test_profiles_number_of_mixes_and_seed_can_be_given(adaptwin, folder):
    assert adaptwin(*SWEEP, "--profile", QWEN, "--mixes", 3, "--seed", 7).code == 0
    dataset = Dataset.read(folder / "runs")
    assert (dataset.design.profiles, dataset.design.mixes, dataset.design.seed) == ((QWEN,), 3, 7)
    assert dataset.rows["profile"].unique().to_list() == [QWEN]
    assert dataset.rows["mix"].n_unique() == 3


def test_the_same_command_again_plays_nothing_and_says_the_same(adaptwin, folder):
    first = adaptwin(*SWEEP)
    times = {file.name: file.stat().st_mtime_ns for file in (folder / "runs").iterdir()}
    again = adaptwin(*SWEEP)
    assert (again.code, again.out) == (0, first.out)
    assert {file.name: file.stat().st_mtime_ns for file in (folder / "runs").iterdir()} == times


def test_a_design_of_which_nothing_makes_sense_has_no_runs(adaptwin, design):
    with design.open("a", encoding="utf-8") as file:
        file.write("max_loras: [16]\n")
    done = adaptwin(*SWEEP)
    assert done.code == 0
    assert "0 mixes, 0 runs, seed 0" in done.out
    assert json.loads(adaptwin(*SWEEP, "--json").out)["runs"] == 0


def test_a_folder_may_be_called_anything(adaptwin):
    words = ("sweep", "d.yaml", "--out", "[bold]runs*", "--mixes", 1, "--jobs", 1)
    for _ in range(2):
        assert adaptwin(*words).err.startswith("2 runs in [bold]runs* after ")


def test_ctrl_c_says_how_to_go_on(folder):
    text = DESIGN.replace("mixes: 8", "mixes: 5000").replace("1500", "100000").replace("[60]", "[600]")
    (folder / "d.yaml").write_text(text, encoding="utf-8")
    words = [sys.executable, "-m", "adaptwin", "sweep", "d.yaml", "--out", "runs", "--jobs", "2"]
    running = subprocess.Popen(
        words, cwd=folder, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (folder / "runs" / "design.yaml").exists():
        assert running.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)  # for the workers to be busy; it is told to stop whether they are or not
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (130, "")
    assert err == "adaptwin: interrupted; no partition is finished in runs yet, the same command starts again\n"


# Wrong input: one line that names what is wrong, and nothing left behind


def refused(adaptwin, folder, *words) -> str:
    """The line on stderr of a call that is refused and leaves nothing behind."""
    before = sorted(os.listdir(folder))
    done = adaptwin(*words)
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert sorted(os.listdir(folder)) == before
    return done.err.removeprefix("adaptwin: ").rstrip("\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("adapters: [1, 2, 8]", "adapters: [0]", "d.yaml: adapters: 0 must be from 1 to 100000"),
        ("adapters:", "adaptres:", "d.yaml: adaptres: unknown key (allowed: profiles, sampler, mixes,"),
        ("lengths: [fixed]", "lengths: fixed", "d.yaml: lengths: 'fixed' is not valid: "),
        (LLAMA, "h200", "d.yaml: profiles: 'h200' is neither a file nor one of "),
        (LLAMA, "own.yaml", "{folder}/own.yaml: no such file"),
    ],
)
def test_a_wrong_design_is_refused_in_one_line(adaptwin, folder, design, old, new, message):
    assert old in DESIGN
    design.write_text(DESIGN.replace(old, new), encoding="utf-8")
    assert refused(adaptwin, folder, *SWEEP).startswith(message.format(folder=folder))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nope", "--out", "runs"), "design: 'nope' is neither a file nor one of paper, planning"),
        (("no.yaml", "--out", "runs"), "no.yaml: no such file"),
        (("d.yaml", "--out", "d.yaml"), "d.yaml: cannot be written as a folder: File exists"),
        (("d.yaml", "--out", "/proc/runs"), "/proc/runs: cannot be written as a folder: No such file or directory"),
        (("paper", "--out", "runs", "--mixes", 5), "--mixes: 5: paper is a grid, whose number of mixes is fixed"),
        (("d.yaml", "--out", "runs", "--jobs", 0), "--jobs: 0 must be at least 1, or -1 for one per core"),
        (("d.yaml", "--out", "runs", "--address", "auto"), "--address: 'auto' needs the engine ray"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_in_one_line(adaptwin, folder, words, message):
    assert refused(adaptwin, folder, "sweep", *words).startswith(message)


def test_a_folder_of_another_design_is_refused_and_left_as_it_is(adaptwin, folder):
    assert adaptwin(*SWEEP).code == 0
    before = {file.name: file.read_bytes() for file in (folder / "runs").iterdir()}
    message = refused(adaptwin, folder, *SWEEP, "--seed", 3)
    assert message == "runs: out: holds a sweep of another design, which differs in seed: sweep into a new folder"
    assert {file.name: file.read_bytes() for file in (folder / "runs").iterdir()} == before


def test_without_scipy_it_says_what_to_install(adaptwin, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)  # what Python does for a module that must not be imported
    assert refused(adaptwin, folder, *SWEEP) == "sampler: sobol needs SciPy: pip install 'adaptwin[train]'"


@pytest.mark.parametrize("words", [("sweep",), ("sweep", "d.yaml"), (*SWEEP, "--engine", "dask")], ids=str)
def test_a_call_that_is_not_one_is_refused(adaptwin, words):
    done = adaptwin(*words)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("; see adaptwin sweep --help\n")
