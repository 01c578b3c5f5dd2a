"""The kernel of a population: states wrap to 24 bits, and what has changed enough is sent."""

import functools

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ann2sdnn.sdnn.engine.instructions.code import I32, I64, Code, number
from ann2sdnn.sdnn.engine.instructions.lanes import (
    add_to,
    any_is,
    lanes_at,
    larger,
    n_set,
    narrowed,
    widened,
    wrapped,
)
from ann2sdnn.sdnn.engine.instructions.neurons import OVERFLOWS, Emission, Row, Rules
from ann2sdnn.sdnn.engine.instructions.vector import LANES, VECTORS, rounded_up

UNROLLED_BLOCKS = (1, 2)
"""Numbers of blocks of ``LANES`` neurons that pixels have code of their own for."""

AHEAD = 32
"""Pixels of one block whose memory is fetched before they come, of more blocks fewer: ``pixels`` is
read so far beyond its end.
"""


@intrinsic
def settle_pixel(typing, states, n_blocks, counts):  # type: ignore[no-untyped-def]
    """Wrap the states of one pixel, and count those that did not fit 24 bits."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _settle(Code(builder), *arguments)
        return context.get_dummy_value()

    return types.void(*(types.int64,) * 3), generate


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
        emission = Emission(code, vector, Rules.load(code, rules, I32), counts)
        row = Row._make(code.fields(row))
        is_packed = builder.icmp_unsigned("!=", row.messages, number(0))
        packed = functools.partial(_emit_row, emission, pixels, n, row)
        others = functools.partial(_emit_row, emission, pixels, n, row._replace(messages=None))
        return code.choose([(is_packed, packed)], others)

    return types.int64(tag, types.int64, types.int64, row, types.int64, types.int64), generate


def _emit_row(emission: "Emission", pixels: ir.Value, n: ir.Value, row: Row) -> ir.Value:
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


def _emit_pixels(emission: "Emission", pixels: ir.Value, n: ir.Value, row: Row) -> ir.Value:
    code, b = emission.code, emission.builder
    n_blocks = number(row.n_blocks) if isinstance(row.n_blocks, int) else row.n_blocks
    pixel_bytes = b.mul(n_blocks, number(4 * LANES))
    ahead = AHEAD // row.n_blocks if isinstance(row.n_blocks, int) else AHEAD // 4

    def pixel(
        index: ir.Value, n_senders: ir.Value, place: ir.Value, *so_far: ir.Value
    ) -> list[ir.Value]:
        column = _column(code, pixels, index)
        offset = b.mul(column, pixel_bytes)
        next_offset = b.mul(_column(code, pixels, b.add(index, number(ahead))), pixel_bytes)
        own = b.add(row.states, offset)

        def activation(block: ir.Value) -> tuple[ir.Value, ir.Value]:
            code.prefetch(code.at(b.add(row.sent, next_offset), block, 4 * LANES))
            if row.messages is None:
                # Where much is sent, much will reach the row that nothing has reached so far.
                code.prefetch(code.at(b.add(row.next_states, offset), block, 4 * LANES))
            reached = lanes_at(code, own, block, I32)
            state = wrapped(b, reached)
            z = b.add(state, lanes_at(code, row.bias, block, I32))
            return larger(b, z, emission.rule.floor), b.xor(state, reached)

        is_packed = row.messages is not None
        pixel_row = row._replace(
            sent=b.add(row.sent, offset),
            messages=b.add(row.messages, place) if is_packed else None,
            oversized=b.add(row.oversized, place if is_packed else offset),
            maps=b.add(row.maps, b.mul(column, row.map_bytes)),
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

    code.rarely(any_is(b, ended[0]), settle, number(0))
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
            row = Row._make(code.fields(row))._replace(maps=None)
            rule = Rules.load(code, rules, kind)
            initial = code.everywhere(narrowed(builder, start, kind), LANES)

            def activation(index: ir.Value) -> tuple[ir.Value, ir.Value]:
                own_bias = lanes_at(code, row.bias, index, I32)

                def pool(k: ir.Value, pooled: ir.Value) -> list[ir.Value]:
                    state = lanes_at(code, code.field(window, k, 1, 0), index, I32)
                    z = widened(builder, builder.add(state, own_bias), kind)
                    value = larger(builder, z, rule.floor)
                    largest = larger(builder, pooled, value)
                    return [builder.select(rule.is_max, largest, builder.add(pooled, value))]

                nothing_wrapped = ir.Constant(ir.VectorType(I32, LANES), None)
                return code.loop(n, pool, (initial,))[0], nothing_wrapped

            emission = Emission(code, vector, rule, counts)
            sends, *ended = emission.generate(row, activation, emission.start())
            emission.note(ended)
            return sends

        whole = types.int64
        return types.int64(tag, whole, whole, whole, row, whole, whole), generate

    return emit_window


emit_window = _emit_window(I32)
emit_wide_window = _emit_window(I64)


def _settle(code: Code, states: ir.Value, n_blocks: ir.Value, counts: ir.Value) -> None:
    """Wrap a pixel's states, and count those that did not fit."""
    b = code.builder

    def settle(index: ir.Value, overflows: ir.Value) -> list[ir.Value]:
        place = code.at(states, index, 4 * LANES)
        reached = code.load(place, ir.VectorType(I32, LANES), 4)
        state = wrapped(b, reached)
        code.store(state, place, 4)
        return [b.add(overflows, n_set(b, b.icmp_signed("!=", state, reached)))]

    total = code.loop(n_blocks, settle, (number(0),))[0]
    add_to(code, counts, OVERFLOWS, total)


def _column(code: Code, pixels: ir.Value, index: ir.Value) -> ir.Value:
    return code.builder.zext(code.load(code.at(pixels, index, 4), I32, 4), I64)
