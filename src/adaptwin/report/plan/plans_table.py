"""The first part of a report on the plans of several base models, for a terminal with 80 columns."""

from rich.console import Group, RenderableType

from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.report.plan.totals import base_rows, fleet_sentence, total_sentences, total_verified_sentence
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Table, Text

_RULE = "─" * 80


def totals_table(plans: Plans) -> RenderableType:
    """Return what goes above the reports on the plans: the totals, and a table of the base models."""
    text = Text(fleet_sentence(plans), style="bold")
    for sentence in total_sentences(plans):
        verified = sentence == total_verified_sentence(plans)
        text.append(f"\n{sentence}", style="not bold" + (_colour(plans) if verified else ""))
    note = Text("Headroom and TTFT p99 are those of the server where they are worst.")
    return Group(text, heading("Base models"), _bases_table(plans), note)


def _colour(plans: Plans) -> str:
    return " green" if plans.verified else " yellow"


def _bases_table(plans: Plans) -> Table:
    table = plain_table()
    table.add_column("Base model", overflow="fold")
    add_numbers(table, "GPUs", "Price\nper h", "Adapt-\ners", "req/s", "Head-\nroom", "TTFT\np99")
    if not plans.verified:
        table.add_column("Veri-\nfied")
    for row in base_rows(plans):
        verified = () if plans.verified else (row.verified,)
        table.add_row(row.base, row.gpus, row.price, row.adapters, row.rate, row.headroom, row.ttft, *verified)
    return table


def base_heading(plans: Plans, plan: Plan) -> tuple[RenderableType, ...]:
    """Return what goes above the report on one of several plans: its base model; nothing if there is one plan only."""
    return (Text(f"\n{_RULE}\n{plan.base}\n", style="bold"),) if plans.are_several else ()
