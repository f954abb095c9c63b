"""The web page under many users, and how fast it simulates one server; writes docs/measured/web.md: make web-load."""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from measured_page import PAGES, generated_by, paragraph

USERS = 50
PLANS_OF_FIRST = 10  # of the first user; the others ask for one each
WORKERS = 2
ADAPTERS = 200
PROFILE = "h100-64gb-llama-3.1-8b-instruct"
FLEET = "name,rank,rate\n" + "".join(
    f"tenant-{place:03d},{(8, 16, 8, 32)[place % 4]},{2.0 / (1 + place):.4f}\n" for place in range(ADAPTERS)
)
ENDED = ("done", "failed", "cancelled")
POLL_EVERY = 2.0  # seconds
PROBES = 60  # simulations of one server while nothing else runs
RATES = (1.0, 4.0, 8.0, 16.0, 24.0)  # requests/s of the simulated servers


class Visits(NamedTuple):
    """What the users saw: the jobs as they ended, and how long answers took, in seconds."""

    jobs: list[dict[str, Any]]
    answers: list[float]
    simulations: list[float]
    seconds: float

    @property
    def first_turns(self) -> set[str]:
        """The users who had one of the first turns, of which there were as many as users."""
        return {job["user"] for job in sorted(self.jobs, key=lambda job: job["started"])[:USERS]}


@contextmanager
def served() -> Iterator[str]:
    """Serve the web page from a new database; yields its address."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "adaptwin", "serve", "--port", "0", "--workers", str(WORKERS), "--json"]
        command += ["--database", str(Path(folder, "jobs.db"))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["url"]
            server.terminate()


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
            if error.code not in (429, 503):
                raise
            time.sleep(POLL_EVERY)


def simulate(url: str, place: int) -> float:
    """Simulate one server, as a slider of the page does, and return the seconds that it took."""
    body = {"profile": PROFILE, "rate": RATES[place % len(RATES)], "max_loras": 8 + place, "seed": place}
    begun = time.perf_counter()
    call(url, "/v1/simulations", "prober", body)
    return time.perf_counter() - begun


def visit(url: str, user: str, plans: int, jobs: list[dict[str, Any]], answers: list[float]) -> None:
    """Ask for plans, and follow them to their end."""
    asked = {"fleet": FLEET, "format": "csv", "profile": PROFILE}
    for plan_id in [call(url, "/v1/plans", user, asked)["id"] for _ in range(plans)]:
        while True:
            begun = time.perf_counter()
            job = call(url, f"/v1/plans/{plan_id}", user)
            answers.append(time.perf_counter() - begun)
            if job["state"] in ENDED:
                jobs.append({**job, "user": user})
                break
            time.sleep(POLL_EVERY)


def all_visits(url: str) -> Visits:
    """Let all users visit at once, and one more who moves a slider meanwhile."""
    jobs: list[dict[str, Any]] = []
    answers: list[float] = []
    simulations: list[float] = []
    threads = [
        threading.Thread(target=visit, args=(url, f"user-{place}", 1 if place else PLANS_OF_FIRST, jobs, answers))
        for place in range(USERS)
    ]
    begun = time.perf_counter()
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        simulations.append(simulate(url, len(simulations)))
        time.sleep(1.0)
    return Visits(jobs, answers, simulations, time.perf_counter() - begun)


def main() -> None:
    """Measure, and write the page."""
    with served() as url:
        simulate(url, 0)
        idle = [simulate(url, place) for place in range(PROBES)]
        seen = all_visits(url)
    page = web_page(idle, seen)
    (PAGES / "web.md").write_text(page, encoding="utf-8")
    print(page)


def web_page(idle: list[float], seen: Visits) -> str:
    """Return the page."""
    states = {state: sum(job["state"] == state for job in seen.jobs) for state in ENDED}
    counts = ", ".join(f"{number} {state}" for state, number in states.items() if number)
    waits = [job["started"] - job["created"] for job in seen.jobs]
    plans = [job["ended"] - job["started"] for job in seen.jobs]
    asked = USERS - 1 + PLANS_OF_FIRST
    users = (
        f"{USERS} users at the same time for plans of {ADAPTERS} adapters, one each, and {PLANS_OF_FIRST} of the first"
    )
    where = "on the machine that plans: two cores for everything, the users included"
    simulated = f"100 adapters under {min(RATES):g} to {max(RATES):g} requests/s for 300 seconds"
    return f"""# The web page under load

{paragraph(f"`adaptwin serve` with {WORKERS} plans at once, asked over loopback by {users}, {where}.")}

| figure | value |
|---|---|
| plans asked for, and what became of them | {asked}: {counts} |
| plans lost | {asked - len(seen.jobs)} |
| users who had one of the first {USERS} turns | {len(seen.first_turns)} of {USERS} |
| all plans | {seen.seconds:.0f} s |
| one plan, with its report, beside another one | {_times(plans)} |
| wait for a turn | {_times(waits)} |
| answer to "how far is my plan" | {_times(seen.answers)} |
| one server simulated, while nothing else runs | {_times(idle)} |
| one server simulated, while {WORKERS} plans are made | {_times(seen.simulations)} |

{paragraph(f"Times are the median and the 99th percentile. Simulations are those of *One server*: {simulated}.")}

{generated_by("web-load", after="changes to the web page")}
"""


def _times(seconds: list[float]) -> str:
    middle, high = statistics.median(seconds), sorted(seconds)[int(0.99 * (len(seconds) - 1))]
    return f"{_time(middle)}, {_time(high)}"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


if __name__ == "__main__":
    main()
