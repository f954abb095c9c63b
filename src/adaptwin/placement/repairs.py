"""Repairs: verify the servers that a search has found with fresh arrivals, and repair those that fail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adaptwin.placement.alike import stand_ins
from adaptwin.placement.objectives.objective import Placed
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.packing.repair import repair
from adaptwin.placement.settling import with_more_slots
from adaptwin.placement.verification.fresh_seeds import failing_servers, with_verified
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
        *preferred, quick, found = arrangements if len(arrangements) > 1 else arrangements * 2
        for servers in preferred:
            plan = self.plan_of(servers)
            if not failing_servers(plan):
                return with_verified(plan, held=True), servers
        servers, resettled, apart = quick, set[int](), set[int]()
        for number in range(self.rounds + 1):
            self.progress("verifying", number, self.rounds + 1)
            plan = self.plan_of(servers)
            failing = failing_servers(plan, _stand_ins_of(plan, servers, apart))
            if not failing or number == self.rounds:
                break
            failed = {i for i, server in enumerate(plan.servers) if server.name in failing}
            bad = _with_alike(servers, failed, apart)
            others: list[Placed] | None = servers
            if number == 0:
                others = [found[i] if i in bad else each for i, each in enumerate(servers)]
            if others == servers:
                others = self._repaired(servers, bad, resettled, apart)
            if others is None:
                break
            servers = others
        self.progress("verifying", self.rounds + 1, self.rounds + 1)
        return with_verified(plan, _stand_ins_of(plan, servers, apart), held=not failing), servers

    def _repaired(
        self, servers: list[Placed], bad: set[int], resettled: set[int], apart: set[int]
    ) -> list[Placed] | None:
        """Return the servers with more slots on those that fail or, where this was tried, with load moved off them.

        None if there is no such repair: servers with merged weights have no other adapters to move, and a given number
        of servers does not grow. Where servers are alike, more slots on one are more on all; if that was in vain, their
        kind is added to `apart`, and each of them is verified and repaired on its own from then on. `resettled` are the
        servers that had their chance of more slots, by their places until load is moved.
        """
        bad = {i for i in bad if not servers[i].assignment.server.merged}
        if not bad:
            return None
        servers = [
            each.of_its_own() if i in bad and each.assignment.kind in apart else each for i, each in enumerate(servers)
        ]
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
        if kinds := {kind for i in bad if (kind := servers[i].assignment.kind) is not None} - apart:
            apart |= kinds
            return list(servers)
        after = _moved_off(self.raised, servers, bad)
        return after if self.may_grow or len(after) <= len(servers) else None


def _stand_ins_of(plan: Plan, servers: Sequence[Placed], kinds: set[int]) -> set[str]:
    """Return the names of the servers of a plan that stand for those of some kinds."""
    placed_servers = zip(plan.servers, servers, strict=True)
    return {server.like or server.name for server, placed in placed_servers if placed.assignment.kind in kinds}


def _with_alike(servers: Sequence[Placed], bad: set[int], apart: set[int]) -> set[int]:
    """Return the positions of these servers and of all that are like them, but for kinds that stand apart."""
    kinds = {servers[i].assignment.kind for i in bad} - {None} - apart
    return bad | {i for i, each in enumerate(servers) if each.assignment.kind in kinds}


def _moved_off(raised: dict[str, Problem], servers: Sequence[Placed], failing: set[int]) -> list[Placed]:
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
        good = repair(raised[profile], assignments, bad) if bad else assignments
        after += [Placed(servers[own[0]].problem, assignment) for assignment in good]
    return after + merged
