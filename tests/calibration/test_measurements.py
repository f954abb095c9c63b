"""Measurements: a folder reads back as it was written, and errors in it are named."""

import json

import polars as pl
import pytest
from tests.calibration.simulated_measurements import loads_of, plain_setup, planning_of, runs_of, steps_of, true_profile

from adaptwin import Measurements, SpecError, fit
from adaptwin.calibration.measurements import MeasuredRun, Setup
from adaptwin.profile.profile import shipped_profiles

TRUE = true_profile()
SETUP = plain_setup(shipped_profiles()[0], source="a grid", price_per_hour=2.5)
MEMORY = pl.DataFrame({"max_loras": [1, 8, 400], "max_lora_rank": [8, 64, 64], "kv_cache_tokens": [1600, 800, 0]})
TABLES = {"memory": MEMORY, "loads": loads_of(TRUE), "planning": planning_of(TRUE), "steps": steps_of(TRUE)}


@pytest.fixture(scope="module")
def everything():
    return Measurements(SETUP, **TABLES, runs=runs_of(TRUE)[:2])


def same(one: Measurements, other: Measurements) -> bool:
    """Return whether both are equal, including the numbers in the tables."""
    for name in TABLES:
        mine, theirs = getattr(one, name), getattr(other, name)
        if (mine is None) != (theirs is None):
            return False
        if mine is not None and mine.rows() != theirs.select(mine.columns).rows():
            return False
    return one.setup == other.setup and one.runs == other.runs


def test_a_folder_reads_back_as_it_was_written(everything, tmp_path):
    everything.write(tmp_path / "new" / "folder")
    assert same(Measurements.read(tmp_path / "new" / "folder"), everything)


@pytest.mark.parametrize("part", [*TABLES, "runs"])
def test_any_part_may_be_missing_or_be_the_only_one(everything, tmp_path, part):
    without = everything._replace(**{part: () if part == "runs" else None})
    without.write(tmp_path / "without")
    assert same(Measurements.read(tmp_path / "without"), without)
    alone = Measurements(SETUP, **{part: getattr(everything, part)})
    alone.write(tmp_path / "alone")
    assert same(Measurements.read(tmp_path / "alone"), alone)


def test_tables_may_be_csv_with_columns_in_any_order_and_more_of_them(everything, tmp_path):
    SETUP.write(tmp_path / "setup.yaml")
    for name, table in TABLES.items():
        table.select(reversed(table.columns)).with_columns(note=pl.lit("x")).write_csv(tmp_path / f"{name}.csv")
    read = Measurements.read(tmp_path)
    assert same(read, everything._replace(runs=()))
    assert read.steps.columns == ["max_loras", "max_lora_rank", "tokens", "context", "adapters", "running", "seconds"]
    assert read.steps["tokens"].dtype == pl.Float64


# Errors are named with their file


def error_of(folder) -> str:
    """Return the error of reading the folder, on one line and without the path."""
    with pytest.raises(SpecError) as caught:
        Measurements.read(folder)
    return " ".join(str(caught.value).removeprefix(f"{folder}/").split())


@pytest.fixture
def folder(tmp_path):
    """Return a folder with only a setup."""
    SETUP.write(tmp_path / "setup.yaml")
    return tmp_path


