"""By value: an expression over columns with few different values, evaluated once for each of these."""

from collections.abc import Callable, Sequence

import polars as pl


def by_value(columns: Sequence[pl.Expr], result: Callable[..., pl.Expr], dtype: type[pl.DataType]) -> pl.Expr:
    """Return `result` of some columns.

    It costs as much as finding the different rows, whatever `result` costs.

    Args:
        columns: Columns of text.
        result: An element-wise expression over columns, which are given by name.
        dtype: Type of the result.
    """
    names = [f"column_{place}" for place in range(len(columns))]
    outcome = result(*map(pl.col, names))

    def of_part(part: pl.Series) -> pl.Series:
        frame = part.struct.unnest()
        values = frame.unique().with_columns(outcome.cast(dtype).alias("result"))
        return frame.join(values, on=names, how="left", nulls_equal=True, maintain_order="left")["result"]

    named = [column.alias(name) for column, name in zip(columns, names, strict=True)]
    return pl.struct(named).map_batches(of_part, return_dtype=dtype, is_elementwise=True)
