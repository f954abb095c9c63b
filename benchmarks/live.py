"""The live loop on real vLLM servers on this machine's CPU: measure, fit, replay, compare; two servers; starvation.

Writes docs/measured/live.md. Needs vLLM (`make test-live` installs it) and a machine that does nothing else, for about
twenty minutes. Results are kept in benchmarks/results/live.json.

    python benchmarks/live.py                  # everything
    python benchmarks/live.py --parts starved  # one part; the rest is from earlier calls
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adaptwin import Adapter, Lengths, Profile, Server, Workload, simulate
from adaptwin.calibration.fit import fit
from adaptwin.calibration.measurements import Measurements
from adaptwin.live.measure import Measuring, measure, request_capacity
from adaptwin.live.replay import replay
from adaptwin.live.replayed import ReplayedRun
from adaptwin.live.traffic import traffic_of_fleet, traffic_of_plan
from adaptwin.placement.make_plan import make_plan
from adaptwin.plan.fleet import Fleet
from adaptwin.profile.derive import derive_profile
from live_tables import page_of
from measured_page import PAGES
from vllm_on_cpu import Settings, make_tiny_model, vllm_server

RESULTS = Path(__file__).resolve().parent / "results" / "live.json"
PAGE = PAGES / "live.md"
PARTS = ("loads", "two", "starved")
ADAPTERS = tuple(f"a{number:02}" for number in range(16))
ACTIVE = 12  # adapters with traffic
LENGTHS = Lengths.lognormal(input_mean=32, input_cv=0.5, output_mean=48, output_cv=0.5)
SLOTS = (16, 4)  # more and fewer than the active adapters
LOADS = (0.4, 0.8, 1.3)  # below, near and above saturation
REPEATS = 2
MEASURED_SECONDS, REPLAYED_SECONDS, PLANNED_SECONDS, STARVED_SECONDS = 100.0, 30.0, 600.0, 60.0
TWO_SECONDS, WARM_UP_SECONDS = 130.0, 10.0  # a verdict needs two minutes; a new server is slow at first
STANDS_FOR_CPU = "l4"  # its data sheet is what the fit starts from; nothing of it is left but what was not measured


def main() -> None:
    """Measure the parts that the arguments name, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parts = parser.parse_args().parts.split(",")
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    measures: dict[str, Callable[[Path], Any]] = {"loads": loads, "two": two_servers, "starved": starved}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tiny_model(folder)
        for part in parts:
            kept[part] = measures[part](folder)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(kept, indent=1))
    if missing := set(PARTS) - set(kept):
        raise SystemExit(f"the page is not written: nothing is measured yet of {', '.join(sorted(missing))} (--parts)")
    PAGE.write_text(page_of(kept) + "\n", encoding="utf-8")


def _workload(rate: float, names: Sequence[str], duration: float, seed: int = 0) -> Workload:
    adapters = [Adapter(name, (8, 16)[int(name[1:]) % 2], rate / len(names)) for name in names]
    return Workload(adapters, duration=duration, lengths=LENGTHS, seed=seed)


def _settings(slots: int, **fields: Any) -> Settings:
    return Settings(max_loras=slots, **fields)


def _server(settings: Settings) -> Server:
    return Server(
        max_loras=settings.max_loras,
        max_lora_rank=settings.max_lora_rank,
        max_cpu_loras=settings.max_cpu_loras,
        max_num_seqs=settings.max_num_seqs,
        max_num_batched_tokens=settings.max_num_batched_tokens,
        max_model_len=settings.max_model_len,
        block_size=32,
        kv_cache_tokens=65_536,
    )


def _asked(url: str, folder: Path, settings: Settings, budget: float) -> Measuring:
    return Measuring(
        url=url,
        profile=derive_profile(gpu=STANDS_FOR_CPU, model=str(folder / "model"), name="tiny-on-cpu"),
        budget=budget,
        settings={
            name: getattr(settings, name) for name in ("max_cpu_loras", "max_num_seqs", "max_num_batched_tokens")
        },
        lengths=LENGTHS,
    )


