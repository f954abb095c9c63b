"""Mutated files: each is read, or refused with an error that names the file, within bounds of time and memory."""

import multiprocessing
import random
import resource
import shutil
import signal
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from adaptwin import AdaptwinError

FILES = 10_000
SEED = 14
BATCH = 250  # files that a process reads
MOST_SECONDS = 20.0  # for one file
MOST_KIB = 1 << 20  # of memory that a process may have used at most
LONGEST_MESSAGE = 1500
PROCESSES = 2


class Failure(NamedTuple):
    """A file that was neither read nor refused."""

    kind: str
    number: int  # with which the mutation can be drawn again
    what: str


def content_of(kind: str, number: int, valid: Path) -> bytes:
    """Return the mutated content of a file of this kind."""
    from kinds_of_files import KINDS
    from mutations import mutated, mutated_parquet

    content = (valid / KINDS[kind].name).read_bytes()
    change = mutated_parquet if KINDS[kind].is_parquet else mutated
    return change(content, random.Random(f"{SEED} {kind} {number}"))


def read_one(kind: str, number: int, valid: Path, folder: Path) -> str:
    """Read a mutated file; return "read" or "refused", or raise what went wrong."""
    from kinds_of_files import KINDS

    path = folder / KINDS[kind].name
    path.write_bytes(content_of(kind, number, valid))
    try:
        KINDS[kind].read(path)
    except AdaptwinError as error:
        assert str(folder) in str(error), f"names no file: {error}"
        assert len(str(error)) < LONGEST_MESSAGE, f"long message: {error}"
        return "refused"
    finally:
        shutil.copyfile(valid / KINDS[kind].name, path)
    return "read"


def read_batch(cases: list[tuple[str, int]], valid: Path, folder: Path, results: multiprocessing.Queue) -> None:
    """Read files in a process of its own; put (case, result) for each, and None before each."""
    shutil.copytree(valid, folder)
    signal.signal(signal.SIGALRM, _too_slow)
    for case in cases:
        results.put((case, None))
        signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
        try:
            result = read_one(*case, valid, folder)
        except BaseException:
            result = traceback.format_exc()
        signal.setitimer(signal.ITIMER_REAL, 0)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MOST_KIB:
            results.put((case, "more memory than allowed"))
            return
        results.put((case, result))
    shutil.rmtree(folder)


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"more than {MOST_SECONDS:g} s")


def read_all(cases: list[tuple[str, int]], valid: Path, folder: Path) -> tuple[Counter[tuple[str, str]], list[Failure]]:
    """Read all files in processes; return counts by kind and result, and the failures."""
    context = multiprocessing.get_context("spawn")
    batches = [cases[first : first + BATCH] for first in range(0, len(cases), BATCH)]
    counts: Counter[tuple[str, str]] = Counter()
    failures: list[Failure] = []
    running = []
    while batches or running:
        while batches and len(running) < PROCESSES:
            results = context.SimpleQueue()
            batch = batches.pop(0)
            process = context.Process(target=read_batch, args=(batch, valid, folder / f"{len(batches)}", results))
            process.start()
            running.append((process, results))
        running = [each for each in running if not _taken(*each, counts, failures)]
        time.sleep(0.02)
    return counts, failures


def _taken(process, results, counts, failures) -> bool:
    """Take the results that are there; return whether the process has ended."""
    ended = not process.is_alive()
    while not results.empty():
        case, result = results.get()
        process.case = None if result else case
        if result:
            counts[case[0], result if result in ("read", "refused") else "failed"] += 1
            if result not in ("read", "refused"):
                failures.append(Failure(*case, result))
    if ended and (case := getattr(process, "case", None)):
        counts[case[0], "failed"] += 1
        failures.append(Failure(*case, f"the process ended with exit code {process.exitcode}"))
    return ended


@pytest.mark.timeout(0)
def test_a_mutated_file_is_read_or_refused(tmp_path, capsys):
    from kinds_of_files import KINDS, write_all

    valid = tmp_path / "valid"
    valid.mkdir()
    write_all(valid)
    for kind in KINDS.values():
        kind.read(valid / kind.name)
    kinds = list(KINDS)
    cases = [(kinds[number % len(kinds)], number) for number in range(FILES)]
    counts, failures = read_all(cases, valid, tmp_path)
    with capsys.disabled():
        for kind in kinds:
            print(f"\n{kind:20}", *(f"{counts[kind, what]:5} {what}" for what in ("read", "refused", "failed")), end="")
        print(f"\n{sum(counts.values()):,} mutated files: {len(failures)} failures")
    assert not failures, "\n\n".join(f"{each.kind} {each.number}: {each.what}" for each in failures[:5])
    assert sum(counts.values()) == FILES
