"""Wide sums: sums of products with nanoseconds, which a compiled function keeps in two 64-bit integers.

Seconds times requests pass 2^63 nanoseconds sooner than one thinks: 20,000 requests that run for 60 days make 10^20. So
the product of a count and a time is added in two parts, that of the whole units of 2^32 ns (4.3 s) and that of the
rest. Python puts the parts together, as its integers have any size.

No part can pass 2^63. Counts are at most 10^9 (`MOST_KV_CACHE_TOKENS`; requests, seats and adapters are fewer), and the
clock stops before 2^60 ns (`LAST_TIME`), so a high part is at most 10^9 x 2^28 = 2.7 x 10^17. What keeps the low parts
small stands where they are added up.
"""

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import inlined

_BITS = np.int64(32)
_REST = (np.int64(1) << _BITS) - np.int64(1)
WIDE = np.dtype([("high", np.int64), ("low", np.int64)])


@inlined
def is_short(time):
    """Whether a time has no whole unit of 2^32 ns, so that products with it go to the low part alone."""
    return time <= _REST


@inlined
def add_product(total, count, time):
    """Add `count` times `time` to a record of the type `WIDE`; the count may be negative, the time may not."""
    if is_short(time):
        total.low += count * time
    else:
        total.low += count * (time & _REST)
        total.high += count * (time >> _BITS)


@inlined
def carry(total):
    """Move whole units of 2^32 from the low part to the high one."""
    total.high += total.low >> _BITS
    total.low &= _REST


def as_integer(high: int, low: int) -> int:
    """Return the number that the two parts of a record of the type `WIDE` stand for."""
    return (high << int(_BITS)) + low


def as_floats(totals: NDArray[np.void]) -> NDArray[np.float64]:
    """Return the numbers that an array of records of the type `WIDE` stands for, to the precision of a float."""
    return totals["high"] * float(1 << int(_BITS)) + totals["low"]
