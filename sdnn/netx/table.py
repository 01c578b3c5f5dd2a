"""A network trained in slayer as a table of at most 80 columns."""

from collections.abc import Sequence

from rich.table import Table

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.netx.rows import STEPS, VALUES, BlockRow
from ann2sdnn.sdnn.spec.spec import UNITS

WIDTH = 80
_RIGHT = ("thresh.", "steps", "values", "zeros", "bias")


def block_table(rows: Sequence[BlockRow]) -> Table:
    """A row a block."""
    title = (
        f"steps: the largest weight, of {STEPS}; values: different weights, of {VALUES}\n"
        f"thresholds in 1/{UNITS} and in units of the activation; biases in 1/{UNITS}"
    )
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for heading in ("block", "shape", "kernel", *_RIGHT):
        justify = "right" if heading in _RIGHT else "left"
        table.add_column(heading, justify=justify, no_wrap=heading != "shape")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(
            row.name,
            _shapes(row),
            row.kernel,
            "" if row.threshold is None else f"{row.threshold} {row.threshold / UNITS:.3g}",
            "" if row.largest_step is None else str(row.largest_step),
            "" if row.values is None else str(row.values),
            "" if row.zeros is None else f"{row.zeros:.0%}",
            "" if row.bias is None else "..".join(str(value) for value in row.bias),
        )
    return table


def _shapes(row: BlockRow) -> str:
    if row.input_shape is None:
        return _shape(row.shape)
    return f"{_shape(row.input_shape)} > {_shape(row.shape)}"


def _shape(shape: Shape) -> str:
    return str(shape[0]) if shape[1:] == (1, 1) else "x".join(map(str, shape))