def loads(folder: Path) -> dict[str, Any]:
    """Measure a server and fit a profile; replay three loads on servers with many and few slots, again and again.

    Replays come between two halves of the measurement, so that slow changes of the machine meet both alike.
    """
    runs: list[dict[str, Any]] = []
    measured = folder / "measured"
    capacity = 0.0
    for slots in SLOTS:
        settings = _settings(slots)
        with vllm_server(folder, settings, ADAPTERS) as server:
            if slots == SLOTS[0]:
                found = measure(_asked(server.url, folder, settings, MEASURED_SECONDS), measured)
                capacity = request_capacity(found.results, LENGTHS) or 1.0
            for repeat in range(REPEATS):
                for load in LOADS:
                    workload = _workload(load * capacity, ADAPTERS[:ACTIVE], REPLAYED_SECONDS)
                    runs.append(_figures(slots, load, _replayed(server.url, workload, settings)))
                if slots == SLOTS[0] and repeat == 0:
                    measure(_asked(server.url, folder, settings, MEASURED_SECONDS / 2), measured)
    fitted = fit(Measurements.read(measured))
    twin = []
    for slots in SLOTS:
        for load in LOADS:
            workload = _workload(load * capacity, ADAPTERS[:ACTIVE], REPLAYED_SECONDS)
            twin.append(_figures(slots, load, _simulated(fitted.profile, _settings(slots), workload)))
    return {
        "capacity": capacity,
        "profile": fitted.profile.file_form(),
        "residuals": [part._asdict() for part in fitted.residuals],
        "real": runs,
        "twin": twin,
    }


def _replayed(url: str, workload: Workload, settings: Settings) -> ReplayedRun:
    traffic = traffic_of_fleet(workload, [url], workload.seed, _server(settings), None)
    return replay(traffic, window="drain").runs[0]


def _simulated(profile: Profile, settings: Settings, workload: Workload) -> Any:
    return simulate(profile, _server(settings), workload, window="drain", scrape_every=2.0)


def _figures(slots: int, load: float, run: Any) -> dict[str, Any]:
    return {
        "slots": slots,
        "load": load,
        "rate": run.offered_request_rate,
        "throughput": run.throughput,
        "itl": run.itl.mean,
        "tpot": run.tpot.mean,
        "ttft_mean": run.ttft.mean,
        "ttft_p50": run.ttft.p50,
        "ttft_p99": run.ttft.p99,
        "e2e": run.e2e.mean,
    }


def two_servers(folder: Path) -> dict[str, Any]:
    """Plan for two servers with a core each, replay the plan, and then send the same requests to them in turn."""
    profile = _fitted_profile()
    hot = [Adapter(name, (8, 16)[int(name[1:]) % 2], rate) for name, rate in zip(ADAPTERS, _skewed(4.0), strict=True)]
    fleet = Workload(hot, duration=PLANNED_SECONDS, lengths=LENGTHS, seed=3)
    shared = Server(max_num_seqs=32, max_num_batched_tokens=256, max_model_len=1024, block_size=32)
    plan = make_plan(profile, fleet, objective="min-latency", gpus=2, server=shared)
    servers = [server for server in plan.servers if not server.is_standby]
    settings = [
        Settings(max_loras=each.server.max_loras, max_cpu_loras=16, core=str(core)) for core, each in enumerate(servers)
    ]
    with vllm_server(folder, settings[0], ADAPTERS) as one, vllm_server(folder, settings[1], ADAPTERS) as other:
        urls = [one.url, other.url]
        replay(traffic_of_plan(plan, urls, plan.seed + 1, WARM_UP_SECONDS, "round-robin"), window="drain")
        routed = replay(traffic_of_plan(plan, urls, plan.seed, TWO_SECONDS, "plan"), routing="plan", window="drain")
        in_turn = traffic_of_plan(plan, urls, plan.seed, TWO_SECONDS, "round-robin")
        turned = replay(in_turn, routing="round-robin", window="drain")
    twin = [
        simulate(profile, each.server, run.workload, seed=run.seed, window="drain")
        for each, run in zip(servers, routed.runs, strict=True)
    ]
    return {
        "adapters": len(hot),
        "rate": fleet.rate,
        "plan": [_figures(run.max_loras or 0, 0.0, run) | {"worst": run.worst} for run in routed.runs],
        "round-robin": [_figures(run.max_loras or 0, 0.0, run) | {"worst": run.worst} for run in turned.runs],
        "twin": [_figures(0, 0.0, run) | {"worst": run.worst} for run in twin],
        "most_ttft": {
            "plan": max(float(run.adapters["ttft_p99"].max()) for run in routed.runs),
            "round-robin": max(float(run.adapters["ttft_p99"].max()) for run in turned.runs),
            "twin": max(float(run.adapters["ttft_p99"].max()) for run in twin),
        },
    }


