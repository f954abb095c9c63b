"""say: a line of the log, with the time of day."""

import time


def say(*words: object) -> None:
    """Print words with the time of day, at once."""
    print(time.strftime("%H:%M:%S"), *words, flush=True)
