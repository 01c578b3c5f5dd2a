"""The input of a network that slayer trained: what its ``Input`` block does, for the host to do.

slayer rounds the input to multiples of 1/32 from -4 to 3.96875, multiplies and shifts it
(``weight`` and ``bias`` of the block, in 1/64), and sends what differs from what was sent. netx
cannot compile an input block with a neuron, so the lowered file has none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.errors import ConversionError, ModelError
from ann2sdnn.lfs import refuse_lfs_pointer
from ann2sdnn.sdnn.netx_read import NetxLayer
from ann2sdnn.sdnn.spec import UNITS

COUNTS = 32  # of the rounded input in 1.0
COUNT_MIN, COUNT_MAX = -128, 127
MESSAGE_UNITS = 4096  # of a message in 1.0
_PREFIX = "slayer_input_"


@dataclass(frozen=True)
class InputEncoding:
    """A count of 1/32 enters as ``gain`` message units (1/4096), plus ``offset``; changes smaller
    than ``threshold`` message units are not sent. ``encodes``: False says that the network takes
    messages, as one without an ``Input`` neuron does.
    """

    gain: int = MESSAGE_UNITS // COUNTS
    offset: int = 0
    threshold: int = 1
    encodes: bool = True

    def __call__(self, values: NDArray[Any]) -> NDArray[np.int32]:
        """Messages int32 [T, ...] for what slayer's ``Input`` takes, ``values`` [T, ...]."""
        if not self.encodes:
            given: NDArray[np.int32] = np.rint(values.astype(np.float64) * MESSAGE_UNITS).astype(
                np.int32
            )
            return given
        counts = np.rint(values.astype(np.float32) * COUNTS)
        counts = np.clip(counts, COUNT_MIN, COUNT_MAX).astype(np.int32)
        levels: NDArray[np.int32] = counts * self.gain + self.offset
        messages: NDArray[np.int32] = np.zeros_like(levels)
        sent = np.zeros_like(levels[0])
        for message, level in zip(messages, levels, strict=True):
            change = level - sent
            message[...] = np.where(np.abs(change) >= self.threshold, change, 0)
            sent += message
        return messages

    def write(self, group: Any) -> None:
        """Store beside netx' own content."""
        for name, value in vars(self).items():
            group.attrs[_PREFIX + name] = value

    @classmethod
    def read(cls, path: Path) -> "InputEncoding":
        """The encoding that `ann2sdnn lower` stored in ``path``; ModelError where it did not."""
        refuse_lfs_pointer(path, ModelError)
        try:
            with h5py.File(path, "r") as file:
                found = file["ann2sdnn"].attrs
                return cls(
                    gain=int(found[f"{_PREFIX}gain"]),
                    offset=int(found[f"{_PREFIX}offset"]),
                    threshold=int(found[f"{_PREFIX}threshold"]),
                    encodes=bool(found[f"{_PREFIX}encodes"]),
                )
        except (OSError, KeyError) as error:
            raise ModelError(
                f"{path} is no file that `ann2sdnn lower` wrote ({error}); lower the network again"
            ) from error


def input_encoding(block: NetxLayer | None) -> InputEncoding:
    """What the file's first block does; ConversionError for a weight that leaves the messages."""
    if block is None or block.kind != "input" or block.threshold is None:
        return InputEncoding(gain=1, encodes=False)
    weight = UNITS if block.weight is None else int(block.weight.ravel()[0])
    bias = 0 if block.bias is None else int(block.bias.ravel()[0])
    if not 1 <= weight <= UNITS:
        raise ConversionError(
            f"block {block.name}: its weight is {weight}/64; expected more than 0 and 1 at most,"
            " so that messages fit 16 bits: put the factor into the first layer"
        )
    gain = weight * MESSAGE_UNITS // (UNITS * COUNTS)
    offset = bias * MESSAGE_UNITS // UNITS
    return InputEncoding(gain, offset, max(1, block.threshold * MESSAGE_UNITS // UNITS))
