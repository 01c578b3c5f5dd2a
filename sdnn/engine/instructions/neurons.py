"""What neurons do with their activations: what has changed enough is sent.

It writes the equations of ``sdnn/reference/equations.py`` for all neurons of a pixel, ``LANES`` at
a time. States, biases, thresholds and activations are halved (see ``memory``). A message is an
int32 as in ``add_messages``; ``OVERSIZED`` in the place of its value says that it does not fit, and
that the whole number stands in the plane of oversized messages.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from ann2sdnn.sdnn.engine.instructions.code import I1, I16, I32, I64, Code, all_lanes, number
from ann2sdnn.sdnn.engine.instructions.lanes import (
    add_to,
    bits_of,
    lanes_at,
    larger,
    magnitude_of,
    n_set,
    narrowed,
)
from ann2sdnn.sdnn.engine.instructions.vector import GROUP, LANES, Vector
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

NO_FLOOR = -(1 << 30)
"""Less than any state with its bias."""

_LOG_LANES = LANES.bit_length() - 1


class Row(NamedTuple):
    """Where things of a row, or of a pixel, lie: addresses of int32, ``senders`` of uint32.

    ``messages`` and ``oversized``: where the next message goes; without ``messages`` (0, or None)
    they are not packed, and oversized ones go where those of the first pixel do. ``n_blocks``: of
    ``LANES`` neurons, in a pixel. ``fan_outs`` int32 [column classes, P]: the operations that a
    message causes; ``classes``: an address of int64, the class of each column. ``maps``: an address
    of int16, the messages of the first pixel by channel, and those of the next ``map_bytes``
    behind; None where no map is written. ``next_states``: of a row that will be needed soon; any
    address will do.
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
    maps: Any
    map_bytes: Any
    next_states: Any


class Rules(NamedTuple):
    """A population's ``rules``, each in every lane; ``is_doubled`` and ``is_max`` once."""

    floor: ir.Value
    threshold: ir.Value
    right: ir.Value
    kept: ir.Value
    is_doubled: ir.Value
    remembers: ir.Value
    is_max: ir.Value

    @classmethod
    def load(cls, code: Code, rules: ir.Value, kind: ir.IntType) -> "Rules":
        """From the address ``rules``, for activations of type ``kind``."""
        b = code.builder
        numbers = [code.field(rules, number(0), N_RULES, k) for k in range(N_RULES)]
        values = [code.everywhere(narrowed(b, one, kind), LANES) for one in numbers[:4]]
        is_doubled, remembers, is_max = (b.icmp_signed("!=", one, number(0)) for one in numbers[4:])
        return cls._make([*values, is_doubled, code.everywhere(remembers, LANES), is_max])


class Emission:
    """Writes what is done with the activations of one pixel, each of ``rule``'s type.

    Whether a block of neurons sends is hard to predict, so nothing is decided by it: all of them
    write, and what is not sent is written over.
    """

    def __init__(self, code: Code, vector: Vector, rule: Rules, counts: ir.Value) -> None:
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
        add_to(self.code, self.counts, SENT, n)
        total = self.code.called(f"llvm.vector.reduce.add.v{LANES}i32", I32, operations)
        add_to(self.code, self.counts, CAUSED, b.zext(total, I64))

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
            magnitude = magnitude_of(b, change)
            message = self._checked(change, sends, magnitude, index, n, pixel)
            if pixel.maps is not None:
                short = ir.VectorType(I16, LANES)
                code.store(b.trunc(message, short), code.at(pixel.maps, index, 2 * LANES), 2)
            if pixel.messages is not None:
                low = b.and_(message, all_lanes(I32, LANES, 0xFFFF))
                packed = b.or_(low, self._channels(index))
                self._pack(packed, sends, code.at(pixel.messages, n, 4))
            caused = b.add(operations, lanes_at(code, pixel.fan_outs, index, I32))
            return [
                b.add(n, n_set(b, sends)),
                b.or_(wrapped, bits),
                larger(b, largest, magnitude, "unsigned"),
                b.select(sends, caused, operations),
            ]

        carried = [number(0), wrapped, largest, operations]
        if isinstance(pixel.n_blocks, int):
            for index in range(pixel.n_blocks):
                carried = block(number(index), *carried)
        else:
            carried = code.loop(pixel.n_blocks, block, tuple(carried))
        if pixel.messages is not None:
            # The kernel of the receivers reads messages in groups; what fills one up must be zero.
            behind = code.at(pixel.messages, carried[0], 4)
            code.store(ir.Constant(ir.VectorType(I32, GROUP), None), behind, 4)
        return [*carried, b.add(n_so_far, carried[0])]

    def _send(self, activation: ir.Value, place: ir.Value) -> ir.Value:
        """The messages, int32; what has been sent is read from ``place`` and updated there."""
        b, code, rule = self.builder, self.code, self.rule
        zero = ir.Constant(activation.type, None)
        before = code.load(place, activation.type, self.kind.width // 8)
        before = b.select(rule.remembers, before, zero)
        sends = b.icmp_signed(">=", magnitude_of(b, b.sub(activation, before)), rule.threshold)
        # A negative activation is rounded up, towards 0; a ReLU has none.
        negative = b.ashr(activation, ir.Constant(zero.type, [self.kind.width - 1] * LANES))
        change = b.sub(b.add(activation, b.and_(negative, b.not_(rule.kept))), before)
        message = b.select(sends, b.ashr(change, rule.right), zero)
        message = code.rarely(
            rule.is_doubled, lambda: b.shl(message, ir.Constant(zero.type, [1] * LANES)), message
        )
        taken = b.select(sends, b.add(before, b.and_(change, rule.kept)), before)
        code.store(taken, place, self.kind.width // 8)
        return message if self.kind is I32 else b.trunc(message, ir.VectorType(I32, LANES))

    def _checked(
        self,
        change: ir.Value,
        sends: ir.Value,
        magnitude: ir.Value,
        index: ir.Value,
        n: ir.Value,
        pixel: Row,
    ) -> ir.Value:
        """Messages, whose lower 16 bits count; where one does not fit, all of the block ``index``
        are written to the oversized ones: packed, behind ``n`` others, or as they are.
        """
        b, code = self.builder, self.code
        too_large = b.icmp_unsigned(">", magnitude, all_lanes(I32, LANES, MESSAGE_MAX))

        def keep() -> ir.Value:
            if pixel.messages is None:
                code.store(change, code.at(pixel.oversized, index, 4 * LANES), 4)
            else:
                self._pack(change, sends, code.at(pixel.oversized, n, 4))
            add_to(code, self.counts, TOO_LARGE, n_set(b, too_large))
            return b.select(too_large, all_lanes(I32, LANES, OVERSIZED), change)

        any_is = b.icmp_unsigned("!=", bits_of(b, too_large), number(0))
        return code.rarely(any_is, keep, change)

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
        mask = bits_of(b, sends)

        def one(index: ir.Value, left: ir.Value) -> list[ir.Value]:
            lane = b.cttz(left, ir.Constant(I1, 0))
            code.store(code.load(code.at(scratch, lane, 4), I32, 4), code.at(place, index, 4), 4)
            return [b.and_(left, b.sub(left, number(1)))]

        code.loop(b.ctpop(mask), one, (mask,))
