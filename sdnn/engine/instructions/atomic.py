"""Several threads work on a frame side by side: each publishes how far it is, and waits for others.

A wait is short (a layer takes much less than a millisecond), so a thread looks again and again, and
lets others run when it has looked long enough: a sleeping thread would wake up too late.
"""

import os

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from ann2sdnn.sdnn.engine.instructions.code import I32, I64, Code

STRIDE = 16
"""int64 between two threads' places, so that they share no cache line."""

_PATIENCE = 2000  # looks before others may run
_CAN_YIELD = os.name == "posix"


@intrinsic
def _publish(typing, address, value):  # type: ignore[no-untyped-def]
    """Store ``value``; whoever reads it sees all that was written before."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = builder.inttoptr(arguments[0], I64.as_pointer())
        builder.store_atomic(arguments[1], place, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _read(typing, address):  # type: ignore[no-untyped-def]
    """What was published at ``address``."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = builder.inttoptr(arguments[0], I64.as_pointer())
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def _let_others_run(typing):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if _CAN_YIELD:
            Code(builder).called("sched_yield", I32)
        return context.get_dummy_value()

    return types.void(), generate


@numba.njit(nogil=True, cache=True, _nrt=False)
def meet(progress, thread, n_threads, step):  # type: ignore[no-untyped-def]
    """Wait until all threads have come to ``step``.

    ``progress`` int64 [n_threads * STRIDE], zero at the start; steps count up from 1.
    """
    if n_threads == 1:
        return
    base = progress.ctypes.data
    _publish(base + 8 * STRIDE * thread, step)
    for other in range(n_threads):
        looks = 0
        while _read(base + 8 * STRIDE * other) < step:
            looks += 1
            if looks > _PATIENCE:
                _let_others_run()


@intrinsic
def _cycle_counter(typing):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return Code(builder).called("llvm.readcyclecounter", I64)

    return types.int64(), generate


@numba.njit(nogil=True, cache=True, _nrt=False, inline="always")
def ticks(measures):  # type: ignore[no-untyped-def]
    """The processor's clock, or 0 unless it ``measures``."""
    return _cycle_counter() if measures else np.int64(0)
