"""A thin layer over llvmlite: vector instructions on addresses, for numba's intrinsics.

Addresses and indices are integers of 64 bits. Nothing here checks a bound: callers do.
"""

from collections.abc import Callable, Sequence

from llvmlite import ir

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


def number(value: int) -> ir.Constant:
    """A constant address, index or count."""
    return ir.Constant(I64, value)


def all_lanes(kind: ir.Type, lanes: int, value: int) -> ir.Constant:
    """A vector that holds ``value`` in every lane."""
    return ir.Constant(ir.VectorType(kind, lanes), [value] * lanes)


class Code:
    """Writes instructions with ``builder``."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def load(self, address: ir.Value, kind: ir.Type, align: int) -> ir.Value:
        """The value of type ``kind`` at ``address``, a multiple of ``align``."""
        loaded = self.builder.load(self.builder.inttoptr(address, kind.as_pointer()))
        loaded.align = align
        return loaded

    def store(self, value: ir.Value, address: ir.Value, align: int) -> None:
        """Write ``value`` to ``address``, a multiple of ``align``."""
        place = self.builder.inttoptr(address, value.type.as_pointer())
        self.builder.store(value, place).align = align

    def store_chosen(self, values: ir.Value, chosen: ir.Value, address: ir.Value) -> None:
        """Write the ``chosen`` of ``values`` int32 one behind the other, and zeros behind them.

        An instruction of AVX-512.
        """
        lanes = values.type.count
        name = f"llvm.x86.avx512.mask.compress.v{lanes}i32"
        nothing = ir.Constant(values.type, None)
        self.store(self.called(name, values.type, values, nothing, chosen), address, 4)

    def prefetch(self, address: ir.Value) -> None:
        """Fetch a cache line that will be written; any address will do."""
        place = self.builder.inttoptr(address, I8.as_pointer())
        flags = [ir.Constant(I32, flag) for flag in (1, 3, 1)]
        self.called("llvm.prefetch.p0i8", ir.VoidType(), place, *flags)

    def fields(self, values: ir.Value) -> list[ir.Value]:
        """The members of one of numba's tuples."""
        return [self.builder.extract_value(values, k) for k in range(len(values.type))]

    def at(self, base: ir.Value, index: ir.Value, size: int) -> ir.Value:
        """The address of element ``index``, each of ``size`` bytes."""
        return self.builder.add(base, self.builder.mul(index, number(size)))

    def field(self, table: ir.Value, index: ir.Value, n_fields: int, field: int) -> ir.Value:
        """From a ``table`` int64 [n, n_fields]."""
        row = self.at(self.builder.add(table, number(8 * field)), index, 8 * n_fields)
        return self.load(row, I64, 8)

    def everywhere(self, value: ir.Value, lanes: int) -> ir.Value:
        """``value`` in every lane of a vector."""
        b, vector = self.builder, ir.VectorType(value.type, lanes)
        nothing = ir.Constant(vector, ir.Undefined)
        first = b.insert_element(nothing, value, ir.Constant(I32, 0))
        return b.shuffle_vector(first, nothing, all_lanes(I32, lanes, 0))

    def called(self, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
        """A call of the function ``name``, LLVM's or the system's."""
        b = self.builder
        known = b.module.globals.get(name)
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        return b.call(known or ir.Function(b.module, kind, name), arguments)

    def loop(
        self,
        n: ir.Value,
        body: Callable[..., list[ir.Value] | None],
        carried: tuple[ir.Value, ...] = (),
    ) -> list[ir.Value]:
        """``body(index, *carried)`` for ``n`` indices; it returns what the next round is given.

        Returns that of the last round.
        """
        b = self.builder
        before = b.block
        head, inside, after = (b.function.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(I64)
        index.add_incoming(number(0), before)
        values = [b.phi(value.type) for value in carried]
        for phi, value in zip(values, carried, strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", index, n), inside, after)
        b.position_at_end(inside)
        results = body(index, *values) or []
        index.add_incoming(b.add(index, number(1)), b.block)
        for phi, value in zip(values, results, strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(after)
        return values

    def rarely(
        self, condition: ir.Value, body: Callable[[], ir.Value], otherwise: ir.Value
    ) -> ir.Value:
        """``body()`` where ``condition`` holds, which is seldom, else ``otherwise``."""
        b = self.builder
        before = b.block
        with b.if_then(condition, likely=False):
            inside = body()
            left = b.block
        result = b.phi(otherwise.type)
        result.add_incoming(inside, left)
        result.add_incoming(otherwise, before)
        return result

    def choose(
        self,
        cases: Sequence[tuple[ir.Value, Callable[[], ir.Value | None]]],
        otherwise: Callable[[], ir.Value | None],
    ) -> ir.Value | None:
        """What the first case whose condition holds gives; all of them give a value, or none."""
        if not cases:
            return otherwise()
        b = self.builder
        (condition, then), *rest = cases
        with b.if_else(condition) as (is_true, is_false):
            with is_true:
                first = then()
                left = b.block
            with is_false:
                second = self.choose(rest, otherwise)
                right = b.block
        if first is None:
            return None
        result = b.phi(first.type)
        result.add_incoming(first, left)
        result.add_incoming(second, right)
        return result
