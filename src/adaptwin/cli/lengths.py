"""Options that give the lengths of requests, and the lengths that they mean."""

from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.errors import SpecError

if TYPE_CHECKING:
    from adaptwin.plan.fleet import Fleet
    from adaptwin.workload.lengths import Lengths

LengthsOption = Annotated[
    str | None,
    typer.Option(
        "--lengths",
        metavar="KIND",
        help="Lengths of the requests of adapters that have none of their own: sharegpt, fixed:250,231, "
        "lognormal:250,231 (means of prompts and answers in tokens), or a CSV file with columns input,output. "
        "(default: those of the file, or assumed: sharegpt)",
    ),
]
LengthsOfLog = Annotated[
    str | None,
    typer.Option(
        "--lengths",
        metavar="KIND",
        help="Lengths of all requests, instead of those in the log; needed for a log without tokens. Same values as "
        "for adaptwin plan. (default: those in the log)",
    ),
]
InputMean = Annotated[
    float | None,
    typer.Option(metavar="TOKENS", help="Mean prompt length (lognormal); needs --output-mean and replaces --lengths."),
]
OutputMean = Annotated[
    float | None,
    typer.Option(metavar="TOKENS", help="Mean answer length (lognormal); needs --input-mean and replaces --lengths."),
]


def lengths_of_options(text: str | None, input_mean: float | None, output_mean: float | None) -> "Lengths | None":
    """Return the lengths that the options give; None where they give none. Raises `SpecError`."""
    from adaptwin.workload.sources.adapters_csv import lengths_of_means
    from adaptwin.workload.sources.lengths_text import parse_lengths

    if input_mean is None and output_mean is None:
        return None if text is None else parse_lengths(text)
    if input_mean is None or output_mean is None:
        raise SpecError("give both or neither", "--input-mean, --output-mean")
    if text:
        raise SpecError("give a distribution or its means, not both", "--lengths, --input-mean, --output-mean")
    return lengths_of_means(input_mean, output_mean)


def with_lengths(fleet: "Fleet", lengths: "Lengths | None") -> "Fleet":
    """Return the fleet with these lengths, where given; adapters keep their own."""
    return fleet if lengths is None else fleet.model_copy(update={"lengths": lengths})
