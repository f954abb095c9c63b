"""Sentences about a plan, shared by its table and its page."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import Plan
from adaptwin.profile.profile import UNKNOWN_ERROR, Profile
from adaptwin.report.plan.server_noun import server_noun
from adaptwin.report.plan.stress import interval, of_trials, sample_sentence
from adaptwin.report.style.assumptions import extrapolated_sentence
from adaptwin.report.style.words import count, duration, money, number, percent, share_text
from adaptwin.twin.verdict import LONG_WAIT

_UNCERTAIN_FIGURES: tuple[tuple[str, str, Callable[[Forecast], float]], ...] = (
    ("throughput", "throughput", lambda forecast: forecast.throughput),
    ("mean ITL", "itl.mean", lambda forecast: forecast.itl_mean),
)


def bound_sentences(plan: Plan) -> tuple[str, ...]:
    """Say how far the plan is from its lower bounds: on GPUs if they are its goal, and on the price if it is known."""
    on_gpus = () if plan.goal != "gpus" else (bound_sentence(plan),)
    return tuple(filter(None, (*on_gpus, cost_sentence(plan))))


def bound_sentence(plan: Plan) -> str:
    """Say how far the number of GPUs is from the lower bound."""
    above = plan.gpus - plan.lower_bound
    profiles = "with these profiles" if len(plan.profiles) == 1 else "on one of these profiles"
    bound = f"Lower bound: no plan {profiles} can use fewer than {count(plan.lower_bound, 'GPU')}{_spare_gpus(plan)}."
    if above <= 0:
        return f"{bound} This plan is optimal."
    return f"{bound} This plan is at most {count(above, 'GPU')} above the optimum{_by_estimate(plan)}."


def _by_estimate(plan: Plan) -> str:
    """Say where the optimum is by estimate; empty if there is none."""
    fewest = plan.estimated_gpus
    return f"; by estimate, the optimum is {count(fewest, 'GPU')}" if fewest is not None else ""


def bound_note(plan: Plan) -> str:
    """Say in a few words how far the plan is from its lower bound, and where the optimum is by estimate."""
    above, fewest = plan.gpus - plan.lower_bound, plan.estimated_gpus
    if above <= 0:
        return "this plan is optimal"
    by_estimate = f"; optimum by estimate: {fewest:,}" if fewest is not None else ""
    return f"this plan: {count(above, 'GPU')} more{by_estimate}"


def _spare_gpus(plan: Plan) -> str:
    if not plan.options.spare:
        return ""
    sizes = {profile.tensor_parallel_size for profile in plan.profiles}
    return f", {plan.options.spare * sizes.pop()} of them spare" if len(sizes) == 1 else ", spare ones included"


def cost_sentence(plan: Plan) -> str:
    """Say what the plan costs per hour, and how far that is from the lower bound; empty if a price is unknown."""
    cost, bound, currency = plan.cost_per_hour, plan.cost_bound, plan.options.currency
    if cost is None:
        return ""
    if bound is None:
        return f"Price per hour: {money(cost, currency)}."
    said = f"Lower bound: no plan with these profiles can cost less than {money(bound, currency)} per hour."
    if cost - bound < 0.005:
        return f"{said} This plan is optimal."
    return f"{said} This plan costs {money(cost, currency)}, at most {money(cost - bound, currency)} above the optimum."


def used_gpus(plan: Plan) -> str:
    """Return the number of servers of each profile: ``2 × h100-..., 1 × l40s-...-tp2 (2 GPUs each)``."""
    used = Counter(server.profile for server in plan.servers)
    return ", ".join(
        f"{used[profile.name]:,} × {profile.name}{_gpus_each(profile.tensor_parallel_size)}"
        for profile in plan.profiles
        if profile.name in used
    )


def _gpus_each(gpus: int) -> str:
    return f" ({gpus} GPUs each)" if gpus > 1 else ""


def left_over_sentence(plan: Plan) -> str:
    """Say how many of the given GPUs are too few for another server; empty if none is left over."""
    given, sizes = plan.options.gpus, {plan.gpus_of(server) for server in plan.servers}
    if given is None or plan.migration is not None or len(sizes) != 1:
        return ""
    size = sizes.pop()
    if not (left := given % size):
        return ""
    return f"{count(left, 'GPU')} of {given:,} {'is' if left == 1 else 'are'} left over: each server has {size}."


def verified_sentence(plan: Plan) -> str:
    """Say whether the plan was verified, and how; for a plan with too few GPUs, how much is served."""
    if plan.verified:
        each, times = server_noun(plan), len(plan.verified_seeds)
        if plan.verified_servers is not None:
            some = f"on {plan.verified_servers:,} of {len(plan.servers) - len(plan.standbys):,} {each}s"
            return (
                f"Verified by samples: simulated again with fresh arrivals, {count(times, 'time')}, {some}, which the "
                "others are like; no adapter is starved."
            )
        by_turns = plan.options.verify == "samples" and any(server.like is not None for server in plan.servers)
        runs = f", {count(times, 'run')} per {each}" if times else ""
        runs += f", or at least one for a {each} that is like another" if runs and by_turns else ""
        return f"Verified: simulated again with fresh arrivals{runs}; no adapter is starved."
    if plan.confidence is not None and not plan.confidence.reached:
        return "Not verified: this plan holds less often than was asked for."
    if not plan.promises:
        forecasts = [server.forecast for server in plan.servers if server.forecast]
        offered = sum(forecast.offered_throughput for forecast in forecasts)
        served = sum(forecast.throughput for forecast in forecasts) / offered if offered else 1.0
        return (
            f"Too few GPUs to serve all adapters: {percent(served)} of the offered tokens are served in the "
            "simulated time."
        )
    return "Not verified: no simulation with fresh arrivals confirms this plan."


def confidence_sentence(plan: Plan) -> str:
    """Say how often the plan held in fresh windows; empty if this was not asked for."""
    found = plan.confidence
    if found is None:
        return ""
    wrong = f" and every rate wrong by {share_text(found.rate_uncertainty)}" if found.rate_uncertainty else ""
    return (
        f"Confidence: with fresh arrivals{wrong}, the fleet held in {of_trials(found.fleet)} windows "
        f"(95 % interval {interval(found.fleet)}); {share_text(found.asked)} was asked for."
    )


def failover_sentence(plan: Plan) -> str:
    """Say what happens when GPUs fail, and the latency then; empty if the plan has no spare GPUs."""
    if not plan.options.spare:
        return ""
    one = plan.options.spare == 1
    if plan.standbys:
        names = ", ".join(server.name for server in plan.standbys)
        place = "its place" if one else "place of each"
        then = f"in {place}, a standby ({names}) starts with its settings and adapters (cold start)"
    else:
        then = f"{'its' if one else 'their'} adapters move to running servers, without a restart"
    tails = [failover.itl_p99 for failover in plan.failover if failover.itl_p99 and math.isfinite(failover.itl_p99)]
    latency = f" ITL p99 is then up to {duration(max(tails))}." if tails else ""
    seeds = "" if plan.standbys else f" with {count(len(plan.verified_seeds), 'fresh seed')}"
    checked = f" Verified{seeds}." if plan.verified else " Not verified."
    stopped = "its server" if one else f"up to {plan.options.spare} servers"
    stops = f" and stop {stopped}" if plan.has_groups else ""
    return f"Any {count(plan.options.spare, 'GPU')} may fail{stops}: {then}.{latency}{checked}"


def rejected_sentence(plan: Plan) -> str:
    """Say how many requests the servers would reject, and why; empty if none."""
    rejected = sum(server.forecast.rejected for server in plan.servers if server.forecast)
    why, window = plan.settings.why_rejected, duration(plan.workload.duration)
    return f"{count(rejected, 'request')} in {window} would be rejected: {why}." if rejected else ""


def sluggish_sentence(plan: Plan) -> str:
    """Say how many GPUs let requests wait for long although they are ok; empty if none does."""
    slow = sum(server.forecast.grade == "sluggish" for server in plan.servers if server.forecast)
    if not slow:
        return ""
    servers, verb = count(slow, server_noun(plan)), "is" if slow == 1 else "are"
    return (
        f"{servers} {verb} sluggish: over 1 % of requests wait over {LONG_WAIT:g} s for the first token. "
        "A limit on TTFT (--ttft-p99) rules this out."
    )


def host_memory_sentence(plan: Plan) -> str:
    """Say how much host memory adapters take on the server with the most; empty if none takes any."""
    taken = [(server.forecast.host_memory_gib, server.name) for server in plan.servers if server.forecast]
    most, name = max(taken, default=(0.0, ""))
    if not most:
        return ""
    others = f", the most of any {server_noun(plan)}" if len(taken) > 1 else ""
    return f"Adapters take up to {number(most)} GiB of pinned host memory on {name}{others}."


def disk_reads_sentence(plan: Plan) -> str:
    """Say which GPUs have more adapters than their host memory holds; empty if none has."""
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    over = [
        (server.name, loras, held)
        for server in plan.servers
        if not server.merged
        and (loras := sum(ranks[name] > 0 for name in server.adapters)) > (held := server.server.adapters_in_host)
    ]
    if not over:
        return ""
    servers, (name, loras, held) = count(len(over), server_noun(plan)), over[0]
    return (
        f"{servers} with more adapters than max_cpu_loras ({name}: {loras:,}, and {held:,} in host "
        "memory): vLLM reads the least recently used ones from disk again."
    )


def headroom_sentence(plan: Plan) -> str:
    """Say which GPUs have less headroom than the twin's own error, and what helps; empty if none has."""
    if not plan.promises:
        return ""
    profiles = {profile.name: profile for profile in plan.profiles}
    low = [
        (server.forecast.headroom, server.name, error, origin)
        for server in plan.servers
        if server.forecast
        for error, origin in [_twin_error(profiles[server.profile], server.forecast)]
        if server.forecast.headroom < error
    ]
    if not low:
        return ""
    headroom, name, error, origin = min(low)
    limit, servers = origin.format(share_text(error)), count(len(low), server_noun(plan))
    enough = f"{max(5, math.ceil(100.0 * error))}%"
    return (
        f"The headroom of {servers} is below {limit} ({name}: {percent(headroom)}): plan with "
        f"--headroom {enough} or --margin {enough}."
    )


