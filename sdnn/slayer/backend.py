"""The slayer backend: the network built from lava-dl's own sigma-delta blocks.

This module imports lava; import it only where slayer is going to be used.
"""

from typing import Any

import torch
from torch import Tensor

from ann2sdnn.sdnn.engine.exact import ExactnessCertificate, activation_limit, narrow_if_exact
from ann2sdnn.sdnn.engine.run import (
    BackendResult,
    CountsOf,
    MessageCounter,
    check_is_stateful,
    run_of_nothing,
)
from ann2sdnn.sdnn.slayer.neuron import Delta, Neuron, slayer
from ann2sdnn.sdnn.spec.network import Arithmetic, SigmaDeltaLayer, SigmaDeltaNetwork
from ann2sdnn.sdnn.spec.spec import NeuronModel
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.frame_check import check_frames

blocks = slayer.block.sigma_delta


class SlayerBackend:
    """Runs a network in slayer, ``chunk_frames`` time steps at a time (layout N C H W T).

    ``neuron``: the corrected one, or the stock one that loses what it rounds off. Raises
    UsageError when a layer is memoryless.
    """

    frames_at_once = 8
    counts_of: CountsOf = "converted"

    def __init__(
        self,
        network: SigmaDeltaNetwork,
        *,
        chunk_frames: int = 4,
        count: bool = True,
        neuron: NeuronModel = "corrected",
    ) -> None:
        check_is_stateful(network, "slayer")
        self.network = network
        self.chunk_frames = chunk_frames
        self.encoder = Delta(0.0, None, persistent_state=True)
        self.blocks = [
            _SlayerLayer(layer, network.arithmetic, stock=neuron == "stock")
            for layer in network.layers
        ]
        self._counter = MessageCounter(network) if count else None
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a recording."""
        self.encoder.sent = None
        # The sum of many messages may need more bits than each of them.
        self._decoded = torch.zeros(self.network.layers[-1].output_shape, dtype=torch.float64)
        for block in self.blocks:
            block.neuron.reset()

    @torch.no_grad()
    def run(self, frames: Tensor, *, keep_messages: bool = False) -> BackendResult:
        """Process uint8 frames [T, C, H, W], one after another.

        Raises DataError for frames of another shape or type.
        """
        check_frames(frames, self.network.input_shape)
        if len(frames) == 0:
            return run_of_nothing(self.network, keep_messages=keep_messages)
        runs = [
            self._chunk(chunk, keep_messages) for chunk in torch.split(frames, self.chunk_frames)
        ]
        kept = [run.messages for run in runs if run.messages is not None]
        return BackendResult(
            outputs=torch.cat([run.outputs for run in runs]),
            events=torch.cat([run.events for run in runs]),
            synops=torch.cat([run.synops for run in runs]),
            overflows=torch.cat([run.overflows for run in runs]),
            oversized=torch.cat([run.oversized for run in runs]),
            messages=tuple(map(torch.cat, zip(*kept, strict=True))) if keep_messages else None,
        )

    def _chunk(self, frames: Tensor, keep_messages: bool) -> BackendResult:
        n_frames, n_layers = len(frames), len(self.blocks)
        synops = torch.zeros(n_frames, n_layers, dtype=torch.int64)
        events = torch.zeros(n_frames, n_layers + 1, dtype=torch.int64)
        overflows, oversized = torch.zeros_like(synops), torch.zeros_like(synops)
        kept: list[Tensor] = []
        values = frames.to(torch.float32) * self.network.input_step
        messages = self.encoder(values.movedim(0, -1)[None])  # [1, C, H, W, T]
        for index, block in enumerate((*self.blocks, None)):
            by_frame = messages[0].movedim(-1, 0)  # [T, C, H, W]
            self._count(events, synops, index, by_frame)
            if keep_messages:
                kept.append(by_frame.contiguous())
            if block is not None:
                messages = block(messages)
                overflows[:, index] = block.neuron.sigma.overflows
                oversized[:, index] = _oversized(messages, self.network.arithmetic)
        received = torch.cumsum(messages[0].movedim(-1, 0), dim=0, dtype=torch.float64)
        decoded = self._decoded + received
        self._decoded = decoded[-1]
        outputs = decoded.float() / self.network.output_scale
        return BackendResult(outputs, events, synops, overflows, oversized, tuple(kept) or None)

    def _count(self, events: Tensor, synops: Tensor, source: int, messages: Tensor) -> None:
        if self._counter is None:
            return
        for t, frame in enumerate(messages):
            events[t, source] = self._counter.events(frame)
            if source < len(self.blocks):
                synops[t, source] = self._counter.synops(source, frame)


class _SlayerLayer:
    """One slayer block, run in float64 for the frames on which float32 would round."""

    def __init__(self, layer: SigmaDeltaLayer, arithmetic: Arithmetic, *, stock: bool) -> None:
        self.layer = layer
        quantised = arithmetic.message_step is not None
        self.block = build_block(layer)
        self.block.neuron = _neuron(layer, arithmetic, stock=stock)
        if quantised:
            self.block.synapse.pre_hook_fx = self.block.neuron.quantize_8bit
        self._certificate = (
            None
            if arithmetic.exact_limit is None or arithmetic.state_limit is None
            else ExactnessCertificate(
                layer.geometry, layer.weight, arithmetic.exact_limit - arithmetic.state_limit
            )
        )

    @property
    def neuron(self) -> Neuron:
        """The block's neuron."""
        return self.block.neuron  # type: ignore[no-any-return]

    def __call__(self, messages: Tensor) -> Tensor:
        """Messages out [1, O, H', W', T] for the messages in [1, C, H, W, T]."""
        # slayer sums over time before the state wraps round, so the whole chunk must be exact.
        if messages.dtype == torch.float32 and (
            self._certificate is None or self._certificate.holds(messages.abs().sum(dim=-1))
        ):
            return narrow_if_exact(self._forward(messages))
        self.block.double()
        out = narrow_if_exact(self._forward(messages.double()))
        # States fit float32; what a sum over a window has sent does not, and stays as it is.
        sent = self.neuron.delta.sent
        self.block.float()
        self.neuron.delta.sent = sent
        return out

    def _forward(self, messages: Tensor) -> Tensor:
        if self.layer.geometry.reads_flat:
            flat = messages.flatten(1, 3)
            return self.block(flat)[:, :, None, None]  # type: ignore[no-any-return]
        return self.block(messages)  # type: ignore[no-any-return]


