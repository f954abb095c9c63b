"""LoRA ranks: which values of ``max_lora_rank`` a version of vLLM has, to which it pads adapters of other ranks."""

from collections.abc import Iterable
from functools import cache

from adaptwin.vllm_versions import version_numbers

SERVED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # values of --max-lora-rank (vllm/config/lora.py)
MOST_RANK = SERVED_RANKS[-1]
_RANK_1_SINCE = (0, 11, 1)  # vLLM's pull request 26461
_MOST_LISTED = 3  # ranks that are named one by one


def served_ranks(vllm_version: str | None) -> tuple[int, ...]:
    """Return the values of ``max_lora_rank`` that a version of vLLM has, in rising order.

    A version that is not known counts as the oldest, 0.8.5.
    """
    return SERVED_RANKS if version_numbers(vllm_version) >= _RANK_1_SINCE else SERVED_RANKS[1:]


@cache
def padded_rank(rank: int, vllm_version: str | None) -> int:
    """Return the lowest ``max_lora_rank`` with which a version of vLLM serves adapters of a rank up to `MOST_RANK`.

    Rank 0, traffic to the base model, needs the lowest one.
    """
    return next(served for served in served_ranks(vllm_version) if served >= rank)


def listed(ranks: tuple[int, ...]) -> str:
    """Return ranks as a list in words: ``8, 16, 32``."""
    return ", ".join(map(str, ranks))


def in_words(ranks: Iterable[int]) -> str:
    """Return ranks in words: ``rank 8``, ``ranks 8 and 12``; of more than three only their range, ``ranks 2 to 7``."""
    distinct = sorted(set(ranks))
    if len(distinct) == 1:
        return f"rank {distinct[0]}"
    if len(distinct) > _MOST_LISTED:
        return f"ranks {distinct[0]} to {distinct[-1]}"
    return f"ranks {listed(tuple(distinct[:-1]))} and {distinct[-1]}"


def padding_in_words(ranks: Iterable[int], vllm_version: str | None) -> str:
    """Return which of some ranks are padded, and to what: ``ranks 10 and 12 as 16``. Empty if none is."""
    padded: dict[int, list[int]] = {}
    for rank in sorted(set(ranks) - {0}):
        if (slot := padded_rank(rank, vllm_version)) != rank:
            padded.setdefault(slot, []).append(rank)
    return ", ".join(f"{in_words(each)} as {slot}" for slot, each in padded.items())
