"""Repairs: verify the servers that a search has found with fresh arrivals, and repair those that fail."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adaptwin.placement.alike import stand_ins
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.caution import CUT_SHARE
from adaptwin.placement.configurations.kinds import relieved_kind
from adaptwin.placement.objectives.objective import Placed
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.packing.repair import repair
from adaptwin.placement.settling import with_more_slots
from adaptwin.placement.verification.fresh_seeds import Verifications, with_verified
from adaptwin.plan.plan import Plan
from adaptwin.progress import Progress


@dataclass(frozen=True, slots=True)
class Repairs:
    """What verification and repair need to know of a search."""

    plan_of: Callable[[Sequence[Placed]], Plan]  # makes a plan of servers
    raised: dict[str, Problem]  # by profile: problems that demand more than the verification does
    rounds: int  # of repairs, at most
    progress: Progress
    may_grow: bool  # whether a repair may add servers

    def verified(self, arrangements: list[list[Placed]]) -> tuple[Plan, list[Placed]]:
        """Verify with fresh seeds; repair the servers that fail, and verify again.

        The first arrangements are preferred, and the last one is as the search found it. The one before it differs in
        settings only: its servers that fail get back those of the search, then more slots, and are repaired by moves in
        the end.
        """
        verifications = Verifications(self.progress)
        *preferred, quick, found = arrangements if len(arrangements) > 1 else arrangements * 2
        for servers in preferred:
            plan = self.plan_of(servers)
            if not verifications.failing(plan):
                return with_verified(plan, held=True), servers
        servers, resettled, relief = quick, set[int](), Counter[int]()
        for number in range(self.rounds + 1):
            plan = self.plan_of(servers)
            failing = verifications.failing(plan)
            if not failing or number == self.rounds:
                break
            bad = _with_alike(servers, {i for i, server in enumerate(plan.servers) if server.name in failing})
            others: list[Placed] | None = servers
            if number == 0:
                others = [found[i] if i in bad else each for i, each in enumerate(servers)]
            if others == servers:
                others = self._repaired(servers, bad, resettled, relief)
            if others is None:
                break
            servers = others
        return with_verified(plan, held=not failing), servers

    def _repaired(
        self, servers: list[Placed], bad: set[int], resettled: set[int], relief: Counter[int]
    ) -> list[Placed] | None:
        """Return the servers with more slots on those that fail or, where this was tried, with load moved off them.

        None if there is no such repair: servers with merged weights have no other adapters to move, and a given number
        of servers does not grow. `resettled` are the servers that had their chance of more slots, by their places until
        load is moved; `relief` counts how often load was moved off servers of a kind.
        """
        bad = {i for i in bad if not servers[i].assignment.server.merged}
        if not bad:
            return None
        standing = stand_ins([server.assignment for server in servers])
        fresh = sorted({standing[i] for i in bad - resettled})
        safer = {i: other for i in fresh if (other := with_more_slots(servers[i]))}
        resettled |= bad
        if safer:
            return [
                server.with_settings_of(safer[at].assignment.server) if (at := standing[i]) in safer else server
                for i, server in enumerate(servers)
            ]
        resettled.clear()
        after = _moved_off(self.raised, servers, bad, relief)
        return after if self.may_grow or len(after) <= len(servers) else None


def _with_alike(servers: Sequence[Placed], bad: set[int]) -> set[int]:
    """Return the positions of these servers and of all that are like them."""
    kinds = {servers[i].assignment.kind for i in bad} - {None}
    return bad | {i for i, each in enumerate(servers) if each.assignment.kind in kinds}


def _moved_off(
    raised: dict[str, Problem], servers: Sequence[Placed], failing: set[int], relief: Counter[int]
) -> list[Placed]:
    """Repair the servers of each profile separately; return them profile by profile, with new servers last in each.

    Servers with merged weights take nothing and give nothing; they come last of all.
    """
    merged = [each for each in servers if each.assignment.server.merged]
    after: list[Placed] = []
    for profile in dict.fromkeys(each.problem.capacity.profile.name for each in servers if each not in merged):
        own = [
            i
            for i, each in enumerate(servers)
            if each.problem.capacity.profile.name == profile and not each.assignment.server.merged
        ]
        bad = [at for at, i in enumerate(own) if i in failing]
        assignments = [servers[i].assignment for i in own]
        good = _repaired_alike(raised[profile], assignments, bad, relief) if bad else assignments
        after += [Placed(servers[own[0]].problem, assignment) for assignment in good]
    return after + merged


def _repaired_alike(
    problem: Problem, assignments: Sequence[Assignment], failing: Sequence[int], relief: Counter[int]
) -> list[Assignment]:
    """Take adapters off all servers of the kinds that fail, and place them, and those of other servers that fail, anew.

    Servers of a kind take no more adapters.
    """
    kinds: dict[int, list[Assignment]] = {}
    for each in assignments:
        if each.kind is not None:
            kinds.setdefault(each.kind, []).append(each)
    left = list[AdapterPart]()
    for kind in dict.fromkeys(kind for i in failing if (kind := assignments[i].kind) is not None):
        kinds[kind], over = relieved_kind(problem.capacity, kinds[kind], CUT_SHARE * 2.0 ** relief[kind])
        left += over
        relief[kind] += 1
    single = [i for i, each in enumerate(assignments) if each.kind is None]
    bad = [at for at, i in enumerate(single) if i in set(failing)]
    good = repair(problem, [assignments[i] for i in single], bad, left)
    return [*(each for alike in kinds.values() for each in alike), *good]
