"""adaptwin export: a plan in the files of a serving stack."""

from pathlib import Path
from typing import Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.inputs import files_of_workload
from adaptwin.cli.options import PlanFile, completing
from adaptwin.cli.printing import show_json, tell
from adaptwin.errors import SpecError, not_one_of
from adaptwin.export.registry import STACKS
from adaptwin.writable import require_writable
from adaptwin.writing import write_atomically

_SUFFIXES = (".yaml", ".yml", ".json", ".sh", ".csv")  # of a file, not of a folder


def export_command(
    plan: PlanFile,
    to: Annotated[
        str,
        typer.Option(
            metavar="STACK", autocompletion=completing(STACKS), help=f"Serving stack. One of {', '.join(STACKS)}."
        ),
    ] = "vllm",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="File to write, or folder if the stack needs several files; printed without it.",
        ),
    ] = None,
    options: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file of options, such as images, folders, secrets and addresses: see docs/how-to/export.md. "
            f"{default_note('the options given here')}",
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help=f"Image of vLLM. {default_note('vllm/vllm-openai of the profile')}"),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"Namespace of the cluster's objects. {default_note('default')}")
    ] = None,
    adapters_folder: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help=f"Folder in the servers with the weights of adapters without an artifact. {default_note('/adapters')}",
        ),
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL",
            help="Address of a server, for stacks that route to it, such as gpu-0=http://host:8000; repeat it.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the files and what the stack cannot express as JSON.")
    ] = False,
) -> None:
    """Write the files that run a plan on a serving stack, to stdout, a file or a folder.

    What the stack cannot express, and what was done instead, is printed on stderr and stands in the files.
    """
    from adaptwin.export.exported import exported
    from adaptwin.export.options import ExportOptions
    from adaptwin.plan.plans import Plans
    from adaptwin.spec import read_mapping

    if to not in STACKS:
        raise SpecError(not_one_of(to, STACKS), "--to")
    inputs = [plan, *([options] if options else [])]
    given = {"image": image, "namespace": namespace, "adapters_folder": adapters_folder}
    chosen = ExportOptions.parse(
        {**(read_mapping(options) if options else {}), **{name: value for name, value in given.items() if value}},
        file=options,
    )
    chosen = ExportOptions(**{**dict(chosen), "urls": {**chosen.urls, **_named_urls(url or [])}})
    running = Plans.read(plan)
    files, said = exported(running, to, chosen)
    written_to = _places(files, out)
    require_writable(*written_to, inputs=[*inputs, *files_of_workload(running.workload)])
    if as_json:
        show_json({"files": files, "said": said})
    elif out is None:
        print(_in_one_text(files), end="")
    for place, text in zip(written_to, files.values(), strict=False):
        write_atomically(place, text)
        tell(f"written to {place}")
    for line in said:
        tell(line)


def _places(files: dict[str, str], out: Path | None) -> list[Path]:
    """Return where each file goes: to `out` itself if it is the only one and `out` is no folder."""
    if out is None:
        return []
    if len(files) == 1 and not out.is_dir():
        return [out]
    if out.suffix in _SUFFIXES and not out.is_dir():
        raise SpecError(f"{len(files)} files ({', '.join(files)}) need a folder, not the file {out}", "--out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(f"cannot be made a folder for {len(files)} files: {error.strerror}", file=out) from None
    return [out / name for name in files]


def _in_one_text(files: dict[str, str]) -> str:
    """Return the text of a single file, or of several, each after a line with its name."""
    if len(files) == 1:
        return next(iter(files.values()))
    return "".join(f"--- # {name}\n{text}" for name, text in files.items())


def _named_urls(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, url in map(_named_url, texts):
        if name in found:
            raise SpecError(f"{name!r} has two addresses", "--url")
        found[name] = url
    return found


def _named_url(text: str) -> tuple[str, str]:
    name, sign, url = text.partition("=")
    if not (name and sign and "://" in url):
        raise SpecError(f"{text!r} is not NAME=URL, such as gpu-0=http://host:8000", "--url")
    return name, url
