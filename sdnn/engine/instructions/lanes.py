"""Arithmetic on ``LANES`` neurons at a time, for the kernels of populations."""

from llvmlite import ir

from ann2sdnn.sdnn.engine.instructions.code import I32, I64, Code, all_lanes, number
from ann2sdnn.sdnn.engine.instructions.vector import LANES

_UNUSED_BITS = 9  # of 32, in a halved state of 24


def wrapped(builder: ir.IRBuilder, reached: ir.Value) -> ir.Value:
    """States of 32 bits, halved, as 24 bits hold them."""
    unused = all_lanes(I32, LANES, _UNUSED_BITS)
    return builder.ashr(builder.shl(reached, unused), unused)


def any_is(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    """Whether a lane is not 0."""
    return builder.icmp_unsigned(
        "!=",
        bits_of(builder, builder.icmp_signed("!=", bits, ir.Constant(bits.type, None))),
        number(0),
    )


def lanes_at(code: Code, base: ir.Value, index: ir.Value, kind: ir.IntType) -> ir.Value:
    """Block ``index`` of the values of type ``kind`` behind ``base``."""
    size = kind.width // 8
    return code.load(code.at(base, index, size * LANES), ir.VectorType(kind, LANES), size)


def narrowed(builder: ir.IRBuilder, value: ir.Value, kind: ir.IntType) -> ir.Value:
    """A number of 64 bits as one of type ``kind``."""
    return value if kind is I64 else builder.trunc(value, kind)


def widened(builder: ir.IRBuilder, values: ir.Value, kind: ir.IntType) -> ir.Value:
    """Values of 32 bits as ones of type ``kind``."""
    return values if kind is I32 else builder.sext(values, ir.VectorType(kind, LANES))


def bits_of(builder: ir.IRBuilder, condition: ir.Value) -> ir.Value:
    """int64 whose lowest bits are the lanes' ``condition``."""
    return builder.zext(builder.bitcast(condition, ir.IntType(LANES)), I64)


def n_set(builder: ir.IRBuilder, condition: ir.Value) -> ir.Value:
    """In how many lanes ``condition`` holds."""
    return builder.ctpop(bits_of(builder, condition))


def larger(
    builder: ir.IRBuilder, first: ir.Value, second: ir.Value, kind: str = "signed"
) -> ir.Value:
    """The larger of two values in each lane; ``kind``: signed or unsigned."""
    compare = builder.icmp_signed if kind == "signed" else builder.icmp_unsigned
    return builder.select(compare(">", first, second), first, second)


def magnitude_of(builder: ir.IRBuilder, values: ir.Value) -> ir.Value:
    """Values without their sign."""
    zero = ir.Constant(values.type, None)
    return builder.select(builder.icmp_signed("<", values, zero), builder.neg(values), values)


def add_to(code: Code, table: ir.Value, index: int, value: ir.Value) -> None:
    """Add ``value`` to number ``index`` of a ``table`` of int64."""
    place = code.builder.add(table, number(8 * index))
    code.store(code.builder.add(code.load(place, I64, 8), value), place, 8)
