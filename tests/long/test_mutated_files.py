"""Mutated files: each is read, or refused with an error that names the file, within bounds of time and memory."""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FILES = 10_000
BATCH = 500  # files that a process reads
PROCESSES = 2
SCRIPT = Path(__file__).parent / "read_mutated.py"
GOOD = ("read", "refused")


def run(*arguments):
    """Run the script in a process of its own; return what it printed, and its errors and exit code."""
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def results_of(first, valid, folder):
    """Return (number, kind, result) of a batch of files; that of a file on which the process ended is its end."""
    done = run("read", valid, folder / f"{first}", first, min(FILES, first + BATCH))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    results = {number: (number, kind, result) for number, kind, result in lines}
    number, kind, result = results[max(results)]
    if result is None or done.returncode or done.stderr:
        what = f"exit code {done.returncode}, and on the error stream: {done.stderr[-2000:]}"
        results[number] = (number, kind, f"{result}; {what}")
    return list(results.values())


def test_a_mutated_file_is_read_or_refused(tmp_path, capsys):
    valid = tmp_path / "valid"
    valid.mkdir()
    written = run("write", valid)
    assert written.returncode == 0, written.stderr
    with ThreadPoolExecutor(PROCESSES) as pool:
        batches = pool.map(lambda first: results_of(first, valid, tmp_path), range(0, FILES, BATCH))
        results = [result for batch in batches for result in batch]
    counts = Counter((kind, result if result in GOOD else "failed") for _, kind, result in results)
    failures = [each for each in results if each[2] not in GOOD]
    with capsys.disabled():
        print()
        for kind in dict.fromkeys(kind for _, kind, _ in results):
            print(f"{kind:20}", *(f"{counts[kind, what]:5} {what}" for what in (*GOOD, "failed")))
        print(f"{len(results):,} mutated files: {len(failures)} failures")
    assert not failures, "\n\n".join(f"{kind} {number}: {result}" for number, kind, result in failures[:5])
    assert len(results) == FILES
    assert min(counts[kind, what] for _, kind, _ in results for what in GOOD) > 0
