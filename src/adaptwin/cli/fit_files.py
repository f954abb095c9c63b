"""fit_files: a derived profile, corrected with files that people have, printed and written."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from adaptwin.cli.printing import show, show_json, tell
from adaptwin.cli.profile_options import files_of_profiles
from adaptwin.errors import SpecError
from adaptwin.profile.profile_source import DerivedProfile
from adaptwin.writable import require_writable

if TYPE_CHECKING:
    from adaptwin.calibration.file_fit.file_fit import FileFit


class ServerOptions(NamedTuple):
    """What the command line says of the server, and of what an offline benchmark sent; None: nothing."""

    gpu: str | None
    model: str | None
    vllm_version: str | None
    tensor_parallel_size: int | None
    quantization: str | None
    kv_cache_dtype: str | None
    price_per_hour: float | None
    name: str | None
    input_len: int | None
    output_len: int | None
    batch_size: int | None

    @property
    def given(self) -> list[str]:
        """The options that were given, as on the command line."""
        flags = {"price_per_hour": "--price"}
        names = [name for name, value in self._asdict().items() if value is not None]
        return [flags.get(name, f"--{name.replace('_', '-')}") for name in names]


def files_in(paths: Sequence[Path]) -> list[Path]:
    """Return the files that are meant: a folder stands for the files in it."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
            if not inside:
                raise SpecError("the folder holds no files", file=path)
            found += inside
        else:
            found.append(path)
    return found


def fit_files(paths: Sequence[Path], options: ServerOptions, out: Path | None, *, as_json: bool) -> None:
    """Fit to files, print the report, and write the profile."""
    from adaptwin.calibration.file_fit.file_fit import fit_to_files
    from adaptwin.calibration.sources.vllm_bench_latency import SentBatch
    from adaptwin.report.file_fit import file_fit_report
    from adaptwin.twin.compilation import compile_twin

    derived_from = [DerivedProfile(gpu=options.gpu or "any", model=options.model)] if options.model else []
    require_writable(out, inputs=[*files_in(paths), *files_of_profiles(derived_from)])
    compile_twin()
    fitted = fit_to_files(
        files_in(paths),
        gpu=options.gpu,
        model=options.model,
        vllm_version=options.vllm_version,
        tensor_parallel_size=options.tensor_parallel_size,
        quantization=options.quantization,
        kv_cache_dtype=options.kv_cache_dtype,
        price_per_hour=options.price_per_hour,
        name=options.name,
        sent=SentBatch(options.input_len, options.output_len, options.batch_size),
    )
    if out:
        fitted.profile.write(out)
    if as_json:
        show_json(_file_fit_as_data(fitted))
    else:
        show(file_fit_report(fitted))
    if out:
        tell(f"profile written to {out}")


def _file_fit_as_data(fitted: "FileFit") -> dict[str, Any]:
    return {
        "profile": fitted.profile.file_form(),
        "grade": fitted.profile.grade,
        "files": [
            {name: getattr(use, name) for name in ("file", "kind", "taken", "left", "assumed", "refused")}
            for use in fitted.files
        ],
        "compared": [row._asdict() for row in fitted.compared],
        "corrected": {
            name: {"derived": before, "corrected": after} for name, (before, after) in fitted.corrected.items()
        },
        "notes": fitted.said,
        "uncovered": fitted.uncovered,
    }
