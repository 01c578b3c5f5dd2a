"""The engine: runs an SDNN frame by frame on the CPU, exact on the grid.

Per layer and frame it computes the equations of ``sdnn/reference/equations.py`` in real numbers:
one 2-D operation of the incoming messages, then the two loops of ``kernels.py``.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.graph.operations import channels_last, linear, pool
from ann2sdnn.sdnn.engine.emitter import Emitter, Sent, as_pixels, pixels_first
from ann2sdnn.sdnn.engine.exact import ExactLinear, activation_limit
from ann2sdnn.sdnn.engine.kernels import integrate
from ann2sdnn.sdnn.engine.run import (
    BackendResult,
    CountsOf,
    MessageCounter,
    blank_result,
    with_messages,
)
from ann2sdnn.sdnn.engine.threads import follow_torch
from ann2sdnn.sdnn.spec.grid import Grid, NeuronModel
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer, SigmaDeltaNetwork
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.frame_check import check_frames


class Engine:
    """Runs ``network``. ``memoryless``: every layer is memoryless, whatever the network says."""

    frames_at_once = 8
    counts_of: CountsOf = "converted"

    def __init__(
        self,
        network: SigmaDeltaNetwork,
        *,
        memoryless: bool = False,
        neuron: NeuronModel = "corrected",
    ) -> None:
        self.network = network
        stateful = [network.input_is_stateful, *(layer.is_stateful for layer in network.layers)]
        if memoryless:
            stateful = [False] * len(stateful)
        grid, stock = network.grid, neuron == "stock"
        # Messages of the last layer reach the host and cost no operation.
        fan_outs = (*MessageCounter(network).fan_outs, torch.zeros(network.output_shape))
        self._encoder, *emitters = (
            Emitter(
                fan_out,
                gain=1.0 if layer is None else layer.send_gain,
                # The input is exact, so it sends every change.
                threshold=0.0 if layer is None else layer.threshold,
                step=0.0 if grid is None else grid.message_step,
                stock=stock,
                limit=math.inf if grid is None or layer is None else grid.message_limit,
                is_stateful=is_stateful,
            )
            for layer, fan_out, is_stateful in zip(
                (None, *network.layers), fan_outs, stateful, strict=True
            )
        )
        self._layers = [
            _EngineLayer(layer, grid, emitter, receives_changes=before)
            for layer, emitter, before in zip(network.layers, emitters, stateful, strict=False)
        ]
        # The host's sum, which may need more bits than a message. The corrected neuron's ``sent``
        # is the same sum.
        self._received = pixels_first(network.output_shape).double() if stock else None

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a recording."""
        self._encoder.reset()
        if self._received is not None:
            self._received.zero_()
        for layer in self._layers:
            layer.reset()

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the state after the last frame, by name."""
        return {name: value.clone() for name, value in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state that ``state_dict`` of an engine for the same network returned.

        Raises DataError for a state of another network; the engine is then reset.
        """
        self.reset()
        own = self._state()
        if {name: value.shape for name, value in state.items()} != {
            name: value.shape for name, value in own.items()
        }:
            raise DataError("the state is that of another network; load one of this network")
        for index, layer in enumerate(self._layers):
            if state[f"{index}.sent"].dtype == torch.float64:
                layer.emitter.widen()
        for name, value in self._state().items():
            value.copy_(state[name])

    def _state(self) -> dict[str, Tensor]:
        state = {"input.sent": self._encoder.sent}
        for index, layer in enumerate(self._layers):
            state |= {f"{index}.sigma": layer.sigma, f"{index}.sent": layer.emitter.sent}
        return state if self._received is None else state | {"received": self._received}

    @property
    def sent(self) -> tuple[Tensor, ...]:
        """What the receivers of each layer have summed up, [1, C, H, W]; overwritten by ``run``."""
        return tuple(layer.emitter.sent for layer in self._layers)

    @torch.no_grad()
    def run(self, frames: Tensor, *, keep_messages: bool = False) -> BackendResult:
        """Process uint8 frames [T, C, H, W], one after another.

        Raises DataError for frames of another shape or type.
        """
        check_frames(frames, self.network.input_shape)
        follow_torch()
        result = blank_result(self.network, len(frames))
        kept: list[list[Tensor]] = [[] for _ in range(len(self._layers) + 1)]
        for t, frame in enumerate(frames):
            sent = self._encoder.step(frame[None].to(torch.float32) * self.network.input_step)
            for index, layer in enumerate((*self._layers, None)):
                result.events[t, index] = sent.n_messages
                if keep_messages:
                    kept[index].append(sent.messages[0].clone())
                if layer is not None:
                    result.synops[t, index] = sent.n_operations
                    sent = layer.step(sent)
                    result.overflows[t, index] = layer.n_overflows
                    result.oversized[t, index] = sent.n_oversized
            result.outputs[t] = self._decode(sent.messages).float() / self.network.output_scale
        return with_messages(result, self.network, kept) if keep_messages else result

    def _decode(self, messages: Tensor) -> Tensor:
        """[O, H, W]: the last layer's messages, summed up by the host."""
        last = self._layers[-1].emitter
        if self._received is None:
            return last.sent[0]
        if not last.is_stateful:
            self._received.zero_()
        self._received += messages
        return self._received[0]


