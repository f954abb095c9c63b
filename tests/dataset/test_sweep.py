"""sweep: the rows are the same for any number of workers and after any interruption."""

import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
from tests.dataset.designs import LLAMA, QWEN, mixes_of, tiny

from adaptwin import SpecError, load_profile
from adaptwin.dataset.dataset import (
    DATASET_COLUMNS,
    Dataset,
    partition_file,
    partition_origin,
    read_partition,
    write_partition,
)
from adaptwin.dataset.design import Design
from adaptwin.dataset.play_mix import play_mix
from adaptwin.dataset.sweep import sweep
from adaptwin.spec import dump_yaml
from adaptwin.twin.compilation import compile_twin

MODULE = "adaptwin.dataset.sweep"
LONG_ENOUGH_TO_BE_KILLED = {"mixes": 350, "loads": 2, "duration": (60.0,), "most_requests": 8000, "boundary": 0.0}


@pytest.fixture(scope="module", autouse=True)
def compiled():
    compile_twin()


@pytest.fixture
def small_partitions(monkeypatch):
    """Put two mixes in each partition, so that the seven of a tiny design need four partitions."""
    monkeypatch.setattr(f"{MODULE}.MIXES_PER_PARTITION", 2)


def contents(folder):
    """Return the bytes of every file in a folder, by name."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


PARTITIONS = [f"part-0000{number}.parquet" for number in range(4)]


# The rows


def test_rows_are_those_of_each_mix_on_its_own(tmp_path):
    rows = sweep(tiny(), tmp_path, jobs=1).rows
    by_hand = [row for mix in mixes_of(tiny()) for row in play_mix(tiny(), mix)]
    assert rows.select("mix", "run").rows() == [(mix, run) for mix in range(7) for run in range(2)]
    assert repr(rows.rows()) == repr([tuple(row.values()) for row in by_hand])


def test_mixes_take_turns_on_the_profiles(tmp_path):
    rows = sweep(tiny(loads=1), tmp_path, jobs=1).rows
    names = rows["profile"].to_list()
    assert [set(names[turn : turn + 2]) for turn in (0, 2, 4)] == [{LLAMA, QWEN}] * 3


def test_one_process_or_two_give_the_same_files_to_the_byte(tmp_path, small_partitions):
    one, two = (sweep(tiny(), tmp_path / str(jobs), jobs=jobs) for jobs in (1, 2))
    assert one.rows.equals(two.rows)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert list(contents(tmp_path / "1")) == ["design.yaml", *PARTITIONS]


def test_the_size_of_partitions_does_not_change_the_rows(tmp_path, monkeypatch):
    whole = sweep(tiny(), tmp_path / "whole", jobs=1)
    monkeypatch.setattr(f"{MODULE}.MIXES_PER_PARTITION", 3)
    assert sweep(tiny(), tmp_path / "parts", jobs=1).rows.equals(whole.rows)
    assert len(contents(tmp_path / "parts")) == 1 + 3


def test_invalid_mixes_have_no_rows(tmp_path, small_partitions):
    design = tiny(adapters=(1, 8), max_loras=(4,))
    rows = sweep(design, tmp_path, jobs=1).rows
    sensible = [number for number, values in enumerate(design.values()) if values["adapters"] == 8]
    assert rows["mix"].unique(maintain_order=True).to_list() == sensible
    assert 0 < len(sensible) < 7
    nothing = sweep(tiny(adapters=(1,), max_loras=(4,)), tmp_path / "none", jobs=1)
    assert (nothing.rows.shape, tuple(nothing.rows.columns)) == ((0, len(DATASET_COLUMNS)), DATASET_COLUMNS)


def test_progress_counts_partitions_with_those_that_were_there(tmp_path, small_partitions):
    def progress(folder):
        seen = []
        sweep(tiny(), folder, jobs=1, progress=lambda *told: seen.append(told))
        return seen

    assert progress(tmp_path) == [("sweeping", done, 4) for done in range(5)]
    (tmp_path / PARTITIONS[1]).unlink()
    assert progress(tmp_path) == [("sweeping", 3, 4), ("sweeping", 4, 4)]


# The files


def test_partitions_name_their_design_and_their_seed(tmp_path, small_partitions):
    design = tiny(seed=5)
    sweep(design, tmp_path, jobs=1)
    for number in range(4):
        origin = partition_origin(partition_file(tmp_path, number))
        assert origin.keys() == {f"adaptwin.{name}" for name in ("version", "design", "seed", "profiles", "partition")}
        assert origin["adaptwin.design"] == dump_yaml(design.file_form())
        assert (origin["adaptwin.seed"], origin["adaptwin.partition"]) == ("5", str(number))
    assert Design.read(tmp_path / "design.yaml") == design


def test_a_dataset_reads_back_sorted_for_any_file_names(tmp_path, small_partitions):
    swept = sweep(tiny(), tmp_path, jobs=1)
    (tmp_path / PARTITIONS[0]).rename(tmp_path / "part-99999.parquet")
    dataset = Dataset.read(tmp_path)
    assert dataset.design == tiny()
    assert dataset.rows.equals(swept.rows)
    assert dataset.rows.select("mix", "run").rows() == sorted(dataset.rows.select("mix", "run").rows())


def test_an_unfinished_dataset_can_be_read(tmp_path, small_partitions):
    sweep(tiny(), tmp_path, jobs=1)
    (tmp_path / PARTITIONS[1]).unlink()
    assert Dataset.read(tmp_path).rows["mix"].unique(maintain_order=True).to_list() == [0, 1, 4, 5, 6]


def test_a_folder_without_a_dataset_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"no such folder of runs: design\.yaml is missing$"):
        Dataset.read(tmp_path)
    tiny().write(tmp_path / "design.yaml")
    with pytest.raises(SpecError, match=f"^{tmp_path}: holds no partition of a dataset yet: run adaptwin sweep$"):
        Dataset.read(tmp_path)


def test_a_file_that_is_not_a_partition_is_refused(tmp_path):
    sweep(tiny(mixes=1), tmp_path, jobs=1)
    file = partition_file(tmp_path, 0)
    read_partition(file).drop("seed", "rate").write_parquet(file)
    with pytest.raises(
        SpecError, match=r"part-00000\.parquet: does not have the columns of a dataset \(missing: seed, rate\)"
    ):
        Dataset.read(tmp_path)
    file.write_bytes(b"half a file")
    with pytest.raises(SpecError, match=r"part-00000\.parquet: cannot be read as Parquet: "):
        Dataset.read(tmp_path)


# Stopped and started again


def test_existing_partitions_are_not_made_again(tmp_path, small_partitions):
    sweep(tiny(), tmp_path, jobs=1)
    before = contents(tmp_path)
    times = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    (tmp_path / PARTITIONS[2]).unlink()
    sweep(tiny(), tmp_path, jobs=2)
    assert contents(tmp_path) == before
    after = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert {name for name in after if after[name] != times[name]} == {PARTITIONS[2]}


def test_unfinished_files_of_a_killed_sweep_are_ignored(tmp_path, small_partitions):
    swept = sweep(tiny(), tmp_path / "undisturbed", jobs=1)
    folder = tmp_path / "disturbed"
    folder.mkdir()
    (folder / ".part-00001.parquet.x1y2").write_bytes(b"PAR1 and then no more")
    (folder / ".design.yaml.x1y2").write_text("profiles: [", encoding="utf-8")
    assert sweep(tiny(), folder, jobs=1).rows.equals(swept.rows)
    assert {name: data for name, data in contents(folder).items() if name[0] != "."} == contents(
        tmp_path / "undisturbed"
    )
    assert Dataset.read(folder).rows.equals(swept.rows)


@pytest.mark.long
def test_a_sweep_killed_in_the_middle_goes_on_to_the_same_bytes(tmp_path):
    design, killed = tiny(**LONG_ENOUGH_TO_BE_KILLED), tmp_path / "killed"
    design.write(tmp_path / "d.yaml")
    words = [sys.executable, "-m", "adaptwin", "sweep", "d.yaml", "--out", "killed", "--jobs", "2"]
    environment = {**os.environ, "JOBLIB_TEMP_FOLDER": str(tmp_path)}  # a killed sweep leaves files there
    running = subprocess.Popen(words, cwd=tmp_path, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    while not partition_file(killed, 0).exists() and not partition_file(killed, 1).exists():
        assert running.poll() is None, "the sweep ended before it could be killed"
        time.sleep(0.005)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    os.killpg(running.pid, signal.SIGTERM)  # its workers, which would otherwise stay for minutes
    there = sorted(killed.glob("part-*.parquet"))
    assert 1 <= len(there) < 4
    for file in there:  # complete, as every partition that exists
        assert len(read_partition(file)) == (100 if file.name == PARTITIONS[3] else 200)

    sweep(design, killed, jobs=2)
    sweep(design, tmp_path / "undisturbed", jobs=2)
    left = {name: data for name, data in contents(killed).items() if name[0] != "."}
    assert left == contents(tmp_path / "undisturbed")
    assert list(left) == ["design.yaml", *PARTITIONS]


# What does not belong together


@pytest.mark.parametrize(
    ("fields", "names"), [({"seed": 1}, "seed"), ({"mixes": 8, "boundary": 0.25}, "mixes, boundary")]
)
def test_another_design_is_refused_and_changes_nothing(tmp_path, fields, names):
    sweep(tiny(), tmp_path, jobs=1)
    before = contents(tmp_path)
    with pytest.raises(SpecError, match=f"holds a sweep of another design, which differs in {names}: sweep into a new"):
        sweep(tiny(**fields), tmp_path, jobs=1)
    assert contents(tmp_path) == before


def test_other_constants_of_a_profile_are_refused(tmp_path):
    profile = load_profile(LLAMA)
    profile.write(tmp_path / "own.yaml")
    design = tiny(profiles=(str(tmp_path / "own.yaml"),))
    sweep(design, tmp_path / "runs", jobs=1)
    profile.model_copy(update={"request_latency": 0.25}).write(tmp_path / "own.yaml")
    with pytest.raises(SpecError, match="was made with other constants in the profiles: sweep into a new folder"):
        sweep(design, tmp_path / "runs", jobs=1)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("version", "0.0.1", "another version of adaptwin"),
        ("design", "profiles: [h200]\n", "another design"),
        ("seed", "9", "another seed"),
    ],
)
def test_a_partition_of_other_origin_is_refused(tmp_path, field, value, named):
    sweep(tiny(), tmp_path, jobs=1)
    file = partition_file(tmp_path, 0)
    write_partition(file, read_partition(file), {**partition_origin(file), f"adaptwin.{field}": value})
    with pytest.raises(SpecError) as error:
        sweep(tiny(), tmp_path, jobs=1)
    assert str(error.value) == f"{file}: out: was made with {named}: sweep into a new folder"


def test_a_partition_without_an_origin_is_refused(tmp_path):
    sweep(tiny(), tmp_path, jobs=1)
    file = partition_file(tmp_path, 0)
    pl.read_parquet(file).write_parquet(file)
    with pytest.raises(SpecError, match="was made with another version of adaptwin"):
        sweep(tiny(), tmp_path, jobs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"jobs": 0}, "jobs: 0 must be at least 1, or -1 for one per core"),
        ({"jobs": -2}, "jobs: -2 must be at least 1, or -1 for one per core"),
        ({"engine": "dask"}, "engine: 'dask' is not one of local, ray"),
        ({"address": "auto"}, "address: 'auto' needs the engine ray"),
    ],
)
def test_a_wrong_argument_is_refused_and_leaves_nothing_behind(tmp_path, arguments, message):
    with pytest.raises(SpecError) as error:
        sweep(tiny(), tmp_path / "runs", **arguments)
    assert str(error.value) == message
    assert not (tmp_path / "runs").exists()


def test_an_unknown_profile_is_refused_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(SpecError, match=r"^profile: 'h200' is neither a file nor one of "):
        sweep(tiny(profiles=("h200",)), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_created_is_refused(tmp_path):
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    with pytest.raises(SpecError, match=f"^{tmp_path}/runs: cannot be written as a folder: File exists$"):
        sweep(tiny(), tmp_path / "runs")
