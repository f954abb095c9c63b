"""adaptwin measure: time a running server -> a folder that fit reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.lengths import InputMean, OutputMean
from adaptwin.cli.options import AsJson, Seed, time_span
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.cli.profile_options import complete_gpu, complete_model
from adaptwin.cli.servers import ApiKey
from adaptwin.errors import SpecError

if TYPE_CHECKING:
    from adaptwin.live.measure import Measuring
    from adaptwin.profile.profile import Profile


def _given_setting(name: str, default: str) -> object:
    return typer.Option(
        min=1,
        metavar="N",
        rich_help_panel="vLLM's settings",
        help=f"The server's {name}. {default_note(default)}",
    )


def measure_command(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Address of a running vLLM server, such as http://localhost:8000.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Folder for the measurements; a measurement in it that was stopped goes on."
        ),
    ],
    gpu: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_gpu,
            help="GPU of the server ('adaptwin profiles --gpus' lists them).",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            autocompletion=complete_model,
            help="Model that it serves: a name, or the path of a Hugging Face config.json or of its folder. "
            + default_note("as the server says"),
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="PROFILE",
            help="Profile, by name or file, for what is not measured. "
            + default_note("the one derived of --gpu and --model"),
        ),
    ] = None,
    budget: Annotated[
        float, typer.Option(parser=time_span, metavar="TIME", help="Time that it may take, such as 10m.")
    ] = 600.0,
    idle: Annotated[
        bool,
        typer.Option(
            "--idle",
            help="Make one minute's run of the base model at 1 request/s only, and write it to idle.json: it corrects "
            "the host's time of a derived profile ('adaptwin fit FOLDER/idle.json --gpu ...').",
        ),
    ] = False,
    adapters: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Ranks of the server's adapters, with the columns name,rank. "
            + default_note("read from the adapters' folders, where these can be read here"),
        ),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Start-up log of the server. {default_note('none')}")
    ] = None,
    max_loras: Annotated[int | None, _given_setting("max_loras", "as the server's metrics say")] = None,
    max_lora_rank: Annotated[int | None, _given_setting("max_lora_rank", "as the highest rank needs")] = None,
    max_cpu_loras: Annotated[int | None, _given_setting("max_cpu_loras", "the number of its adapters")] = None,
    max_num_seqs: Annotated[int | None, _given_setting("max_num_seqs", "vLLM's for the GPU")] = None,
    max_num_batched_tokens: Annotated[
        int | None, _given_setting("max_num_batched_tokens", "vLLM's for the GPU")
    ] = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
    seed: Seed = None,
) -> None:
    """Time a running server with micro-benchmarks and short runs; 'adaptwin fit FOLDER' makes a profile of it.

    The server must have no other traffic meanwhile. It is asked for completions of random tokens; nothing is loaded or
    changed there. Exit code 4: the server cannot be used, or died; what was measured until then is kept.
    """
    from adaptwin.cli.progress import progress_bar
    from adaptwin.interruption import keeping
    from adaptwin.live.idle_run import measure_idle
    from adaptwin.live.measure import measure
    from adaptwin.report.measure import measure_report

    if out.exists() and not out.is_dir():
        raise SpecError("is a file: the measurements go to a folder", file=out)
    given = {
        "max_loras": max_loras,
        "max_lora_rank": max_lora_rank,
        "max_cpu_loras": max_cpu_loras,
        "max_num_seqs": max_num_seqs,
        "max_num_batched_tokens": max_num_batched_tokens,
    }
    asked = _what_to_measure(url, gpu, model, start, adapters, log, api_key)._replace(
        budget=budget, settings={name: value for name, value in given.items() if value}, seed=seed or 0
    )
    asked = _with_lengths(asked, input_mean, output_mean)
    kept = f"what was measured is in {out}, and the same command goes on"
    with progress_bar() as progress, keeping(lambda: kept), _saying_what_is_kept(out, kept):
        if idle:
            path = measure_idle(asked, out, progress=progress)
            tell(f"idle run written to {path}")
            return
        measured = measure(asked, out, progress=progress)
    if as_json:
        show_json(
            {
                "server": measured.server.server.model_dump(mode="json", exclude_defaults=True),
                "assumed": measured.server.said,
                "rounds": measured.rounds,
                "micro_benchmarks": [result._asdict() for result in measured.results],
                "runs": [run.file_form() for run in measured.runs],
            }
        )
    else:
        show(measure_report(measured, str(out)))


@contextmanager
def _saying_what_is_kept(out: Path, kept: str) -> Iterator[None]:
    """Add to the error of a server that fails what was measured until then, if anything was."""
    from adaptwin.errors import ServerError
    from adaptwin.live.kept_measurements import KEPT_FILE

    try:
        yield
    except ServerError as error:
        if not (out / KEPT_FILE).exists():
            raise
        raise ServerError(f"{error.message}; {kept}", error.url) from None


def _what_to_measure(
    url: str,
    gpu: str | None,
    model: str | None,
    start: str | None,
    adapters: Path | None,
    log: Path | None,
    api_key: str | None,
) -> "Measuring":
    """Return what is to be measured, as far as files and names say."""
    from adaptwin.calibration.sources.vllm_log import read_start_up_log
    from adaptwin.live.connection import api_key_of_environment, server_url
    from adaptwin.live.measure import Measuring
    from adaptwin.spec import read_text
    from adaptwin.workload.sources.adapters_csv import read_adapter_ranks

    ranks = {each.name: each.rank for each in read_adapter_ranks(adapters)} if adapters else {}
    address, key = server_url(url), api_key or api_key_of_environment()
    return Measuring(
        url=address,
        profile=_profile(address, gpu, model, start, key),
        ranks=ranks,
        log=read_start_up_log(read_text(log), log) if log else None,
        api_key=key,
    )


def _profile(url: str, gpu: str | None, model: str | None, start: str | None, api_key: str | None) -> "Profile":
    """Return the profile for what is not measured: the one given, or one derived of GPU and model."""
    from adaptwin.live.idle_run import names_of
    from adaptwin.profile.derive import derive_profile
    from adaptwin.profile.derived_evidence import NEWEST_VLLM
    from adaptwin.profile.profile import load_profile

    if start:
        if gpu or model:
            raise SpecError("does not go with --gpu and --model: the profile says what they are", "--start")
        return load_profile(start)
    if not gpu:
        raise SpecError("missing: no server says what its GPU is; name it, or give a profile with --start", "--gpu")
    served, version = names_of(url, api_key)
    try:
        return derive_profile(gpu=gpu, model=model or served, vllm_version=version or NEWEST_VLLM)
    except SpecError as error:
        if model is None and error.field == "model":
            raise SpecError(f"the server serves {served}: {error.message}", "--model") from None
        raise


def _with_lengths(asked: "Measuring", input_mean: float | None, output_mean: float | None) -> "Measuring":
    from adaptwin.workload.lengths import Lengths

    if input_mean is None and output_mean is None:
        return asked
    table = asked.lengths.table()
    lengths = Lengths.lognormal(
        input_mean=input_mean or float(table.input.mean()),
        input_cv=0.6,
        output_mean=output_mean or float(table.output.mean()),
        output_cv=0.6,
    )
    return asked._replace(lengths=lengths)
