"""What was found in folders of PEFT adapters, for the terminal and as plain data."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from adaptwin.report.style.terminal import Table, Text
from adaptwin.workload.sources.peft import PeftFolder

MOST_SHOWN = 8  # training runs or repositories in the table
NOT_CHECKED = "not looked at; --check looks at them too"


def peft_summary(found: PeftFolder) -> dict[str, Any]:
    """Return checkpoints, snapshots, what was left out, and what was found in the weights."""
    return {
        "checkpoints": {
            name: {"found": list(steps), "taken": found.taken.get(name)} for name, steps in found.checkpoints.items()
        },
        "older_snapshots": {name: list(older) for name, older in found.older.items()},
        "bad": found.bad,
        "unsupported": found.skipped,
        "weights": {
            name: {"dtypes": list(weights.dtypes), "bytes": weights.size} for name, weights in found.weights.items()
        },
    }


def peft_table(found: PeftFolder) -> Table:
    """Return a table of what was found, with one line per training run and repository."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for heading, lines in (("checkpoints", _checkpoints(found)), ("older snapshots", _snapshots(found))):
        shown = list(lines)
        for number, line in enumerate(shown[:MOST_SHOWN]):
            table.add_row("" if number else heading, Text(line))
        if len(shown) > MOST_SHOWN:
            table.add_row("", f"and {len(shown) - MOST_SHOWN:,} more (--json lists all)")
    table.add_row("weights", _weights(found))
    return table


def _checkpoints(found: PeftFolder) -> Iterator[str]:
    for name, steps in found.checkpoints.items():
        taken = f"checkpoint-{found.taken[name]}" if name in found.taken else "the final adapter"
        yield f"{name}: {', '.join(map(str, steps))}; {taken} is taken"


def _snapshots(found: PeftFolder) -> Iterator[str]:
    for name, older in found.older.items():
        yield f"{name}: {', '.join(snapshot[:8] for snapshot in older)}; not taken"


def _weights(found: PeftFolder) -> str:
    if not found.weights:
        return NOT_CHECKED
    every = list(found.weights.values())
    kinds = Counter(dtype for weights in every for dtype in weights.dtypes[:1])
    told = [f"{many:,} of {dtype}" for dtype, many in kinds.most_common()]
    if closed := sum(not weights.dtypes for weights in every):
        told.append(f"{closed:,} of PyTorch, of which only the size was looked at")
    return f"{len(every):,} checked, {sum(weights.size for weights in every) / 1e6:,.1f} MB: {', '.join(told)}"
