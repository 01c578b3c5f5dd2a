"""The kernel of a population: states wrap to 24 bits, and what has changed enough is sent.

It writes the equations of ``sdnn/reference/equations.py`` for all neurons of a pixel, ``LANES`` at
a time. States, biases, thresholds and activations are halved (see ``memory``). A message is an
int32 as in ``add_messages``; ``OVERSIZED`` in the place of its value says that it does not fit, and
that the whole number stands in the plane of oversized messages.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ann2sdnn.sdnn.engine.instructions.code import I1, I32, I64, Code, all_lanes, number
from ann2sdnn.sdnn.engine.instructions.vector import (
    GROUP,
    LANES,
    VECTORS,
    Vector,
    rounded_up,
)
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX

OVERSIZED = -32768
OVERFLOWS, TOO_LARGE, SENT, CAUSED, VISITED, LARGEST = range(6)
N_COUNTS = LARGEST + LANES // 2
"""int64 of ``counts``: overflows, oversized messages, messages, the operations that they cause,
pixels, and LANES int32 whose maximum is the largest message."""
N_RULES = 7
"""int64 of ``rules``: the smallest activation (0 with ReLU), threshold, right shift from change to
message, the bits of a change that a neuron takes for sent, 1 where messages are doubled, 1 for a
neuron that remembers, 1 for maximum pooling.
"""
UNROLLED_BLOCKS = (1, 2)
"""Numbers of blocks of ``LANES`` neurons that pixels have code of their own for."""

NO_FLOOR = -(1 << 30)
"""Less than any state with its bias."""

_LOG_LANES = LANES.bit_length() - 1
AHEAD = 8
"""Pixels whose memory is fetched before they come: ``pixels`` is read so far beyond its end."""
_UNUSED_BITS = 9  # of 32, in a halved state of 24


@intrinsic
def settle_pixel(typing, states, n_blocks, counts):  # type: ignore[no-untyped-def]
    """Wrap the states of one pixel, and count those that did not fit 24 bits."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _settle(Code(builder), *arguments)
        return context.get_dummy_value()

    return types.void(*(types.int64,) * 3), generate


class Row(NamedTuple):
    """Where things of a row, or of a pixel, lie: addresses of int32, ``senders`` of uint32.

    ``messages`` and ``oversized``: where the next message goes. ``n_blocks``: of ``LANES`` neurons,
    in a pixel. ``fan_outs`` int32 [column classes, P]: the operations that a message causes;
    ``classes``: an address of int64, the class of each column.
    """

    states: Any
    bias: Any
    sent: Any
    messages: Any
    oversized: Any
    senders: Any
    n_blocks: Any
    fan_outs: Any
    classes: Any


@intrinsic
def emit_pixels(typing, tag, pixels, n, row, counts, rules):  # type: ignore[no-untyped-def]
    """Settle the states of ``n`` pixels of a row, and write their messages and the senders.

    Returns how many pixels send. ``tag``: a ``Vector``'s. ``row``: ``Row``, in int64. ``pixels``
    (columns) is an address of int32, ``counts`` and ``rules`` of int64.
    """
    vector = VECTORS[tag.count - 1]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, pixels, n, row, counts, rules = arguments
        code = Code(builder)
        emission = _Emission(code, vector, _Rules.load(code, rules, I32), counts)
        return _emit_row(emission, pixels, n, Row._make(code.fields(row)))

    return types.int64(tag, types.int64, types.int64, row, types.int64, types.int64), generate


def _emit_row(emission: "_Emission", pixels: ir.Value, n: ir.Value, row: Row) -> ir.Value:
    """The code of ``emit_pixels``: pixels of few neurons have some without a loop over them."""
    b = emission.builder
    cases = [
        (
            b.icmp_unsigned("==", row.n_blocks, number(n_blocks)),
            functools.partial(_emit_pixels, emission, pixels, n, row._replace(n_blocks=n_blocks)),
        )
        for n_blocks in UNROLLED_BLOCKS
    ]
    return emission.code.choose(cases, lambda: _emit_pixels(emission, pixels, n, row))


