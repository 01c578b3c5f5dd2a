"""The kernel of a synapse: a pixel's messages times their weights, added to all neurons they reach.

A message is an int32: its channel in the upper 16 bits, its value in the lower.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ann2sdnn.sdnn.engine.instructions.code import I8, I32, I64, Code, number
from ann2sdnn.sdnn.engine.instructions.products import Products
from ann2sdnn.sdnn.engine.instructions.vector import (
    GROUP,
    VECTORS,
    Block,
    Vector,
    rounded_up,
)

_LOG_GROUP, HALF = GROUP.bit_length() - 1, GROUP // 2
SIDE, SQUARES = 3, (16, 32, 64)
"""Kernels of SIDE x SIDE taps have code of their own for these numbers of outputs."""
_AHEAD = 4  # senders whose sums are fetched before they come


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


class Square(NamedTuple):
    """Where the messages of a row go, each to SIDE pixels in each of SIDE rows.

    A sender in column x meets columns ``first`` + x * ``across`` and those ``step`` and twice that
    behind. ``top``, ``middle``, ``bottom``: addresses of sums, the rows that the taps meet in their
    order; ``newest``: the one that the row before did not meet, and ``sent`` what its neurons have
    sent. ``weights``: as in ``Taps``. ``reached``: an address of a byte per column, set to 1.
    """

    top: Any
    middle: Any
    bottom: Any
    newest: Any
    sent: Any
    weights: Any
    first: Any
    across: Any
    step: Any
    padded: Any
    reached: Any


@intrinsic
def add_row(typing, tag, square, senders, n_senders, messages):  # type: ignore[no-untyped-def]
    """Add the messages of ``n_senders`` pixels of a row; returns the address behind the last one.

    ``tag``: a ``Vector``'s; ``square``: ``Square`` in int64, whose ``padded`` is one of
    ``SQUARES``; ``senders``: an address of uint32; ``messages``: as in ``add_messages``.
    """
    vector = VECTORS[tag.count - 1]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, square, senders, n_senders, messages = arguments
        code = Code(builder)
        square = Square._make(code.fields(square))

        def case(padded: int) -> Callable[[], ir.Value]:
            kernel = _SquareKernel(code, vector, square._replace(padded=padded))
            return lambda: kernel.generate(senders, n_senders, messages)

        cases = [
            (builder.icmp_unsigned("==", square.padded, number(padded)), case(padded))
            for padded in SQUARES
        ]
        return code.choose(cases, lambda: messages)

    return types.int64(tag, square, senders, n_senders, messages), generate


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
        taps = Taps._make(code.fields(taps))

        def looped(block: Block) -> Callable[[], None]:
            kernel = _Kernel(code, sums, taps, block)
            return lambda: kernel.all_pairs(taps.weights, taps.channel_bytes, messages, n)

        code.choose(*vector.cases(builder, taps.padded, looped))
        return context.get_dummy_value()

    return types.void(tag, sums, taps, messages, n), generate


class _Pair(NamedTuple):
    """Two messages: where their weights lie, and both values, the first one low."""

    first: ir.Value
    second: ir.Value
    values: ir.Value


class _Pairs(Products, ABC):
    """Writes what both kernels have in common: a pixel's messages, in pairs."""

    def all_pairs(
        self, weights: ir.Value, channel_bytes: ir.Value, messages: ir.Value, n: ir.Value
    ) -> None:
        """``add`` for whole groups of messages, then for half of one or a quarter, if that is
        enough for those that are left.

        Sums are loaded and stored once each time. How many messages there are is hard to predict,
        so the processor decides it once for all taps.
        """
        b = self.builder

        def add(first: ir.Value, n_messages: int) -> None:
            self.add(
                [
                    self._pair(weights, channel_bytes, messages, b.add(first, number(k)))
                    for k in range(n_messages // 2)
                ]
            )

        # More than half of a group is a whole one: it is filled up with zeros.
        n_groups = b.lshr(b.add(n, number(HALF - 1)), number(_LOG_GROUP))
        self.code.loop(n_groups, lambda i: add(b.mul(i, number(GROUP // 2)), GROUP))
        left = b.and_(n, number(GROUP - 1))
        first = b.mul(n_groups, number(GROUP // 2))
        any_is = b.icmp_unsigned("<", b.sub(left, number(1)), number(HALF))
        is_half = b.icmp_unsigned(">", left, number(HALF // 2))
        with b.if_then(any_is), b.if_else(is_half) as (half, quarter):
            with half:
                add(first, HALF)
            with quarter:
                add(first, HALF // 2)

    @abstractmethod
    def add(self, pairs: Sequence[_Pair]) -> None:
        """Add the ``pairs`` to all sums that they reach."""

    def _pair(
        self, weights: ir.Value, channel_bytes: ir.Value, messages: ir.Value, index: ir.Value
    ) -> _Pair:
        b, half = self.builder, ir.Constant(I32, 16)
        place = self.code.at(messages, index, 8)
        low, high = (self.code.load(b.add(place, number(4 * k)), I32, 4) for k in range(2))
        channels = [b.zext(b.lshr(one, half), I64) for one in (low, high)]
        rows = [b.add(weights, b.mul(channel, channel_bytes)) for channel in channels]
        lower, upper = b.and_(low, ir.Constant(I32, 0xFFFF)), b.shl(high, half)
        return _Pair(rows[0], rows[1], b.or_(lower, upper))

    def all_spread(self, pairs: Sequence[_Pair], block: Block) -> list[ir.Value]:
        """Each pair's values in every lane."""
        return [self.spread(pair.values, block) for pair in pairs]

    def block(
        self,
        sums: ir.Value,
        offset: ir.Value,
        block: Block,
        pairs: Sequence[_Pair],
        spread: Sequence[ir.Value],
    ) -> None:
        """Add the ``pairs`` to a block of sums; their weights lie ``offset`` bytes behind."""
        b, code = self.builder, self.code
        vector = ir.VectorType(I32, block.lanes)
        places = [b.add(sums, number(4 * block.lanes * half)) for half in range(2)]
        values = [code.load(place, vector, 4) for place in places]
        for pair, messages in zip(pairs, spread, strict=True):
            weights = self.weights(b.add(pair.first, offset), b.add(pair.second, offset), block)
            values = self.added(values, weights, messages, block)
        for place, value in zip(places, values, strict=True):
            code.store(value, place, 4)


class _Kernel(_Pairs):
    """Writes the kernel for any taps; arguments as in ``add_messages``."""

    def __init__(self, code: Code, sums: ir.Value, taps: Taps, size: Block) -> None:
        super().__init__(code)
        self.sums, self.taps, self.size = sums, taps, size

    def add(self, pairs: Sequence[_Pair]) -> None:
        """With loops over rows, pixels and blocks."""
        b, code, size = self.builder, self.code, self.size
        spread = self.all_spread(pairs, size)
        n_blocks = b.udiv(self.taps.padded, number(size.size))

        def row(i: ir.Value) -> None:
            to, by = (code.field(self.taps.down, i, 2, k) for k in range(2))
            sums = b.add(self.sums, to)

            def column(j: ir.Value) -> None:
                pixel = b.add(sums, b.mul(j, self.taps.step))
                own = b.add(by, b.mul(j, b.mul(self.taps.padded, number(2))))

                def add(k: ir.Value) -> None:
                    offset = b.add(own, b.mul(k, number(2 * size.size)))
                    self.block(code.at(pixel, k, 4 * size.size), offset, size, pairs, spread)

                code.loop(n_blocks, add)

            code.loop(self.taps.n_across, column)

        code.loop(self.taps.n_down, row)


class _SquareKernel(_Pairs):
    """Writes the kernel of ``add_row``: no loops over taps."""

    def __init__(self, code: Code, vector: Vector, square: Square) -> None:
        super().__init__(code)
        self.square, self.size = square, vector.block(square.padded)
        self.offset = number(0)

    def generate(self, senders: ir.Value, n_senders: ir.Value, messages: ir.Value) -> ir.Value:
        """For all senders; returns where their messages end."""
        b, code, square = self.builder, self.code, self.square
        channel_bytes = number(2 * SIDE * SIDE * square.padded)

        def one(index: ir.Value, messages: ir.Value) -> list[ir.Value]:
            place = code.at(senders, index, 4)
            # Behind the last sender stands something of the row before, or of another map.
            self._fetch(self._column(code.load(b.add(place, number(4 * _AHEAD)), I32, 4)))
            sender = code.load(place, I32, 4)
            column = self._column(sender)
            for j in range(SIDE):
                mark = b.add(b.add(square.reached, column), self._away(j))
                code.store(ir.Constant(I8, 1), mark, 1)
            self.offset = b.mul(column, number(4 * square.padded))
            n = b.zext(b.lshr(sender, ir.Constant(I32, 16)), I64)
            self.all_pairs(square.weights, channel_bytes, messages, n)
            return [b.add(messages, b.shl(rounded_up(b, n), number(2)))]

        return code.loop(n_senders, one, (messages,))[0]

    def add(self, pairs: Sequence[_Pair]) -> None:
        """To all blocks of all taps, row by row."""
        b, square, size = self.builder, self.square, self.size
        spread = self.all_spread(pairs, size)
        row_bytes = 2 * SIDE * square.padded

        def row(i: ir.Value) -> None:
            below = b.select(b.icmp_unsigned("==", i, number(1)), square.middle, square.bottom)
            sums = b.select(b.icmp_unsigned("==", i, number(0)), square.top, below)
            weights = b.mul(i, number(row_bytes))
            for j in range(SIDE):
                pixel = b.add(b.add(sums, self.offset), self._bytes(j))
                for k in range(0, square.padded, size.size):
                    offset = b.add(weights, number(2 * (square.padded * j + k)))
                    self.block(b.add(pixel, number(4 * k)), offset, size, pairs, spread)

        self.code.loop(number(SIDE), row)

    def _column(self, sender: ir.Value) -> ir.Value:
        b = self.builder
        own = b.zext(b.and_(sender, ir.Constant(I32, 0xFFFF)), I64)
        return b.add(self.square.first, b.mul(own, self.square.across))

    def _away(self, j: int) -> ir.Value:
        """Columns from the first one that a sender meets to the one that tap ``j`` does."""
        return self.builder.mul(self.square.step, number(j))

    def _bytes(self, j: int) -> ir.Value:
        """The same in bytes of sums."""
        return self.builder.mul(self._away(j), number(4 * self.square.padded))

    def _fetch(self, column: ir.Value) -> None:
        """Sums, and what has been sent, that the row before did not need."""
        b, pixel_bytes = self.builder, 4 * self.square.padded
        offset = b.mul(column, number(pixel_bytes))
        for base, j in itertools.product((self.square.newest, self.square.sent), range(SIDE)):
            pixel = b.add(b.add(base, offset), self._bytes(j))
            for line in range(0, pixel_bytes, 64):
                self.code.prefetch(b.add(pixel, number(line)))
