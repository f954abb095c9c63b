"""Seeds of random streams."""

import hashlib


def stream_seed(seed: int, *names: str) -> int:
    """Return a 64-bit seed for the stream with these names, independent of all other streams."""
    text = "\x1f".join((str(seed), *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
