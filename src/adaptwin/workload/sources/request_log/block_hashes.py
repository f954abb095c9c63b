"""Block hashes: which prompts of a trace begin alike, as hashes of their blocks tell in the traces of Mooncake."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.workload.drawing.prefixes import Prefixes

HASHED_TOKENS = 512  # tokens of a hashed block (FAST25-release of Mooncake); the last one holds the rest of the prompt


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
    source, tokens = np.full(len(texts), -1, np.int32), np.zeros(len(texts), np.int32)
    children: dict[tuple[int, int], int] = {}  # number of a block, by that of the block before and its hash
    first: list[int] = []  # the first request with each block
    for r, text in enumerate(texts):
        before = -1
        for count, block in enumerate(_hashes_in(text, column, path), start=1):
            number = children.setdefault((before, block), len(first))
            if number == len(first):
                first.append(r)
            elif first[number] != r:
                source[r] = first[number]
                tokens[r] = min(HASHED_TOKENS * count, prompts[r], prompts[first[number]])
            before = number
    return Prefixes(source, tokens)


def _hashes_in(text: str | None, column: str, path: Path) -> list[int]:
    """Return the hashes in a list of numbers."""
    try:
        found: Any = [] if text is None else json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(type(each) is int for each in found):
        raise SpecError(f"{str(text)[:40]!r} is not a list of whole numbers, one for each block", column, path)
    return found
