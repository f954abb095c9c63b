"""A surrogate, and the runs and the design that it is trained on, as a notebook shows them."""

from adaptwin.dataset.dataset import Dataset
from adaptwin.dataset.design import Design
from adaptwin.report.notebook.html_table import HtmlTable, html_view, line_view
from adaptwin.report.style.words import count, duration
from adaptwin.surrogate.surrogate import Surrogate


def surrogate_facts(surrogate: Surrogate) -> list[str]:
    """Return what a surrogate is in a line: its profile, what it was trained on, and its windows."""
    shortest, longest = surrogate.windows
    return [
        surrogate.profile.name,
        f"trained on {count(len(surrogate.trained_on), 'profile')}",
        count(len(surrogate.trees), "output"),
        f"windows of {duration(shortest)} to {duration(longest)}",
    ]


def surrogate_html(surrogate: Surrogate) -> str:
    """Return a surrogate as HTML: its facts, and the scores of its outputs."""
    kinds = list(dict.fromkeys(kind for scores in surrogate.scores.values() for kind in scores))
    rows = [
        (name, *(f"{scores[kind]:.4g}" if kind in scores else "" for kind in kinds))
        for name, scores in surrogate.scores.items()
    ]
    return html_view("Surrogate", surrogate_facts(surrogate), HtmlTable(("held-out mixes", *kinds), rows))


def design_facts(design: Design) -> list[str]:
    """Return what a design of a sweep is in a line: sampler, mixes, profiles and seed."""
    mixes = [] if design.sampler == "grid" else [count(design.mixes, "mix", "mixes")]
    return [f"sampler {design.sampler}", *mixes, count(len(design.profiles), "profile"), f"seed {design.seed}"]


def dataset_line(dataset: Dataset) -> str:
    """Return the runs of a sweep in a line."""
    mixes = dataset.rows["mix"].n_unique() if "mix" in dataset.rows.columns else 0
    runs = [count(len(dataset.rows), "run"), count(mixes, "mix", "mixes")]
    return line_view("Dataset", [*runs, count(len(dataset.design.profiles), "profile"), f"seed {dataset.design.seed}"])
