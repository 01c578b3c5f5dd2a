"""The engine: a stateful loop in torch, one 2D convolution a layer and frame, exact on the grid.

For every layer and frame, with incoming messages m_in:

    sigma += W m_in                     (wrapped to 24 bits)
    a      = pool(relu(sigma + bias))
    d      = a - sent
    m      = floor(d / step) * step     where |d| >= threshold, else 0
    sent  += m

so what the receiver has summed up is ``sent``, and nothing that is rounded off is ever lost.
"""

import torch
from torch import Tensor

from ann2sdnn.convert.functional import linear, pool
from ann2sdnn.sdnn.backend import MessageCounter, Run
from ann2sdnn.sdnn.exact import ExactLinear, wrap
from ann2sdnn.sdnn.network import Arithmetic, SigmaDeltaLayer, SigmaDeltaNetwork


class Engine:
    """Runs a network frame by frame on the CPU. ``memoryless`` forgets before every frame."""

    def __init__(
        self, network: SigmaDeltaNetwork, *, memoryless: bool = False, count: bool = True
    ) -> None:
        self.network = network
        self.memoryless = memoryless
        self._counter = MessageCounter(network) if count else None
        self._layers = [_EngineLayer(layer, network.arithmetic) for layer in network.layers]
        self.reset()

    @property
    def dense_macs(self) -> int:
        """Multiplications by non-zero weights of one dense frame."""
        return (self._counter or MessageCounter(self.network)).dense_macs

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a recording."""
        self._sent_input = torch.zeros(1, *self.network.input_shape)
        for layer in self._layers:
            layer.reset()

    @torch.inference_mode()
    def run(self, frames: Tensor, *, keep_messages: bool = False) -> Run:
        """Process uint8 frames [T, C, H, W], one after another."""
        n_frames, n_layers = len(frames), len(self._layers)
        outputs = torch.empty(n_frames, *self.network.layers[-1].output_shape)
        events = torch.zeros(n_frames, n_layers + 1, dtype=torch.int64)
        synops = torch.zeros(n_frames, n_layers, dtype=torch.int64)
        overflows, oversized = torch.zeros_like(synops), torch.zeros_like(synops)
        kept: list[list[Tensor]] = [[] for _ in range(n_layers + 1)]
        for t, frame in enumerate(frames):
            if self.memoryless:
                self.reset()
            messages = self._encode(frame)
            for index, layer in enumerate(self._layers):
                self._count(events, synops, t, index, messages)
                if keep_messages:
                    kept[index].append(messages.clone())
                messages = layer.step(messages)
                overflows[t, index] = layer.n_overflows
                oversized[t, index] = layer.n_oversized
            self._count(events, synops, t, n_layers, messages)
            if keep_messages:
                kept[n_layers].append(messages.clone())
            outputs[t] = self._layers[-1].sent[0] / self.network.output_scale
        stacked = tuple(torch.cat(m) for m in kept) if keep_messages else None
        return Run(outputs, events, synops, overflows, oversized, stacked)

    def _encode(self, frame: Tensor) -> Tensor:
        """The change of the input since the last frame; exact, so its threshold is 0."""
        value = frame[None].to(torch.float32) * self.network.input_step
        messages = value - self._sent_input
        self._sent_input = value
        return messages

    def _count(self, events: Tensor, synops: Tensor, t: int, source: int, messages: Tensor) -> None:
        if self._counter is None:
            return
        events[t, source] = self._counter.events(messages)
        if source < len(self._layers):
            synops[t, source] = self._counter.synops(source, messages)


class _EngineLayer:
    """The state of one layer, and one time step of it."""

    def __init__(self, layer: SigmaDeltaLayer, arithmetic: Arithmetic) -> None:
        self.layer = layer
        self.arithmetic = arithmetic
        self._linear = (
            None
            if arithmetic.exact_limit is None or arithmetic.state_limit is None
            else ExactLinear(
                layer.geometry, layer.weight, arithmetic.exact_limit, arithmetic.state_limit
            )
        )
        self.reset()

    def reset(self) -> None:
        self._sigma = torch.zeros(1, *self.layer.preactivation_shape)
        self.sent = torch.zeros(1, *self.layer.output_shape)
        self.n_overflows = self.n_oversized = 0

    def step(self, messages: Tensor) -> Tensor:
        """The messages out for the messages in: one time step."""
        if self._linear is None:
            self._sigma += linear(self.layer.geometry, messages, self.layer.weight)
        else:
            self._sigma += self._linear(messages)
        self.n_overflows = self._wrap()
        z = self._sigma if self.layer.bias is None else self._sigma + self.layer.bias
        activation = pool(self.layer.pool, torch.relu(z) if self.layer.relu else z)
        change = activation - self.sent
        quiet = change.abs() < self.layer.threshold if self.layer.threshold > 0 else None
        if self.arithmetic.message_step is not None:
            step = self.arithmetic.message_step
            change = change.mul_(1 / step).floor_().mul_(step)
        if quiet is not None:
            change.masked_fill_(quiet, 0.0)
        self.sent += change
        self.n_oversized = self._oversized(change)
        return change

    def _oversized(self, messages: Tensor) -> int:
        """How many messages do not fit their bits."""
        limit = self.arithmetic.message_limit
        if limit is None:
            return 0
        low, high = torch.aminmax(messages)
        if float(high) <= limit and float(low) >= -limit:
            return 0
        return int((messages.abs() > limit).sum())

    def _wrap(self) -> int:
        """Wrap the state round at its 24 bits, as the chip does; the number of states it hit."""
        limit = self.arithmetic.state_limit
        if limit is None:
            return 0
        low, high = torch.aminmax(self._sigma)
        if float(low) >= -limit and float(high) < limit:
            return 0
        outside = (self._sigma < -limit) | (self._sigma >= limit)
        wrapped = wrap(self._sigma[outside].to(torch.float64), limit)
        self._sigma[outside] = wrapped.to(torch.float32)
        return int(outside.sum())