class _EngineLayer:
    """The states of one layer, and one time step of it.

    ``receives_changes``: the layer before it, or the input, is stateful.
    """

    def __init__(
        self,
        layer: SigmaDeltaLayer,
        grid: Grid | None,
        emitter: Emitter,
        *,
        receives_changes: bool,
    ) -> None:
        self.layer = layer
        self.emitter = emitter
        self._receives_changes = receives_changes
        self._limit = math.inf if grid is None else grid.state_limit
        self._activation_limit = activation_limit(layer, grid)
        self._weight = channels_last(layer.weight)
        self._exact: ExactLinear | None = None
        if grid is not None:
            # The sum is added to a state, and that must be exact too.
            limit = grid.exact_limit - grid.state_limit
            channels = layer.input_shape[0]
            self._exact = ExactLinear(layer.geometry, self._weight, channels, limit)
        channels, height, _ = layer.preactivation_shape
        bias = torch.zeros(channels) if layer.bias is None else layer.bias.flatten()
        self._bias = bias.numpy()
        self.sigma = pixels_first(layer.preactivation_shape)
        self._activation = pixels_first(layer.preactivation_shape)
        self._activations = as_pixels(self._activation).reshape(-1)  # the same memory
        self._overflows = np.zeros(height, np.int64)

    def reset(self) -> None:
        self.sigma.zero_()
        self.emitter.reset()

    def step(self, arriving: Sent) -> Sent:
        """What the layer sends for what arrives: one time step."""
        if not self._receives_changes:
            self.sigma.zero_()
        integrate(
            as_pixels(self.sigma),
            as_pixels(self._synaptic(arriving)),
            self._bias,
            self.layer.relu,
            self._limit,
            as_pixels(self._activation),
            self._overflows,
        )
        return self.emitter.step(pool(self.layer.pool, self._exact_activation()))

    def _exact_activation(self) -> Tensor:
        """In float64 from the first time step on in which pooling or the delta unit needs that."""
        if self._activation_limit is None:
            return self._activation
        if not self.emitter.is_wide:
            if self._largest_activation() <= self._activation_limit:
                return self._activation
            self.emitter.widen()
        return self._activation.double()

    def _largest_activation(self) -> float:
        # In the order of memory and without a copy: a norm takes as long as a small convolution.
        largest = float(self._activations.max())
        return largest if self.layer.relu else max(largest, -float(self._activations.min()))

    def _synaptic(self, arriving: Sent) -> Tensor:
        if self._exact is not None:
            return self._exact(arriving.messages, arriving.peaks)
        return linear(self.layer.geometry, arriving.messages, self._weight)

    @property
    def n_overflows(self) -> int:
        """How many states wrapped round in the last step, each counted once."""
        return int(self._overflows.sum())