@pytest.mark.parametrize("kind", ["nothing", "file"])
def test_a_path_that_is_not_a_folder_is_refused(tmp_path, kind):
    if kind == "file":
        (tmp_path / "folder").write_text("hello", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        Measurements.read(tmp_path / "folder")
    assert str(caught.value) == f"{tmp_path / 'folder'}: no such folder"


def test_a_folder_without_setup_is_refused(tmp_path):
    MEMORY.write_csv(tmp_path / "memory.csv")
    assert error_of(tmp_path).endswith(": no setup.yaml in this folder")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gpu_gib: 10.0", "gpu_gib: 0", "setup.yaml: gpu_gib: 0 must be above 0"),
        ("gpu_gib: 10.0", "gpu: 10.0", "setup.yaml: gpu: unknown key (allowed: name, hardware, gpu_gib,"),
        (
            "hardware: paper",
            "hardware: paper\ncolour: red",
            "setup.yaml: colour: unknown key (allowed: name, hardware,",
        ),
        ("layers: 2", "layers: two", "setup.yaml: model.layers: 'two' is not a whole number"),
        ("name: made", "name: ''", "setup.yaml: name: '' is not valid"),
    ],
)
def test_a_wrong_setup_is_refused(folder, old, new, message):
    text = (folder / "setup.yaml").read_text(encoding="utf-8")
    assert old in text
    (folder / "setup.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    assert error_of(folder).startswith(message)


LOADS = "source,rank,max_lora_rank,seconds\nhost,8,8,0.1\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "loads",
            "source,rank,seconds\nhost,8,0.1\n",
            "column 'max_lora_rank' is missing (needed: source, rank, max_lora_rank, seconds)",
        ),
        ("loads", LOADS + "disk,8,8,-0.5\n", "row 2: seconds: -0.5 must be finite and at least 0"),
        ("loads", LOADS + "disk,8,8,nan\n", "row 2: seconds: nan must be finite and at least 0"),
        ("loads", LOADS + "disk,8,8,inf\n", "row 2: seconds: inf must be finite and at least 0"),
        ("loads", LOADS + "disk,8,8,\n", "row 2: seconds: None must be finite and at least 0"),
        ("loads", LOADS + "tape,8,8,0.1\n", "row 2: source: 'tape' must be host or disk"),
        ("loads", LOADS + ",8,8,0.1\n", "row 2: source: None must be host or disk"),
        ("loads", LOADS.splitlines()[0] + "\n", "has no rows"),
        ("loads", "", "cannot be read: empty CSV"),
        ("loads", LOADS + "host,8,8,0.1,7,7\n", "cannot be read: found more fields than defined"),
        ("memory", "max_loras,max_lora_rank,kv_cache_tokens\n4,8,100\n-1,8,9\n", "row 2: max_loras: -1 must be finite"),
        (
            "memory",
            "max_loras,max_lora_rank,kv_cache_tokens\n4,8,100\n8,8,51.2\n",
            "row 2: kv_cache_tokens: 51.2 must be a whole number",
        ),
        ("planning", "running,waiting,seconds\n1,0,0.1\n1,-3,0.1\n", "row 2: waiting: -3 must be finite"),
    ],
)
def test_a_wrong_table_is_refused_with_its_row_and_column(folder, name, text, message):
    (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    assert error_of(folder).startswith(f"{name}.csv: {message}")


def test_a_value_of_the_wrong_kind_is_named_with_its_column(folder):
    (folder / "loads.csv").write_text(LOADS + "host,eight,8,0.1\n", encoding="utf-8")
    message = error_of(folder)
    assert message.startswith("loads.csv: a value has the wrong type: ")
    assert "'rank'" in message
    assert '"eight"' in message


def test_an_invalid_parquet_file_is_refused(folder):
    (folder / "steps.parquet").write_bytes(b"hello")
    assert error_of(folder).startswith("steps.parquet: cannot be read as Parquet: ")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: {**run, "thruput": 3.0}, "[1].thruput: unknown key (allowed: name, server, workload,"),
        (lambda run: {k: v for k, v in run.items() if k != "throughput"}, "[1].throughput: missing"),
        (lambda run: {**run, "tpot_mean": "fast"}, "[1].tpot_mean: 'fast' is not a number"),
        (lambda run: {**run, "server": {"max_lora": 3}}, "[1].server.max_lora: unknown key (allowed: max_loras,"),
        (
            lambda run: {**run, "workload": {"adapters": [{"name": "a", "rank": 600, "rate": 1}]}},
            "[1].workload.adapters[0].rank: 600 is above 512, the highest that vLLM serves",
        ),
    ],
    ids=["unknown key", "missing", "wrong type", "unknown key of the server", "rank 600"],
)
def test_a_wrong_run_is_refused_with_its_place_in_the_list(everything, folder, spoil, message):
    everything.write(folder)
    first, second = json.loads((folder / "runs.json").read_text(encoding="utf-8"))
    (folder / "runs.json").write_text(json.dumps([first, spoil(second)]), encoding="utf-8")
    assert error_of(folder).startswith(f"runs.json: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [('[{"name": ', "not valid JSON"), ("", "not valid JSON"), ("{}", "expected a list of runs, found a mapping")],
)
def test_runs_that_are_not_a_list_are_refused(folder, text, message):
    (folder / "runs.json").write_text(text, encoding="utf-8")
    error = error_of(folder)
    assert error.startswith("runs.json: ")
    assert message in error


def test_a_folder_with_a_setup_only_can_be_read_but_not_fitted(folder):
    with pytest.raises(SpecError, match=r"^measurements: the folder holds no measurements: memory, loads, planning,"):
        fit(Measurements.read(folder))


def test_a_setup_must_name_where_the_rest_comes_from(folder):
    with pytest.raises(SpecError, match=r"^setup\.start: name a profile to start from"):
        fit(Measurements(plain_setup(), memory=MEMORY))


# Single files


def test_a_measured_run_and_a_setup_read_back_as_they_were_written(everything, tmp_path):
    for value, kind in ((everything.runs[0], MeasuredRun), (SETUP, Setup)):
        value.write(tmp_path / "value.yaml")
        assert kind.read(tmp_path / "value.yaml") == value


def test_a_measured_run_without_throughput_is_refused(everything, tmp_path):
    everything.runs[0].write(tmp_path / "run.yaml")
    lines = (tmp_path / "run.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "run.yaml").write_text("".join(x for x in lines if not x.startswith("throughput")), encoding="utf-8")
    with pytest.raises(SpecError, match=r"run\.yaml: throughput: missing"):
        MeasuredRun.read(tmp_path / "run.yaml")
