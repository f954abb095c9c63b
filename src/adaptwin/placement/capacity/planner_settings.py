"""Settings that the planner chooses for each server, and those that are common to all servers of a plan."""

from collections.abc import Sequence

from adaptwin.errors import SpecError
from adaptwin.placement.lower_bound.settings_range import SettingsRange
from adaptwin.plan.planned_settings import PLANNED
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server

MORE_SEQS = (1024, 2048)  # the lowest of them above the default is tried instead of it
FEWER_SEQS = 256  # tried instead of a higher number, for a lower latency
TOKEN_BUDGETS = (512, 1024, 2048, 4096, 8192)


def require_free(given: Server) -> None:
    """Raise `SpecError` if a setting is given that the planner chooses for each server."""
    for name in PLANNED:
        if getattr(given, name) != getattr(Server(), name):
            what = "the planner chooses this setting; omit it" + (
                ", or allow it with --allow-merged" * (name == "merged")
            )
            raise SpecError(f"{getattr(given, name)}: {what}", f"server.{name}")


def seats_choices(given: Server, profile: Profile) -> list[int]:
    """Return the values of ``max_num_seqs`` to choose from, vLLM's default first; a given value is the only one."""
    token_budget, usual = given.budgets(profile)
    if given.max_num_seqs is not None:
        return [usual]
    most = token_budget if given.max_num_batched_tokens is not None else MORE_SEQS[-1]
    return [usual, *[seats for seats in MORE_SEQS if usual < seats <= most][:1]]


def budget_choices(given: Server, profile: Profile) -> list[int]:
    """Return the values of ``max_num_batched_tokens`` to choose from, the default first; a given one is the only one.

    vLLM requires at least ``max_num_seqs``, so that a server with more seats has fewer values to choose from.
    """
    usual, least = given.budgets(profile)
    if given.max_num_batched_tokens is not None:
        return [usual]
    least = least if given.max_num_seqs is not None else 1
    return [usual, *(tokens for tokens in TOKEN_BUDGETS if tokens != usual and tokens >= least)]


def with_budgets(server: Server, given: Server, profile: Profile, *, seqs: int, tokens: int) -> Server:
    """Return a server with these values of ``max_num_seqs`` and ``max_num_batched_tokens``; defaults stay unwritten."""
    usual_tokens, usual_seqs = given.budgets(profile)
    update = {
        "max_num_seqs": given.max_num_seqs if seqs == usual_seqs else seqs,
        "max_num_batched_tokens": given.max_num_batched_tokens if tokens == usual_tokens else tokens,
    }
    return server.model_copy(update=update)


def settings_range(given: Server, profiles: Sequence[Profile]) -> SettingsRange:
    """Return the range of settings that servers of these profiles may have, for a bound that holds for all of them."""
    seats = [n for profile in profiles for n in (*seats_choices(given, profile), *fewer_seats(given, profile))]
    budgets = [number for profile in profiles for number in budget_choices(given, profile)]
    widest = {"max_num_seqs": max(seats), "max_num_batched_tokens": max(*budgets, max(seats))}
    leanest = {"max_num_seqs": min(seats), "max_num_batched_tokens": max(min(budgets), min(seats))}
    return SettingsRange(given.model_copy(update=widest), given.model_copy(update=leanest))


def fewer_seats(given: Server, profile: Profile) -> list[int]:
    """Return the values of ``max_num_seqs`` below the default that are worth trying for a lower latency."""
    usual = given.budgets(profile)[1]
    return [FEWER_SEQS] if given.max_num_seqs is None and usual > FEWER_SEQS else []
