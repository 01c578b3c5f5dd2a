"""Reads the ONNX operators that make maps larger: zeros around them, and repeated pixels."""

from collections.abc import Callable, Sequence
from math import ceil, floor

import numpy as np

from ann2sdnn.graph.arrangement import Data, H, W
from ann2sdnn.graph.geometry import MAX_STEP, Pair, Shape
from ann2sdnn.graph.kinds import TransposedConvolution
from ann2sdnn.graph.onnx.elements import Linear, Padding
from ann2sdnn.graph.onnx.operators.node import Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import Support, operator

_NEAREST: dict[str, Callable[[float], int]] = {
    "round_prefer_floor": lambda x: ceil(x - 0.5),
    "round_prefer_ceil": lambda x: floor(x + 0.5),
    "floor": floor,
    "ceil": ceil,
}


@operator(
    "Pad",
    "mode pads value",
    belongs=True,
    support=Support(
        "pads of the convolution or pooling after it, else of a 1x1 layer",
        "zeros around rows and columns",
    ),
)
def _pad(node: Node, data: Data) -> Parsed:
    mode = _text(node, "mode", "constant")
    if mode != "constant":
        raise node.error(f"mode = {mode}; train with zeros as padding")
    value = node.attributes.get("value", 0.0)
    given = node.constants[2] if len(node.constants) > 2 else None
    if value != 0 or (given is not None and given.any()):
        raise node.error("it pads with a number other than 0; train with zeros as padding")
    pads = [int(v) for v in node.attributes.get("pads", ())] or node.integers(1, "pads")
    rank = len(data.dims)
    named = len(node.constants) > 3 and node.constants[3] is not None
    axes = node.integers(3, "axes") if named else list(range(rank))
    if len(pads) != 2 * len(axes) or any(not -rank <= axis < rank for axis in axes):
        raise node.error(f"pads = {pads} for {rank} axes; expected two per axis")
    around = {H: (0, 0), W: (0, 0)}
    for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        one = data.map_axis(axis % rank)
        if (begin, end) == (0, 0):
            continue
        if one not in around or min(begin, end) < 0 or max(begin, end) > MAX_STEP:
            raise node.error(
                f"pads = {pads} of {list(data.dims)}; only rows and columns can be padded, with 0"
                f" to {MAX_STEP} zeros"
            )
        around[one] = (begin, end)
    if not any(any(ends) for ends in around.values()):
        return None, data
    (top, bottom), (left, right) = around[H], around[W]
    channels, height, width = data.shape
    after = data.grown((channels, height + top + bottom, width + left + right))
    return Padding(node.name, (top, left, bottom, right)), after


@operator(
    "Resize",
    "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside"
    " extrapolation_value keep_aspect_ratio_policy mode nearest_mode",
    belongs=True,
    support=Support(
        "a transposed convolution of ones, one channel per group",
        "mode nearest, by whole factors",
        (10, 23),
    ),
)
def _resize(node: Node, data: Data) -> Parsed:
    """Resize; scales are input 1 in opset 10, then input 2, and sizes input 3."""
    is_first = len(node.constants) == 2
    sizes = node.constants[3] if len(node.constants) > 3 else None
    scales = node.constants[1 if is_first else 2] if len(node.constants) > 1 else None
    rank = len(data.dims)
    axes = [int(axis) % rank for axis in node.attributes.get("axes", range(rank))]
    if sizes is not None and sizes.size:
        wanted = dict(zip(axes, (int(v) for v in sizes.ravel()), strict=False))
    elif scales is not None and scales.size:
        factors = dict(zip(axes, (float(v) for v in scales.ravel()), strict=False))
        wanted = {axis: floor(data.dims[axis] * factor) for axis, factor in factors.items()}
    else:
        raise node.error("its scales are not a constant of the file; export them as numbers")
    # Opset 10 has neither attribute, and samples at index / scale, rounded down.
    transform = _text(
        node, "coordinate_transformation_mode", "asymmetric" if is_first else "half_pixel"
    )
    nearest = _text(node, "nearest_mode", "floor" if is_first else "round_prefer_floor")
    return _repeated(node, data, wanted, transform, nearest)


@operator(
    "Upsample",
    "height_scale mode scales width_scale",
    belongs=True,
    support=Support(
        "a transposed convolution of ones, one channel per group",
        "mode nearest, by whole factors",
        (7, 9),
    ),
)
def _upsample(node: Node, data: Data) -> Parsed:
    scales = node.attributes.get("scales")
    if scales is None:
        scales = node.constant(1, "scales").ravel()
    wanted = {
        axis: floor(size * scale)
        for axis, (size, scale) in enumerate(zip(data.dims, scales, strict=False))
    }
    return _repeated(node, data, wanted, "asymmetric", "floor")


