"""min-gpus: the fewest GPUs, all servers of the profile that needs the fewest."""

from collections.abc import Sequence

from adaptwin.errors import Infeasible
from adaptwin.placement.objectives.objective import Asked, Measure, Placed, placed
from adaptwin.placement.packing.problem import Problem


def min_gpus(problems: Sequence[Problem], asked: Asked) -> list[Placed]:
    """Return the strategy's placement on the profile where it needs the fewest GPUs.

    Of profiles that need as many, the cheapest is taken, if the prices of all are known. Of groups of several sizes,
    then, the one is taken whose slowest server has the lowest mean time between tokens.
    """
    return best_alone(problems, asked, gpus_of_servers)


def gpus_of_servers(servers: Sequence[Placed]) -> int:
    """Return the number of GPUs of these servers."""
    return sum(server.problem.capacity.profile.tensor_parallel_size for server in servers)


def best_alone(problems: Sequence[Problem], asked: Asked, measure: Measure) -> list[Placed]:
    """Return the placement with the lowest measure, of those on each profile; raises `Infeasible` if there is none.

    Of placements with the same measure, the one with the lowest price is taken, if the prices of all profiles are
    known. If these have different numbers of servers, the one whose slowest server has the lowest mean time between
    tokens is taken, and else the one whose profile is given first.
    """
    found: list[list[Placed]] = []
    failures: list[Infeasible] = []
    for problem in problems:
        try:
            found.append(placed(problem, asked.place_alone(problem)))
        except Infeasible as error:
            failures.append(error)
    if not found:
        raise failures[0]
    prices = [problem.capacity.profile.server_price for problem in problems]

    def price(servers: Sequence[Placed]) -> float:
        return 0.0 if None in prices else sum(server.problem.capacity.profile.server_price or 0.0 for server in servers)

    best = min((measure(servers), price(servers)) for servers in found)
    equal = [servers for servers in found if (measure(servers), price(servers)) == best]
    return min(equal, key=_slowest) if len({len(servers) for servers in equal}) > 1 else equal[0]


def _slowest(servers: Sequence[Placed]) -> float:
    """Return the mean time between tokens on the slowest server, in seconds."""
    return max(
        problem.capacity.ask_on(assignment.shares, assignment.server).itl_mean for problem, assignment in servers
    )
