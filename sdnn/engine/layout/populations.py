"""What a layer's neurons go by, in the engine's halved units: bias, threshold, pooling."""

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.engine.instructions.neurons import NO_FLOOR
from ann2sdnn.sdnn.engine.loops.memory import HALF_RANGE
from ann2sdnn.sdnn.spec.grid import SHIFT, Grid
from ann2sdnn.sdnn.spec.spec import SpecLayer
from ann2sdnn.support.errors import ModelError

INT32_MAX = 2**31 - 1


def rules_of(layer: SpecLayer, grid: Grid, *, remembers: bool, is_stock: bool) -> NDArray[np.int64]:
    """What the layer's neurons send, as ``Rules`` reads it."""
    is_max = layer.pool is not None and layer.pool.kind == "max"
    threshold = min(halved_threshold(layer, grid), INT32_MAX)
    right, is_doubled = max(layer.shift - 1, 0), layer.shift == 0
    kept = -1 if is_stock else -(1 << right)
    floor = 0 if layer.relu else NO_FLOOR
    return np.array([floor, threshold, right, kept, is_doubled, remembers, is_max], np.int64)


def halved_bias(layer: SpecLayer, grid: Grid) -> NDArray[np.int64]:
    """[O]: of each channel."""
    if layer.bias is None:
        return np.zeros(layer.preactivation_shape[0], np.int64)
    return layer.bias.astype(np.int64) << (SHIFT + grid.spike_exp) >> 1


def halved_threshold(layer: SpecLayer, grid: Grid) -> int:
    """In units of the state, rounded up."""
    return -(-layer.state_threshold(grid) // 2)


def largest_resting(layer: SpecLayer, bias: NDArray[np.int32]) -> int:
    """Bound of a neuron's activation when nothing has come in, halved."""
    resting = np.maximum(bias, 0) if layer.relu else np.abs(bias)
    n_summed = 1 if layer.pool is None else layer.pool.n_summed
    largest = int(resting.max()) * n_summed
    return largest if largest else -1


def is_wide(layer: SpecLayer, grid: Grid) -> bool:
    """Whether an activation, or the change of one, may need more than 32 bits.

    Raises ModelError where a message may.
    """
    n_summed = 1 if layer.pool is None else layer.pool.n_summed
    largest = (HALF_RANGE + int(np.abs(halved_bias(layer, grid)).max())) * n_summed
    if 4 * largest >> max(layer.shift - 1, 0) > INT32_MAX:
        raise ModelError(
            f"layer {layer.name}: sums over {n_summed} pixels; the engine's messages have 32 bits,"
            " which is too few for its largest"
        )
    return 4 * largest > INT32_MAX


def pool_fields(layer: SpecLayer) -> dict[str, int]:
    """The fields of ``POPULATION`` that tell how its neurons are pooled."""
    pool = layer.pool
    if pool is None:
        return {"is_pooled": 0, "pool_height": 1, "pool_width": 1}
    return {
        "is_pooled": 1,
        "pool_height": pool.kernel[0],
        "pool_width": pool.kernel[1],
        "pool_down": pool.stride[0],
        "pool_across": pool.stride[1],
        "pool_above": pool.pads[0],
        "pool_before": pool.pads[1],
        "pool_start": NO_FLOOR if pool.kind == "max" else 0,
        "pool_tiles": pool.kernel == pool.stride and not any(pool.pads),
    }
