"""Logs: a day of requests for 300 adapters, read by `adaptwin workload from-log`, and the plan that is made from it.

    python benchmarks/request_logs.py                        # 2 million rows as CSV: from-log, then plan
    python benchmarks/request_logs.py --format jsonl.gz      # another format
    python benchmarks/request_logs.py --rows 200000 --no-plan

Each command runs in a process of its own. Printed are its seconds, its processor seconds and its peak memory; the last
two do not depend on what else the machine does.
"""

import argparse
import gzip
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

DAY = 86400.0
START = 1_786_000_000.0  # seconds since 1970 of the first request
FORMATS = ("csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz")
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
ADAPTWIN = (sys.executable, "-m", "adaptwin")


def a_day(rows: int, adapters: int, seed: int = 0) -> pl.DataFrame:
    """Return the requests of a day as a gateway logs them: busy in the afternoon, popular adapters, 1 in 100 failed."""
    rng = np.random.default_rng(seed)
    hour = rng.normal(15.0, 4.0, rows) % 24.0
    shares = 1.0 / np.arange(1, adapters + 1)
    adapter = rng.choice(adapters, rows, p=shares / shares.sum())
    prompt = np.maximum(1, rng.lognormal(5.5, 0.8, rows)).astype(np.int64)
    answer = np.maximum(1, rng.lognormal(4.5, 0.7, rows)).astype(np.int64)
    failed = rng.random(rows) < 0.01
    return (
        pl.DataFrame(
            {
                "start": pl.Series(np.sort(START + 3600.0 * hour) * 1e3).cast(pl.Int64).cast(pl.Datetime("ms", "UTC")),
                "method": "POST",
                "path": "/v1/chat/completions",
                "status": np.where(failed, 502, 200),
                "model": pl.Series([f"tenant-{number:03}" for number in range(adapters)])[adapter],
                "prompt_tokens": np.where(failed, 0, prompt),
                "completion_tokens": np.where(failed, 0, answer),
            }
        )
        .with_columns(pl.col("start").dt.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").alias("start_time"))
        .drop("start")
    )


def write_log(frame: pl.DataFrame, path: Path) -> None:
    """Write a log in the format that the name of the file says."""
    if path.name.endswith(".csv.zst"):
        frame.lazy().sink_csv(path, compression="zstd")
        return
    text = frame.write_csv() if ".csv" in path.name else frame.write_ndjson()
    content = text.encode()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def measured(command: list[str]) -> str:
    """Run a command and return its seconds, processor seconds and peak memory."""
    before = time.perf_counter()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=False, text=True, capture_output=True)
    seconds = time.perf_counter() - before
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    processor = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return f"{done.stdout}\n{seconds:.1f} s, {processor:.1f} s of processor time, {after.ru_maxrss / 1024:,.0f} MB\n"


def main() -> None:
    """Generate a log, and print what the commands say and need."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--adapters", type=int, default=300)
    parser.add_argument("--format", choices=FORMATS, default="csv")
    parser.add_argument("--no-plan", action="store_true", help="do not make a plan")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log, fleet = Path(folder) / f"day.{asked.format}", Path(folder) / "fleet.yaml"
        write_log(a_day(asked.rows, asked.adapters), log)
        print(f"{asked.rows:,} rows, {asked.adapters} adapters, {log.stat().st_size / 1e6:,.0f} MB of {asked.format}\n")
        from_log = ["workload", "from-log", str(log), "--rank", "16", "--profile", PROFILE, "--out", str(fleet)]
        print(measured([*ADAPTWIN, *from_log]))
        if not asked.no_plan:
            print(f"fleet: {fleet.stat().st_size / 1e6:.1f} MB")
            print(measured([*ADAPTWIN, "plan", str(fleet), "--out", str(Path(folder) / "plan.yaml")]))


if __name__ == "__main__":
    main()