def _twin_error(profile: Profile, forecast: Forecast) -> tuple[float, str]:
    """Return the error of the twin's throughput for a server, as a share, and words that say where it comes from."""
    if profile.error is None or not profile.claimed or not all(each.widens for each in forecast.extrapolations):
        return UNKNOWN_ERROR, "{}, the error assumed where it is not measured"
    known = "the error of derived profiles, {}" if profile.is_derived else "the twin's own error of {}"
    return profile.twin_error, known


def uncertainty_sentence(plan: Plan) -> str:
    """Say, for each profile, how far a real GPU may be from the forecasts; empty if there are no intervals."""
    sentences = []
    for profile in plan.profiles:
        serving = [server.forecast for server in plan.servers if server.profile == profile.name and server.forecast]
        known = [forecast for forecast in serving if forecast.intervals]
        told = [f"{name} within {percent(width)}" for name, width in _widths(known).items() if width > 0]
        if told:
            of_profile = f" of profile {profile.name}" if len(plan.profiles) > 1 else ""
            some = f" ({len(known):,} of {len(serving):,})" if len(known) < len(serving) else ""
            which = f"a real {server_noun(plan)}{of_profile}{some}"
            sentences.append(f"On {which}, expect {' and '.join(told)} of these figures, nine times out of ten.")
    return " ".join(sentences)