# slayer's blocks by the names of ``NetxRow``.
_BLOCKS = {"conv": blocks.Conv, "convT": blocks.ConvT, "dense": blocks.Dense}


def build_block(layer: SigmaDeltaLayer) -> Any:
    """A slayer block with the layer's weight in floats, pads made the same at both ends.

    Raises ConversionError for an operation that slayer has no block for.
    """
    geometry, weight = layer.geometry.with_symmetric_pads(layer.weight.numpy())
    row = geometry.netx_row(layer.input_shape, weight.shape)
    if row is None:
        raise ConversionError(
            f"layer {layer.name}: slayer has no block for a {geometry.name}; run this network with"
            " --backend engine"
        )
    window: tuple[Any, ...] = ()
    if row.kernel is not None:
        window = (row.kernel, row.stride, row.padding, row.dilation, row.groups)
    neuron = {"threshold": 0.0, "activation": torch.relu}
    block = _BLOCKS[row.type](neuron, row.n_in, row.n_out, *window, pre_hook_fx=None)
    block.synapse.weight.data = torch.tensor(weight).reshape(block.synapse.weight.shape)
    return block


def _neuron(layer: SigmaDeltaLayer, arithmetic: Arithmetic, *, stock: bool) -> Neuron:
    neuron = Neuron(
        threshold=layer.threshold,
        activation=torch.relu if layer.relu else _identity,
        pool=layer.pool,
        send_gain=layer.send_gain,
        message_step=arithmetic.message_step,
        state_limit=arithmetic.state_limit,
        stock=stock,
        activation_limit=activation_limit(layer, arithmetic),
        persistent_state=True,
    )
    if layer.bias is not None:
        neuron.set_bias(layer.bias.flatten() if layer.geometry.reads_flat else layer.bias)
    return neuron


def _identity(x: Tensor) -> Tensor:
    return x


def _oversized(messages: Tensor, arithmetic: Arithmetic) -> Tensor:
    """[T]: how many messages do not fit their bits."""
    if arithmetic.message_limit is None:
        return torch.zeros(messages.shape[-1], dtype=torch.int64)
    too_large = messages.abs() > arithmetic.message_limit
    return too_large.sum(dim=(0, 1, 2, 3))
