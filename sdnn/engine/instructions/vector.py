"""Vector units, and the order of weights in which they multiply two messages per instruction.

Messages and halved weights are int16, sums int32. An instruction multiplies a pair of messages with
the interleaved weights of both channels and adds the products in pairs (pmaddwd on x86). Weights
are kept in an order in which interleaving the rows of two channels gives the outputs in theirs.
"""

from collections.abc import Callable
from typing import NamedTuple

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from ann2sdnn.sdnn.engine.instructions.code import number

LANES = 16
"""Channels are padded to a multiple of it."""
GROUP = 8
"""Messages of a pixel are filled up with zeros to a multiple of it."""


class Block(NamedTuple):
    """Outputs that one step of a kernel computes: two vectors of ``lanes`` sums of 32 bits.

    ``pairs``: the instruction for pairs of products (None: spelled out in multiplications and
    additions).
    """

    lanes: int
    pairs: str | None

    @property
    def size(self) -> int:
        """Number of outputs."""
        return 2 * self.lanes


class Vector(NamedTuple):
    """A vector unit: a row of outputs is cut into the first of ``blocks`` that fits.

    ``columns``: pixels whose sums of a block its registers hold. ``packs``: it has an instruction
    that packs the chosen lanes of a vector together.
    """

    name: str
    blocks: tuple[Block, ...]
    columns: int = 4
    packs: bool = False

    @property
    def tag(self) -> tuple[int, ...]:
        """A tuple whose length tells the compiler which unit to use."""
        return (0,) * (1 + VECTORS.index(self))

    def block(self, n_outputs: int) -> Block:
        """The block that computes a row of ``n_outputs``, a multiple of ``LANES``."""
        return next(block for block in self.blocks if n_outputs % block.size == 0)

    def cases(
        self, builder: ir.IRBuilder, n_outputs: ir.Value, of: Callable[[Block], Callable[[], None]]
    ) -> tuple[list[tuple[ir.Value, Callable[[], None]]], Callable[[], None]]:
        """For ``Code.choose``: what ``of`` gives for the ``block`` of a row of ``n_outputs``."""
        *wide, last = self.blocks
        fits = [
            builder.icmp_unsigned("==", builder.and_(n_outputs, number(block.size - 1)), number(0))
            for block in wide
        ]
        return list(zip(fits, map(of, wide), strict=True)), of(last)


_YMM, _XMM = Block(8, "llvm.x86.avx2.pmadd.wd"), Block(4, "llvm.x86.sse2.pmadd.wd")
AVX512 = Vector("AVX-512", (Block(16, "llvm.x86.avx512.pmaddw.d.512"), _YMM), columns=8, packs=True)
AVX2 = Vector("AVX2", (_YMM,))
SSE2 = Vector("SSE2", (_XMM,))
PLAIN = Vector("plain", (Block(4, None),))
VECTORS = (AVX512, AVX2, SSE2, PLAIN)


def host_vectors() -> tuple[Vector, ...]:
    """What numba compiles for on this processor, widest first; ``PLAIN`` runs everywhere."""
    if numba.config.CPU_NAME or numba.config.CPU_FEATURES:  # numba compiles for another one
        return (PLAIN,)
    features = llvmlite.binding.get_host_cpu_features()
    named = ((AVX512, ("avx512f", "avx512bw", "avx512vl")), (AVX2, ("avx2",)), (SSE2, ("sse2",)))
    fitting = (vector for vector, needed in named if all(features.get(one) for one in needed))
    return (*fitting, PLAIN)


def padded(channels: int) -> int:
    """``channels`` rounded up to a multiple of ``LANES``."""
    return -(-channels // LANES) * LANES


def in_kernel_order(weights: NDArray[np.int16], vector: Vector) -> NDArray[np.int16]:
    """``weights`` [..., O] as the kernel of ``vector`` reads them; O is padded with zeros."""
    n = weights.shape[-1]
    wide = np.zeros((*weights.shape[:-1], padded(n)), np.int16)
    wide[..., :n] = weights
    block = vector.block(wide.shape[-1])
    order = np.empty(block.size, np.int64)
    for half in range(2):
        order[interleaved(block.lanes, half)[::2]] = np.arange(block.lanes) + half * block.lanes
    blocks = wide.reshape(*wide.shape[:-1], -1, block.size)
    return np.ascontiguousarray(blocks[..., order]).reshape(wide.shape)


def rounded_up(builder: ir.IRBuilder, n: ir.Value) -> ir.Value:
    """``n`` messages, in whole groups."""
    whole = ir.Constant(n.type, -GROUP)
    return builder.and_(builder.add(n, ir.Constant(n.type, GROUP - 1)), whole)


def interleaved(lanes: int, half: int) -> list[int]:
    """Places of two joined rows of 2 * ``lanes`` that unpacking takes: the low (0) or high (1) four
    of every eight, of the first and the second row in turn.
    """
    places = []
    for eight in range(0, 2 * lanes, 8):
        for k in range(4):
            place = eight + 4 * half + k
            places += [place, 2 * lanes + place]
    return places
