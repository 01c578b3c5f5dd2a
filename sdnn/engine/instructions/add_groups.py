"""The kernel of a synapse with small groups of channels, for rows in which many neurons send.

It reads a row of maps as ``add_maps`` does. A lane is an output: an instruction multiplies both
inputs of its group with their weights, or the only one with its own and zero.
"""

from collections.abc import Callable

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ann2sdnn.sdnn.engine.instructions.add_maps import Columns, Maps
from ann2sdnn.sdnn.engine.instructions.code import I16, I32, Code, number
from ann2sdnn.sdnn.engine.instructions.vector import VECTORS, Vector

PAIRINGS = ((1, 1), (1, 2), (2, 1))
"""Inputs and outputs of a group, of the kinds that it serves."""


@intrinsic
def add_groups(typing, tag, pairing, maps):  # type: ignore[no-untyped-def]
    """Add a row of messages times a row of taps to a row of sums.

    ``tag``: a ``Vector``'s; ``pairing``: 1 + a place in ``PAIRINGS``; ``maps``: ``Maps`` in int64,
    with weights int16 [P', 2] for each tap: of both inputs, or of one and zero.
    """
    vector = VECTORS[tag.count - 1]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, pairing, maps = arguments
        code = Code(builder)
        maps = Maps._make(code.fields(maps))

        def of(sizes: tuple[int, int]) -> Callable[[], None]:
            return _GroupsKernel(code, maps, sizes, vector).generate

        *others, last = PAIRINGS
        cases = [
            (builder.icmp_unsigned("==", pairing, number(1 + k)), of(sizes))
            for k, sizes in enumerate(others)
        ]
        code.choose(cases, of(last))
        return context.get_dummy_value()

    return types.void(tag, types.int64, maps), generate


class _GroupsKernel(Columns):
    """Writes the kernel for groups of ``sizes``: inputs and outputs."""

    def __init__(self, code: Code, maps: Maps, sizes: tuple[int, int], vector: Vector) -> None:
        super().__init__(code, maps, 2 * vector.columns)
        self.sizes, self.block = sizes, vector.blocks[0]

    @property
    def n_vectors(self) -> int:
        return 1

    @property
    def vector(self) -> ir.VectorType:
        return ir.VectorType(I32, self.block.lanes)

    def tap(
        self, messages: ir.Value, weights: ir.Value, index: ir.Value, sums: list[ir.Value]
    ) -> list[ir.Value]:
        """One pair for every output."""
        b, code, lanes = self.builder, self.code, self.block.lanes
        inputs, outputs = self.sizes
        pairs = ir.VectorType(I16, 2 * lanes)
        own = code.load(code.at(weights, index, 4 * lanes), pairs, 2)
        n_values = lanes * inputs // outputs
        messages = code.at(messages, index, 2 * n_values)
        results = []
        for t, values in enumerate(sums):
            place = b.add(messages, b.mul(self.maps.across, number(t)))
            loaded = code.load(place, ir.VectorType(I16, n_values), 2)
            products = self.products(own, self._in_pairs(loaded), self.block)
            results.append(b.add(values, products))
        return results

    def _in_pairs(self, values: ir.Value) -> ir.Value:
        """``values`` int16 of some pixel's channels, the two of each output side by side."""
        inputs, outputs = self.sizes
        if inputs == 2:
            return values
        nothing = ir.Constant(values.type, None)
        zero, places = values.type.count, list[int]()
        for output in range(self.block.lanes):
            places += [output // outputs, zero]
        order = ir.Constant(ir.VectorType(I32, len(places)), places)
        return self.builder.shuffle_vector(values, nothing, order)