def _skewed(rate: float) -> list[float]:
    """Return rates of all adapters, the first of which has as much as the next two together."""
    weights = [1.0 / (place + 1) for place in range(len(ADAPTERS))]
    return [rate * weight / sum(weights) for weight in weights]


def _fitted_profile() -> Profile:
    """Return the profile that the part `loads` fitted."""
    if not RESULTS.is_file():
        raise SystemExit("measure the part loads first")
    return Profile.parse(json.loads(RESULTS.read_text())["loads"]["profile"])


def starved(folder: Path) -> dict[str, Any]:
    """Let two hot adapters hold both slots of a server, ask `adaptwin diagnose`, and do what it advises."""
    names = ADAPTERS[:5]
    rates = {"a00": 1.2, "a01": 1.2, "a02": 0.1, "a03": 0.1, "a04": 0.1}
    long = Lengths.lognormal(input_mean=16, input_cv=0.2, output_mean=150, output_cv=0.2)
    adapters = [Adapter(name, (8, 16)[int(name[1:]) % 2], rates[name]) for name in names]
    workload = Workload(adapters, duration=STARVED_SECONDS, lengths=long, seed=1)
    settings = _settings(2)
    with vllm_server(folder, settings, names) as server:
        asking = _ask_later(folder, server.url, workload, settings)
        before = _replayed(server.url, workload, settings)
        told = json.loads(asking.result())["servers"][0]
    best = (told["advice"] or {}).get("best") or {}
    slots = int(found[1]) if (found := re.search(r"max_loras (\d+)", best.get("what", ""))) else len(names)
    with vllm_server(folder, _settings(slots), names) as server:
        after = _replayed(server.url, workload, _settings(slots))
    return {
        "binding": told["diagnosis"]["binding"],
        "evidence": told["diagnosis"]["evidence"],
        "waiting": [each["name"] for each in told["diagnosis"]["waiting_adapters"]],
        "advice": best.get("what", ""),
        "before": _waits(2, before),
        "after": _waits(slots, after),
    }


def _waits(slots: int, run: ReplayedRun) -> dict[str, Any]:
    table = run.adapters
    return {
        "slots": slots,
        "ttft_p50": dict(zip(table["name"], table["ttft_p50"], strict=True)),
        "ttft_p99": dict(zip(table["name"], table["ttft_p99"], strict=True)),
        "itl": run.itl.mean,
    }


def _ask_later(folder: Path, url: str, workload: Workload, settings: Settings) -> "Future[str]":
    """Ask `adaptwin diagnose` about a server in the middle of a replay; the result is what it prints as JSON."""
    fleet, profile = folder / "starved.yaml", folder / "fitted.yaml"
    _fitted_profile().write(profile)
    planned = workload.model_copy(update={"duration": PLANNED_SECONDS})
    Fleet(**{name: getattr(planned, name) for name in Workload.model_fields}, server=_server(settings)).write(fleet)
    words = [
        sys.executable,
        "-m",
        "adaptwin",
        "diagnose",
        url,
        "--fleet",
        str(fleet),
        "--profile",
        str(profile),
        "--json",
    ]

    def ask() -> str:
        time.sleep(STARVED_SECONDS / 2)
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    pool = ThreadPoolExecutor(1)
    asking = pool.submit(ask)
    pool.shutdown(wait=False)
    return asking


if __name__ == "__main__":
    main()
