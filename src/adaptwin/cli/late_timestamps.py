"""A warning that some timestamps lie after the window, so that no request comes of them."""

from typing import TYPE_CHECKING

from adaptwin.cli.printing import tell

if TYPE_CHECKING:
    from adaptwin.workload.workload import Workload


def warn_of_late_timestamps(workload: "Workload") -> None:
    """Say on standard error how many timestamps lie after the window of a workload, if any do."""
    late, count = workload.late_timestamps
    if late:
        tell(
            f"warning: {late:,} of {count:,} timestamps are left out: they lie at or after the end of the window "
            f"({workload.duration:g} s); raise the duration to replay them"
        )
