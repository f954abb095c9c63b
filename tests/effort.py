"""How much the tests try: `make test` takes a part of the random examples, `make test-long` takes all of them."""

import os

LONG = os.environ.get("ADAPTWIN_TESTS") == "long"  # as `make test-long` sets it


def examples(number: int, part: int | None = None) -> int:
    """Return how many examples a test tries: all of this number in a long run, else the part, a fifth by default."""
    return number if LONG else part or max(number // 5, 1)
