"""The linear program over configurations: on how few servers they cover all classes, if servers could be divided."""

from collections.abc import Sequence
from typing import NamedTuple

import highspy
import numpy as np
from numpy.typing import NDArray

from adaptwin.placement.configurations.mixes import ClassMix


class Covering(NamedTuple):
    """The fewest servers, how many of them have each configuration, and what a server is worth for each class."""

    servers: float
    copies: NDArray[np.float64]  # (configurations,)
    values: NDArray[np.float64]  # (classes,): the dual values; a configuration is worth it if its sum exceeds 1


def fewest(configurations: Sequence[ClassMix]) -> Covering:
    """Return the cheapest way to cover every class once with these configurations.

    It is the linear relaxation of the cutting-stock problem (Gilmore and Gomory, "A linear programming approach to the
    cutting-stock problem", 1961), whose solution has at most as many configurations as there are classes.
    """
    solver = _Silent()  # type: ignore[no-untyped-call]
    classes = len(configurations[0])
    rows = np.arange(classes, dtype=np.int32)
    for _ in range(classes):
        solver.addRow(1.0, highspy.kHighsInf, 0, np.empty(0, np.int32), np.empty(0))
    for mix in configurations:
        solver.addCol(1.0, 0.0, highspy.kHighsInf, classes, rows, mix)
    solver.run()
    found = solver.getSolution()
    return Covering(
        float(solver.getInfo().objective_function_value),
        np.maximum(0.0, np.array(found.col_value)),
        np.array(found.row_dual),
    )


class _Silent(highspy.Highs):
    """HiGHS without its output, the banner included, which version 1.16 prints when it enables callbacks."""

    def enableCallbacks(self) -> None:  # noqa: N802
        self.silent()
        super().enableCallbacks()  # type: ignore[no-untyped-call]
