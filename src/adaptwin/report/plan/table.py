"""A report on a plan, for a terminal with 80 columns."""

from rich.console import Group, RenderableType

from adaptwin.plan.forecast import HEADROOM_SEEDS, Forecast
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.chosen_settings import budget_of, chosen_sentences, differing_budgets
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.plan.profile_names import short_profile_names
from adaptwin.report.plan.ranks import rank_counts, rank_summary
from adaptwin.report.plan.sentences import (
    bound_sentences,
    confidence_sentence,
    disk_reads_sentence,
    failover_sentence,
    headroom_sentence,
    host_memory_sentence,
    left_over_sentence,
    made_how,
    plan_extrapolated_sentence,
    rejected_sentence,
    sluggish_sentence,
    stress_sentence,
    uncertainty_sentence,
    used_gpus,
    verified_sentence,
)
from adaptwin.report.plan.server_noun import heading_of, server_noun
from adaptwin.report.plan.stress import GOOD_SHARE, stress_table
from adaptwin.report.style.assumptions import assumption_lines
from adaptwin.report.style.tables import add_numbers, grade_text, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING, count, duration, money, number, percent

_BUDGET_HEADINGS = {"max_num_seqs": "max_num\n_seqs", "max_num_batched_tokens": "max_num_\nbatched_\ntokens"}


def plan_table(plan: Plan) -> RenderableType:
    """Return a report on a plan: a headline, then the settings and the simulated performance of each GPU."""
    return Group(
        _plan_headline(plan),
        heading("Servers"),
        _servers_table(plan),
        *_settings_chosen(plan),
        heading("Expected performance (simulated)"),
        _forecast_table(plan),
        Text(
            f"Headroom: extra traffic with which a {server_noun(plan)} is ok with each of {HEADROOM_SEEDS} fresh seeds."
        ),
        *([Text(said)] if (said := uncertainty_sentence(plan)) else []),
        *assumption_lines(plan.assumptions, plan_extrapolated_sentence(plan)),
        *_stress_tables(plan),
    )


def _settings_chosen(plan: Plan) -> list[RenderableType]:
    said = chosen_sentences(plan)
    return [heading("Settings chosen, and what they gain"), *(Text(f"- {line}") for line in said)] if said else []


def _stress_tables(plan: Plan) -> list[RenderableType]:
    noun = server_noun(plan)
    return [] if plan.stress is None or plan.stress.is_sample else [stress_table(plan.stress, noun)]


def _plan_headline(plan: Plan) -> Text:
    adapters, rate = count(len(plan.workload), "adapter"), number(plan.workload.rate)
    servers = f" in {count(len(plan.servers), 'server')}" if plan.has_groups else ""
    gpus = (f"{count(plan.gpus, 'GPU')}{servers}", "bold")
    priced = (
        ""
        if plan.cost_per_hour is None
        else f", at a price of {money(plan.cost_per_hour, plan.options.currency)} per hour"
    )
    text = Text.assemble(gpus, f" for {adapters} with {rate} requests/s{priced}.\n")
    if len(plan.profiles) > 1:
        text.append(f"{used_gpus(plan)}.\n")
    if left_over := left_over_sentence(plan):
        text.append(f"{left_over}\n", style="yellow")
    text.append("".join(f"{sentence}\n" for sentence in bound_sentences(plan)))
    text.append(verified_sentence(plan), style="green" if plan.verified else "yellow")
    for sentence, style in (
        (confidence_sentence(plan), "green" if plan.verified else "yellow"),
        (rejected_sentence(plan), "bold red"),
        (sluggish_sentence(plan), "yellow"),
        (disk_reads_sentence(plan), "yellow"),
        (host_memory_sentence(plan), ""),
        (headroom_sentence(plan), "yellow"),
    ):
        text.append(f"\n{sentence}" if sentence else "", style=style)
    if sample := stress_sentence(plan):
        assert plan.stress
        text.append(f"\n{sample}", style="" if plan.stress.results[0].fleet.share >= GOOD_SHARE else "yellow")
    if failover := failover_sentence(plan):
        text.append(f"\n{failover}")
    text.append(f"\n{made_how(plan)}.")
    if plan.time_limit_hit:
        text.append("\nThe time limit ended the search early.", style="yellow")
    return text


def _servers_table(plan: Plan) -> Table:
    table, groups = plain_table(), plan.has_groups
    table.add_column(heading_of(server_noun(plan)), overflow="fold")
    if several := len(plan.profiles) > 1:
        table.add_column("Profile", overflow="fold")
    add_numbers(table, *(["GPUs"] if groups else []), "Adapters")
    table.add_column("Rank × count", overflow="fold")
    add_numbers(table, "max_\nloras", "max_lora\n_rank", "max_cpu\n_loras")
    differing, profiles = differing_budgets(plan), short_profile_names([profile.name for profile in plan.profiles])
    add_numbers(table, *(_BUDGET_HEADINGS[name] for name in differing))
    for placed, counts in zip(plan.servers, rank_counts(plan), strict=True):
        server = placed.server
        held = server.adapters_in_host
        described = [Text(placed.name), *([Text(profiles[placed.profile])] if several else [])]
        described += [Text(f"{plan.gpus_of(placed)}")] if groups else []
        slots = [str(server.max_loras), str(server.max_lora_rank), str(held)]
        settings = ["merged", NOTHING, NOTHING] if placed.merged else slots
        settings += [f"{budget_of(plan, placed, name):,}" for name in differing]
        if placed.is_standby:
            table.add_row(*described, "0", "standby", *[NOTHING] * len(settings))
            continue
        table.add_row(*described, str(len(placed.adapters)), rank_summary(counts), *settings)
    return table


def _forecast_table(plan: Plan) -> Table:
    table = plain_table()
    table.add_column(heading_of(server_noun(plan)), overflow="fold")
    add_numbers(table, "Offered\nreq/s", "Served\ntok/s", "TTFT\np50", "TTFT\np99", "ITL\nmean")
    add_numbers(table, "KV\nuse", "Head-\nroom")
    table.add_column("Limited\nby", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    for server in plan.servers:
        if not server.is_standby:
            table.add_row(Text(server.name), *_forecast_cells(server.forecast))
    return table


def _forecast_cells(forecast: Forecast | None) -> list[RenderableType]:
    if forecast is None:
        return [NOTHING] * 9
    return [
        number(forecast.request_rate),
        number(forecast.throughput),
        duration(forecast.ttft_p50),
        duration(forecast.ttft_p99),
        duration(forecast.itl_mean),
        percent(forecast.kv_usage),
        headroom_text(forecast, over=">"),
        forecast.binding.replace("_seqs", "\n_seqs"),  # as narrow as the headings
        grade_text(forecast.grade),
    ]
