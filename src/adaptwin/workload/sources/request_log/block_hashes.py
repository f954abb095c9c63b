"""Block hashes: which prompts of a log begin alike, told by hashes of their blocks or by their texts."""

import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.workload.drawing.prefixes import Prefixes

HASHED_TOKENS = 512  # tokens of a hashed block (FAST25-release of Mooncake); the last one holds the rest of the prompt
CHUNK = 64  # characters of a text that are hashed together, which are about one block of 16 tokens


def hashed_prefixes(texts: Sequence[str | None], prompts: NDArray[np.int64], column: str, path: Path) -> Prefixes:
    """Return the prefixes of requests, in order of time, from the hashes of the blocks of their prompts.

    Two prompts begin alike for as many tokens as their first blocks have the same hashes. Answers are not hashed: what
    a prompt shares with the answer before it is known only where an earlier prompt holds that answer as well.

    Args:
        texts: For each request, a list of numbers as text; None where a row has none.
        prompts: Prompt tokens of each request.
        column: Name of the column of `texts`.
        path: The file.

    Raises:
        SpecError: A text is no list of numbers.
    """
    blocks = (_hashes_in(text, column, path) for text in texts)
    return _linked(blocks, np.zeros(len(texts), np.int64), prompts, lambda _, count: HASHED_TOKENS * count)


def prefixes_of_texts(texts: Sequence[str | None], prompts: NDArray[np.int64], adapter: NDArray[np.int64]) -> Prefixes:
    """Return the prefixes of requests, in order of time, from the texts of their prompts; only hashes are kept.

    Two prompts to the same adapter begin alike for as many whole chunks of characters as their texts do. Their tokens
    are the same share of the prompt as the characters are of its text, rounded down.
    """
    characters = np.array([max(1, len(text or "")) for text in texts])
    return _linked(
        (_hashes_of_chunks(text or "") for text in texts),
        adapter,
        prompts,
        lambda r, count: int(CHUNK * count * prompts[r] // characters[r]),
    )


def _linked(
    blocks_of: Iterable[Sequence[int]],
    adapter: NDArray[np.int64],
    prompts: NDArray[np.int64],
    tokens_of: Callable[[int, int], int],
) -> Prefixes:
    """Link each request to the first one of its adapter with which it has the most first blocks in common.

    `tokens_of` says how many tokens of a request its first blocks hold, given their number.
    """
    source, tokens = np.full(len(prompts), -1, np.int32), np.zeros(len(prompts), np.int32)
    children: dict[tuple[int, int], int] = {}  # number of a block, by that of the block before and its hash
    first: list[int] = []  # the first request with each block
    for r, blocks in enumerate(blocks_of):
        before = -1 - int(adapter[r]) - len(prompts)
        for count, block in enumerate(blocks, start=1):
            number = children.setdefault((before, block), len(first))
            if number == len(first):
                first.append(r)
            elif first[number] != r:
                shared = min(tokens_of(r, count), int(prompts[r]), int(prompts[first[number]]))
                source[r], tokens[r] = (first[number], shared) if shared else (-1, 0)
            before = number
    return Prefixes(source, tokens)


def _hashes_in(text: str | None, column: str, path: Path) -> list[int]:
    """Return the hashes in a list of numbers."""
    try:
        found: Any = [] if text is None else json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(type(each) is int for each in found):
        raise SpecError(f"{str(text)[:40]!r} is not a list of whole numbers, one for each block", column, path)
    return found


def _hashes_of_chunks(text: str) -> list[int]:
    """Return a hash of each whole chunk of a text."""
    starts = range(0, len(text) - CHUNK + 1, CHUNK)
    return [
        int.from_bytes(blake2b(text[at : at + CHUNK].encode("utf-8", "surrogatepass"), digest_size=8).digest())
        for at in starts
    ]
