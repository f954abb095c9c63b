"""sweep: a design -> a folder of Parquet partitions, in parallel, and resumable after a kill."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

import joblib
import polars as pl

from adaptwin.dataset.dataset import (
    DESIGN_FILE,
    Dataset,
    partition_file,
    partition_origin,
    table_of,
    write_partition,
)
from adaptwin.dataset.design import Design, Values
from adaptwin.dataset.design_profiles import design_profiles, profile_place
from adaptwin.dataset.mix import make_mix
from adaptwin.dataset.play_mix import play_mix
from adaptwin.engine import require_engine, workers
from adaptwin.errors import SpecError
from adaptwin.interruption import deaf_children, unwound
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.spec import dump_yaml
from adaptwin.twin.compilation import compile_twin

MIXES_PER_PARTITION = 100
PARTITIONS_PER_WORKER = 4  # partitions per worker of a Ray cluster that are simulated before any of them is written
_DIFFERENCES = {  # how a partition of another sweep may differ, by the part of its origin
    "version": "another version of adaptwin",
    "design": "another design",
    "seed": "another seed",
    "profiles": "other constants in the profiles",
}


class Task(NamedTuple):
    """A partition to simulate."""

    number: int
    design: Design
    profiles: tuple[Profile, ...]
    mixes: dict[int, Values]  # by number


def sweep(
    design: Design,
    out: str | Path,
    *,
    jobs: int = -1,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Simulate all mixes of a design, and write their runs to a folder of Parquet partitions.

    Each partition holds the rows of a hundred mixes and is written as a whole once they have been simulated. A sweep
    that was killed therefore continues where it stopped, and no row is lost or duplicated. Rows depend only on the
    design and its profiles: they are the same for any number of workers and any engine.

    Args:
        design: The mixes to simulate.
        out: Folder of the partitions; it is made if it does not exist. It may hold some of the same design's rows.
        jobs: Number of processes; -1 is one per core (with Ray: per core of the cluster).
        engine: ``local`` processes, or the workers of a Ray cluster.
        address: Address of the Ray cluster, ``auto`` or ``host:port`` of its head; None uses the cluster that is
            running, or starts one on this machine for the duration of the sweep.
        progress: Called with the number of partitions done.

    Raises:
        SpecError: The folder holds rows of another design, other profiles or another version of adaptwin, or cannot
            be written; an argument has no valid value; or a package that the design or the engine needs is missing.
    """
    _require_sense(jobs, engine, address)
    folder = Path(out)
    profiles = design_profiles(design)
    values = design.values()
    with _workers(engine, address):
        _claim(folder, design)
        origin = _origin(design, profiles)
        count = -(-len(values) // MIXES_PER_PARTITION)
        missing = [number for number in range(count) if not _is_done(partition_file(folder, number), origin)]
        progress("sweeping", count - len(missing), count)
        if missing:
            compile_twin(progress)
        tables = _play_partitions([_task(number, design, profiles, values) for number in missing], jobs, engine)
        for done, (number, table) in enumerate(tables, count - len(missing) + 1):
            write_partition(partition_file(folder, number), table, {**origin, "adaptwin.partition": str(number)})
            progress("sweeping", done, count)
    return Dataset.read(folder)


def _require_sense(jobs: int, engine: str, address: str | None) -> None:
    """Raise `SpecError` for an argument of `sweep` that has no valid value."""
    if jobs < 1 and jobs != -1:
        raise SpecError(f"{jobs} must be at least 1, or -1 for one per core", "jobs")
    require_engine(engine, address)


def _task(number: int, design: Design, profiles: tuple[Profile, ...], values: list[Values]) -> Task:
    first = number * MIXES_PER_PARTITION
    return Task(number, design, profiles, dict(enumerate(values[first : first + MIXES_PER_PARTITION], first)))


def _play_partitions(tasks: list[Task], jobs: int, engine: str) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield partitions when they are done: local ones one by one, those from Ray in rounds.

    joblib cannot return results from Ray one by one. A round has several partitions per worker, so that workers are
    rarely idle while the last partition of the round is simulated.
    """
    play = joblib.delayed(_play_partition)
    if engine == "local":
        parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
        with unwound():
            with deaf_children():
                tables = parallel(map(play, tasks))
            yield from tables
        return
    size = PARTITIONS_PER_WORKER * joblib.effective_n_jobs(jobs)
    with joblib.Parallel(n_jobs=jobs, batch_size=1) as parallel:
        for first in range(0, len(tasks), size):
            yield from parallel(map(play, tasks[first : first + size]))


def _play_partition(task: Task) -> tuple[int, pl.DataFrame]:
    """Simulate the mixes of a partition, in a worker."""
    compile_twin()
    rows = []
    for number, values in task.mixes.items():
        mix = make_mix(task.design, task.profiles[profile_place(task.design, number)], number, values)
        rows += play_mix(task.design, mix) if mix else []
    return task.number, table_of(rows)


def _claim(folder: Path, design: Design) -> None:
    """Write the design to the folder; raises `SpecError` if the folder belongs to another design."""
    file = folder / DESIGN_FILE
    if file.exists():
        found = Design.read(file)
        if names := [name for name in Design.model_fields if getattr(found, name) != getattr(design, name)]:
            message = f"holds a sweep of another design, which differs in {', '.join(names)}: sweep into a new folder"
            raise SpecError(message, "out", folder)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(f"cannot be written as a folder: {error.strerror}", file=folder) from None
    design.write(file)


def _origin(design: Design, profiles: Sequence[Profile]) -> dict[str, str]:
    """Everything on which rows depend; partitions with the same origin belong to the same sweep."""
    constants = hashlib.blake2b("".join(p.name + p.fingerprint for p in profiles).encode(), digest_size=8)
    return {
        "adaptwin.version": version("adaptwin"),
        "adaptwin.design": dump_yaml(design.file_form()),
        "adaptwin.seed": str(design.seed),
        "adaptwin.profiles": constants.hexdigest(),
    }


def _is_done(file: Path, origin: dict[str, str]) -> bool:
    """Return whether a partition exists; raises `SpecError` if it exists with another origin."""
    if not file.exists():
        return False
    found = partition_origin(file)
    for name, value in origin.items():
        if found.get(name) != value:
            what = _DIFFERENCES[name.removeprefix("adaptwin.")]
            raise SpecError(f"was made with {what}: sweep into a new folder", "out", file)
    return True


@contextmanager
def _workers(engine: str, address: str | None) -> Iterator[None]:
    """Set the workers that joblib uses within the context: processes of this machine, or those of Ray."""
    with joblib.parallel_config(backend="loky") if engine == "local" else workers(engine, address):
        yield
