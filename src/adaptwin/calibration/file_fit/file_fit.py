"""fit_to_files: a derived profile, corrected with the logs and benchmark results that people have of their server."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from adaptwin.calibration.file_fit.corrected_evidence import with_corrected_evidence
from adaptwin.calibration.file_fit.file_use import FileUse
from adaptwin.calibration.file_fit.host_fit import OF_GPU, HostFit, fit_host, told_request_latency
from adaptwin.calibration.file_fit.readable_files import facts_of_source, none_usable, read_sources
from adaptwin.calibration.file_fit.replay import Replay, replay_of, time_in_words
from adaptwin.calibration.file_fit.server_facts import FileFacts, ServerFacts, server_facts
from adaptwin.calibration.file_fit.server_start import USUAL_BLOCK, USUAL_RANK, start_of_server
from adaptwin.calibration.file_fit.start_memory import ServerStart, StartMemory, corrected_memory
from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.calibration.sources.registry import Source
from adaptwin.calibration.sources.start_up_facts import StartUpFacts
from adaptwin.calibration.sources.vllm_bench_latency import SentBatch
from adaptwin.errors import OutOfMemory, SpecError
from adaptwin.lazy import function_from
from adaptwin.profile.derive import derive_profile
from adaptwin.profile.derived_evidence import NEWEST_VLLM
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server

FEW_RUNNING = 4.0  # requests at a time, up to which the host's time is a large part of a step
_NOTHING_SENT = SentBatch()


class ComparedFigure(NamedTuple):
    """A figure of the server beside that of the derived and of the corrected profile."""

    figure: str
    measured: float
    derived: float
    corrected: float


class FileFit(NamedTuple):
    """A profile corrected with files, and how it came to be."""

    profile: Profile
    derived: Profile
    files: list[FileUse]
    compared: list[ComparedFigure]
    corrected: dict[str, tuple[float, float]]  # constants, before and after
    said: list[str]  # what is assumed, contradicts an option, or could not be told; sentences
    uncovered: list[str]  # what the files do not cover; sentences

    def __repr__(self) -> str:
        return str(function_from("adaptwin.report.notebook.fit_view", "file_fit_line")(self))

    def _repr_html_(self) -> str:
        return str(function_from("adaptwin.report.notebook.fit_view", "file_fit_html")(self))


def fit_to_files(
    files: Sequence[str | Path],
    *,
    gpu: str | None = None,
    model: str | None = None,
    vllm_version: str | None = None,
    tensor_parallel_size: int | None = None,
    quantization: str | None = None,
    kv_cache_dtype: str | None = None,
    price_per_hour: float | None = None,
    name: str | None = None,
    sent: SentBatch = _NOTHING_SENT,
) -> FileFit:
    """Derive a profile, and correct it with start-up logs, benchmark results and metrics pages of one server.

    KV tokens and weights in a log correct the memory, runs the host's time of a step and, where their loads differ
    enough, the speed of the GPU. The costs of LoRA stay those of the derived profile.

    Args:
        files: Files of the kinds that `adaptwin.calibration.sources` reads, recognised by their content.
        gpu: Name of a data sheet; None: as the files say.
        model: Name of a shipped model, or the path of a Hugging Face configuration; None: as the files say.
        vllm_version: Version of vLLM; None: as the files say, or else the newest.
        tensor_parallel_size: GPUs of the server; None: as the files say, or else 1.
        quantization: Of the weights; None: as the files say, or else none.
        kv_cache_dtype: Type of the KV cache; None: as the files say, or else that of the model.
        price_per_hour: Price of the GPU; None: none.
        name: Name of the profile; None: that of the derived one.
        sent: What ``vllm bench latency`` and ``throughput`` sent, which their results do not say.

    Raises:
        SpecError: No file can be used, GPU or model are not known, files contradict each other, a file is of a server
            that is not modelled, or a log of another GPU or model.
    """
    uses, sources = read_sources(files, sent)
    options = FileFacts("", gpu, model, vllm_version, tensor_parallel_size, quantization, kv_cache_dtype)
    facts = server_facts(
        [facts for source in sources for facts in facts_of_source(source, uses[source.path].file)], options
    )
    derived = derive_profile(
        gpu=facts.gpu,
        model=facts.model,
        tensor_parallel_size=facts.tensor_parallel_size,
        quantization=facts.quantization,
        kv_cache_dtype=facts.kv_cache_dtype,
        vllm_version=NEWEST_VLLM if facts.vllm_version is None else facts.vllm_version,
        price_per_hour=price_per_hour,
        name=name,
    )
    work = _FileFitting(derived, facts, uses, sources)
    work.correct_memory()
    work.correct_times()
    return work.result()


class _FileFitting:
    """The steps of a fit to files; each changes the profile, and notes what it took from which file."""

    def __init__(
        self, derived: Profile, facts: ServerFacts, uses: dict[Path, FileUse], sources: Sequence[Source]
    ) -> None:
        self.derived, self.profile, self.uses, self.sources = derived, derived, uses, sources
        self.said, self.contradictions = list(facts.said), facts.said
        if facts.vllm_version is None:
            self.said.append(f"vLLM {derived.vllm_version} is assumed: no file says its version (--vllm-version)")
        self.compared: list[ComparedFigure] = []
        self.origins: dict[str, str] = {}  # of corrected constants
        self.loose: list[str] = []  # corrected, but only together with others
        self.running: tuple[float, float] | None = None  # requests at a time, fewest and most of a run
        self.settings = self._settings()

    def _settings(self) -> StartUpFacts:
        """Return the settings of the server, from the first log that has any."""
        found = (each for source in self.sources for each in source.found if isinstance(each, StartUpFacts))
        return next(found, StartUpFacts())

    def correct_memory(self) -> None:
        """Correct the memory with logs and metrics pages; raises `SpecError` if a log contradicts GPU or model."""
        starts: list[tuple[ServerStart, FileUse]] = []
        for source in self.sources:
            use = self.uses[source.path]
            for each in source.found:
                if isinstance(each, BenchResult):
                    continue
                try:
                    start = start_of_server(each, self.derived, self.settings, use)
                    corrected_memory(self.derived.model, self.derived.memory, [start])
                    starts.append((start, use))
                except SpecError as error:
                    if isinstance(each, StartUpFacts):
                        raise error.at(source.path) from None
                    use.refuse(error)  # of a page, most settings are assumed
        if starts:
            found = corrected_memory(self.derived.model, self.derived.memory, [start for start, _ in starts])
            self._take_memory(found, starts)

    def _take_memory(self, found: StartMemory, starts: Sequence[tuple[ServerStart, FileUse]]) -> None:
        names = ", ".join(start.name for start, _ in starts)
        self.profile = self.profile.model_copy(update={"memory": found.memory})
        self.origins |= {f"memory.{name}": f"start of the server ({names})" for name in found.corrected}
        if "activation_bytes" in found.corrected:
            self.loose.append("memory.activation_bytes")
        for _, use in starts:
            use.taken += found.said or ("nothing: it names neither weights nor a KV cache",)
        sized = [start for start, _ in starts if start.kv_cache_tokens or start.kv_cache_bytes]
        for start, (before, after) in zip(sized, found.residuals, strict=True):
            tokens = start.kv_cache_tokens or (start.kv_cache_bytes or 0.0) / found.memory.kv_bytes_per_token
            self.compared.append(
                ComparedFigure(
                    f"{start.name}: KV tokens",
                    tokens,
                    tokens * (1 + before.mean / 100),
                    tokens * (1 + after.mean / 100),
                )
            )

    def correct_times(self) -> None:
        """Correct the host's time, the GPU's speed and the latency of requests with benchmark results."""
        replays = list(self._replays())
        if not replays:
            return
        try:
            found = fit_host(self.profile, [replay for replay, _ in replays])
        except OutOfMemory as error:
            raise SpecError(
                f"the server of the runs would not start by the derived profile: {error}", "--gpu"
            ) from None
        except SpecError as error:
            raise SpecError("; ".join([error.message, *self.contradictions]), error.field, error.file) from None
        latency, why_not = told_request_latency(found.profile, [replay for replay, _ in replays])
        self.profile = found.profile
        self.running = float(found.running.min()), float(found.running.max())
        runs = _count_of_runs(len(replays))
        self.origins["step_cost.host_base"] = runs
        if found.gpu_factor is None:
            self.said.append(
                "the GPU's speed cannot be told from the host's time with these runs, and stays that of the data "
                "sheet: runs at a low and at a high request rate tell them apart"
            )
            if found.running.min() > FEW_RUNNING:
                self.loose.append("step_cost.host_base")
                self.said.append(
                    f"no run was idle ({found.running.min():.0f} requests at a time or more): the host's time holds "
                    "errors of the GPU's; a run at 1 request/s tells more"
                )
        else:
            self.origins |= dict.fromkeys((f"step_cost.{name}" for name in OF_GPU), runs)
        if latency is not None:
            self.profile = self.profile.model_copy(update={"request_latency": latency})
            self.origins["request_latency"] = runs
        else:
            self.said.append(f"request_latency stays that of the derived profile: {why_not}")
        self._note_runs(replays, found)

    def _replays(self) -> Iterator[tuple[Replay, FileUse]]:
        """Yield the results that can be used, as the twin plays them."""
        facts = self.settings
        server = Server(
            max_loras=facts.slots,
            max_lora_rank=facts.max_lora_rank or USUAL_RANK,
            max_num_seqs=facts.max_num_seqs,
            max_num_batched_tokens=facts.max_num_batched_tokens,
            gpu_memory_utilization=facts.gpu_memory_utilization,
            block_size=facts.block_size or USUAL_BLOCK,
            fully_sharded_loras=bool(facts.fully_sharded_loras),
        )
        for source in self.sources:
            use = self.uses[source.path]
            for result in source.found:
                if not isinstance(result, BenchResult):
                    continue
                place = f" {result.place}" if result.place else ""
                replay = replay_of(result, server, f"{use.file}{place}")
                use.assumed += replay.assumed
                if result.is_streamed_oddly:
                    use.left.append(
                        "time_per_output_token and inter_token_latency contradict the latency of the requests "
                        "(several events for a token); the time between tokens is taken from that"
                    )
                if result.failed:
                    use.left.append(f"{result.failed:,} requests failed")
                yield replay, use

    def _note_runs(self, replays: Sequence[tuple[Replay, FileUse]], found: HostFit) -> None:
        for (replay, use), before, after, running, used in zip(
            replays, found.before, found.after, found.running, found.used, strict=True
        ):
            figure = f"{replay.name}: {replay.figure}"
            measured = replay.seconds
            self.compared.append(ComparedFigure(figure, measured, measured * float(before), measured * float(after)))
            if not used:
                use.left.append(
                    f"{replay.figure} of {time_in_words(measured)}: by the twin, requests queue, and it depends on "
                    "which"
                )
                continue
            use.taken.append(
                f"{replay.figure} of {time_in_words(measured)} with {running:.1f} requests at a time: the host's time"
                + (" and the GPU's speed" if found.gpu_factor is not None else "")
            )

    def result(self) -> FileFit:
        """Return the corrected profile with its evidence; raises `SpecError` if no file was of use."""
        uses = list(self.uses.values())
        if not self.origins:
            errors = [SpecError(use.refused or "; ".join(use.left) or "says nothing", file=use.file) for use in uses]
            raise none_usable(errors)
        used = ", ".join(use.file for use in uses if not use.refused)
        profile = self.profile.model_copy(update={"source": f"{self.derived.source}; corrected with {used}"})
        profile = with_corrected_evidence(
            profile,
            self.origins,
            runs="step_cost.host_base" in self.origins,
            gpu="step_cost.weights" in self.origins,
            compared=[_errors_in_words(each) for each in self.compared],
            undetermined=self.loose,
        )
        corrected = {name: (_constant_of(self.derived, name), _constant_of(profile, name)) for name in self.origins}
        return FileFit(profile, self.derived, uses, self.compared, corrected, self.said, list(self._uncovered()))

    def _uncovered(self) -> Iterator[str]:
        """Yield what the files do not cover."""
        if not any(name.startswith("memory.") for name in self.origins):
            yield "no start-up log or metrics page was used: the size of the KV cache is that of the shapes"
        if self.running is None:
            yield "no benchmark result was used: the times of steps are derived"
        else:
            low, high = self.running
            span = f"{low:.1f}" if high - low < 0.1 else f"{low:.1f} to {high:.1f}"
            yield f"runs had {span} requests at a time: nothing beyond was compared"
            if self.settings.slots:
                yield "the requests of the runs are taken to be for the base model, as results do not name adapters"
        yield "no run is known to have adapters: the costs of LoRA and of adapter loads are derived"


def _count_of_runs(runs: int) -> str:
    return f"{runs} run{'s' if runs > 1 else ''} of this server"


def _errors_in_words(each: ComparedFigure) -> str:
    before, after = (100 * (value / each.measured - 1) for value in (each.derived, each.corrected))
    return f"{each.figure}: {before:+.1f} % before, {after:+.1f} % after"


def _constant_of(profile: Profile, name: str) -> float:
    found: object = profile
    for part in name.split("."):
        found = getattr(found, part)
    assert isinstance(found, int | float)
    return float(found)
