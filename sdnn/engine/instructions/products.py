"""Products of messages and weights, two messages per instruction."""

from collections.abc import Sequence

from llvmlite import ir

from ann2sdnn.sdnn.engine.instructions.code import I16, I32, Code
from ann2sdnn.sdnn.engine.instructions.vector import Block, interleaved


class Products:
    """Writes what all kernels have in common: pairs of messages times the weights of both."""

    def __init__(self, code: Code) -> None:
        self.code, self.builder = code, code.builder

    def spread(self, values: ir.Value, block: Block) -> ir.Value:
        """A pair of messages, two int16 in ``values`` int32, in every lane."""
        row = ir.VectorType(I16, block.size)
        return self.builder.bitcast(self.code.everywhere(values, block.lanes), row)

    def weights(self, first: ir.Value, second: ir.Value, block: Block) -> list[ir.Value]:
        """Those of a pair's channels, at two addresses, in turns: each half of the ``block``."""
        row = ir.VectorType(I16, block.size)
        rows = [self.code.load(address, row, 2) for address in (first, second)]
        orders = [
            ir.Constant(ir.VectorType(I32, block.size), interleaved(block.lanes, half))
            for half in range(2)
        ]
        return [self.builder.shuffle_vector(*rows, order) for order in orders]

    def added(
        self, sums: Sequence[ir.Value], weights: Sequence[ir.Value], pair: ir.Value, block: Block
    ) -> list[ir.Value]:
        """Both halves of ``sums`` and the products of a ``pair`` in every lane with ``weights``."""
        return [
            self.builder.add(values, self.products(own, pair, block))
            for values, own in zip(sums, weights, strict=True)
        ]

    def products(self, weights: ir.Value, messages: ir.Value, block: Block) -> ir.Value:
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
