"""The kernel of a population: states wrap to 24 bits, and what has changed enough is sent.

It writes the equations of ``sdnn/reference/equations.py`` for all neurons of a pixel, ``LANES`` at
a time. States, biases, thresholds and activations are halved (see ``memory``). A message is an
int32 as in ``add_messages``; ``OVERSIZED`` in the place of its value says that it does not fit, and
that the whole number stands in the plane of oversized messages.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ann2sdnn.sdnn.engine.instructions.code import I1, I32, I64, Code, all_lanes, number
from ann2sdnn.sdnn.engine.instructions.vector import LANES, VECTORS, Vector
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX

OVERSIZED = -32768
OVERFLOWS, TOO_LARGE, SENT, VISITED, LARGEST = range(5)
N_COUNTS = LARGEST + LANES // 2
"""int64 of ``counts``: overflows, oversized messages, messages, pixels, and LANES int32 whose
maximum is the largest message."""
N_RULES = 7
"""int64 of ``rules``: the smallest activation (0 with ReLU), threshold, right shift and left shift
from change to message, 1 for a neuron that remembers, 1 for the stock one, 1 for maximum pooling.
"""

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
        states, n_blocks, counts = arguments
        code = Code(builder)

        def settle(index: ir.Value, overflows: ir.Value) -> list[ir.Value]:
            return [builder.add(overflows, _settled(code, code.at(states, index, 4 * LANES))[1])]

        total = code.loop(n_blocks, settle, (number(0),))[0]
        _add_to(code, counts, OVERFLOWS, total)
        return context.get_dummy_value()

    return types.void(*(types.int64,) * 3), generate


class Row(NamedTuple):
    """Where things of a row, or of a pixel, lie: addresses of int32, ``senders`` of uint32.

    ``n_blocks``: of ``LANES`` neurons, in a pixel.
    """

    states: Any
    bias: Any
    sent: Any
    messages: Any
    oversized: Any
    senders: Any
    n_blocks: Any


@intrinsic
def emit_pixels(typing, tag, pixels, n, row, counts, rules):  # type: ignore[no-untyped-def]
    """Settle the states of ``n`` pixels of a row, and write their messages and the senders.

    Returns how many pixels send. ``tag``: a ``Vector``'s. ``row``: ``Row``, in int64. ``pixels``
    (columns), ``counts`` and ``rules`` are addresses of int64.
    """
    vector = VECTORS[tag.count - 1]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, pixels, n, row, counts, rules = arguments
        code = Code(builder)
        states, bias, sent, messages, oversized, senders, n_blocks = code.fields(row)
        emission = _Emission(code, vector, _Rules.load(code, rules, I32), counts)

        def pixel(
            index: ir.Value,
            n_senders: ir.Value,
            n_sent: ir.Value,
            overflows: ir.Value,
            most: ir.Value,
        ) -> list[ir.Value]:
            ahead = code.field(pixels, builder.add(index, number(AHEAD)), 1, 0)
            code.prefetch(builder.add(sent, builder.mul(ahead, pixel_bytes)), n_blocks)
            column = code.field(pixels, index, 1, 0)
            offset = builder.mul(column, pixel_bytes)
            own = builder.add(states, offset)

            def activation(block: ir.Value) -> tuple[ir.Value, ir.Value]:
                state, wrapped = _settled(code, code.at(own, block, 4 * LANES))
                z = builder.add(state, _lanes_at(code, bias, block, I32))
                return _larger(builder, z, emission.rule.floor), wrapped

            sends, overflows, most = emission.generate(
                builder.add(sent, offset),
                builder.add(messages, offset),
                builder.add(oversized, offset),
                n_blocks,
                activation,
                (overflows, most),
            )
            sender = builder.or_(column, builder.shl(sends, number(16)))
            code.store(builder.trunc(sender, I32), code.at(senders, n_senders, 4), 4)
            is_sender = builder.zext(builder.icmp_signed("!=", sends, number(0)), I64)
            return [
                builder.add(n_senders, is_sender),
                builder.add(n_sent, sends),
                overflows,
                most,
            ]

        pixel_bytes = builder.mul(n_blocks, number(4 * LANES))
        start = (number(0), number(0), number(0), emission.largest())
        n_senders, n_sent, overflows, most = code.loop(n, pixel, start)
        _add_to(code, counts, SENT, n_sent)
        emission.note(overflows, most)
        return n_senders

    return types.int64(tag, types.int64, types.int64, row, types.int64, types.int64), generate


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
            _, bias, sent, messages, oversized, _, n_blocks = code.fields(row)
            rule = _Rules.load(code, rules, kind)
            initial = code.everywhere(_narrowed(builder, start, kind), LANES)

            def activation(index: ir.Value) -> tuple[ir.Value, ir.Value]:
                own_bias = _lanes_at(code, bias, index, I32)

                def pool(k: ir.Value, pooled: ir.Value) -> list[ir.Value]:
                    state = _lanes_at(code, code.field(window, k, 1, 0), index, I32)
                    z = _widened(builder, builder.add(state, own_bias), kind)
                    value = _larger(builder, z, rule.floor)
                    largest = _larger(builder, pooled, value)
                    return [builder.select(rule.is_max, largest, builder.add(pooled, value))]

                return code.loop(n, pool, (initial,))[0], number(0)

            emission = _Emission(code, vector, rule, counts)
            sends, overflows, largest = emission.generate(
                sent, messages, oversized, n_blocks, activation, (number(0), emission.largest())
            )
            _add_to(code, counts, SENT, sends)
            emission.note(overflows, largest)
            return sends

        whole = types.int64
        return types.int64(tag, whole, whole, whole, row, whole, whole), generate

    return emit_window


emit_window = _emit_window(I32)
emit_wide_window = _emit_window(I64)


class _Rules(NamedTuple):
    """A population's ``rules``, each in every lane; ``is_max`` once."""

    floor: ir.Value
    threshold: ir.Value
    right: ir.Value
    left: ir.Value
    remembers: ir.Value
    is_stock: ir.Value
    is_max: ir.Value

    @classmethod
    def load(cls, code: Code, rules: ir.Value, kind: ir.IntType) -> "_Rules":
        """From the address ``rules``, for activations of type ``kind``."""
        b = code.builder
        numbers = [code.field(rules, number(0), N_RULES, k) for k in range(N_RULES)]
        values = [code.everywhere(_narrowed(b, one, kind), LANES) for one in numbers[:4]]
        remembers, is_stock, is_max = (b.icmp_signed("!=", one, number(0)) for one in numbers[4:])
        flags = [code.everywhere(one, LANES) for one in (remembers, is_stock)]
        return cls._make([*values, *flags, is_max])


