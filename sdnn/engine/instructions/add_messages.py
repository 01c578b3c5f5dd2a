"""The kernel of a synapse: a pixel's messages times their weights, added to all neurons they reach.

A message is an int32: its channel in the upper 16 bits, its value in the lower.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ann2sdnn.sdnn.engine.instructions.code import I16, I32, I64, Code, number
from ann2sdnn.sdnn.engine.instructions.vector import (
    GROUP,
    VECTORS,
    Block,
    Vector,
    interleaved,
)

_LOG_GROUP, HALF = GROUP.bit_length() - 1, GROUP // 2
SIDE, UNROLLED = 3, (16, 32, 64)
"""Kernels of SIDE x SIDE taps have code of their own for these numbers of outputs."""


class Taps(NamedTuple):
    """Where messages go: to the ``padded`` neurons of ``n_across`` pixels, ``step`` bytes from one
    to the next, in each of ``n_down`` rows.

    ``weights`` is an address of int16, ``down`` of int64 [n_down, 2]: a row's bytes from the sums,
    and from ``weights``. ``channel_bytes``: of the weights of one channel.
    """

    weights: Any
    down: Any
    n_down: Any
    n_across: Any
    step: Any
    padded: Any
    channel_bytes: Any


@intrinsic
def add_messages(typing, tag, sums, taps, messages, n):  # type: ignore[no-untyped-def]
    """Add ``n`` messages times their weights to ``sums``, an address of int32.

    ``tag``: a ``Vector``'s; ``taps``: ``Taps`` in int64; ``messages``: an address of int32, filled
    up with zeros to a multiple of ``GROUP``.
    """
    vector = VECTORS[tag.count - 1]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, sums, taps, messages, n = arguments
        code = Code(builder)
        _Kernel(code, vector, sums, Taps._make(code.fields(taps)), messages, n).generate()
        return context.get_dummy_value()

    return types.void(tag, sums, taps, messages, n), generate


class _Pair(NamedTuple):
    """Two messages: where their weights lie, and both values, the first one low."""

    first: ir.Value
    second: ir.Value
    values: ir.Value


class _Kernel:
    """Writes the kernel; arguments as in ``add_messages``."""

    def __init__(
        self,
        code: Code,
        vector: Vector,
        sums: ir.Value,
        taps: Taps,
        messages: ir.Value,
        n: ir.Value,
    ) -> None:
        self.code, self.builder, self.vector = code, code.builder, vector
        self.sums, self.taps, self.messages, self.n = sums, taps, messages, n

    def generate(self) -> None:
        """With code made for the kernel's size, if there is any."""
        b = self.builder
        is_square = b.and_(
            b.icmp_unsigned("==", self.taps.n_down, number(SIDE)),
            b.icmp_unsigned("==", self.taps.n_across, number(SIDE)),
        )
        # All rows of such a kernel, and not three of a higher one.
        is_whole = [
            b.icmp_unsigned("==", self.taps.channel_bytes, number(2 * SIDE * SIDE * n))
            for n in UNROLLED
        ]
        cases = [
            (
                b.and_(
                    b.and_(is_square, whole), b.icmp_unsigned("==", self.taps.padded, number(n))
                ),
                code,
            )
            for n, whole, code in zip(
                UNROLLED, is_whole, map(self._unrolled, UNROLLED), strict=True
            )
        ]
        *wide, last = self.vector.blocks
        for block in wide:
            rest = b.and_(self.taps.padded, number(block.size - 1))
            cases.append((b.icmp_unsigned("==", rest, number(0)), self._looped(block)))
        self.code.choose(cases, self._looped(last))

    def _looped(self, block: Block) -> Callable[[], None]:
        """Code for any kernel: loops over its rows and blocks."""
        return lambda: self._all_pairs(
            lambda pairs: self._in_all_rows(pairs, block), self.taps.channel_bytes
        )

    def _unrolled(self, padded: int) -> Callable[[], None]:
        """Code for SIDE x SIDE taps of ``padded`` outputs, without loops over them."""

        def generate() -> None:
            b, code, block = self.builder, self.code, self.vector.block(padded)
            rows = [
                (
                    b.add(self.sums, code.field(self.taps.down, number(i), 2, 0)),
                    2 * SIDE * padded * i,
                )
                for i in range(SIDE)
            ]

            def add(pairs: Sequence[_Pair]) -> None:
                spread = self._spread(pairs, block)
                for (sums, by), j in itertools.product(rows, range(SIDE)):
                    pixel = b.add(sums, b.mul(self.taps.step, number(j)))
                    for k in range(padded // block.size):
                        place = b.add(pixel, number(4 * block.size * k))
                        offset = by + 2 * (padded * j + block.size * k)
                        self._block(place, number(offset), block, pairs, spread)

            return self._all_pairs(add, number(2 * SIDE * SIDE * padded))

        return generate

    def _all_pairs(self, add: Callable[[Sequence[_Pair]], None], channel_bytes: ir.Value) -> None:
        """``add`` for whole groups of messages, then for half of one or a quarter, if that is
        enough for those that are left.

        Sums are loaded and stored once each time. How many messages there are is hard to predict,
        so the processor decides it once for all taps.
        """
        b = self.builder
        # More than half of a group is a whole one: it is filled up with zeros.
        n_groups = b.lshr(b.add(self.n, number(HALF - 1)), number(_LOG_GROUP))

        def group(i: ir.Value) -> None:
            first = b.mul(i, number(GROUP // 2))
            add(self._pairs(first, GROUP // 2, channel_bytes))

        self.code.loop(n_groups, group)
        left = b.and_(self.n, number(GROUP - 1))
        first = b.mul(n_groups, number(GROUP // 2))
        any_is = b.icmp_unsigned("<", b.sub(left, number(1)), number(HALF))
        with (
            b.if_then(any_is),
            b.if_else(b.icmp_unsigned(">", left, number(HALF // 2))) as (many, few),
        ):
            with many:
                add(self._pairs(first, HALF // 2, channel_bytes))
            with few:
                add(self._pairs(first, HALF // 4, channel_bytes))

    def _pairs(self, first: ir.Value, n: int, channel_bytes: ir.Value) -> list[_Pair]:
        b = self.builder
        return [self._pair(b.add(first, number(k)), channel_bytes) for k in range(n)]

    def _pair(self, index: ir.Value, channel_bytes: ir.Value) -> _Pair:
        b, half = self.builder, ir.Constant(I32, 16)
        place = self.code.at(self.messages, index, 8)
        low, high = (self.code.load(b.add(place, number(4 * k)), I32, 4) for k in range(2))
        channels = [b.zext(b.lshr(one, half), I64) for one in (low, high)]
        rows = [b.add(self.taps.weights, b.mul(channel, channel_bytes)) for channel in channels]
        lower, upper = b.and_(low, ir.Constant(I32, 0xFFFF)), b.shl(high, half)
        return _Pair(*rows, b.or_(lower, upper))

    def _in_all_rows(self, pairs: Sequence[_Pair], block: Block) -> None:
        b, code = self.builder, self.code
        spread = self._spread(pairs, block)
        n_blocks = b.udiv(self.taps.padded, number(block.size))

        def row(i: ir.Value) -> None:
            to, by = (code.field(self.taps.down, i, 2, k) for k in range(2))
            sums = b.add(self.sums, to)

            def column(j: ir.Value) -> None:
                pixel = b.add(sums, b.mul(j, self.taps.step))
                own = b.add(by, b.mul(j, b.mul(self.taps.padded, number(2))))

                def add(k: ir.Value) -> None:
                    offset = b.add(own, b.mul(k, number(2 * block.size)))
                    self._block(code.at(pixel, k, 4 * block.size), offset, block, pairs, spread)

                code.loop(n_blocks, add)

            code.loop(self.taps.n_across, column)

        code.loop(self.taps.n_down, row)

    def _spread(self, pairs: Sequence[_Pair], block: Block) -> list[ir.Value]:
        """Each pair's values in every lane."""
        row = ir.VectorType(I16, block.size)
        return [
            self.builder.bitcast(self.code.everywhere(pair.values, block.lanes), row)
            for pair in pairs
        ]

    def _block(
        self,
        sums: ir.Value,
        offset: ir.Value,
        block: Block,
        pairs: Sequence[_Pair],
        spread: Sequence[ir.Value],
    ) -> None:
        b, code = self.builder, self.code
        vector, row = ir.VectorType(I32, block.lanes), ir.VectorType(I16, block.size)
        places = [b.add(sums, number(4 * block.lanes * half)) for half in range(2)]
        values = [code.load(place, vector, 4) for place in places]
        for pair, messages in zip(pairs, spread, strict=True):
            rows = [code.load(b.add(one, offset), row, 2) for one in (pair.first, pair.second)]
            for half in range(2):
                order = ir.Constant(ir.VectorType(I32, block.size), interleaved(block.lanes, half))
                weights = b.shuffle_vector(*rows, order)
                values[half] = b.add(values[half], self._products(weights, messages, block))
        for place, value in zip(places, values, strict=True):
            code.store(value, place, 4)

    def _products(self, weights: ir.Value, messages: ir.Value, block: Block) -> ir.Value:
        """Products of int16, added in pairs."""
        b, sums = self.builder, ir.VectorType(I32, block.lanes)
        if block.pairs is not None:
            return self.code.called(block.pairs, sums, weights, messages)
        products = []
        for first in range(2):
            places = ir.Constant(sums, list(range(first, block.size, 2)))
            halves = [
                b.sext(b.shuffle_vector(values, values, places), sums)
                for values in (weights, messages)
            ]
            products.append(b.mul(*halves))
        return b.add(*products)


@intrinsic
def fetch(typing, address):  # type: ignore[no-untyped-def]
    """Fetch a cache line that will be written soon."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        Code(builder).prefetch(*arguments)
        return context.get_dummy_value()

    return types.void(types.int64), generate
