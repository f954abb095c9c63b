"""adaptwin replay: the traffic of a fleet or a plan, sent to running servers -> Replayed."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import AsJson, OutFile, Seed, time_from_zero, time_span
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.cli.servers import ApiKey, ServerUrls
from adaptwin.errors import ServerError
from adaptwin.writable import require_writable


def replay_command(
    source: Annotated[
        Path, typer.Argument(metavar="FLEET|PLAN", help="Fleet file, CSV of adapters, or plan whose traffic to send.")
    ],
    url: ServerUrls = None,
    servers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with the address of each server of a plan, in place of --url: NAME: {url: ...}. "
            + default_note("none"),
        ),
    ] = None,
    routes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Routes file, as 'adaptwin apply' writes it: each request goes where the file says when it is due. "
            f"Needs --servers. {default_note('none')}",
        ),
    ] = None,
    routing: Annotated[
        Literal["plan", "round-robin"] | None,
        typer.Option(
            help="Server of each request: as the plan says, or the next one in turn. "
            + default_note("plan for a plan, else round-robin"),
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            help=f"Time of traffic, such as 90s or 10m. {default_note('the duration of the fleet')}",
        ),
    ] = None,
    warmup: Annotated[
        float,
        typer.Option(
            parser=time_from_zero,
            metavar="TIME",
            help="Time at the start that rates, latencies and verdicts leave out.",
        ),
    ] = 0.0,
    window: Annotated[
        Literal["cut", "drain"],
        typer.Option(help="End of the run: cut gives up what is not answered at the end, drain waits for all answers."),
    ] = "cut",
    max_in_flight: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=f"Requests that may be open at most. {default_note('no limit')}"),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            parser=time_span, metavar="TIME", help="Time without a token after which a request has failed, such as 2m."
        ),
    ] = 600.0,
    sample_every: Annotated[
        float, typer.Option(parser=time_span, metavar="TIME", help="Time between samples of /metrics, such as 2s.")
    ] = 2.0,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Prompts to send in turn: a text in each line, or JSON with the field prompt. "
            + default_note("random tokens of the drawn lengths"),
        ),
    ] = None,
    api_key: ApiKey = None,
    out: OutFile = None,
    as_json: AsJson = False,
    seed: Seed = None,
) -> None:
    """Send a fleet's traffic to running servers in real time, and report what they did.

    The requests are those that the twin simulates with the same seed. A plan needs an address for each of its servers,
    in their order or as NAME=URL. Exit code 4: a server cannot be used, or died on the way; what was measured until
    then is kept.
    """
    from adaptwin.cli.progress import progress_bar
    from adaptwin.cli.replayed_traffic import traffic_to_send
    from adaptwin.interruption import saved_by
    from adaptwin.live.connection import api_key_of_environment
    from adaptwin.live.prompts import PromptsOfFile
    from adaptwin.live.replay import Replaying
    from adaptwin.report.replay import replay_report
    from adaptwin.twin.compilation import compile_client

    require_writable(out, inputs=[source, *(path for path in (prompts, servers, routes) if path)])
    texts = PromptsOfFile(prompts) if prompts else None
    with progress_bar() as progress:
        compile_client(progress)
    traffic, used, followed = traffic_to_send(source, url, servers, routes, routing, duration, seed)
    replaying = Replaying(
        traffic,
        routing=used,
        window=window,
        warmup=warmup,
        max_in_flight=max_in_flight,
        timeout=timeout,
        sample_every=sample_every,
        prompts=texts,
        followed=followed,
        api_key=api_key or api_key_of_environment(),
    )

    def save() -> None:
        if out and (so_far := replaying.so_far("interrupted")):
            so_far.write(out)

    with progress_bar() as progress, saved_by(save):
        try:
            found = replaying.run(progress)
        except BaseException:  # such as Ctrl-C on Windows, where no thread saves
            save()
            raise
    if out:
        found.write(out)
    if as_json:
        show_json(found.file_form())
    else:
        show(replay_report(found))
    if out:
        tell(f"results written to {out}")
    if found.ended_early:
        raise ServerError(f"the replay ended early: {found.ended_early}", "replay")
