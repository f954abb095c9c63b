"""Test whether the twin has become slower: time this checkout and another revision in turn.

    python benchmarks/versions.py HEAD~1               # or any other revision
    python benchmarks/versions.py v0.1 --rounds 25

Each version runs in a process of its own. In each round, both simulate the same case with the same seed, one right
after the other and in alternating order, so that a drift in the speed of the machine does not distort the comparison.
Because the speed of a process depends on where its memory happens to lie, several processes of each version are used,
one after the other. Only the public API is used, which all versions have. The result is the median over all rounds of
the ratio new over old of the wall time of a whole `simulate` call.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parents[1]
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
ALLOWED = 1.05  # largest median ratio of new to old
QUICK = 0.02  # seconds; a shorter case is simulated several times, and the fastest counts


class Case(NamedTuple):
    """A server and its load over an hour."""

    adapters: int
    rate: float  # requests per second in total
    max_loras: int
    server: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    options: dict[str, Any] = {}  # noqa: RUF012


CASES = {
    "light": Case(8, 0.5, 8),
    "moderate": Case(128, 7.5, 128),
    "slot-limited": Case(320, 18.7, 16),
    "host memory": Case(320, 7.5, 16, {"max_cpu_loras": 32}),
    "near saturation": Case(96, 30.0, 32),
    "deep overload": Case(192, 179.0, 64),
    "short of KV cache": Case(96, 10.0, 32, {"kv_cache_tokens": 20_000, "max_model_len": 4096}),
    "asynchronous": Case(128, 10.0, 64, {"async_scheduling": True}),
    "scraped": Case(128, 7.5, 32, options={"scrape_every": 2.0}),
}


def main() -> None:
    """Compare the versions and print a table; the exit code is 1 if a case is more than 5 % slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="?", default="HEAD", help="git revision of the old version")
    parser.add_argument("--processes", type=int, default=6, help="processes of each version, one after the other")
    parser.add_argument("--rounds", type=int, default=11, help="times that each process simulates each case")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--play", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.play:
        play_what_is_asked()
        return
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        _git("worktree", "add", "--quiet", "--detach", str(old), arguments.revision)
        try:
            for source in (old / "src", PROJECT / "src"):
                with _Player(source) as player:  # compiles what is missing in the cache
                    player.seconds(arguments.cases[0], seed=0)
            ratios: dict[str, list[float]] = {name: [] for name in arguments.cases}
            for _ in range(arguments.processes):
                with _Player(old / "src") as before, _Player(PROJECT / "src") as after:
                    for name, of_case in ratios.items():
                        of_case += compare(before, after, name, arguments.rounds)
        finally:
            _git("worktree", "remove", "--force", str(old))
    Console(width=100).print(table(ratios))
    sys.exit(any(statistics.median(of_case) > ALLOWED for of_case in ratios.values()))


def compare(before: "_Player", after: "_Player", name: str, rounds: int) -> list[float]:
    """Return the ratio of new to old seconds for each round."""
    ratios = []
    for player in (before, after):
        player.seconds(name, seed=0)  # warms up
    for number in range(1, rounds + 1):
        order = (before, after) if number % 2 else (after, before)
        seconds = {player: player.seconds(name, seed=number) for player in order}
        ratios.append(seconds[after] / seconds[before])
    return ratios


class _Player:
    """A process that simulates cases with the sources of one version."""

    def __init__(self, source: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(source)}
        command = [sys.executable, __file__, "--play"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def __enter__(self) -> "_Player":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def seconds(self, name: str, seed: int) -> float:
        """Return the wall time of a case, in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(name, seed, sep="\t", file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def play_what_is_asked() -> None:
    """Simulate the case and seed of each line of the standard input, and print the seconds that it took."""
    from adaptwin import Adapter, Server, Workload, load_profile, simulate  # the version that is being timed

    profile = load_profile(PROFILE)
    for line in sys.stdin:
        name, seed = line.rstrip("\n").split("\t")
        case = CASES[name]
        settings = {"max_lora_rank": 16, "max_cpu_loras": case.adapters, "max_num_seqs": 2048, **case.server}
        server = Server(max_loras=case.max_loras, **settings)
        rate = case.rate / case.adapters
        workload = Workload([Adapter(f"a{i}", (8, 16)[i % 2], rate) for i in range(case.adapters)])
        quickest, spent = math.inf, 0.0
        while spent < QUICK:
            started = time.perf_counter()
            simulate(profile, server, workload, seed=int(seed), **case.options)
            seconds = time.perf_counter() - started
            quickest, spent = min(quickest, seconds), spent + seconds
        print(quickest, flush=True)


def table(ratios: dict[str, list[float]]) -> Table:
    """Show the ratios, a row per case, and their geometric mean."""
    shown = Table(title="Wall time of simulate, new over old", title_justify="left")
    shown.add_column("case")
    for header in ("median", "lower quartile", "upper quartile"):
        shown.add_column(header, justify="right")
    for name, of_case in ratios.items():
        low, middle, high = statistics.quantiles(of_case, n=4)
        shown.add_row(name, *(f"{value:.3f}" for value in (middle, low, high)))
    medians = [statistics.median(of_case) for of_case in ratios.values()]
    shown.add_row("all (geometric mean)", f"{math.exp(statistics.fmean(map(math.log, medians))):.3f}", "", "")
    return shown


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, cwd=PROJECT)  # noqa: S607 (git is where the user has it)


if __name__ == "__main__":
    main()
