"""ClientTurns: whose job is next, so that nobody waits for all jobs of somebody else."""

from collections.abc import Iterable

from adaptwin.web.job import Waiting, WebClient

_MOST_KNOWN = 1000  # addresses and visitors whose last turns are known


class ClientTurns:
    """The next turn is that of the address, and in it of the visitor, that has waited the longest for one.

    Somebody waits since the last turn, or since the oldest job that waits, where there was no turn yet. So a visitor
    with a new name has no advantage over one who is known.
    """

    def __init__(self) -> None:
        self._last: dict[str | WebClient, float] = {}  # by address and by client, in seconds since 1970

    def order(self, waiting: Iterable[Waiting]) -> list[Waiting]:
        """Return the oldest job of each client, in the order of their turns."""
        since: dict[str | WebClient, float] = {}
        oldest: dict[WebClient, Waiting] = {}
        for job in waiting:
            oldest.setdefault(job.client, job)
            for who in (job.client, job.client.address):
                since.setdefault(who, self._last.get(who, job.created))
        return sorted(oldest.values(), key=lambda job: (since[job.client.address], since[job.client], job.created))

    def took(self, client: WebClient, now: float) -> None:
        """Note that a client has had a turn at this time."""
        for who in (client, client.address):
            self._last.pop(who, None)
            self._last[who] = now
        while len(self._last) > _MOST_KNOWN:
            del self._last[next(iter(self._last))]
