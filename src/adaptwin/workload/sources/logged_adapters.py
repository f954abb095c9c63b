"""Logged adapters: a workload from a log whose requests name their adapters."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.model_names import same_shapes
from adaptwin.visible import require_no_control, visible
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.rates_over_time import HOUR, RatesOverTime
from adaptwin.workload.sources.arrival_pattern import Keep, recorded_workload
from adaptwin.workload.sources.recorded_rates import rates_of_recording
from adaptwin.workload.sources.recorded_window import WINDOW_SECONDS, WindowFigures, busiest_window
from adaptwin.workload.sources.recording import Recording
from adaptwin.workload.sources.request_log.request_log import RequestLog
from adaptwin.workload.sources.request_log.vllm_lines import BASE_MODEL
from adaptwin.workload.workload import Adapter, Workload

MOST_UNKNOWN = 12  # unknown models that are named one by one


class AdapterRanks(NamedTuple):
    """Which of the names in a log are adapters, and their ranks."""

    rank: int | None = None  # of adapters that are not `known`; None: there are no others
    known: Mapping[str, Adapter] = {}  # by name; their rates do not count
    base_models: Sequence[str] = ()  # names that stand for the base model

    def adapter(self, name: str) -> Adapter | None:
        """Return the adapter with a name, without traffic; None where the name is unknown. Raises `SpecError`."""
        if not _may_be_a_name(name):
            return None
        own = self.known.get(name) or self.known.get(name.rpartition("/")[2])
        if own is not None:
            return own.model_copy(update={"name": name, "rate": 0.0, "lengths": None, "arrivals": None})
        if self._is_base(name):
            return Adapter(name=name, rank=0, rate=0.0)
        return None if self.rank is None else Adapter(name=name, rank=self.rank, rate=0.0)

    def _is_base(self, name: str) -> bool:
        return name == BASE_MODEL or any(stands_for(name, base) for base in self.base_models)


def _may_be_a_name(name: str) -> bool:
    try:
        require_no_control(name)
    except ValueError:
        return False
    return True


def stands_for(name: str, base: str) -> bool:
    """Whether a name in a log means a base model."""
    return name == base or same_shapes(name, base)


class LoggedAdapter(NamedTuple):
    """What a log says of one adapter, in the whole log and in the window."""

    name: str
    rank: int
    requests: int
    in_window: int
    mean_input: float  # tokens, over the whole log; NaN if the log has none
    mean_output: float


class LogWindow(NamedTuple):
    """The window of a log that a workload is made from."""

    recording: Recording  # each request with the index of its adapter
    figures: WindowFigures
    adapters: tuple[Adapter, ...]  # of the whole log, sorted by name, without traffic
    totals: tuple[LoggedAdapter, ...]  # the most requests first
    log: RequestLog
    left_out: dict[str, int]  # rows of the log that are not used, by reason
    unused: tuple[str, ...]  # known adapters without a request, sorted
    lengths: Lengths | None  # of all requests, instead of those in the log
    whole: Recording  # of the part of the log that the window may lie in

    def rates_over_time(self, *, period: float = HOUR, rate_scale: float = 1.0) -> RatesOverTime:
        """Return the rates of the adapters in the periods of the whole log; `rate_scale` is a factor on the requests.

        Raises `SpecError` if the log has fewer than two periods, or too many, or the period is too short.
        """
        began = self.log.start
        return rates_of_recording(self.whole, self.adapters, period=period, began=began, rate_scale=rate_scale)

    def workload(
        self,
        *,
        rate_scale: float = 1.0,
        keep: Keep | None = None,
        rates_file: str | Path | None = None,
        seed: int = 0,
    ) -> Workload:
        """Return a workload with the arrivals and lengths of the window, each request for its own adapter.

        Args:
            rate_scale: Factor on the number of requests.
            keep: Keep arrivals as timestamps, each with its own lengths, or as rates; None decides by their number.
            rates_file: CSV file that rates are written to, if they are kept.
            seed: Seed of all random draws, which is stored in the workload.

        Raises:
            SpecError: What is wrong with an argument.
        """
        made = recorded_workload(
            self.recording, self.adapters, rate_scale=rate_scale, seed=seed, keep=keep, rates_file=rates_file
        )
        if self.lengths is None:
            return made
        adapters = tuple(adapter.model_copy(update={"lengths": None}) for adapter in made.adapters)
        return made.model_copy(update={"adapters": adapters, "lengths": self.lengths})


def log_window(
    log: RequestLog,
    ranks: AdapterRanks,
    *,
    lengths: Lengths | None = None,
    first_part: float = 1.0,
    busiest: float = WINDOW_SECONDS,
) -> LogWindow:
    """Return the window of a log with the most tokens, or the most requests if the log has no tokens.

    Requests for unknown models are left out, and counted. Adapters without requests in the window are kept.

    Args:
        log: The log.
        ranks: Which names are adapters, and their ranks.
        lengths: Lengths of all requests, instead of those in the log; needed where the log has none.
        first_part: Share of the log's time, from its start, that the window lies in.
        busiest: Seconds of the window; `math.inf` takes the whole log, as does one that is shorter.

    Raises:
        SpecError: No name is known, the log has no lengths, or the window holds too few requests.
    """
    found = [ranks.adapter(name) for name in log.names]
    if not any(found):
        known = ", ".join(sorted(ranks.known)[:MOST_UNKNOWN])
        raise SpecError(
            f"none of the models in the log ({first_names(log.names)}) is known (known: {known})", "ranks_from"
        )
    if log.input is None and lengths is None:
        raise SpecError("the log has no tokens: give the lengths of requests", "lengths")
    index = np.cumsum([adapter is not None for adapter in found]) - 1
    index = np.where([adapter is not None for adapter in found], index, -1)
    adapter = index[log.adapter]
    adapters = tuple(adapter for adapter in found if adapter)
    recording = _recording_of_known(log, adapter)
    if len(recording.time) < 1:
        raise SpecError("no request is left", "logs")
    seen, figures = busiest_window(
        recording, raised=0 if lengths else log.raised, first_part=first_part, busiest=busiest
    )
    used = {name.rpartition("/")[2] for name in log.names} | {*log.names}
    return LogWindow(
        seen,
        figures,
        adapters,
        tuple(_totals(recording, seen, adapters, has_lengths=log.input is not None)),
        log,
        {**log.left_out, **_unknown_models(log, adapter)},
        tuple(sorted({*ranks.known} - used)),
        lengths,
        recording.window(0.0, first_part * recording.duration),
    )


def _recording_of_known(log: RequestLog, adapter: NDArray[np.int64]) -> Recording:
    """Return the requests whose adapter is known, in the time of the whole log; without tokens, of 1 token each."""
    kept = adapter >= 0
    ones = np.ones(len(log.time), np.int64)
    inputs, outputs = (ones if tokens is None else tokens for tokens in (log.input, log.output))
    prefixes = log.prefixes.of(kept)
    return Recording(log.time[kept], inputs[kept], outputs[kept], log.duration, adapter[kept], prefixes)


def _unknown_models(log: RequestLog, adapter: NDArray[np.int64]) -> dict[str, int]:
    """Return the number of requests for each model that is not known."""
    counts = Counter({log.names[code]: int(number) for code, number in _numbers_of(log.adapter[adapter < 0])})
    named = dict(counts.most_common(MOST_UNKNOWN))
    others = counts.total() - sum(named.values())
    rest = {f"for {len(counts) - len(named)} other unknown models": others} if others else {}
    return {**{f"for an unknown model: {visible(name)}": number for name, number in named.items()}, **rest}


def _numbers_of(codes: NDArray[np.int64]) -> Iterable[tuple[int, int]]:
    values, numbers = np.unique(codes, return_counts=True)
    return zip(values.tolist(), numbers.tolist(), strict=True)


def _totals(
    whole: Recording, seen: Recording, adapters: Sequence[Adapter], has_lengths: bool
) -> Iterable[LoggedAdapter]:
    assert whole.adapter is not None
    assert seen.adapter is not None
    number, within = (np.bincount(codes, minlength=len(adapters)) for codes in (whole.adapter, seen.adapter))
    sums = [np.bincount(whole.adapter, tokens, len(adapters)) for tokens in (whole.input, whole.output)]
    for place in np.lexsort((np.arange(len(adapters)), -number)).tolist():
        means = [float(total[place] / number[place]) if has_lengths else float("nan") for total in sums]
        adapter = adapters[place]
        yield LoggedAdapter(adapter.name, adapter.rank, int(number[place]), int(within[place]), *means)


def first_names(names: Sequence[str]) -> str:
    """Return the first of some names, and the number of the others."""
    more = f" and {len(names) - MOST_UNKNOWN} more" if len(names) > MOST_UNKNOWN else ""
    return ", ".join(names[:MOST_UNKNOWN]) + more
