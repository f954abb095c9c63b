"""Settings that the planner chose: sentences that say what each gains, and what it costs to undo merged weights."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, get_args

from adaptwin.plan.decisions import Alternative, Decision, DefaultPerformance, Setting
from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.report.plan.server_noun import server_noun
from adaptwin.report.style.words import count, duration
from adaptwin.rounding import finite_or_none

NAMED_SERVERS = 3  # more servers, or adapters, than this are counted, not named
_BUDGETS = ("max_num_seqs", "max_num_batched_tokens")
_ORDER = get_args(Setting)
_FOUND_BY = {"search": "by a search, not verified", "prediction": "by prediction"}
_VERDICTS = {"starved": "starved", "backlogged": "backlogged", "slow": "too slow", "unknown": "of unknown performance"}


class _Decided(NamedTuple):
    """A decision, and the server that it was made for."""

    server: PlacedServer
    decision: Decision


def differing_budgets(plan: Plan) -> list[str]:
    """Return the settings of the batch in which the servers of a plan differ, standbys left aside."""
    return [name for name in _BUDGETS if len({budget_of(plan, server, name) for server in plan.serving}) > 1]


def budget_of(plan: Plan, server: PlacedServer, setting: str) -> int:
    """Return a setting of the batch of a server, as given, chosen or by default."""
    tokens, seqs = server.server.budgets(plan.profile_of(server))
    return seqs if setting == "max_num_seqs" else tokens


def chosen_sentences(plan: Plan) -> list[str]:
    """Say what each setting gains that the planner chose instead of a default; empty if it chose none."""
    by_setting: dict[Setting, list[_Decided]] = {}
    for server in plan.servers:
        for decision in server.decisions:
            by_setting.setdefault(decision.setting, []).append(_Decided(server, decision))
    return [
        _merged_sentence(plan, decided) if setting == "merged" else _budget_sentence(plan, setting, decided)
        for setting, decided in sorted(by_setting.items(), key=lambda each: _ORDER.index(each[0]))
    ]


def _budget_sentence(plan: Plan, setting: Setting, decided: Sequence[_Decided]) -> str:
    chosen, usual = (
        _lowest_to_highest(getattr(each.decision, which) for each in decided) for which in ("chosen", "default")
    )
    limited = setting == "max_cpu_loras" and plan.options.host_memory_gib is not None
    why = ", within the limit on host memory" if limited else ""
    what = f"{setting} {chosen} instead of {usual}{_on_servers(plan, decided)}{why}"
    facts = _facts_without(plan, setting, decided, "without it")
    return f"{what}: {'; '.join(facts)}." if facts else f"{what}."


def _merged_sentence(plan: Plan, decided: Sequence[_Decided]) -> str:
    names = list(dict.fromkeys(name for each in decided for name in each.server.adapters))
    of = ", ".join(names) if len(names) <= NAMED_SERVERS else count(len(names), "adapter")
    facts = _facts_without(plan, "merged", decided, "with LoRA instead")
    said = f"Weights of {of} merged into those of the model{_on_servers(plan, decided)}"
    return f"{said}: {'; '.join(facts)}. {_undoing_sentence(plan, len(decided))}"


def _undoing_sentence(plan: Plan, servers: int) -> str:
    """Say what it costs to serve adapters with merged weights as LoRA adapters again."""
    these = "this server restarts" if servers == 1 else f"these {servers:,} servers restart"
    alternative = _alternative(plan, "merged")
    more = alternative.gpus - plan.gpus if alternative else 0
    gpus = f", and {count(more, 'more GPU')} {'is' if more == 1 else 'are'} needed" if more > 0 else ""
    return f"To undo it, {these} with --enable-lora{gpus}."


def _facts_without(plan: Plan, setting: Setting, decided: Sequence[_Decided], without: str) -> list[str]:
    """Say how these servers, and the number of GPUs, would be without a decision."""
    on_servers = _without_it(plan, decided, without)
    is_said = any(fact.startswith(without) for fact in on_servers)
    return [*on_servers, *_gpus_without(plan, setting, "" if is_said else f"{without}, ")]


def _without_it(plan: Plan, decided: Sequence[_Decided], without: str) -> list[str]:
    """Say how these servers would do without a decision: which fail or, if none does, the latencies."""
    failing = Counter(_failure(each.decision.without) for each in decided)
    del failing[""]
    if failing:
        if len(decided) == 1:
            return [f"{without}, the {server_noun(plan)} would {next(iter(failing))}"]
        one_for_all = "both" if len(decided) == 2 else f"all {len(decided):,}"
        parts = [
            f"{one_for_all if many == len(decided) else f'{many:,}'} would {what}"
            for what, many in failing.most_common()
        ]
        return [f"{without}, {' and '.join(parts)}"]
    return _gains_and_costs(decided)


def _gains_and_costs(decided: Sequence[_Decided]) -> list[str]:
    """Say which latencies a decision lowers, and then which it raises; empty where none is known."""
    found = [
        _latency_beside_default(label, name, decided)
        for label, name in (("ITL p99", "itl_p99"), ("TTFT p99", "ttft_p99"))
    ]
    lower, higher = ([text for text, is_cost in filter(None, found) if is_cost is kind] for kind in (False, True))
    if higher:
        cost = f"at the cost of {' and '.join(higher)}"
        return [f"{', '.join(lower)}, {cost}" if lower else cost]
    return [", ".join(lower)] if lower else []


def _failure(without: DefaultPerformance | None) -> str:
    """Return what a server would do or be without a decision, after the word would; empty if it would be ok."""
    if without is None:
        return "not start"
    return "" if without.verdict == "ok" else f"be {_VERDICTS[without.verdict]}"


def _latency_beside_default(label: str, name: str, decided: Sequence[_Decided]) -> tuple[str, bool] | None:
    """Say the highest latency of these servers with the decision and without it, and whether it is higher with it.

    None where one is unknown.
    """
    known = [
        (figure, other)
        for each in decided
        for figure, other in [
            (_latency_figure(each.server.forecast, name), _latency_figure(each.decision.without, name))
        ]
        if figure is not None and other is not None
    ]
    if not known:
        return None
    highest = [max(values) for values in zip(*known, strict=True)]
    now, then = map(duration, highest)
    how = "as before" if now == then else f"instead of {then}"
    return f"{label} {'up to ' if len(decided) > 1 else ''}{now} {how}", now != then and highest[0] > highest[1]


def _latency_figure(of: Forecast | DefaultPerformance | None, name: str) -> float | None:
    return finite_or_none(getattr(of, name, None))


def _gpus_without(plan: Plan, setting: Setting, without: str) -> list[str]:
    alternative = _alternative(plan, setting)
    if alternative is None:
        return []
    how = _FOUND_BY[alternative.found_by]
    if alternative.gpus <= plan.gpus:
        return [f"no GPU is saved ({how})"]
    about = "about " if alternative.found_by == "prediction" else ""
    return [f"{without}{about}{count(alternative.gpus, 'GPU')} would be needed ({how})"]


def _alternative(plan: Plan, setting: Setting) -> Alternative | None:
    return next((each for each in plan.alternatives if each.without == setting), None)


def _on_servers(plan: Plan, decided: Sequence[_Decided]) -> str:
    """Say on which servers: by name, or how many of all."""
    serving, names = len(plan.serving), [each.server.name for each in decided]
    if len(names) <= NAMED_SERVERS:
        return f" on {', '.join(names)}"
    if len(names) == serving:
        return f" on all {serving:,} {server_noun(plan)}s"
    return f" on {len(names):,} of {serving:,} {server_noun(plan)}s"


def _lowest_to_highest(values: Iterable[int]) -> str:
    found = sorted(set(values))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"
