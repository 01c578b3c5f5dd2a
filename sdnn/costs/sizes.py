"""The largest input of a network that fits a number of cores, at the same aspect ratio."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from ann2sdnn.graph.cropping import resized
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.sdnn.costs.cores import LayerWork, network_cores
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ModelError

# Networks with skips, and packed grids, take sizes that differ by multiples of their strides.
_STEPS = (1, 2, 4, 8, 16, 32, 64)
_MOST_ROWS = 2**14
# Maps may be too large to be converted at the size that would fit; then smaller ones are tried.
_TRIES, _FEWER = 4, 0.85


def fixed_layer(spec: Spec) -> str | None:
    """Name of the first layer that takes one size only; None in a fully convolutional network."""
    for layer in spec.layers:
        if any(synapse.geometry.reads_flat for synapse in layer.synapses):
            return layer.name
    return None


@dataclass
class InputSizes:
    """Cores of ``spec`` for other inputs of its aspect ratio.

    ``work``: as for ``network_cores``; it grows with the number of pixels. ``takes``: whether the
    network that ``spec`` was made from takes a height and width.
    """

    spec: Spec
    work: Sequence[LayerWork | None] = ()
    takes: Callable[[Pair], bool] = lambda size: True
    _seen: dict[Pair, int | None] = field(default_factory=dict)

    def largest(self, cores: int) -> Pair | None:
        """Height and width of the largest input for which the network needs at most ``cores``.

        None where no size fits, and where a layer takes one size only.
        """
        if fixed_layer(self.spec) is not None:
            return None
        low, high = 0, 1
        while high <= _MOST_ROWS and self._fits(high, cores):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._fits(middle, cores) else (low, middle)
        return next((size for size in self._below(low, cores) if self.takes(size)), None)

    def _below(self, rows: int, cores: int) -> Iterator[Pair]:
        """Sizes of about ``rows`` rows that fit, and of fewer where none of them is taken."""
        for times in range(_TRIES):
            for step, fewer in product(_STEPS, (0, 1)):
                size = self._size(int(rows * _FEWER**times) - fewer * step, step)
                needed = self._cores(size)
                if needed is not None and needed <= cores:
                    yield size

    def _fits(self, rows: int, cores: int) -> bool:
        """A size below the network's own that no layer takes is too small, one above too large."""
        found = (self._cores(self._size(rows, step)) for step in _STEPS)
        needed = next((one for one in found if one is not None), None)
        return rows < self.spec.input_shape[1] if needed is None else needed <= cores

    def _size(self, rows: int, step: int) -> Pair:
        """The size next to ``rows`` and the columns that belong to them, that differs from the
        network's own, which fits, by multiples of ``step``: rows downwards.
        """
        _, own_rows, own_columns = self.spec.input_shape
        columns = rows * own_columns / own_rows
        return (
            own_rows + step * ((rows - own_rows) // step),
            own_columns + step * round((columns - own_columns) / step),
        )

    def _cores(self, size: Pair) -> int | None:
        """The cores for an input of ``size``; None where a layer does not take it."""
        if size not in self._seen:
            self._seen[size] = self._counted(size) if min(size) > 0 else None
        return self._seen[size]

    def _counted(self, size: Pair) -> int | None:
        _, own_rows, own_columns = self.spec.input_shape
        try:
            layers = resized(self.spec, size).layers
        except ModelError:
            return None
        factor = size[0] * size[1] / (own_rows * own_columns)
        work = [None if own is None else own.times(factor) for own in self.work]
        return sum(one.cores for one in network_cores(layers, work))
