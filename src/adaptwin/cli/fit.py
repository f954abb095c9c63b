"""adaptwin fit: a folder of measurements, or files that people have of a server -> Profile."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptwin.calibration.fit_rounds import FIT_ROUNDS
from adaptwin.cli.fit_files import ServerOptions, fit_files
from adaptwin.cli.help import default_note
from adaptwin.cli.inputs import files_of_options
from adaptwin.cli.options import AsJson, OutFile
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.cli.profile_options import complete_gpu, complete_model
from adaptwin.errors import SpecError
from adaptwin.file_kinds import kinds_of
from adaptwin.writable import require_distinct, require_writable

if TYPE_CHECKING:
    from adaptwin.calibration.fit import Fit


NOT_KNOWN = default_note("not known")


def fit_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Folder of measurements (setup.yaml and what was measured); or files, or a folder of files, that you "
            "have of the server: start-up logs, results of vllm bench, reports of guidellm or inference-perf, pages of "
            "/metrics.",
        ),
    ],
    gpu: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_gpu,
            help="GPU of the server that files are of ('adaptwin profiles --gpus' lists them). "
            + default_note("as the files say"),
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            autocompletion=complete_model,
            help="Model that it serves: a name ('adaptwin profiles --models' lists them), or the path of a Hugging "
            f"Face config.json or of its folder. {default_note('as the files say')}",
        ),
    ] = None,
    vllm_version: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help=f"Its version of vLLM. {default_note('as the files say, or the newest')}"),
    ] = None,
    tensor_parallel_size: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"Its GPUs. {default_note('as the files say, or 1')}")
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help=f"Method by which its weights are quantised. {default_note('as the files say, or 16 bits')}",
        ),
    ] = None,
    kv_cache_dtype: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help=f"Type of its KV cache. {default_note('as the files say, or auto')}"),
    ] = None,
    price_per_hour: Annotated[
        float | None,
        typer.Option("--price", metavar="PRICE", help=f"Price of the GPU per hour. {default_note('none')}"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"Name of the profile. {default_note('that of GPU and model')}")
    ] = None,
    input_len: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Prompt tokens that vllm bench latency or throughput sent, which its result lacks. " + NOT_KNOWN,
        ),
    ] = None,
    output_len: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"Answer tokens that it asked for. {NOT_KNOWN}")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"Requests of vllm bench latency. {NOT_KNOWN}")
    ] = None,
    out: OutFile = None,
    as_json: AsJson = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="PROFILE",
            help="Profile, by name or file, for what a folder of measurements does not determine; takes precedence "
            f"over start: in setup.yaml. {default_note('start: in setup.yaml')}",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Number of times that every run of a folder of measurements is simulated at its measured pace. "
            + default_note(FIT_ROUNDS),
        ),
    ] = None,
) -> None:
    """Fit a profile to what was measured on a server, or to what you have of it, and report its errors.

    A folder of measurements holds setup.yaml and any of memory, loads, planning, steps (Parquet or CSV) and runs.json;
    docs/reference/measurements.md describes their columns. Other files correct a profile that is derived from the data
    sheet of the GPU: a start-up log its memory, one idle run the time of the host.
    """
    options = ServerOptions(
        gpu, model, vllm_version, tensor_parallel_size, quantization, kv_cache_dtype, price_per_hour, name,
        input_len, output_len, batch_size,
    )  # fmt: skip
    _require_existing(paths, out)
    if len(paths) == 1 and _is_of_measurements(paths[0]):
        if options.given:
            raise typer.BadParameter(f"{options.given[0]} is for files: setup.yaml describes the server of a folder")
        _fit_folder(paths[0], out, start, FIT_ROUNDS if rounds is None else rounds, as_json=as_json)
        return
    for option, value in (("--start", start), ("--rounds", rounds)):
        if value is not None:
            raise typer.BadParameter(f"{option} is for a folder with setup.yaml")
    for path in paths:
        if path.is_dir() and _is_of_measurements(path):
            raise SpecError("a folder of measurements is fitted by itself, without other files", file=path)
    fit_files(paths, options, out, as_json=as_json)


def _require_existing(paths: list[Path], out: Path | None) -> None:
    """Raise `SpecError` if a path leads to nothing, which might have been a file or a folder."""
    for path in paths:
        if not path.exists():
            require_writable(out)
            raise SpecError("no such file or folder", file=path)


def _is_of_measurements(path: Path) -> bool:
    """Whether a path is a folder of measurements or of another known kind, or an empty one."""
    from adaptwin.calibration.measurements import MEASUREMENT_COLUMNS, RUNS_FILE, SETUP_FILE

    if not path.is_dir():
        return False
    names = {each.name for each in path.iterdir()}
    tables = {f"{table}{suffix}" for table in MEASUREMENT_COLUMNS for suffix in (".csv", ".parquet")}
    return not names or bool(kinds_of(path)) or not names.isdisjoint({SETUP_FILE, RUNS_FILE, *tables})


def _fit_folder(folder: Path, out: Path | None, start: str | None, rounds: int, *, as_json: bool) -> None:
    """Fit to a folder of measurements, print the report, and write the profile."""
    from adaptwin.calibration.fit import fit
    from adaptwin.calibration.measurements import Measurements
    from adaptwin.calibration.plausible import located
    from adaptwin.cli.progress import progress_bar
    from adaptwin.report.fit import fit_report

    require_writable(out, inputs=[*_files_in(folder), *files_of_options(start)])
    measurements = Measurements.read(folder)
    if start is not None:
        measurements = measurements._replace(setup=measurements.setup.model_copy(update={"start": start}))
    require_distinct(out, inputs=files_of_options(measurements.setup.start))
    with progress_bar() as progress:
        try:
            fitted = fit(measurements, rounds=rounds, progress=progress)
        except ImportError as error:
            raise SpecError(str(error)) from None
        except SpecError as error:
            by_option = start is not None and error.field == "setup.start"
            raise (SpecError(error.message, "--start") if by_option else located(error, folder)) from None
    if out:
        fitted.profile.write(out)
    if as_json:
        show_json(_fit_as_data(fitted))
    else:
        show(fit_report(fitted, measurements.setup.start or ""))
    if out:
        tell(f"profile written to {out}")


def _files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _fit_as_data(fitted: "Fit") -> dict[str, Any]:
    return {
        "profile": fitted.profile.file_form(),
        "residuals": [part._asdict() for part in fitted.residuals],
        "warnings": fitted.warnings,
        "undetermined": [constant._asdict() for constant in fitted.undetermined],
    }
