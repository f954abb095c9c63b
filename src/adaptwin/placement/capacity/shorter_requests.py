"""Shorter requests: a ``max_model_len`` with which servers start that do not start with the model's own.

vLLM starts only if the KV cache holds one request of the full length. Models of long context therefore do not start on
small GPUs, although the fleet's requests are short.
"""

from collections.abc import Sequence

from adaptwin.errors import Infeasible
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server, server_rank
from adaptwin.workload.demand.longest_request import longest_request
from adaptwin.workload.workload import Workload

WHOLE_BLOCKS = 256  # tokens of which a length that only just suffices is a multiple
REQUESTS_HELD = 2  # requests of the full length that the KV cache should hold with a single slot


def with_startable_length(given: Server, profiles: Sequence[Profile], workload: Workload) -> Server:
    """Return the given settings, with a shorter ``max_model_len`` if not even the base model starts on any profile.

    It is the longest power of two of which the KV cache holds two or, if the longest request is longer than that, what
    this request needs. A given length stays, and so does the model's if a shorter one would not help either.
    """
    if given.max_model_len is not None or any(
        _with_one_slot(given, profile, 0).starts_on(profile) for profile in profiles
    ):
        return given
    rank = workload.max_rank
    needed = WHOLE_BLOCKS * -(-longest_request(workload) // WHOLE_BLOCKS)
    longest = max(_length(given, profile, rank, needed) for profile in profiles)
    shorter = given.model_copy(update={"max_model_len": longest})
    return shorter if any(_with_one_slot(shorter, profile, rank).starts_on(profile) for profile in profiles) else given


def require_startable_length(given: Server, profiles: Sequence[Profile], workload: Workload) -> None:
    """Raise `Infeasible` if no server starts, but would with a length that is too short for the longest request.

    The settings are those that `with_startable_length` returns.
    """
    rank = workload.max_rank
    if given.max_model_len is not None or any(
        _with_one_slot(given, profile, 0).starts_on(profile) for profile in profiles
    ):
        return
    held = max(_with_one_slot(given, profile, rank).kv_tokens_on(profile) for profile in profiles)
    if held >= WHOLE_BLOCKS:
        whole = max(profile.model.max_model_len for profile in profiles)
        raise Infeasible(
            f"server.max_model_len: servers do not start with the model's {whole:,} tokens, and the longest request "
            f"has {longest_request(workload):,}; with one slot they start with up to "
            f"{held - held % WHOLE_BLOCKS:,}: give such a length, and longer requests are refused"
        )


def _with_one_slot(given: Server, profile: Profile, rank: int) -> Server:
    return given.with_slots(min(1, rank), max_lora_rank=server_rank(rank, profile))


def _length(given: Server, profile: Profile, rank: int, needed: int) -> int:
    held = _with_one_slot(given, profile, rank).kv_tokens_on(profile) // REQUESTS_HELD
    return max(needed, 1 << (held.bit_length() - 1) if held > 0 else 0)
