"""Traces: a workload from a log whose requests name no adapter."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from adaptwin.workload.drawing.prefixes import NO_PREFIXES
from adaptwin.workload.rates_over_time import HOUR, RatesOverTime
from adaptwin.workload.sources.arrival_pattern import Keep, recorded_workload
from adaptwin.workload.sources.recorded_rates import rates_of_recording
from adaptwin.workload.sources.recorded_window import WINDOW_SECONDS, WindowFigures, busiest_window
from adaptwin.workload.sources.recording import Recording
from adaptwin.workload.sources.request_log.columns import TimeUnit
from adaptwin.workload.sources.request_log.request_log import RequestLog, read_request_log
from adaptwin.workload.sources.synthetic import RankMix, share_out
from adaptwin.workload.workload import Adapter, Workload


class TraceWindow(NamedTuple):
    """A window of a trace that a workload is made from."""

    recording: Recording
    figures: WindowFigures
    log: RequestLog
    whole: Recording  # of the part of the trace that the window may lie in

    def rates_over_time(
        self, adapters: Sequence[Adapter], *, period: float = HOUR, rate_scale: float = 1.0
    ) -> RatesOverTime:
        """Return the rates in the periods of the whole trace, whose traffic is shared out like that of the window.

        Args:
            adapters: The adapters of the workload, which share the traffic in proportion to their rates.
            period: Seconds of a period.
            rate_scale: Factor on the number of requests.

        Raises:
            SpecError: The trace has fewer than two periods, or too many, or the period is too short.
        """
        began = self.log.start
        return rates_of_recording(self.whole, adapters, period=period, began=began, rate_scale=rate_scale)

    def workload(
        self,
        *,
        adapters: int,
        ranks: RankMix,
        popularity: str = "dirichlet:0.5",
        base_share: float = 0.0,
        rate_scale: float = 1.0,
        keep: Keep | None = None,
        rates_file: str | Path | None = None,
        seed: int = 0,
    ) -> Workload:
        """Return a workload with the arrivals and lengths of the window.

        Args:
            adapters: Number of adapters, which `share_out` describes with `ranks`, `popularity` and `base_share`.
            ranks: Ranks in turn, or by weight.
            popularity: Distribution of the traffic over the adapters.
            base_share: Share of the traffic that goes to the base model.
            rate_scale: Factor on the number of requests.
            keep: Keep arrivals as timestamps, each with its own lengths, or as rates; None decides by their number.
            rates_file: CSV file that rates are written to, if they are kept.
            seed: Seed of all random draws, which is stored in the workload.

        Raises:
            SpecError: What is wrong with an argument.
        """
        shared = share_out(
            self.recording.rate,
            adapters=adapters,
            ranks=ranks,
            popularity=popularity,
            base_share=base_share,
            seed=seed,
        )
        return recorded_workload(
            self.recording, shared, rate_scale=rate_scale, seed=seed, keep=keep, rates_file=rates_file
        )


def workload_from_trace(
    path: str | Path,
    *,
    adapters: int,
    ranks: RankMix,
    popularity: str = "dirichlet:0.5",
    base_share: float = 0.0,
    first_part: float = 1.0,
    busiest: float = WINDOW_SECONDS,
    rate_scale: float = 1.0,
    keep: Keep | None = None,
    rates_file: str | Path | None = None,
    seed: int = 0,
) -> Workload:
    """Return a workload with the arrivals and lengths of a trace's busiest window, shared out by popularity.

    `busiest` and `first_part` choose the window, as `trace_window` describes. `TraceWindow.workload` describes the
    other arguments. Raises `SpecError` naming file, line and column.
    """
    return trace_window(path, first_part=first_part, busiest=busiest).workload(
        adapters=adapters,
        ranks=ranks,
        popularity=popularity,
        base_share=base_share,
        rate_scale=rate_scale,
        keep=keep,
        rates_file=rates_file,
        seed=seed,
    )


def trace_window(
    path: str | Path,
    *,
    first_part: float = 1.0,
    busiest: float = WINDOW_SECONDS,
    time_unit: TimeUnit | None = None,
    prefixes: bool = True,
) -> TraceWindow:
    """Return the window of a trace with the most tokens, prompts and answers together.

    Args:
        path: The trace, in a format that `read_trace` knows.
        first_part: Share of the trace's time, from its start, that the window lies in.
        busiest: Seconds of the window; `math.inf` takes the whole trace, as does a trace that is shorter.
        time_unit: Unit of times that are numbers, if it cannot be seen from them.
        prefixes: Keep which prompts begin alike, where the trace tells.

    Raises:
        SpecError: What is wrong, with file, line and column.
    """
    log = _log_of(path, time_unit)
    recording = _recording_of_trace(log)
    if not prefixes:
        recording = recording._replace(prefixes=NO_PREFIXES)
    seen, figures = busiest_window(recording, raised=log.raised, first_part=first_part, busiest=busiest, file=path)
    return TraceWindow(seen, figures, log, recording.window(0.0, first_part * recording.duration))


def read_trace(path: str | Path) -> Recording:
    """Read a request trace in one of the known formats; raises `SpecError` naming file, line and column.

    `adaptwin.workload.sources.request_log` recognises the format by its columns, such as those of Azure, Mooncake and
    BurstGPT. A length of 0 tokens is raised to 1, but a request of BurstGPT without an answer failed and is left out.
    The recording begins with the first request, and ends with the second in which the last one arrives.
    """
    return _recording_of_trace(_log_of(path, None))


def _log_of(path: str | Path, time_unit: TimeUnit | None) -> RequestLog:
    return read_request_log([path], time_unit=time_unit, adapters_needed=False, is_trace=True)


def _recording_of_trace(log: RequestLog) -> Recording:
    assert log.input is not None
    assert log.output is not None
    return Recording(log.time, log.input, log.output, log.duration, prefixes=log.prefixes)
