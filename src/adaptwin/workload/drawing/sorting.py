"""Sorting of whole numbers in compiled loops; NumPy's sort takes Numba seconds to compile."""

from adaptwin.jit import compiled


@compiled
def shell_sort(values):
    """Sort in place (Shell 1959, with Knuth's gaps)."""
    gap = 1
    while gap < len(values) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        insertion_sort(values, gap)
        gap //= 3


@compiled
def insertion_sort(values, gap):
    """Sort in place what lies `gap` apart; quick where little is out of order."""
    for i in range(gap, len(values)):
        value, j = values[i], i
        while j >= gap and values[j - gap] > value:
            values[j] = values[j - gap]
            j -= gap
        values[j] = value
