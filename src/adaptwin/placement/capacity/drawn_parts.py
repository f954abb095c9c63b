"""DrawnParts: parts of a workload with their requests, which many servers in a row are asked about."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cached_property
from threading import Lock

from adaptwin.profile.profile import Profile
from adaptwin.twin.scenario import drawn_requests
from adaptwin.workload.drawing.requests import Requests
from adaptwin.workload.workload import Workload

MOST_PARTS_KEPT = 16


class DrawnPart:
    """A workload and its requests, which are drawn when they are first needed."""

    def __init__(self, workload: Workload, profile: Profile) -> None:
        self.workload, self._profile = workload, profile

    @cached_property
    def requests(self) -> Requests:
        """The requests of the workload's window, drawn from its seed."""
        return drawn_requests(self._profile, self.workload, self.workload.seed)


class DrawnParts:
    """The parts that were asked about last. Several threads may use an instance at once."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._parts: OrderedDict[Hashable, DrawnPart] = OrderedDict()
        self._lock = Lock()

    def part(self, key: Hashable, make: Callable[[], Workload]) -> DrawnPart:
        """Return the part with this key, made if it is not kept."""
        with self._lock:
            if key in self._parts:
                self._parts.move_to_end(key)
                return self._parts[key]
        made = DrawnPart(make(), self._profile)
        with self._lock:
            self._parts[key] = made
            if len(self._parts) > MOST_PARTS_KEPT:
                self._parts.popitem(last=False)
        return made
