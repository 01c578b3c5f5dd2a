"""The engine: a stateful loop, one 2D convolution a layer and frame, exact on the grid.

For every layer and frame, with incoming messages m_in:

    sigma += W m_in                     (wrapped to 24 bits; the exact sum decides what overflows)
    a      = pool(relu(sigma + bias)) * 2^(6 - shift)
    d      = a - sent
    m      = floor(d / step) * step     where |d| >= threshold, else 0
    sent  += m

so what the receiver has summed up is ``sent``, and nothing that is rounded off is ever lost. A
layer that does not remember forgets ``sent`` before every frame, and its receiver ``sigma``.

The stock neuron, lava-nc's and lava-dl's as released, does ``sent += d`` instead: it books the
change as sent that it had before rounding, and what the receiver has summed up drifts away.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.graph.operations import channels_last, fan_out, linear, pool
from ann2sdnn.sdnn.engine.emitter import Emitter, as_pixels, pixels_first
from ann2sdnn.sdnn.engine.exact import ExactLinear, activation_limit
from ann2sdnn.sdnn.engine.kernels import integrate
from ann2sdnn.sdnn.engine.run import BackendResult, CountsOf, run_of_nothing
from ann2sdnn.sdnn.spec.network import Arithmetic, SigmaDeltaLayer, SigmaDeltaNetwork
from ann2sdnn.sdnn.spec.spec import NeuronModel
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.frame_check import check_frames
from ann2sdnn.support.threads import follow_torch


class Engine:
    """Runs a network frame by frame on the CPU. ``memoryless``: no layer remembers. ``neuron``:
    the corrected one, or the stock one that loses what it rounds off.
    """

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
        fan_outs = [fan_out(x.geometry, x.weight, x.input_shape) for x in network.layers]
        self.dense_macs = sum(int(f.sum(dtype=torch.float64)) for f in fan_outs)
        # Messages of the last layer reach the host and cost no operation.
        fan_outs.append(torch.zeros(network.layers[-1].output_shape))
        step = network.arithmetic.message_step
        stock = neuron == "stock"
        # The input is exact, so every change of it is sent.
        is_stateful = [network.input_is_stateful, *(layer.is_stateful for layer in network.layers)]
        if memoryless:
            is_stateful = [False] * len(is_stateful)
        self._encoder = Emitter(
            network.input_shape,
            gain=1.0,
            threshold=0.0,
            step=step,
            stock=stock,
            limit=math.inf,
            after=fan_outs[0],
            is_stateful=is_stateful[0],
        )
        self._layers = [
            _EngineLayer(
                layer, network.arithmetic, fan_outs[i + 1], is_stateful[i : i + 2], stock=stock
            )
            for i, layer in enumerate(network.layers)
        ]
        # What the host has summed up; of a neuron that loses nothing it is what was sent.
        # Its sum may need more bits than each message.
        self._received = pixels_first(network.layers[-1].output_shape).double() if stock else None

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
        """What the receivers of every layer have summed up, [1, C, H, W] each; the next frame
        overwrites it.
        """
        return tuple(layer.emitter.sent for layer in self._layers)

    @torch.no_grad()
    def run(self, frames: Tensor, *, keep_messages: bool = False) -> BackendResult:
        """Process uint8 frames [T, C, H, W], one after another.

        Raises DataError for frames of another shape or type.
        """
        check_frames(frames, self.network.input_shape)
        if len(frames) == 0:
            return run_of_nothing(self.network, keep_messages=keep_messages)
        follow_torch()
        n_frames, n_layers = len(frames), len(self._layers)
        outputs = torch.empty(n_frames, *self.network.layers[-1].output_shape)
        events = torch.zeros(n_frames, n_layers + 1, dtype=torch.int64)
        synops = torch.zeros(n_frames, n_layers, dtype=torch.int64)
        overflows, oversized = torch.zeros_like(synops), torch.zeros_like(synops)
        kept: list[list[Tensor]] = [[] for _ in range(n_layers + 1)]
        for t, frame in enumerate(frames):
            value = frame[None].to(torch.float32) * self.network.input_step
            messages = self._encoder.step(value)
            peaks = self._encoder.peaks
            events[t, 0], synops[t, 0] = self._encoder.n_messages, self._encoder.n_operations
            for index, layer in enumerate(self._layers):
                if keep_messages:
                    kept[index].append(messages.clone())
                messages = layer.step(messages, peaks)
                peaks = layer.emitter.peaks
                events[t, index + 1] = layer.emitter.n_messages
                if index + 1 < n_layers:
                    synops[t, index + 1] = layer.emitter.n_operations
                overflows[t, index] = layer.n_overflows
                oversized[t, index] = layer.emitter.n_oversized
            if keep_messages:
                kept[n_layers].append(messages.clone())
            outputs[t] = self._decode(messages).float() / self.network.output_scale
        stacked = tuple(torch.cat(m) for m in kept) if keep_messages else None
        return BackendResult(outputs, events, synops, overflows, oversized, stacked)

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
    """The state of one layer, and one time step of it."""

    def __init__(
        self,
        layer: SigmaDeltaLayer,
        arithmetic: Arithmetic,
        after: Tensor,
        is_stateful: Sequence[bool],
        *,
        stock: bool,
    ) -> None:
        """``remembers``: whether the sender of the layer's input does, and the layer itself."""
        self.layer = layer
        self._sums_up, sends_changes = is_stateful
        self._limit = math.inf if arithmetic.state_limit is None else arithmetic.state_limit
        self._activation_limit = activation_limit(layer, arithmetic)
        self._weight = channels_last(layer.weight)
        self._exact = (
            None
            if arithmetic.exact_limit is None
            else ExactLinear(layer.geometry, self._weight, arithmetic.exact_limit, self._limit)
        )
        channels, height, _ = layer.preactivation_shape
        bias = torch.zeros(channels) if layer.bias is None else layer.bias.flatten()
        self._bias = bias.numpy()
        self.sigma = pixels_first(layer.preactivation_shape)
        self._activation = pixels_first(layer.preactivation_shape)
        self._activations = as_pixels(self._activation).reshape(-1)  # the same memory
        self._overflows = np.zeros(height, np.int64)
        limit = math.inf if arithmetic.message_limit is None else arithmetic.message_limit
        self.emitter = Emitter(
            layer.output_shape,
            gain=layer.send_gain,
            threshold=layer.threshold,
            step=arithmetic.message_step,
            stock=stock,
            limit=limit,
            after=after,
            is_stateful=sends_changes,
        )

    def reset(self) -> None:
        self.sigma.zero_()
        self.emitter.reset()

    def step(self, messages: Tensor, peaks: Tensor) -> Tensor:
        """The messages out for the messages in, which peak at ``peaks`` [C]: one time step."""
        if not self._sums_up:
            self.sigma.zero_()
        integrate(
            as_pixels(self.sigma),
            as_pixels(self._synaptic(messages, peaks)),
            self._bias,
            self.layer.relu,
            self._limit,
            as_pixels(self._activation),
            self._overflows,
        )
        return self.emitter.step(pool(self.layer.pool, self._exact_activation()))

    def _exact_activation(self) -> Tensor:
        """In float64 from the first time step on in which what is made of it needs that."""
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

    def _synaptic(self, messages: Tensor, peaks: Tensor) -> Tensor:
        if self._exact is not None:
            return self._exact(messages, peaks)
        return linear(self.layer.geometry, messages, self._weight)

    @property
    def n_overflows(self) -> int:
        """How many states wrapped round in the last step, each counted once."""
        return int(self._overflows.sum())