def _emit_pixels(emission: "_Emission", pixels: ir.Value, n: ir.Value, row: Row) -> ir.Value:
    code, b = emission.code, emission.builder
    n_blocks = number(row.n_blocks) if isinstance(row.n_blocks, int) else row.n_blocks
    pixel_bytes = b.mul(n_blocks, number(4 * LANES))

    def pixel(
        index: ir.Value, n_senders: ir.Value, place: ir.Value, *so_far: ir.Value
    ) -> list[ir.Value]:
        column = _column(code, pixels, index)
        offset = b.mul(column, pixel_bytes)
        next_offset = b.mul(_column(code, pixels, b.add(index, number(AHEAD))), pixel_bytes)
        own = b.add(row.states, offset)

        def activation(block: ir.Value) -> tuple[ir.Value, ir.Value]:
            code.prefetch(code.at(b.add(row.sent, next_offset), block, 4 * LANES))
            reached = _lanes_at(code, own, block, I32)
            state = _wrapped(b, reached)
            z = b.add(state, _lanes_at(code, row.bias, block, I32))
            return _larger(b, z, emission.rule.floor), b.xor(state, reached)

        pixel_row = row._replace(
            sent=b.add(row.sent, offset),
            messages=b.add(row.messages, place),
            oversized=b.add(row.oversized, place),
            fan_outs=code.at(
                row.fan_outs, b.mul(code.field(row.classes, column, 1, 0), pixel_bytes), 1
            ),
        )
        sends, *so_far_now = emission.generate(pixel_row, activation, so_far)
        sender = b.or_(column, b.shl(sends, number(16)))
        code.store(b.trunc(sender, I32), code.at(row.senders, n_senders, 4), 4)
        is_sender = b.zext(b.icmp_signed("!=", sends, number(0)), I64)
        return [
            b.add(n_senders, is_sender),
            b.add(place, b.shl(rounded_up(b, sends), number(2))),
            *so_far_now,
        ]

    start = emission.start()
    n_senders, _, *ended = code.loop(n, pixel, (number(0), number(0), *start))

    def settle() -> ir.Value:
        """Overflows are counted, and wrapped in the memory, only where there are any."""

        def one(index: ir.Value) -> None:
            own = b.add(row.states, b.mul(_column(code, pixels, index), pixel_bytes))
            _settle(code, own, n_blocks, emission.counts)

        code.loop(n, one)
        return number(0)

    code.rarely(_any_is(b, ended[0]), settle, number(0))
    emission.note(ended)
    return n_senders


def _emit_window(kind: ir.IntType):  # type: ignore[no-untyped-def]
    """The intrinsic for pooled neurons whose activations have type ``kind``, as ``sent`` has."""

    @intrinsic
    def emit_window(typing, tag, window, n, start, row, counts, rules):  # type: ignore[no-untyped-def]
        """Write the messages of one pooled pixel; returns how many there are.

        Pooled are ``n`` settled pixels, whose addresses are int64 at ``window``. ``start``: a value
        that every activation is pooled with. ``row``: of the pixel. The rest as in ``emit_pixels``.
        """
        vector = VECTORS[tag.count - 1]

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            _, window, n, start, row, counts, rules = arguments
            code = Code(builder)
            row = Row._make(code.fields(row))
            rule = _Rules.load(code, rules, kind)
            initial = code.everywhere(_narrowed(builder, start, kind), LANES)

            def activation(index: ir.Value) -> tuple[ir.Value, ir.Value]:
                own_bias = _lanes_at(code, row.bias, index, I32)

                def pool(k: ir.Value, pooled: ir.Value) -> list[ir.Value]:
                    state = _lanes_at(code, code.field(window, k, 1, 0), index, I32)
                    z = _widened(builder, builder.add(state, own_bias), kind)
                    value = _larger(builder, z, rule.floor)
                    largest = _larger(builder, pooled, value)
                    return [builder.select(rule.is_max, largest, builder.add(pooled, value))]

                nothing_wrapped = ir.Constant(ir.VectorType(I32, LANES), None)
                return code.loop(n, pool, (initial,))[0], nothing_wrapped

            emission = _Emission(code, vector, rule, counts)
            sends, *ended = emission.generate(row, activation, emission.start())
            emission.note(ended)
            return sends

        whole = types.int64
        return types.int64(tag, whole, whole, whole, row, whole, whole), generate

    return emit_window


emit_window = _emit_window(I32)
emit_wide_window = _emit_window(I64)


class _Rules(NamedTuple):
    """A population's ``rules``, each in every lane; ``is_doubled`` and ``is_max`` once."""

    floor: ir.Value
    threshold: ir.Value
    right: ir.Value
    kept: ir.Value
    is_doubled: ir.Value
    remembers: ir.Value
    is_max: ir.Value

    @classmethod
    def load(cls, code: Code, rules: ir.Value, kind: ir.IntType) -> "_Rules":
        """From the address ``rules``, for activations of type ``kind``."""
        b = code.builder
        numbers = [code.field(rules, number(0), N_RULES, k) for k in range(N_RULES)]
        values = [code.everywhere(_narrowed(b, one, kind), LANES) for one in numbers[:4]]
        is_doubled, remembers, is_max = (b.icmp_signed("!=", one, number(0)) for one in numbers[4:])
        return cls._make([*values, is_doubled, code.everywhere(remembers, LANES), is_max])


