"""Partitions: all placements of a few adapters, for brute force."""


def partitions(things):
    """Yield all ways to divide things into groups."""
    if not things:
        yield []
        return
    first, *rest = things
    for groups in partitions(rest):
        yield [[first], *groups]
        for i, group in enumerate(groups):
            yield [*groups[:i], [first, *group], *groups[i + 1 :]]
