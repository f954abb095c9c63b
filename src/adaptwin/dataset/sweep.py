"""sweep: a design -> a folder of Parquet partitions, in parallel, and resumable after a kill."""

import hashlib
import logging
import socket
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
from adaptwin.dataset.mix import make_mix
from adaptwin.dataset.play_mix import play_mix
from adaptwin.errors import SpecError
from adaptwin.profile.profile import Profile, load_profile
from adaptwin.progress import Progress, silent
from adaptwin.spec import dump_yaml
from adaptwin.twin.compilation import compile_twin

MIXES_PER_PARTITION = 100
PARTITIONS_PER_WORKER = 4  # of a Ray cluster that are played before any of them is written
NO_RAY = "ray needs Ray: pip install 'adaptwin[ray]'"
_DIFFERENCES = {  # in what partitions of one sweep have in common
    "version": "another version of adaptwin",
    "design": "another design",
    "seed": "another seed",
    "profiles": "other constants in the profiles",
}


class Task(NamedTuple):
    """A partition to play."""

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
    """Play all mixes of a design, and keep their rows in a folder of Parquet partitions.

    Each partition holds the rows of a hundred mixes and is written as a whole when they have been played, so a sweep
    that was killed goes on where it was, and no row is lost or doubled. Rows follow from the design and its profiles
    alone: they are the same for any number of workers on any engine.

    Args:
        design: What to play.
        out: Folder of the partitions; made if it is not there. It may hold a part of the same design's rows.
        jobs: Processes; -1 is one per core (with Ray: of the cluster).
        engine: ``local`` processes, or the workers of a Ray cluster.
        address: Of the Ray cluster, ``auto`` or ``host:port`` of its head; None takes the one that is running, or
            starts one on this machine for as long as the sweep takes.
        progress: Told how many partitions are done.

    Raises:
        SpecError: The folder holds rows of another design, or of other profiles or another version of adaptwin; or
            it cannot be written, or an argument makes no sense, or what the design or the engine needs is missing.
    """
    _require_sense(jobs, engine, address)
    folder = Path(out)
    profiles = tuple(load_profile(name) for name in design.profiles)
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
    """Raise `SpecError` for an argument of `sweep` that makes no sense."""
    if jobs < 1 and jobs != -1:
        raise SpecError(f"{jobs} must be at least 1, or -1 for one per core", "jobs")
    if engine not in ("local", "ray"):
        raise SpecError(f"{engine!r} is not one of local, ray", "engine")
    if address is not None and engine != "ray":
        raise SpecError(f"{address!r} is of use with engine ray only", "address")


def _task(number: int, design: Design, profiles: tuple[Profile, ...], values: list[Values]) -> Task:
    first = number * MIXES_PER_PARTITION
    return Task(number, design, profiles, dict(enumerate(values[first : first + MIXES_PER_PARTITION], first)))


def _play_partitions(tasks: list[Task], jobs: int, engine: str) -> Iterator[tuple[int, pl.DataFrame]]:
    """Partitions as they are done: from local processes one by one, from Ray in rounds, as joblib has it no other way.

    A round has several partitions for each worker, so that few of them wait for its last.
    """
    play = joblib.delayed(_play_partition)
    if engine == "local":
        parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
        yield from parallel(map(play, tasks))
        return
    size = PARTITIONS_PER_WORKER * joblib.effective_n_jobs(jobs)
    with joblib.Parallel(n_jobs=jobs, batch_size=1) as parallel:
        for first in range(0, len(tasks), size):
            yield from parallel(map(play, tasks[first : first + size]))


def _play_partition(task: Task) -> tuple[int, pl.DataFrame]:
    """The rows of a partition, played by a worker."""
    compile_twin()
    rows = []
    for number, values in task.mixes.items():
        mix = make_mix(task.design, task.profiles[number % len(task.profiles)], number, values)
        rows += play_mix(task.design, mix) if mix else []
    return task.number, table_of(rows)


def _claim(folder: Path, design: Design) -> None:
    """Make the folder this design's; raises `SpecError` when it is another's."""
    file = folder / DESIGN_FILE
    if file.exists():
        found = Design.read(file)
        if names := [name for name in Design.model_fields if getattr(found, name) != getattr(design, name)]:
            message = f"was swept with another design, which differs in {', '.join(names)}: sweep into a new folder"
            raise SpecError(message, "out", folder)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(f"cannot be made: {error.strerror}", "out", folder) from None
    design.write(file)


def _origin(design: Design, profiles: Sequence[Profile]) -> dict[str, str]:
    """What rows rest on: two partitions with the same origin belong together."""
    constants = hashlib.blake2b("".join(dump_yaml(p.file_form()) for p in profiles).encode(), digest_size=8)
    return {
        "adaptwin.version": version("adaptwin"),
        "adaptwin.design": dump_yaml(design.file_form()),
        "adaptwin.seed": str(design.seed),
        "adaptwin.profiles": constants.hexdigest(),
    }


def _is_done(file: Path, origin: dict[str, str]) -> bool:
    """Whether a partition is there; raises `SpecError` when it rests on something else."""
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
    """Where joblib finds its workers meanwhile; Ray is left as it was found, running or not."""
    if engine == "local":
        with joblib.parallel_config(backend="loky"):
            yield
        return
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise SpecError(NO_RAY, "engine") from None
    was_running = ray.is_initialized()
    if not was_running:
        _require_answer(address)
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SpecError(f"{address or 'Ray on this machine'}: {error}", "address") from None
    try:
        register_ray()  # type: ignore[no-untyped-call]
        with joblib.parallel_config(backend="ray"):
            yield
    finally:
        if not was_running:
            ray.shutdown()


def _require_answer(address: str | None) -> None:
    """Raise `SpecError` where nobody answers at host:port, which Ray would go on trying for a quarter of an hour."""
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=10.0).close()
    except (OSError, ValueError, OverflowError) as error:
        raise SpecError(f"{address}: no Ray cluster answers there ({error})", "address") from None
