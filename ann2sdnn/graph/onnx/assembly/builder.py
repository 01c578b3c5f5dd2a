"""Adds the steps of one run to the layers of a network."""

from dataclasses import replace

import numpy as np

from ann2sdnn.graph.arrangement import Held
from ann2sdnn.graph.geometry import NO_PADS
from ann2sdnn.graph.layers import INPUT, Layer
from ann2sdnn.graph.onnx.assembly.changes import bends_before_pool, bent, joined_pool, with_affine
from ann2sdnn.graph.onnx.assembly.growing import Growing
from ann2sdnn.graph.onnx.assembly.mix import added_pads, identity, mix_of
from ann2sdnn.graph.onnx.assembly.value import Value, pieces_of, placed
from ann2sdnn.graph.onnx.elements import (
    Affine,
    Clip,
    Leaky,
    Linear,
    Padding,
    Pooling,
    Step,
    bend_of,
)
from ann2sdnn.support.errors import ModelError


class Builder:
    """``value``: the tensor that the run has come to. ``owns``: its layer was made in this run, so
    it may be changed; the layer of another tensor may not, others read it.
    """

    def __init__(self, growing: Growing, value: Value, *, owns: bool) -> None:
        self._growing = growing
        self.value = value
        self.owns = owns

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
            self._add_padding(element, tensor)
        else:
            self._add_bend(element, tensor)

    def finish(self, tensor: Held) -> None:
        """Layers for what still waits: the value is a layer's output then, held by ``tensor``."""
        while self.value.waits or self.value.whole.source == INPUT:
            self.settle(tensor)

    @property
    def _last(self) -> Layer | None:
        """The layer that may be changed, where nothing was added to its output."""
        own = self.owns and self.value.is_whole
        return self._growing.layers[self.value.whole.source] if own else None

    def _add_affine(self, element: Affine, tensor: Held | None) -> None:
        last = self._last
        if last is not None and element.is_per_channel and not self.value.waits:
            changed = with_affine(last, element)
            if changed is not None:
                self._change(changed, tensor)
                return
        while any(self.value.pads) and element.shift.any():
            self.settle()
        value = self.value
        # The file has no tensor for the values without the pads that came before.
        plain, padded = (None, tensor) if any(value.pads) else (tensor, None)
        factors, shifts = value.sliced(element.factor), value.sliced(element.shift)
        self.value = value.with_mixes(
            [
                replace(
                    part.mix.scaled(factor.astype(np.float64), shift.astype(np.float64)),
                    name=element.name,
                    tensor=plain,
                    padded=padded,
                )
                for part, factor, shift in zip(value.parts, factors, shifts, strict=True)
            ]
        )

    def _add_padding(self, element: Padding, tensor: Held | None) -> None:
        self.value = self.value.with_mixes(
            [
                replace(
                    part.mix,
                    pads=added_pads(part.mix.pads, element.pads),
                    name=part.mix.name if part.mix.is_sum else element.name,
                    padded=tensor,
                )
                for part in self.value.parts
            ]
        )

    def _add_linear(self, element: Linear, tensor: Held | None) -> None:
        while (pieces := pieces_of(element, self.value)) is None:
            self.settle()
        self._append(pieces, tensor)

    def _add_pooling(self, element: Pooling, tensor: Held | None) -> None:
        last = self._last
        pool = None if last is None else joined_pool(last, self.value.mix, element.pool)
        if last is not None and pool is not None:
            mix = replace(self.value.mix, pads=NO_PADS, padded=None)
            self._change(replace(last, pool=pool), None if mix.is_sum else tensor)
            self.value = self.value.with_mixes([replace(mix, tensor=tensor)])
            return
        # What is not negative, as behind a ReLU, may pass a ReLU, so that padding with zeros
        # changes no maximum.
        arriving = all(self._growing.has_relu(part.source) for part in self.value.parts)
        nonnegative = arriving and not any(part.mix.is_sum for part in self.value.parts)
        layer = self._identity(element.name)
        relu = nonnegative and element.pool.kind == "max" and any(element.pool.pads)
        self._change(replace(layer, pool=element.pool, relu=relu), tensor)

    def _add_bend(self, element: Clip | Leaky, tensor: Held | None) -> None:
        bend = bend_of(element, self.value.shape[0])
        is_relu = isinstance(element, Clip) and element.is_relu
        if not self.value.waits and self.value.whole.source != INPUT:
            changes_nothing = self._growing.layers[self.value.whole.source].relu
            if changes_nothing and (is_relu or isinstance(element, Leaky)):
                if self.owns:
                    self._change(self._growing.layers[self.value.whole.source], tensor)
                return
        last = None if self.value.waits else self._last
        if last is None or last.relu or not bends_before_pool(last, bend):
            last = self._identity(element.name)
        if is_relu:
            self._change(replace(last, relu=True), tensor)
            return
        self._change(bent(last, bend), None)
        self.value = self.value.with_mixes([mix_of(bend, element.name, tensor)])

    def _identity(self, name: str) -> Layer:
        """A layer whose output is the value."""
        self._add_linear(identity(name, self.value.shape[0]), None)
        last = self._last
        assert last is not None
        return last

    def settle(self, tensor: Held | None = None) -> None:
        """A layer for what waits; only for the sum where pads must not meet its offset.

        ``tensor``: holds the value, where no element of it says so. Raises ModelError where pixels
        differ.
        """
        value = self.value
        for part in value.parts:
            if not part.mix.is_per_channel:
                raise ModelError(
                    f"node {part.mix.name}: its constant differs from pixel to pixel, and only a"
                    " dense layer right after it could take it; use one number per channel"
                )
        if value.is_whole:
            self._settle_whole(tensor)
            return
        mix = value.parts[0].mix
        self._append(placed(mix.name or "joined", value), None if any(value.pads) else tensor)
        self.value = self.value.with_mixes(
            [replace(self.value.mix, pads=mix.pads, name=mix.name, padded=mix.padded)]
        )

    def _settle_whole(self, tensor: Held | None) -> None:
        mix = self.value.mix
        now = replace(mix, pads=NO_PADS) if mix.shifts else mix
        name = mix.name or (tensor.name if tensor is not None else "identity")
        pieces = pieces_of(identity(name, self.value.shape[0]), self.value.with_mixes([now]))
        assert pieces is not None
        held = mix.padded if any(now.pads) else mix.tensor
        self._append(pieces, held)
        if mix.shifts and any(mix.pads):
            self.value = self.value.with_mixes(
                [replace(self.value.mix, pads=mix.pads, name=mix.name, padded=mix.padded)]
            )

    def _append(self, pieces: list[Linear], tensor: Held | None) -> None:
        self.value = self._growing.append(pieces, self.value.parts, tensor)
        self.owns = True

    def _change(self, layer: Layer, tensor: Held | None) -> None:
        """Put ``layer`` in the place of the last one."""
        self._growing.change(layer, tensor)
        part = replace(self.value.whole, shape=layer.output_shape)
        self.value = Value((part,))
