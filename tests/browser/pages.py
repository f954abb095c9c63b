"""The pages that the browser opens: reports of plans of every kind, and one of each other report."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.live.replays import replay_of, replayed_run, run_of
from tests.report.conftest import make_plan
from tests.report.plan.test_page import NASTY, renamed
from tests.report.plan.test_plans_report import NAMES, of_base
from tests.report.plan.test_stress import FULL
from tests.report.training.findings import make_findings, make_surrogates

from adaptwin import Adapter, Plan, Plans, Server, Workload, load_profile, replan
from adaptwin import make_plan as planned
from adaptwin.briefing.briefing import Briefing, MoreTraffic, NaivePlan
from adaptwin.briefing.make_briefing import make_briefing
from adaptwin.explanation.explanation import Saving
from adaptwin.live.compare_measured import compare_with_run
from adaptwin.live.measured_files import read_observations
from adaptwin.live.watching.simulated_stretch import SimulatedStretch
from adaptwin.placement.make_front import make_front
from adaptwin.report.comparison.page import comparison_report
from adaptwin.report.plan.page import PageOrigin, plan_report
from adaptwin.report.plan.plans_page import plans_report
from adaptwin.report.training.page import training_report
from adaptwin.report.watching.simulated_time import write_simulated_time_report
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.sources.synthetic import synthesize

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
ORIGIN = PageOrigin("plan.yaml", "2026-11-30")
WINDOW = 120.0  # seconds of traffic: the pages need runs, but no exact ones


def _small(rate: float = 60.0) -> Workload:
    return synthesize(adapters=60, rate=rate, ranks=(8, 16, 32), popularity="zipf:0.9", duration=WINDOW)


def _few_slots() -> Server:
    return Server(max_num_seqs=256)


@cache
def small_plan() -> Plan:
    """Return a plan of a few GPUs, with a price."""
    profile = load_profile(PROFILE).model_copy(update={"price_per_hour": 2.5})
    return planned(profile, _small(), server=_few_slots(), currency="USD")


@cache
def large_plan(adapters: int) -> Plan:
    """Return a plan of many adapters, with forecasts made by hand and traffic of a short time."""
    plan = make_plan(gpus=max(4, adapters // 80), adapters=adapters)
    return plan.model_copy(update={"workload": plan.workload.model_copy(update={"duration": WINDOW})})


@cache
def simulated(adapters: int) -> Briefing:
    """Return what is known of the adapters of the large plan."""
    return make_briefing(large_plan(adapters), more_traffic=(), compares=False)


def _with_briefing() -> str:
    plan = small_plan()
    return plan_report(plan, briefing=make_briefing(plan, more_traffic=(1.5,)), origin=ORIGIN)


def _front() -> str:
    front = make_front(PROFILE, _small(30.0), server=_few_slots())
    return plan_report(front.plans[0], front, make_briefing(front.plans[0], more_traffic=()), ORIGIN)


def _several_bases() -> str:
    parts = [(make_plan(gpus=3, adapters=60), NAMES[0], 2.5), (make_plan(gpus=2, adapters=40), NAMES[1], 2.0)]
    plans = Plans(plans=tuple(of_base(plan, base, place, price) for place, (plan, base, price) in enumerate(parts, 1)))
    return plans_report(plans, origin=ORIGIN)


def _after_replan() -> str:
    plan = small_plan()
    busier = plan.workload.scaled(1.4)
    more = (*busier.adapters[4:], *(Adapter(f"new-{place}", 16, 0.2) for place in range(8)))
    new = replan(plan, busier.model_copy(update={"adapters": more}))
    return plan_report(new, briefing=make_briefing(new, more_traffic=(), compares=False), origin=ORIGIN)


def _with_limits() -> str:
    workload = _small(30.0)
    adapters = (each.model_copy(update={"slo_ttft": 1.5, "slo_itl": 0.08}) for each in workload.adapters)
    plan = planned(
        PROFILE,
        workload.model_copy(update={"adapters": tuple(adapters)}),
        server=_few_slots(),
        ttft_p99=2.0,
        itl_p99=0.2,
    )
    return plan_report(plan, briefing=make_briefing(plan, more_traffic=(1.5,), compares=False), origin=ORIGIN)


def _overloaded() -> str:
    plan = planned(PROFILE, _small(90.0), objective="max-throughput", gpus=1, server=_few_slots())
    return plan_report(plan, briefing=make_briefing(plan, more_traffic=(), compares=False), origin=ORIGIN)


def _hostile() -> str:
    plan = renamed(make_plan(gpus=3, adapters=40), NASTY)
    long = renamed(plan, "a-name-of-an-adapter-that-no-line-of-a-phone-can-hold/" * 3)
    return plan_report(long, origin=PageOrigin(NASTY, "2026-11-30"))


def _by_hand() -> str:
    """Return a page with everything that a briefing can hold, and a stressed plan."""
    briefing = Briefing(
        runs={},
        unsimulated=4,
        naive=NaivePlan(9, 22.5, verified=False),
        more_traffic=(
            MoreTraffic(1.25, {"gpu-3": "backlogged"}, 5, 12.5, verified=True),
            MoreTraffic(2.0, {f"gpu-{place}": "starved" for place in range(4)}, None, None, False, "no plan fits"),
        ),
        savings=(Saving(change="a TTFT limit of 4 s instead of 2 s", gpus=3),),
    )
    plan = make_plan(profiles=2).model_copy(update={"stress": FULL})
    return plan_report(plan, briefing=briefing, origin=ORIGIN)


def _many(adapters: int) -> str:
    return plan_report(large_plan(adapters), briefing=simulated(adapters), origin=ORIGIN)


def _training() -> str:
    return training_report(make_findings(), make_surrogates())


def _comparison() -> str:
    profile, server = load_profile(PROFILE), Server(max_loras=2, max_lora_rank=16)
    adapters = (Adapter("support-bot", 8, 1.0), Adapter("a1", 16, 0.5))
    workload = Workload(adapters=adapters, lengths=Lengths.fixed(200, 100), duration=WINDOW)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "replay.json"
        replay_of(replayed_run(profile, server, workload, slower=1.3)).write(file)
        seen = read_observations(file)
    return comparison_report(compare_with_run(run_of(profile, server, workload), "run.json", seen))


def _watch() -> str:
    stretches = [
        SimulatedStretch(3600.0 * hour, 20.0 + 15.0 * (hour % 12), 2 + hour // 6 % 3, ("a",) * (hour == 9), hour % 3, 0)
        for hour in range(24)
    ]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "watch.html"
        write_simulated_time_report(stretches, 3600.0, file, source="rates.csv")
        return file.read_text(encoding="utf-8")


PAGES: dict[str, Callable[[], str]] = {
    "briefing": _with_briefing,
    "front": _front,
    "bases": _several_bases,
    "replan": _after_replan,
    "limits": _with_limits,
    "overloaded": _overloaded,
    "hostile": _hostile,
    "by-hand": _by_hand,
    "1000": lambda: _many(1000),
    "5000": lambda: _many(5000),
    "training": _training,
    "comparison": _comparison,
    "watch": _watch,
}
PLANS = tuple(name for name in PAGES if name not in ("training", "comparison", "watch"))
