"""How much the tests try: the plain run takes a part of the random examples, ``make test-long`` takes all of them."""

import os

LONG = os.environ.get("ADAPTWIN_TESTS") == "long"  # as `make test-long` sets it
PART = 5


def examples(number: int) -> int:
    """Return how many of so many random examples a test tries in this run: all in a long one, else a fifth."""
    return number if LONG else max(number // PART, 1)
