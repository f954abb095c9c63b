"""Rejected tokens: the part of a workload's tokens that belong to requests too long for the model."""

from functools import lru_cache

import numpy as np

from adaptwin.workload.lengths import Lengths

_ENTRIES = 512  # of a table of independent lengths, so that all pairs are few


@lru_cache(maxsize=4096)
def rejected_share(lengths: Lengths, longest: int) -> float:
    """Return the mean share of the tokens that belong to requests of more than `longest` tokens."""
    table = lengths.table()
    if table.joint:
        total = (table.input.astype(np.int64) + table.output).ravel()
    else:
        prompts, answers = (part[:: -(-len(part) // _ENTRIES)].astype(np.int64) for part in (table.input, table.output))
        total = np.add.outer(prompts, answers).ravel()
    return float(total[total > longest].sum() / total.sum())
