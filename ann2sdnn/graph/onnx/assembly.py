"""Groups the elements of a chain into layers: linear operation, ReLU, pooling.

A layer has a plain ReLU, so a Clip or a LeakyReLU becomes a layer with two ReLUs per channel, which
the next linear operation adds up with its own weights:

    min(relu(x), 6) = relu(x) - relu(x - 6)
    leaky(x)        = relu(x) - slope * relu(-x)

Where the next operation cannot take them exactly, or there is none, a 1x1 convolution does. All of
this is exact.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ann2sdnn.graph.arrangement import Held
from ann2sdnn.graph.averages import free_name
from ann2sdnn.graph.geometry import NO_PADS, Shape
from ann2sdnn.graph.layers import Layer, output_channel_view, scale_output_channels
from ann2sdnn.graph.onnx.elements import (
    Affine,
    Bend,
    Clip,
    Leaky,
    Linear,
    Padding,
    Pooling,
    Step,
    bend_of,
)
from ann2sdnn.graph.onnx.mix import Mix, absorbed, added_pads, identity, mix_of, nothing
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.support.errors import ModelError


def assemble(
    steps: Sequence[Step], input_shape: Shape, *, nonnegative: bool = True
) -> tuple[tuple[Layer, ...], tuple[Held | None, ...]]:
    """Group a chain of steps into layers: linear, then ReLU, then pooling.

    ``nonnegative``: the input holds no value below 0, as pixels do not. Also returns the ONNX
    tensor that holds each layer's output, None where the file has none.

    An affine element is folded into the linear element before it or after it. An element that needs
    a linear operation before it and has none (a pooling of the input, a second pooling, a ReLU
    after an average) gets an identity 1x1 convolution, which is exact. Raises ModelError where
    shapes do not fit.
    """
    assembly = _Assembly(input_shape, nonnegative=nonnegative)
    for step in _pooled_before_leaky(_joined_clips(_clipped_before_padding(_joined_clips(steps)))):
        assembly.add(step)
    return assembly.finish()


class _Assembly:
    """The layers so far, the tensors that hold their outputs, and what waits for the next layer."""

    def __init__(self, input_shape: Shape, *, nonnegative: bool) -> None:
        self._nonnegative = nonnegative
        self._layers: list[Layer] = []
        self._tensors: list[Held | None] = []
        self._output_shape = input_shape
        self._mix = nothing(input_shape[0])

    def add(self, step: Step) -> None:
        """The next element."""
        element, tensor = step.element, step.tensor
        if isinstance(element, Affine):
            self._add_affine(element, tensor)
        elif isinstance(element, Linear):
            self._add_linear(element, tensor)
        elif isinstance(element, Pooling):
            self._add_pooling(element, tensor)
        elif isinstance(element, Padding):
            pads = added_pads(self._mix.pads, element.pads)
            name = self._mix.name if self._mix.is_sum else element.name
            self._mix = replace(self._mix, pads=pads, name=name, padded=tensor)
        else:
            self._add_bend(element, tensor)

    def finish(self) -> tuple[tuple[Layer, ...], tuple[Held | None, ...]]:
        """Layers for what still waits; all layers and their tensors."""
        while self._mix.waits:
            self._settle()
        return tuple(self._layers), tuple(self._tensors)

    def _add_affine(self, element: Affine, tensor: Held | None) -> None:
        if self._layers and element.is_per_channel and not self._mix.waits:
            changed = _with_affine(self._layers[-1], element)
            if changed is not None:
                self._change(changed, tensor)
                return
        while any(self._mix.pads) and element.shift.any():
            self._settle()
        mix = self._mix.scaled(element.factor.astype(np.float64), element.shift.astype(np.float64))
        # The file has no tensor for the values without the pads that came before.
        plain, padded = (None, tensor) if any(mix.pads) else (tensor, None)
        self._mix = replace(mix, name=element.name, tensor=plain, padded=padded)

    def _add_linear(self, element: Linear, tensor: Held | None) -> None:
        channels = self._mix.coefficients.shape[1]
        while True:
            _, height, width = self._output_shape
            linear = absorbed(element, self._mix, (channels, height, width))
            if linear is not None:
                break
            self._settle()
        self._append(linear, tensor)

    def _add_pooling(self, element: Pooling, tensor: Held | None) -> None:
        pool = _joined_pool(self._layers[-1], self._mix, element.pool) if self._layers else None
        if pool is not None:
            mix = replace(self._mix, pads=NO_PADS, padded=None)
            self._change(replace(self._layers[-1], pool=pool), None if mix.is_sum else tensor)
            self._mix = replace(mix, tensor=tensor)
            return
        # What is not negative, as behind a ReLU, may pass a ReLU, so that padding with zeros
        # changes no maximum.
        arriving = self._layers[-1].relu if self._layers else self._nonnegative
        nonnegative = arriving and not self._mix.is_sum
        self._add_identity(element.name)
        relu = nonnegative and element.pool.kind == "max" and any(element.pool.pads)
        self._change(replace(self._layers[-1], pool=element.pool, relu=relu), tensor)

    def _add_bend(self, element: Clip | Leaky, tensor: Held | None) -> None:
        bend = bend_of(element, self._mix.coefficients.shape[1])
        is_relu = isinstance(element, Clip) and element.is_relu
        last = self._layers[-1] if self._layers and not self._mix.waits else None
        if last is not None and last.relu and (is_relu or isinstance(element, Leaky)):
            self._change(last, tensor)  # changes no value
            return
        if last is None or last.relu or not _bends_before_pool(last, bend):
            self._add_identity(element.name)
        layer = self._layers[-1]
        if is_relu:
            self._change(replace(layer, relu=True), tensor)
            return
        self._change(_bent(layer, bend), None)
        self._mix = mix_of(bend, element.name, tensor)

    def _add_identity(self, name: str) -> None:
        self._add_linear(identity(name, self._mix.coefficients.shape[1]), None)

    def _settle(self) -> None:
        """A 1x1 convolution for what waits; only for the sum where pads must not meet its offset.

        Raises ModelError where pixels differ.
        """
        mix = self._mix
        if not mix.is_per_channel:
            raise ModelError(
                f"node {mix.name}: its constant differs from pixel to pixel, and only a dense layer"
                " right after it could take it; use one number per channel"
            )
        now = replace(mix, pads=NO_PADS) if mix.shifts else mix
        _, height, width = self._output_shape
        channels = mix.coefficients.shape[1]
        linear = absorbed(identity(mix.name, channels), now, (channels, height, width))
        assert linear is not None
        self._append(linear, mix.padded if any(now.pads) else mix.tensor)
        if mix.shifts and any(mix.pads):
            self._mix = replace(self._mix, pads=mix.pads, name=mix.name, padded=mix.padded)

    def _append(self, linear: Linear, tensor: Held | None) -> None:
        name = free_name(linear.name, {layer.name for layer in self._layers})
        shape = self._output_shape
        self._layers.append(
            Layer(name, linear.geometry, linear.weight, linear.bias, False, None, shape)
        )
        self._tensors.append(None)
        self._change(self._layers[-1], tensor)
        self._mix = nothing(self._output_shape[0])

    def _change(self, layer: Layer, tensor: Held | None) -> None:
        """Put ``layer`` in the place of the last one."""
        self._layers[-1], self._tensors[-1] = layer, tensor
        self._output_shape = layer.output_shape


def _with_affine(layer: Layer, element: Affine) -> Layer | None:
    """The layer whose output is that of ``element`` after it; None where there is none."""
    factor, shift = element.factor[:, 0, 0], element.shift[:, 0, 0]
    scales = not shift.any() and bool((factor > 0).all())
    pool = layer.pool
    if not scales:
        if layer.relu or (pool is not None and (any(pool.pads) and shift.any())):
            return None
        if pool is not None and pool.kind == "max" and not (factor > 0).all():
            return None
    scaled = scale_output_channels(layer, factor)
    if not shift.any():
        return scaled
    bias = shift if scaled.bias is None else scaled.bias + shift
    return replace(scaled, bias=bias.astype(np.float32))


def _joined_pool(layer: Layer, mix: Mix, pool: Pool) -> Pool | None:
    """The pool that ``layer`` gets for a pooling after ``mix``; None where it can have none."""
    if layer.pool is not None:
        return None
    pads = added_pads(mix.pads, pool.pads)
    if any(mix.pads) and any(p >= k for p, k in zip(pads, pool.kernel * 2, strict=True)):
        return None
    if pool.kind == "max":
        # Zeros are part of the maximum where the file pads with them.
        zeros_fit = not any(mix.pads) or (layer.relu and not mix.shifts)
        fits = mix.commutes and zeros_fit
    else:
        fits = not (mix.shifts and any(pads))
    return replace(pool, pads=pads) if fits else None


def _bends_before_pool(layer: Layer, bend: Bend) -> bool:
    """Whether the layer may have the ReLUs of ``bend`` before its pooling, in place of after it."""
    return layer.pool is None or (layer.pool.kind == "max" and bend.commutes)


def _bent(layer: Layer, bend: Bend) -> Layer:
    """The layer with each output channel once per ReLU of ``bend``."""
    weights = [
        (layer.weight * output_channel_view(layer, gain)).astype(np.float32) for gain in bend.gains
    ]
    own = np.zeros(bend.gains.shape[1]) if layer.bias is None else layer.bias.astype(np.float64)
    bias = (own * bend.gains + bend.offsets).T.ravel().astype(np.float32)
    return replace(
        layer,
        weight=layer.geometry.interleaved_outputs(weights, layer.input_shape[0]),
        bias=bias if bias.any() else None,
        relu=True,
        copies=len(bend.gains),
    )


def _joined_clips(steps: Sequence[Step]) -> list[Step]:
    """The steps with each Clip that follows another one joined with it."""
    joined: list[Step] = []
    for step in steps:
        last = joined[-1].element if joined else None
        if isinstance(step.element, Clip) and isinstance(last, Clip):
            low, high = step.element.low, step.element.high
            both = Clip(last.name, min(max(last.low, low), high), min(max(last.high, low), high))
            joined[-1] = Step(both, step.tensor)
        else:
            joined.append(step)
    return joined


def _clipped_before_padding(steps: Sequence[Step]) -> list[Step]:
    """The steps with each ReLU or Clip moved before the padded max poolings that it follows.

    Both commute, and after a ReLU padding with zeros is padding with minus infinity.
    """
    ordered: list[Step] = []
    for step in steps:
        start = len(ordered)
        if isinstance(step.element, Clip) and step.element.low >= 0:
            while start and _is_max_pooling(ordered[start - 1]):
                start -= 1
        moved = ordered[start:]
        if not any(isinstance(m.element, Pooling) and any(m.element.pool.pads) for m in moved):
            ordered.append(step)
            continue
        # Only the output of the last step is the same as before.
        ordered[start:] = [replace(other, tensor=None) for other in (step, *moved)]
        ordered[-1] = replace(ordered[-1], tensor=step.tensor)
    return ordered


def _pooled_before_leaky(steps: Sequence[Step]) -> list[Step]:
    """The steps with each rising LeakyReLU moved behind the max poolings that follow it.

    Both commute, and there are fewer values after the pooling.
    """
    ordered: list[Step] = []
    for step in steps:
        before = ordered[-1].element if ordered else None
        pool = step.element.pool if isinstance(step.element, Pooling) else None
        rises = isinstance(before, Leaky) and bool((before.slope >= 0).all())
        if rises and pool is not None and pool.kind == "max" and not any(pool.pads):
            ordered[-1:] = [Step(step.element, None), replace(ordered[-1], tensor=step.tensor)]
        else:
            ordered.append(step)
    return ordered


def _is_max_pooling(step: Step) -> bool:
    return isinstance(step.element, Pooling) and step.element.pool.kind == "max"
