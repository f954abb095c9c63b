"""How true the twin is: the shipped profiles against real runs that their fit saw (calibration) or never saw."""

from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from adaptwin import load_profile
from adaptwin.calibration.compare import compare, profile_error
from h100_runs import MODELS, measured_runs, require_data

RESULTS = Path(__file__).resolve().parent / "results"
BANDS = ((1, 8), (9, 16), (17, 32), (33, 64), (65, 128), (129, 512))


def main() -> None:
    """Simulate every completed run of both models and print the errors."""
    require_data()
    RESULTS.mkdir(exist_ok=True)
    errors = Table(
        title="Error against real runs (mean absolute, %; TTFT: median outside deep overload)", title_justify="left"
    )
    for header in ("model", "split", "runs", "throughput", "ITL", "ITL p99", "TTFT p50", "starvation right"):
        errors.add_column(header, justify="left" if header in ("model", "split") else "right")
    bands = Table(title="Bias of mean ITL by slots, validation runs (mean, %)", title_justify="left")
    bands.add_column("model")
    for low, high in BANDS:
        bands.add_column(f"{low}-{high}", justify="right")
    for model, name in MODELS.items():
        profile = load_profile(name)
        for split in ("calibration", "validation"):
            rows = compare(profile, measured_runs(model, split))
            rows.write_json(RESULTS / f"accuracy-{model}-{split}.json")
            error = profile_error(rows)
            p99 = 100 * float((rows["twin_itl_p99"] / rows["real_itl_p99"] - 1).abs().mean() or 0.0)
            cells = (error.throughput, error.itl, p99, error.ttft, error.starvation)
            errors.add_row(model, split, str(error.runs), *(f"{cell:.1f}" for cell in cells))
            if split == "validation":
                bands.add_row(model, *(_bias(rows, low, high) for low, high in BANDS))
    console = Console(width=110)
    console.print(errors)
    console.print(bands)


def _bias(rows: pl.DataFrame, low: int, high: int) -> str:
    part = rows.filter(pl.col("max_loras").is_between(low, high))
    if part.is_empty():
        return "-"
    return f"{100 * float((part['twin_itl_mean'] / part['real_itl_mean'] - 1).mean() or 0.0):+.1f} ({len(part)})"


if __name__ == "__main__":
    main()
