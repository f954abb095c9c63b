"""sweep: a design -> a folder of Parquet partitions, in parallel, and resumable after a kill."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

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
from adaptwin.dataset.play import play_mix
from adaptwin.errors import SpecError
from adaptwin.profile.profile import Profile, load_profile
from adaptwin.progress import Progress, silent
from adaptwin.spec import dump_yaml
from adaptwin.twin.compilation import compile_twin

MIXES_PER_PARTITION = 100
NO_RAY = "engine ray needs Ray: pip install 'adaptwin[ray]'"

Task = tuple[int, Design, tuple[Profile, ...], list[Values]]


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
    that was killed goes on where it was, and no row is lost or doubled. Rows follow from the design alone: they are the
    same for any number of workers on any engine.

    Args:
        design: What to play.
        out: Folder of the partitions; made if it is not there. It may hold a part of the same design's rows.
        jobs: Processes; -1 is one per core (with Ray: of the cluster).
        engine: ``local`` processes, or the workers of a Ray cluster.
        address: Of the Ray cluster; None takes the one that is running, or starts one on this machine.
        progress: Told how many partitions are done.

    Raises:
        SpecError: The folder holds rows of another design, or of other profiles or another version of adaptwin.
    """
    folder = Path(out)
    profiles = tuple(load_profile(name) for name in design.profiles)
    _claim(folder, design)
    origin = _origin(design, profiles)
    values = design.values()
    count = -(-len(values) // MIXES_PER_PARTITION)
    missing = [number for number in range(count) if not _is_done(partition_file(folder, number), origin)]
    compile_twin()
    progress("sweeping", count - len(missing), count)
    tasks = (joblib.delayed(_play_partition)(_task(number, design, profiles, values)) for number in missing)
    with _engine(engine, address):
        results = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="3*n_jobs")(tasks)
        for done, (number, table) in enumerate(results, count - len(missing) + 1):
            write_partition(partition_file(folder, number), table, {**origin, "adaptwin.partition": str(number)})
            progress("sweeping", done, count)
    return Dataset.read(folder)


def _task(number: int, design: Design, profiles: tuple[Profile, ...], values: list[Values]) -> Task:
    first = number * MIXES_PER_PARTITION
    return first, design, profiles, values[first : first + MIXES_PER_PARTITION]


def _play_partition(task: Task) -> tuple[int, pl.DataFrame]:
    """The rows of a partition, played by a worker."""
    first, design, profiles, values = task
    compile_twin()
    rows = []
    for number, of_mix in enumerate(values, first):
        mix = make_mix(design, profiles[number % len(profiles)], number, of_mix)
        rows += play_mix(design, mix) if mix else []
    return first // MIXES_PER_PARTITION, table_of(rows)


def _claim(folder: Path, design: Design) -> None:
    """Make the folder this design's; raises `SpecError` when it is another's."""
    file = folder / DESIGN_FILE
    if file.exists():
        if Design.read(file) != design:
            raise SpecError("another design has been swept into this folder: give a new one", "out", file)
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
            what = name.removeprefix("adaptwin.")
            raise SpecError(f"was made with another {what}: sweep into a new folder", "out", file)
    return True


def _engine(engine: str, address: str | None) -> Any:
    """The context in which joblib finds its workers."""
    if engine == "local":
        return joblib.parallel_config(backend="loky")
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise SpecError(NO_RAY, "engine") from None
    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    register_ray()  # type: ignore[no-untyped-call]
    return joblib.parallel_config(backend="ray")
