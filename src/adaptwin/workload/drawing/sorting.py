"""Sorting of integers in compiled loops; Numba takes seconds to compile NumPy's sort."""

from adaptwin.jit import compiled


@compiled
def shell_sort(values):
    """Sort an array in place (Shell 1959, with Knuth's gaps)."""
    gap = 1
    while gap < len(values) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        insertion_sort(values, gap)
        gap //= 3


@compiled
def insertion_sort(values, gap):
    """Sort the elements that are `gap` apart in place; fast where few are out of order."""
    for i in range(gap, len(values)):
        value, j = values[i], i
        while j >= gap and values[j - gap] > value:
            values[j] = values[j - gap]
            j -= gap
        values[j] = value