class _Emission:
    """Writes what is done with the activations of one pixel, each of ``rule``'s type.

    Whether a block of neurons sends is hard to predict, so nothing is decided by it: all of them
    write, and what is not sent is written over.
    """

    def __init__(self, code: Code, vector: Vector, rule: _Rules, counts: ir.Value) -> None:
        self.code, self.builder, self.vector, self.rule = code, code.builder, vector, rule
        self.counts = counts
        self.kind = rule.floor.type.element

    def start(self) -> tuple[ir.Value, ...]:
        """What ``generate`` adds to, by lane: bits that wrapped, the largest message, operations;
        and the number of messages.
        """
        none = ir.Constant(ir.VectorType(I32, LANES), None)
        return none, self.code.load(self._largest_at, none.type, 4), none, number(0)

    def note(self, ended: Sequence[ir.Value]) -> None:
        """Keep what ``start`` became, but for the bits, in ``counts``."""
        b = self.builder
        _, largest, operations, n = ended
        self.code.store(largest, self._largest_at, 4)
        _add_to(self.code, self.counts, SENT, n)
        total = self.code.called(f"llvm.vector.reduce.add.v{LANES}i32", I32, operations)
        _add_to(self.code, self.counts, CAUSED, b.zext(total, I64))

    @property
    def _largest_at(self) -> ir.Value:
        return self.builder.add(self.counts, number(8 * LARGEST))

    def generate(
        self,
        pixel: Row,
        activation: Callable[[ir.Value], tuple[ir.Value, ir.Value]],
        so_far: Sequence[ir.Value],
    ) -> list[ir.Value]:
        """How many messages the ``pixel`` sends, and what is ``so_far`` with these.

        ``activation`` gives that of each block of lanes, and the bits that wrapped on the way.
        """
        b, code = self.builder, self.code
        size = self.kind.width // 8
        wrapped, largest, operations, n_so_far = so_far

        def block(
            index: ir.Value,
            n: ir.Value,
            wrapped: ir.Value,
            largest: ir.Value,
            operations: ir.Value,
        ) -> list[ir.Value]:
            value, bits = activation(index)
            change = self._send(value, code.at(pixel.sent, index, size * LANES))
            sends = b.icmp_signed("!=", change, ir.Constant(change.type, None))
            magnitude = _magnitude(b, change)
            place = b.shl(n, number(2))
            low = self._checked(change, sends, magnitude, b.add(pixel.oversized, place))
            message = b.or_(low, self._channels(index))
            self._pack(message, sends, b.add(pixel.messages, place))
            caused = b.add(operations, _lanes_at(code, pixel.fan_outs, index, I32))
            return [
                b.add(n, _n_set(b, sends)),
                b.or_(wrapped, bits),
                _larger(b, largest, magnitude, "unsigned"),
                b.select(sends, caused, operations),
            ]

        carried = [number(0), wrapped, largest, operations]
        if isinstance(pixel.n_blocks, int):
            for index in range(pixel.n_blocks):
                carried = block(number(index), *carried)
        else:
            carried = code.loop(pixel.n_blocks, block, tuple(carried))
        # The kernel of the receivers reads messages in groups; what fills a group up must be zero.
        behind = b.add(pixel.messages, b.shl(carried[0], number(2)))
        code.store(ir.Constant(ir.VectorType(I32, GROUP), None), behind, 4)
        return [*carried, b.add(n_so_far, carried[0])]

    def _send(self, activation: ir.Value, place: ir.Value) -> ir.Value:
        """The messages, int32; what has been sent is read from ``place`` and updated there."""
        b, code, rule = self.builder, self.code, self.rule
        zero = ir.Constant(activation.type, None)
        before = code.load(place, activation.type, self.kind.width // 8)
        before = b.select(rule.remembers, before, zero)
        change = b.sub(activation, before)
        sends = b.icmp_signed(">=", _magnitude(b, change), rule.threshold)
        message = b.select(sends, b.ashr(change, rule.right), zero)
        message = code.rarely(
            rule.is_doubled, lambda: b.shl(message, ir.Constant(zero.type, [1] * LANES)), message
        )
        taken = b.select(sends, b.add(before, b.and_(change, rule.kept)), before)
        code.store(taken, place, self.kind.width // 8)
        return message if self.kind is I32 else b.trunc(message, ir.VectorType(I32, LANES))

    def _checked(
        self, change: ir.Value, sends: ir.Value, magnitude: ir.Value, place: ir.Value
    ) -> ir.Value:
        """The lower 16 bits of messages; where one does not fit, all are written to ``place``."""
        b = self.builder
        low = b.and_(change, all_lanes(I32, LANES, 0xFFFF))
        too_large = b.icmp_unsigned(">", magnitude, all_lanes(I32, LANES, MESSAGE_MAX))

        def keep() -> ir.Value:
            self._pack(change, sends, place)
            _add_to(self.code, self.counts, TOO_LARGE, _n_set(b, too_large))
            return b.select(too_large, all_lanes(I32, LANES, OVERSIZED & 0xFFFF), low)

        any_is = b.icmp_unsigned("!=", _mask(b, too_large), number(0))
        return self.code.rarely(any_is, keep, low)

    def _channels(self, index: ir.Value) -> ir.Value:
        """The lanes' channels, in the upper 16 bits."""
        b = self.builder
        first = b.trunc(b.shl(index, number(16 + _LOG_LANES)), I32)
        own = ir.Constant(ir.VectorType(I32, LANES), [lane << 16 for lane in range(LANES)])
        return b.add(self.code.everywhere(first, LANES), own)

    def _pack(self, messages: ir.Value, sends: ir.Value, place: ir.Value) -> None:
        """Write those that are sent to ``place``, one behind the other.

        Behind them up to LANES in all may be written over.
        """
        b, code = self.builder, self.code
        if self.vector.packs:
            code.store_chosen(messages, sends, place)
            return
        scratch = b.ptrtoint(cgutils.alloca_once(b, messages.type), I64)
        code.store(messages, scratch, 4)
        mask = _mask(b, sends)

        def one(index: ir.Value, left: ir.Value) -> list[ir.Value]:
            lane = b.cttz(left, ir.Constant(I1, 0))
            code.store(code.load(code.at(scratch, lane, 4), I32, 4), code.at(place, index, 4), 4)
            return [b.and_(left, b.sub(left, number(1)))]

        code.loop(b.ctpop(mask), one, (mask,))


def _settle(code: Code, states: ir.Value, n_blocks: ir.Value, counts: ir.Value) -> None:
    """Wrap a pixel's states, and count those that did not fit."""
    b = code.builder

    def settle(index: ir.Value, overflows: ir.Value) -> list[ir.Value]:
        place = code.at(states, index, 4 * LANES)
        reached = code.load(place, ir.VectorType(I32, LANES), 4)
        state = _wrapped(b, reached)
        code.store(state, place, 4)
        return [b.add(overflows, _n_set(b, b.icmp_signed("!=", state, reached)))]

    total = code.loop(n_blocks, settle, (number(0),))[0]
    _add_to(code, counts, OVERFLOWS, total)


def _wrapped(builder: ir.IRBuilder, reached: ir.Value) -> ir.Value:
    unused = all_lanes(I32, LANES, _UNUSED_BITS)
    return builder.ashr(builder.shl(reached, unused), unused)


def _any_is(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    """Whether a lane is not 0."""
    return builder.icmp_unsigned(
        "!=",
        _mask(builder, builder.icmp_signed("!=", bits, ir.Constant(bits.type, None))),
        number(0),
    )


def _column(code: Code, pixels: ir.Value, index: ir.Value) -> ir.Value:
    return code.builder.zext(code.load(code.at(pixels, index, 4), I32, 4), I64)


def _lanes_at(code: Code, base: ir.Value, index: ir.Value, kind: ir.IntType) -> ir.Value:
    size = kind.width // 8
    return code.load(code.at(base, index, size * LANES), ir.VectorType(kind, LANES), size)


def _narrowed(builder: ir.IRBuilder, value: ir.Value, kind: ir.IntType) -> ir.Value:
    return value if kind is I64 else builder.trunc(value, kind)


def _widened(builder: ir.IRBuilder, values: ir.Value, kind: ir.IntType) -> ir.Value:
    return values if kind is I32 else builder.sext(values, ir.VectorType(kind, LANES))


def _mask(builder: ir.IRBuilder, condition: ir.Value) -> ir.Value:
    """int64 whose lowest bits are the lanes' ``condition``."""
    return builder.zext(builder.bitcast(condition, ir.IntType(LANES)), I64)


def _n_set(builder: ir.IRBuilder, condition: ir.Value) -> ir.Value:
    return builder.ctpop(_mask(builder, condition))


def _larger(
    builder: ir.IRBuilder, first: ir.Value, second: ir.Value, kind: str = "signed"
) -> ir.Value:
    compare = builder.icmp_signed if kind == "signed" else builder.icmp_unsigned
    return builder.select(compare(">", first, second), first, second)


def _magnitude(builder: ir.IRBuilder, values: ir.Value) -> ir.Value:
    zero = ir.Constant(values.type, None)
    return builder.select(builder.icmp_signed("<", values, zero), builder.neg(values), values)


def _add_to(code: Code, table: ir.Value, index: int, value: ir.Value) -> None:
    place = code.builder.add(table, number(8 * index))
    code.store(code.builder.add(code.load(place, I64, 8), value), place, 8)