class _Emission:
    """Writes what is done with the activations of one pixel, each of ``rule``'s type."""

    def __init__(self, code: Code, vector: Vector, rule: _Rules, counts: ir.Value) -> None:
        self.code, self.builder, self.vector, self.rule = code, code.builder, vector, rule
        self.counts = counts
        self.kind = rule.floor.type.element

    def largest(self) -> ir.Value:
        """The largest message so far, by lane."""
        return self.code.load(self._largest_at, ir.VectorType(I32, LANES), 4)

    def note(self, overflows: ir.Value, largest: ir.Value) -> None:
        """Keep both in ``counts``."""
        _add_to(self.code, self.counts, OVERFLOWS, overflows)
        self.code.store(largest, self._largest_at, 4)

    @property
    def _largest_at(self) -> ir.Value:
        return self.builder.add(self.counts, number(8 * LARGEST))

    def generate(
        self,
        sent: ir.Value,
        messages: ir.Value,
        oversized: ir.Value,
        n_blocks: ir.Value,
        activation: Callable[[ir.Value], tuple[ir.Value, ir.Value]],
        so_far: tuple[ir.Value, ir.Value],
    ) -> list[ir.Value]:
        """How many messages there are, and the overflows and the largest message with these.

        ``activation`` gives that of each block of lanes, and the overflows seen on the way.
        """
        b, code = self.builder, self.code
        size = self.kind.width // 8

        def block(
            index: ir.Value, n: ir.Value, overflows: ir.Value, largest: ir.Value
        ) -> list[ir.Value]:
            value, wrapped = activation(index)
            change = self._send(value, code.at(sent, index, size * LANES))
            sends = b.icmp_signed("!=", change, ir.Constant(change.type, None))
            magnitude = _magnitude(b, change)
            low = self._checked(change, magnitude, code.at(oversized, index, 4 * LANES))
            # A line that nothing is written to need not go back to memory.
            with b.if_then(b.icmp_unsigned("!=", _mask(b, sends), number(0))):
                self._pack(b.or_(low, self._channels(index)), sends, code.at(messages, n, 4))
            return [
                b.add(n, _n_set(b, sends)),
                b.add(overflows, wrapped),
                _larger(b, largest, magnitude),
            ]

        return code.loop(n_blocks, block, (number(0), *so_far))

    def _send(self, activation: ir.Value, place: ir.Value) -> ir.Value:
        """The messages, int32; what has been sent is read from ``place`` and updated there."""
        b, code, rule = self.builder, self.code, self.rule
        zero = ir.Constant(activation.type, None)
        before = code.load(place, activation.type, self.kind.width // 8)
        before = b.select(rule.remembers, before, zero)
        change = b.sub(activation, before)
        sends = b.icmp_signed(">=", _magnitude(b, change), rule.threshold)
        message = b.select(sends, b.shl(b.ashr(change, rule.right), rule.left), zero)
        received = b.add(before, b.ashr(b.shl(message, rule.right), rule.left))
        taken = b.select(b.and_(sends, rule.is_stock), activation, received)
        with b.if_then(b.icmp_unsigned("!=", _mask(b, sends), number(0))):
            code.store(taken, place, self.kind.width // 8)
        return message if self.kind is I32 else b.trunc(message, ir.VectorType(I32, LANES))

    def _checked(self, change: ir.Value, magnitude: ir.Value, place: ir.Value) -> ir.Value:
        """The lower 16 bits of messages; those that do not fit are written to ``place`` too."""
        b = self.builder
        low = b.and_(change, all_lanes(I32, LANES, 0xFFFF))
        too_large = b.icmp_signed(">", magnitude, all_lanes(I32, LANES, MESSAGE_MAX))

        def keep() -> ir.Value:
            self.code.store(change, place, 4)
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
            name = f"llvm.x86.avx512.mask.compress.v{LANES}i32"
            nothing = ir.Constant(messages.type, None)
            code.store(code.called(name, messages.type, messages, nothing, sends), place, 4)
            return
        scratch = b.ptrtoint(cgutils.alloca_once(b, messages.type), I64)
        code.store(messages, scratch, 4)
        mask = _mask(b, sends)

        def one(index: ir.Value, left: ir.Value) -> list[ir.Value]:
            lane = b.cttz(left, ir.Constant(I1, 0))
            code.store(code.load(code.at(scratch, lane, 4), I32, 4), code.at(place, index, 4), 4)
            return [b.and_(left, b.sub(left, number(1)))]

        code.loop(b.ctpop(mask), one, (mask,))


def _settled(code: Code, place: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The states at ``place``, wrapped there and here, and how many did not fit."""
    b = code.builder
    unused = all_lanes(I32, LANES, _UNUSED_BITS)
    reached = code.load(place, ir.VectorType(I32, LANES), 4)
    state = b.ashr(b.shl(reached, unused), unused)
    code.store(state, place, 4)
    return state, _n_set(b, b.icmp_signed("!=", state, reached))


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


def _larger(builder: ir.IRBuilder, first: ir.Value, second: ir.Value) -> ir.Value:
    return builder.select(builder.icmp_signed(">", first, second), first, second)


def _magnitude(builder: ir.IRBuilder, values: ir.Value) -> ir.Value:
    zero = ir.Constant(values.type, None)
    return builder.select(builder.icmp_signed("<", values, zero), builder.neg(values), values)


def _add_to(code: Code, table: ir.Value, index: int, value: ir.Value) -> None:
    place = code.builder.add(table, number(8 * index))
    code.store(code.builder.add(code.load(place, I64, 8), value), place, 8)