@operator(
    "Tile",
    "axis tiles",
    belongs=True,
    support=Support(
        "a transposed convolution of ones, one channel per group",
        "of an axis of size 1 behind rows or columns, as Keras' UpSampling2D has it",
    ),
)
def _tile(node: Node, data: Data) -> Parsed:
    return _behind_pixels(node, data, node.integers(1, "repeats"))


@operator(
    "Expand",
    belongs=True,
    support=Support("a transposed convolution of ones, one channel per group", "as Tile", (8, 23)),
)
def _expand(node: Node, data: Data) -> Parsed:
    wanted, dims = node.integers(1, "shape"), data.dims
    wanted = [1] * (len(dims) - len(wanted)) + wanted
    if len(wanted) != len(dims):
        raise node.error(f"it makes {wanted} of {list(dims)}; expected as many axes")
    repeats = [size if own == 1 else 1 for size, own in zip(wanted, dims, strict=True)]
    return _behind_pixels(node, data, repeats)


def _behind_pixels(node: Node, data: Data, repeats: Sequence[int]) -> Parsed:
    """Pixels repeated along axes of size 1 that follow theirs, and are joined with them later.

    The values after it have the larger axis of the pixels and still one of size 1, which is the
    same order.
    """
    factors = {H: 1, W: 1}
    for axis, (size, n) in enumerate(zip(data.dims, repeats, strict=False)):
        if n == 1:
            continue
        before = data.held[axis - 1] if axis > 0 else ()
        if len(repeats) != len(data.dims) or size != 1 or not 1 < n <= MAX_STEP:
            before = ()
        if len(before) != 1 or before[0] not in factors:
            raise node.error(
                f"it repeats {list(data.dims)} {list(repeats)} times; only single rows and columns"
                " can be repeated, as an Upsample with mode nearest does"
            )
        factors[before[0]] *= n
    if (factors[H], factors[W]) == (1, 1):
        return None, data
    channels, height, width = data.shape
    larger: Shape = (channels, height * factors[H], width * factors[W])
    return _upsampled(node, data, (factors[H], factors[W])), data.after(larger)


def _upsampled(node: Node, data: Data, factors: Pair) -> Linear:
    channels = data.shape[0]
    geometry = TransposedConvolution(stride=factors, groups=channels)
    weight = np.ones((channels, 1, *factors), np.float32)
    geometry.output_shape(data.shape, weight.shape)
    return Linear(node.name, geometry, weight, None)


def _repeated(
    node: Node, data: Data, wanted: dict[int, int], transform: str, nearest: str
) -> Parsed:
    """Each pixel repeated, so that axes have the ``wanted`` sizes."""
    mode = _text(node, "mode", "nearest")
    if mode != "nearest":
        raise node.error(
            f"mode = {mode}; only nearest can be converted, so train with that or with a transposed"
            " convolution"
        )
    factors = {H: 1, W: 1}
    for axis, size in wanted.items():
        own = data.dims[axis]
        if size == own:
            continue
        one = data.map_axis(axis)
        if one not in factors or size < own or size % own or size // own > MAX_STEP:
            raise node.error(
                f"it resizes axis {axis} from {own} to {size}; only rows and columns can be"
                " resized, by whole factors"
            )
        factors[one] = size // own
        _check_nearest(node, own, size, transform, nearest)
    rows, columns = factors[H], factors[W]
    if (rows, columns) == (1, 1):
        return None, data
    channels, height, width = data.shape
    larger: Shape = (channels, height * rows, width * columns)
    return _upsampled(node, data, (rows, columns)), data.grown(larger)


def _check_nearest(node: Node, own: int, size: int, transform: str, nearest: str) -> None:
    """Raise ModelError unless every pixel is repeated as often as every other."""
    if nearest not in _NEAREST:
        raise node.error(f"nearest_mode = {nearest}, which ONNX does not know; export it again")
    scale = size / own
    positions = {
        "asymmetric": lambda x: x / scale,
        "half_pixel": lambda x: (x + 0.5) / scale - 0.5,
        "half_pixel_symmetric": lambda x: (x + 0.5) / scale - 0.5,
        "pytorch_half_pixel": lambda x: (x + 0.5) / scale - 0.5,
        "align_corners": lambda x: x * (own - 1) / (size - 1),
    }
    if transform not in positions:
        raise node.error(
            f"coordinate_transformation_mode = {transform}; only resizing of whole maps can be"
            " converted"
        )
    found = [min(max(_NEAREST[nearest](positions[transform](x)), 0), own - 1) for x in range(size)]
    if found != [x // (size // own) for x in range(size)]:
        raise node.error(
            f"{transform} with {nearest} repeats some pixels more often than others; export it with"
            " asymmetric and floor"
        )


def _text(node: Node, attribute: str, default: str) -> str:
    value = node.attributes.get(attribute, default)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
