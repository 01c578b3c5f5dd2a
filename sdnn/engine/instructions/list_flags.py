"""Finds the bytes of a row that are not 0."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ann2sdnn.sdnn.engine.instructions.code import I1, I8, I32, I64, Code, number
from ann2sdnn.sdnn.engine.instructions.vector import LANES, VECTORS


@intrinsic
def list_flags(typing, tag, flags, n, places):  # type: ignore[no-untyped-def]
    """Write which of ``n`` flags are not 0 to ``places``; returns how many.

    ``tag``: a ``Vector``'s. ``flags``: an address of uint8, ``n`` a multiple of ``LANES``;
    ``places``: an address of int32, of which up to LANES more than are listed may be written over.
    """
    vector = VECTORS[tag.count - 1]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, flags, n, places = arguments
        code = Code(builder)
        n_steps = builder.udiv(n, number(LANES))

        def step(index: ir.Value, n_listed: ir.Value) -> list[ir.Value]:
            own = code.load(code.at(flags, index, LANES), ir.VectorType(I8, LANES), 1)
            is_set = builder.icmp_unsigned("!=", own, ir.Constant(own.type, None))
            mask = builder.zext(builder.bitcast(is_set, ir.IntType(LANES)), I64)
            first = builder.mul(index, number(LANES))
            place = code.at(places, n_listed, 4)
            n_set = builder.ctpop(mask)
            if vector.packs:
                code.store_chosen(_counted(code, first), is_set, place)
            else:
                _list_bits(code, mask, n_set, first, place)
            return [builder.add(n_listed, n_set)]

        return code.loop(n_steps, step, (number(0),))[0]

    return types.int64(tag, flags, n, places), generate


def _counted(code: Code, first: ir.Value) -> ir.Value:
    """``first`` and the numbers behind it, in the lanes of a vector."""
    own = ir.Constant(ir.VectorType(I32, LANES), list(range(LANES)))
    return code.builder.add(code.everywhere(code.builder.trunc(first, I32), LANES), own)


def _list_bits(
    code: Code, mask: ir.Value, n_set: ir.Value, first: ir.Value, place: ir.Value
) -> None:
    """The places of the bits of ``mask``, counted from ``first``, one by one."""
    b = code.builder

    def one(index: ir.Value, left: ir.Value) -> list[ir.Value]:
        found = b.add(first, b.cttz(left, ir.Constant(I1, 0)))
        code.store(b.trunc(found, I32), code.at(place, index, 4), 4)
        return [b.and_(left, b.sub(left, number(1)))]

    code.loop(n_set, one, (mask,))
