"""The kernel of a synapse for rows in which most neurons send: sums stay in registers.

It reads a row of maps: a value for each channel of each pixel, zero where nothing is sent. The sums
of a few pixels that lie side by side are loaded once for all channels and taps.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ann2sdnn.sdnn.engine.instructions.code import I32, Code, number
from ann2sdnn.sdnn.engine.instructions.products import Products
from ann2sdnn.sdnn.engine.instructions.vector import VECTORS, Block, Vector


class Maps(NamedTuple):
    """A row of taps, ``n_taps`` of them, that leads from a row of messages to a row of sums.

    ``messages``: an address of int16, those of the pixel that tap 0 leads to column 0, one for each
    channel and one more where their number is odd; ``across`` bytes behind lie those for the next
    column, ``step`` bytes before those that the next tap leads to the same one. What lies before
    and behind the map is zero. ``sums``: an address of int32, those of column 0; the next column's
    ``padded`` sums lie ``column_bytes`` behind. ``weights``: an address of int16, those of tap 0;
    the next tap's lie ``tap_bytes`` behind, the next channel's ``channel_bytes``.
    """

    sums: Any
    messages: Any
    across: Any
    step: Any
    weights: Any
    n_columns: Any
    n_channels: Any
    n_taps: Any
    padded: Any
    column_bytes: Any
    tap_bytes: Any
    channel_bytes: Any


@intrinsic
def add_maps(typing, tag, maps):  # type: ignore[no-untyped-def]
    """Add a row of messages times a row of taps to a row of sums.

    ``tag``: a ``Vector``'s; ``maps``: ``Maps`` in int64.
    """
    vector = VECTORS[tag.count - 1]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        code = Code(builder)
        maps = Maps._make(code.fields(arguments[1]))

        def of(block: Block) -> Callable[[], None]:
            return _MapsKernel(code, maps, block, vector).generate

        code.choose(*vector.cases(builder, maps.padded, of))
        return context.get_dummy_value()

    return types.void(tag, maps), generate


class Columns(Products, ABC):
    """Writes a kernel that keeps the sums of ``most`` columns at a time in registers."""

    def __init__(self, code: Code, maps: Maps, most: int) -> None:
        super().__init__(code)
        self.maps, self.most = maps, most

    def generate(self) -> None:
        """For all columns, as many together as there can be; one by one in a narrow map."""
        b, maps = self.builder, self.maps
        last = b.sub(maps.n_columns, number(self.most))

        def tile(index: ir.Value) -> None:
            # The last tile ends with the map, and leaves out what the one before has done.
            wanted = b.mul(index, number(self.most))
            first = b.select(b.icmp_signed("<", wanted, last), wanted, last)
            self._columns(first, self.most, b.sub(wanted, first))

        def column(index: ir.Value) -> None:
            self._columns(index, 1, number(0))

        is_narrow = b.icmp_signed("<", last, number(0))
        with b.if_else(is_narrow) as (narrow, wide):
            with narrow:
                self.code.loop(maps.n_columns, column)
            with wide:
                whole = b.add(maps.n_columns, number(self.most - 1))
                self.code.loop(b.udiv(whole, number(self.most)), tile)

    def _columns(self, first: ir.Value, n: int, done: ir.Value) -> None:
        """The sums of ``n`` columns but for those ``done``."""
        b, code, maps, vector = self.builder, self.code, self.maps, self.vector
        n_outputs = self.n_vectors * vector.count

        def add(index: ir.Value) -> None:
            own = b.add(
                b.add(maps.sums, b.mul(first, maps.column_bytes)),
                b.mul(index, number(4 * n_outputs)),
            )
            places = [
                b.add(own, b.add(b.mul(number(t), maps.column_bytes), number(4 * vector.count * k)))
                for t in range(n)
                for k in range(self.n_vectors)
            ]
            sums = tuple(code.load(place, vector, 4) for place in places)

            def tap(j: ir.Value, *sums: ir.Value) -> list[ir.Value]:
                away = b.sub(b.mul(first, maps.across), b.mul(j, maps.step))
                weights = b.add(maps.weights, b.mul(j, maps.tap_bytes))
                return self.tap(b.add(maps.messages, away), weights, index, list(sums))

            results = code.loop(maps.n_taps, tap, sums)
            for t in range(n):
                with b.if_then(b.icmp_unsigned("<=", done, number(t))):
                    for k in range(t * self.n_vectors, (t + 1) * self.n_vectors):
                        code.store(results[k], places[k], 4)

        code.loop(b.udiv(maps.padded, number(n_outputs)), add)

    @property
    @abstractmethod
    def n_vectors(self) -> int:
        """Of sums of one column that are computed together."""

    @property
    @abstractmethod
    def vector(self) -> ir.VectorType:
        """The type of each."""

    @abstractmethod
    def tap(
        self, messages: ir.Value, weights: ir.Value, index: ir.Value, sums: list[ir.Value]
    ) -> list[ir.Value]:
        """``sums`` of the outputs number ``index``, and the products of the ``messages`` and the
        ``weights`` of one tap, whose addresses are given.
        """


class _MapsKernel(Columns):
    """Writes the kernel for one kind of block."""

    def __init__(self, code: Code, maps: Maps, block: Block, vector: Vector) -> None:
        # A block of narrow vectors fits a single wide one.
        widest = vector.blocks[0]
        self.block, self.whole = block, widest if widest.lanes == block.size else None
        super().__init__(code, maps, vector.columns * (1 if self.whole is None else 2))

    @property
    def n_vectors(self) -> int:
        return 1 if self.whole else 2

    @property
    def vector(self) -> ir.VectorType:
        return ir.VectorType(I32, self.block.size // self.n_vectors)

    def tap(
        self, messages: ir.Value, weights: ir.Value, index: ir.Value, sums: list[ir.Value]
    ) -> list[ir.Value]:
        """All pairs of channels."""
        b, code, maps, block = self.builder, self.code, self.maps, self.block
        weights = b.add(weights, b.mul(index, number(2 * block.size)))
        last = b.sub(maps.n_channels, number(1))

        def pair(p: ir.Value, *sums: ir.Value) -> list[ir.Value]:
            channel = b.shl(p, number(1))
            # An odd channel at the end has no partner; what is multiplied there is zero.
            partner = b.select(
                b.icmp_unsigned("<", channel, last), b.add(channel, number(1)), channel
            )
            rows = [b.add(weights, b.mul(own, maps.channel_bytes)) for own in (channel, partner)]
            both = self.weights(rows[0], rows[1], block)
            if self.whole is not None:
                order = ir.Constant(ir.VectorType(I32, 2 * block.size), list(range(2 * block.size)))
                both = [b.shuffle_vector(*both, order)]
            unit, results = self.whole or block, list[ir.Value]()
            own_messages = code.at(messages, p, 4)
            for t in range(0, len(sums), len(both)):
                away = b.mul(maps.across, number(t // len(both)))
                values = code.load(b.add(own_messages, away), I32, 2)
                own = sums[t : t + len(both)]
                results += self.added(own, both, self.spread(values, unit), unit)
            return results

        n_pairs = b.lshr(b.add(maps.n_channels, number(1)), number(1))
        return code.loop(n_pairs, pair, tuple(sums))
