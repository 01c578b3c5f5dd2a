"""What every backend offers: frames in, decoded outputs and message counts out."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from ann2sdnn.graph.operations import fan_out
from ann2sdnn.sdnn.spec.network import SigmaDeltaNetwork
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import UsageError


@dataclass(frozen=True, eq=False)
class BackendResult:
    """T frames through an SDNN with L layers.

    ``outputs`` float32 [T, O, H, W], decoded, in the original network's units. ``events`` int64
    [T, L + 1]: messages sent, the input's first. ``synops`` int64 [T, L]: synaptic operations in
    each layer. ``overflows`` int64 [T, L]: neurons whose exact sum of state and arrivals left 24
    bits, so that the state wrapped round; each counts once a frame (``sdnn/reference``).
    ``oversized`` int64 [T, L]: messages that do not fit 16 bits (simulations let them pass).
    ``messages``: one tensor [T, C, H, W] for the input and each layer, when asked for.
    """

    outputs: Tensor
    events: Tensor
    synops: Tensor
    overflows: Tensor
    oversized: Tensor
    messages: tuple[Tensor, ...] | None = None


def run_of_nothing(network: SigmaDeltaNetwork, *, keep_messages: bool) -> BackendResult:
    """The run of no frames: every field with T = 0."""
    layers = network.layers
    shapes = (network.input_shape, *(layer.output_shape for layer in layers))
    counts = torch.zeros(0, len(layers), dtype=torch.int64)
    return BackendResult(
        outputs=torch.zeros(0, *layers[-1].output_shape),
        events=torch.zeros(0, len(layers) + 1, dtype=torch.int64),
        synops=counts,
        overflows=counts.clone(),
        oversized=counts.clone(),
        messages=tuple(torch.zeros(0, *shape) for shape in shapes) if keep_messages else None,
    )


# The network whose messages and operations a backend counts.
CountsOf = Literal["converted", "lowered"]


class Backend(Protocol):
    """Runs one network; its state goes on from call to call until ``reset``.

    All backends send equal messages and report equal counts, those of ``sdnn/reference``.
    """

    @property
    def frames_at_once(self) -> int:
        """Number of frames per call of ``run`` at which the backend is fast."""

    @property
    def counts_of(self) -> CountsOf:
        """Which network's layers ``events`` and ``synops`` belong to."""

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a recording."""

    def run(self, frames: Tensor, *, keep_messages: bool = False) -> BackendResult:
        """Process uint8 frames [T, C, H, W], one after another; T may be 0.

        Raises DataError for frames of another shape or type.
        """


def check_is_stateful(network: SigmaDeltaNetwork | Spec, backend: str) -> None:
    """Raise UsageError, naming the first memoryless layer, for a backend without such layers."""
    if network.memoryless_layers:
        raise UsageError(
            f"{backend} has stateful layers only, and {network.memoryless_layers[0]} is memoryless;"
            " run this network with --backend engine"
        )


class MessageCounter:
    """Counts messages, and the synaptic operations they cause in the layer they reach.

    A message costs one operation for every non-zero weight it meets, fewer at the border
    (``functional.fan_out``). Messages of the last layer reach the host and cost none.
    """

    def __init__(self, network: SigmaDeltaNetwork) -> None:
        self.fan_outs = [
            fan_out(layer.geometry, layer.weight, layer.input_shape) for layer in network.layers
        ]
        # Most fan-outs are the same for every neuron of the interior; a flat dot product with the
        # mask of messages is exact in float64.
        self._flat = [f.flatten().to(torch.float64) for f in self.fan_outs]

    @property
    def dense_macs(self) -> int:
        """Multiplications by non-zero weights of one dense frame."""
        return sum(int(f.sum(dtype=torch.float64)) for f in self.fan_outs)

    def events(self, messages: Tensor) -> int:
        """Number of messages."""
        return int(torch.count_nonzero(messages))

    def synops(self, layer: int, messages: Tensor) -> int:
        """Operations that ``messages`` [C, H, W] cause in ``layer``."""
        indices = torch.nonzero(messages.flatten()).flatten()
        return int(self._flat[layer][indices].sum())
