"""The interface of every backend: frames in, decoded outputs and counts out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.operations import fan_out
from ann2sdnn.sdnn.spec.network import SigmaDeltaNetwork
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.frame_check import check_frames

# The network whose messages and operations a backend counts.
CountsOf = Literal["converted", "lowered"]


@dataclass(frozen=True, eq=False)
class BackendResult:
    """T frames through an SDNN with L layers; counts as in ``sdnn/reference/equations.py``."""

    outputs: Tensor
    """float32 [T, O, H, W], decoded, in the original network's units."""
    events: Tensor
    """int64 [T, L + 1]: messages sent, those of the input first."""
    synops: Tensor
    """int64 [T, L]: synaptic operations in each layer."""
    overflows: Tensor
    """int64 [T, L]: neurons whose exact sum left 24 bits, so that the state wrapped."""
    oversized: Tensor
    """int64 [T, L]: messages that do not fit 16 bits (simulations let them pass)."""
    messages: tuple[Tensor, ...] | None = None
    """[T, C, H, W] of the input and each layer, where asked for."""


class Backend(Protocol):
    """Runs one network; its state continues from call to call until ``reset``.

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
        """Process frames [T, C, H, W] of the network's type, one after another; T may be 0.

        Raises DataError for frames of another shape or type, and for float32 values beyond those
        that the network was converted for.
        """


def input_messages(spec: Spec, frames: Tensor) -> NDArray[np.int32]:
    """The input's messages [T, C, H, W] for ``frames``: changes of levels, in message units.

    Raises DataError as ``Backend.run`` does.
    """
    check_spec_frames(spec, frames)
    return spec.input_code.messages(frames)


def check_spec_frames(network: SigmaDeltaNetwork | Spec, frames: Tensor) -> None:
    """Raise DataError unless ``frames`` [T, C, H, W] have the shape and type that it takes."""
    code = network.input_code
    check_frames(frames, network.input_shape, "uint8" if code is None else code.dtype)


def blank_result(network: SigmaDeltaNetwork | Spec, n_frames: int) -> BackendResult:
    """A result to be filled in place: its counts are zero, its outputs anything."""
    n_layers = len(network.layers)

    def counts(n: int) -> Tensor:
        return torch.zeros(n_frames, n, dtype=torch.int64)

    return BackendResult(
        outputs=torch.empty(n_frames, *network.output_shape),
        events=counts(n_layers + 1),
        synops=counts(n_layers),
        overflows=counts(n_layers),
        oversized=counts(n_layers),
    )


def with_messages(
    result: BackendResult, network: SigmaDeltaNetwork | Spec, kept: Sequence[Sequence[Tensor]]
) -> BackendResult:
    """``result`` with the messages ``kept`` of the input and each layer, [C, H, W] per frame."""
    shapes = network.plane_shapes
    stacked = tuple(
        torch.stack(tuple(frames)) if frames else torch.zeros(0, *shape)
        for frames, shape in zip(kept, shapes, strict=True)
    )
    return replace(result, messages=stacked)


def check_is_stateful(network: SigmaDeltaNetwork | Spec, backend: str) -> None:
    """Raise UsageError, naming the first memoryless layer, for a backend without such layers."""
    if network.memoryless_layers:
        raise UsageError(
            f"{backend} has stateful layers only, and {network.memoryless_layers[0]} is memoryless;"
            " run this network with --backend engine"
        )


class MessageCounter:
    """Counts messages, and the synaptic operations they cause in the layer they reach.

    A message costs one operation per non-zero weight that it meets, fewer at the border. Messages
    of the last layer reach the host and cost none.
    """

    def __init__(self, network: SigmaDeltaNetwork) -> None:
        # Of every synapse of every layer; float64 adds them exactly.
        self._flat = [
            [
                fan_out(synapse.geometry, synapse.weight, synapse.input_shape).flatten().double()
                for synapse in layer.synapses
            ]
            for layer in network.layers
        ]

    @property
    def dense_macs(self) -> int:
        """Multiplications by non-zero weights of one dense frame."""
        return sum(int(own.sum()) for fan_outs in self._flat for own in fan_outs)

    def events(self, messages: Tensor) -> int:
        """Number of messages."""
        return int(torch.count_nonzero(messages))

    def synops(self, layer: int, arriving: Sequence[Tensor]) -> int:
        """Operations that messages [C, H, W], ``arriving`` at each synapse, cause in ``layer``."""
        return sum(
            int(own[torch.nonzero(messages.flatten()).flatten()].sum())
            for own, messages in zip(self._flat[layer], arriving, strict=True)
        )
