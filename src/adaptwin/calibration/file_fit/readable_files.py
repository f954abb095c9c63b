"""read_sources: the files of a fit, with what can be used of each, and the reasons for what cannot."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from adaptwin.calibration.file_fit.file_names import file_names
from adaptwin.calibration.file_fit.file_use import FileUse, in_clause
from adaptwin.calibration.file_fit.plausible_result import require_usable
from adaptwin.calibration.file_fit.server_facts import FileFacts
from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.calibration.sources.metrics_page import MetricsPage
from adaptwin.calibration.sources.not_modelled import NotModelledError
from adaptwin.calibration.sources.registry import Source, read_source
from adaptwin.calibration.sources.start_up_facts import StartUpFacts
from adaptwin.calibration.sources.vllm_bench_latency import SentBatch
from adaptwin.errors import SpecError


def read_sources(files: Sequence[str | Path], sent: SentBatch) -> tuple[dict[Path, FileUse], list[Source]]:
    """Read all files; the reasons of those that cannot be used are kept, unless there is no other.

    Raises:
        SpecError: No file can be used, or one is given twice.
        NotModelledError: A file says that the server is not modelled, whatever others say of it.
    """
    uses, sources, errors = {}, [], []
    for path, name in file_names([Path(file) for file in files]).items():
        use = uses[path] = FileUse(name)
        try:
            source = read_source(path, sent)
            use.kind = source.kind
            sources.append(_usable(source, use))
        except NotModelledError:
            raise
        except SpecError as error:
            use.refuse(error)
            errors.append(error)
    if not sources:
        raise none_usable(errors)
    return uses, sources


def _usable(source: Source, use: FileUse) -> Source:
    """Return a file with the results in it that can be used; raises `SpecError` if there is none."""
    found, errors = [], []
    for each in source.found:
        try:
            if isinstance(each, BenchResult):
                require_usable(each)
            found.append(each)
        except SpecError as error:
            errors.append(error.at(source.path))
            use.left.append(in_clause(error))
    if not found:
        use.left.clear()
        raise errors[0]
    return source._replace(found=tuple(found))


def none_usable(errors: Sequence[SpecError]) -> SpecError:
    """Return the error that no file can be used, with the reason of each."""
    if len(errors) == 1:
        return errors[0]
    return SpecError("none of the files can be used: " + "; ".join(str(error) for error in errors), "FILE")


def facts_of_source(source: Source, name: str) -> Iterator[FileFacts]:
    """Yield what a file says of its server, once for all results in it that say the same.

    Args:
        source: The file.
        name: How errors call it.
    """
    seen = set()
    for each in source.found:
        facts = _facts_of(each)
        if facts not in seen:
            seen.add(facts)
            place = f" {each.place}" if isinstance(each, BenchResult) and each.place else ""
            yield facts._replace(file=f"{name}{place}")


def _facts_of(each: BenchResult | StartUpFacts | MetricsPage) -> FileFacts:
    if isinstance(each, StartUpFacts):
        return FileFacts(
            "",
            gpu=each.gpu,
            model=each.model,
            vllm_version=each.vllm_version,
            tensor_parallel_size=each.tensor_parallel_size,
            quantization=each.quantization,
            kv_cache_dtype=each.kv_cache_dtype,
        )
    if isinstance(each, MetricsPage):
        dtype = None if each.kv_cache_dtype == "auto" else each.kv_cache_dtype
        return FileFacts("", model=each.model, kv_cache_dtype=dtype)
    return FileFacts("", gpu=each.gpu, model=each.model, tensor_parallel_size=each.gpu_count)
