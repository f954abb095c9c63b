"""Many people at once: 50 users ask a web server for plans of 200 adapters each; prints what became of their jobs."""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

USERS = 50
PLANS_OF_USER = 2
ADAPTERS = 200
FLEET = "name,rank,rate\n" + "".join(
    f"tenant-{place:03d},{(8, 16, 8, 32)[place % 4]},{2.0 / (1 + place):.4f}\n" for place in range(ADAPTERS)
)
ASKED = {"fleet": FLEET, "format": "csv", "profile": "h100-64gb-llama-3.1-8b-instruct"}
ENDED = ("done", "failed", "cancelled")
POLL_EVERY = 2.0  # seconds


def call(url: str, path: str, user: str, body: Any = None) -> Any:
    """Call the API as one user; a refusal because too many wait is tried again."""
    headers = {"Content-Type": "application/json", "X-Adaptwin-Client": user}
    data = None if body is None else json.dumps(body).encode()
    while True:
        try:
            request = urllib.request.Request(f"{url}{path}", data, headers)  # noqa: S310 (our own server)
            with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            if error.code != 429:
                raise
            time.sleep(POLL_EVERY)


def visit(url: str, user: str, jobs: list[dict[str, Any]], delays: list[float]) -> None:
    """Ask for plans, and follow them to their end."""
    ids = [call(url, "/v1/plans", user, ASKED)["id"] for _ in range(PLANS_OF_USER)]
    for plan_id in ids:
        while True:
            begun = time.perf_counter()
            job = call(url, f"/v1/plans/{plan_id}", user)
            delays.append(time.perf_counter() - begun)
            if job["state"] in ENDED:
                jobs.append({**job, "user": user})
                break
            time.sleep(POLL_EVERY)


def main() -> None:
    """Serve, let all users visit, and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "adaptwin", "serve", "--port", "0", "--workers", "2", "--json"]
        command += ["--database", str(Path(folder, "jobs.db"))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            jobs: list[dict[str, Any]] = []
            delays: list[float] = []
            begun = time.perf_counter()
            users = [
                threading.Thread(target=visit, args=(url, f"user-{place}", jobs, delays)) for place in range(USERS)
            ]
            for each in users:
                each.start()
            for each in users:
                each.join()
            seconds = time.perf_counter() - begun
            server.terminate()
    firsts = sorted(
        min(job["started"] for job in jobs if job["user"] == user) for user in {job["user"] for job in jobs}
    )
    seconds_of = [job["started"] for job in jobs]
    turns = sorted(jobs, key=lambda job: job["started"])
    first_round = {job["user"] for job in turns[:USERS]}
    print(f"{USERS} users, {PLANS_OF_USER} plans each of {ADAPTERS} adapters: {seconds:.0f} s in all")
    states = {state: sum(job["state"] == state for job in jobs) for state in ENDED}
    print(f"jobs: {len(jobs)} of {USERS * PLANS_OF_USER}: {states}")
    print(f"users among the first {USERS} turns: {len(first_round)} (fair: all of them)")
    tail = sorted(delays)[int(0.99 * len(delays))]
    print(f"first turn of the last user {firsts[-1] - min(seconds_of):.0f} s after the first of all")
    print(f"answers: median {1e3 * statistics.median(delays):.0f} ms, 99 % within {1e3 * tail:.0f} ms")


if __name__ == "__main__":
    main()
