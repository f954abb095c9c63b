"""An explanation of a plan as a notebook shows it."""

from collections import Counter

from adaptwin.explanation.explanation import Explanation
from adaptwin.report.notebook.html_table import SHOWN_ROWS, HtmlTable, and_more, html_view
from adaptwin.report.plan.explanation import advice_sentence
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.style.words import count


def explanation_facts(explanation: Explanation) -> list[str]:
    """Return what an explanation is in a line: GPUs, what limits the servers, and how many changes save a GPU."""
    binds = Counter(each.forecast.binding for each in explanation.servers).most_common()
    return [
        count(explanation.gpus, "GPU"),
        f"lower bound {count(explanation.lower_bound, 'GPU')}",
        f"limited by {', '.join(f'{what} on {many:,}' for what, many in binds)}",
        f"{count(len(explanation.savings.saving), 'change')} would save a GPU",
    ]


def explanation_html(explanation: Explanation) -> str:
    """Return an explanation as HTML: its facts, the fullest servers, where to add an adapter, and what saves a GPU."""
    fullest = sorted(explanation.servers, key=lambda each: each.forecast.headroom)[:SHOWN_ROWS]
    rows = [
        (
            each.server,
            each.forecast.binding,
            headroom_text(each.forecast),
            f"{'over ' if each.kin.more_is_open else ''}{each.kin.more:,}",
        )
        for each in fullest
    ]
    headers = ("server", "limited by", "more traffic", "or more adapters")
    servers = HtmlTable(headers, rows, and_more(len(explanation.servers), "server"))
    changes = [(each.change, f"{each.gpus:,}") for each in explanation.savings.saving]
    savings = [HtmlTable(("change", "GPUs then"), changes)] if changes else []
    advice = HtmlTable(("one more adapter",), [(advice_sentence(explanation.advice),)])
    return html_view("Explanation", explanation_facts(explanation), servers, advice, *savings)
