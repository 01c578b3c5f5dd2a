"""The two nodes of a sigma-delta neuron, for which NIR has no primitives; docs/nir.md defines them.

``SdnnSigma`` sums messages up to a pre-activation, ``SdnnDelta`` sends changes of an activation.
They are two nodes, so that NIR's own pooling stands between them. nir writes any node; it reads
those alone that it lists, so ``register`` has to be called before ``nir.read``. Needs nir.
"""

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.support.errors import ModelError

Shaped = NDArray[np.int64]
"""[3]: channels, rows and columns."""


@dataclass(eq=False)
class SdnnSigma(nir.NIRNode):  # type: ignore[misc]  # nir has no types
    """A population's sums: s = wrapped(s + input); output = max(s + bias, 0), all integers."""

    shape: Shaped
    """Of the neurons."""
    memory: bool
    """Whether s goes on from frame to frame; without memory it starts from 0 in each."""
    rectify: bool
    """Whether negative outputs become 0."""
    bits: int
    """s wraps as a signed integer of so many bits."""
    flat: bool
    """The input is [O] for neurons of shape [O, 1, 1], as ``Linear`` gives it."""
    bias: NDArray[np.int64] | None = None
    """[O] in units of s; None: no bias, and no such field in a file."""

    def __post_init__(self) -> None:
        self.input_type = {"input": self.shape[:1] if self.flat else self.shape}
        self.output_type = {"output": self.shape}

    def to_dict(self) -> dict[str, Any]:
        """All fields that have a value."""
        return {name: each for name, each in super().to_dict().items() if each is not None}


@dataclass(eq=False)
class SdnnDelta(nir.NIRNode):  # type: ignore[misc]  # nir has no types
    """A population's messages: the changes of its activation a against what it has sent.

    d = a - sent; m = d >> shift, where a < 0 -(-d >> shift), where |d| * 2^threshold_places >=
    threshold, else 0; sent = sent + (m << shift).
    """

    shape: Shaped
    """Of the messages."""
    memory: bool
    """Whether ``sent`` goes on from frame to frame; without memory it is 0 before each."""
    threshold: int
    """In units of a / 2^threshold_places."""
    threshold_places: int
    """Binary places of the threshold below a unit of a; 0 nearly always."""
    shift: int
    """Right shift from a to a message."""
    bits: int
    """Of a message, signed."""
    neuron: NeuronModel
    """``corrected``: no remainder of the rounding is lost."""
    step: float
    """One unit of a message, in units of the scaled activation."""
    scale: NDArray[np.float64]
    """[C]: the sum of a neuron's messages times step / scale is the ANN's activation."""

    def __post_init__(self) -> None:
        self.input_type = {"input": self.shape}
        self.output_type = {"output": self.shape}


def register() -> None:
    """Make ``nir.read`` know the two nodes.

    nir has no function for this: it looks a name up in the list ``nir.ir.__all_ir``, and then in
    the module ``nir.ir``. Raises ModelError for a version of nir without that list, or with other
    nodes of these names.
    """
    listed = vars(nir.ir).get("__all_ir")
    if not isinstance(listed, list):
        raise ModelError(
            f"nir {nir.version} keeps no list of nodes that can be extended; use nir 1.0.8"
        )
    for node in (SdnnSigma, SdnnDelta):
        name = node.__name__
        if vars(nir.ir).setdefault(name, node) is not node:
            raise ModelError(f"nir {nir.version} has a node {name} of its own; use nir 1.0.8")
        if name not in listed:
            listed.append(name)
