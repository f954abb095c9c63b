"""Recorded prefixes: for each timestamp of an adapter, an earlier one with which it shares its first tokens."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adaptwin.workload.drawing.prefixes import Prefixes

RecordedPrefixes = tuple[tuple[int, int], ...]  # (earlier timestamp, tokens) each, or (-1, 0)


def require_prefixes(recorded: RecordedPrefixes, timestamps: int, prompts: Sequence[int] | None) -> None:
    """Raise `ValueError` unless recorded prefixes fit the timestamps, and the prompts where these are known."""
    if len(recorded) != timestamps:
        raise ValueError(f"prefixes: {len(recorded)} for {timestamps} timestamps")
    for place, (source, tokens) in enumerate(recorded):
        if not -1 <= source < place:
            raise ValueError(f"prefixes[{place}]: {source} is not an earlier timestamp, from 0 to {place - 1}, nor -1")
        if tokens < 0 or (tokens > 0) != (source >= 0):
            raise ValueError(f"prefixes[{place}]: {tokens} tokens of timestamp {source}; give -1 and 0 for none")
        if prompts and tokens > prompts[place]:
            raise ValueError(f"prefixes[{place}]: {tokens} tokens, but the prompt has {prompts[place]}")


def links_of(recorded: RecordedPrefixes) -> Prefixes:
    """Return recorded prefixes as links between requests."""
    rows = np.array(recorded, np.int32).reshape(-1, 2)
    return Prefixes(rows[:, 0], rows[:, 1])


def recorded_of(links: Prefixes) -> RecordedPrefixes:
    """Return links between requests as recorded prefixes."""
    return tuple(zip(links.source.tolist(), links.tokens.tolist(), strict=True))


def repeated_prefixes(recorded: RecordedPrefixes, number: NDArray[np.int64]) -> RecordedPrefixes:
    """Return the prefixes of the timestamps if each occurs as often as `number` says, as `Prefixes.repeated` says."""
    return recorded_of(links_of(recorded).repeated(number))
