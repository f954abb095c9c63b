"""The API server's metrics page in the compiled twin: what it has seen, and when writing it out stops the server.

The reference keeps the sets of running and waiting adapters; here each set is the exclusive or of its members' 64-bit
hashes, and a combination of both is one 64-bit number in a hash table. Two combinations that hash alike would be
counted as one: for a million of them the chance is 3e-8.
"""

from typing import NamedTuple

import numpy as np

from adaptwin.jit import compiled
from adaptwin.profile.scrape_cost import scrape_seconds
from adaptwin.workload.drawing.random_streams import GOLDEN, split_mix

RUNS, WAITS = np.uint64(1), np.uint64(2)  # salts of the two sets

_scrape_seconds = compiled(scrape_seconds)


class Scrapes(NamedTuple):
    """The scrapes of a run so far: times in nanoseconds."""

    every: int  # from the end of one scrape to the next
    due: int  # when the next one begins
    start: int  # the last one: the server stands still from here
    end: int  # to here
    stalled: int  # all of them together


@compiled
def adapter_hash(adapter, salt):
    """Sixty-four random-looking bits of an adapter's own, for one of two sets."""
    return split_mix(np.uint64(adapter + 1) * GOLDEN + salt)


@compiled
def add(table, combination):
    """Put a combination into a hash table that is not full, and whose size is a power of two; False if it was there."""
    mask = len(table) - 1
    place = np.int64(combination & np.uint64(mask))
    while table[place] != 0:
        if table[place] == combination:
            return False
        place = (place + 1) & mask
    table[place] = combination
    return True


@compiled
def rehashed(table):
    """The same in a table of twice the size."""
    larger = np.zeros(2 * len(table), np.uint64)
    for combination in table:
        if combination != 0:
            add(larger, combination)
    return larger


@compiled
def scraped(scrapes, scrape_cost, label_sets, labels, time):
    """Scrapes up to a time."""
    every, due, start, end, stalled = scrapes
    while due <= time:
        start = due
        end = start + np.int64(_scrape_seconds(scrape_cost, label_sets, labels) * 1e9 + 0.5)
        stalled += end - start
        due = end + every
    return Scrapes(every, due, start, end, stalled)