def _widths(forecasts: Sequence[Forecast]) -> dict[str, float]:
    """Return the widest relative interval of each uncertain figure; 0 where there is none."""
    return {
        name: max((f.intervals[metric][1] / value(f) - 1.0 for f in forecasts if metric in f.intervals), default=0.0)
        for name, metric, value in _UNCERTAIN_FIGURES
    }


def plan_extrapolated_sentence(plan: Plan) -> str:
    """Say how GPUs of the plan differ from those that were measured; empty if none does."""
    found = {server.name: server.forecast.extrapolations for server in plan.servers if server.forecast}
    return extrapolated_sentence(found, server_noun(plan))


def stress_sentence(plan: Plan) -> str:
    """Say how often the fullest GPUs held in the sample under wrong rates; empty if the plan has no such sample."""
    if plan.stress is None or not plan.stress.is_sample:
        return ""
    return sample_sentence(plan.stress, len(plan.servers) - len(plan.standbys), server_noun(plan))


def made_how(plan: Plan) -> str:
    """Say how the plan was made: its main options, the planning time, and the numbers of predictions and twin runs."""
    parts = [f"Objective {plan.options.objective}", f"strategy {plan.options.strategy}", f"seed {plan.seed}"]
    if plan.options.headroom:
        parts.append(f"requested headroom {percent(plan.options.headroom)}")
    if plan.margin:
        parts.append(f"safety margin {percent(plan.margin)}")
    limits = (("TTFT p99", plan.options.ttft_p99), ("ITL p99", plan.options.itl_p99))
    parts += [f"{name} limited to {duration(limit)}" for name, limit in limits if limit]
    if plan.planning_seconds:
        search = f" (search {duration(plan.search_seconds)})" if plan.search_seconds else ""
        parts.append(f"planned in {duration(plan.planning_seconds)}{search}")
    if plan.predictions:
        parts.append(f"with {count(plan.predictions, 'surrogate prediction')} and {count(plan.twin_runs, 'twin run')}")
    return ", ".join(parts)
