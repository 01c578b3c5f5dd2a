"""Computes the input encoding of a network that slayer trained, in place of its ``Input`` block.

slayer rounds the input to multiples of 1/32 from -4 to 3.96875, multiplies and shifts it
(``weight`` and ``bias`` of the block, in 1/64), and sends what differs from what was sent. netx
cannot compile an input block with a neuron, so the lowered file has none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.netx.read import NetxLayer
from ann2sdnn.sdnn.spec.grid import UNITS
from ann2sdnn.support.errors import ConversionError, DataError, ModelError
from ann2sdnn.support.files.h5 import H5Fields, reading_h5
from ann2sdnn.support.integers import narrowed, narrowed_int

COUNTS = 32  # of the rounded input in 1.0
COUNT_MIN, COUNT_MAX = -128, 127
MESSAGE_UNITS = 4096  # of a message in 1.0
GROUP = "ann2sdnn"  # in the file, beside netx's own content
_PREFIX = "slayer_input_"
_ADVICE = "so train with a smaller bias of the input"


@contextmanager
def reading_extras(path: Path, command: str) -> Iterator[H5Fields]:
    """The group of ``path`` beside netx's own content.

    Raises ModelError, also for what the block raises, where ``command`` did not write it.
    """
    problem, advice = f"is no network file that `ann2sdnn {command}` wrote", f"{command} it again"
    with reading_h5(path, problem, advice) as file:
        try:
            yield H5Fields(file[GROUP])
        except ConversionError as error:
            raise ModelError(f"{path} {problem} ({error}); {advice}") from error


@dataclass(frozen=True)
class InputEncoding:
    """Input encoding: a count of 1/32 becomes ``gain`` message units (1/4096) plus ``offset``.

    Changes smaller than ``threshold`` message units are not sent. ``encodes``: False for a network
    without an ``Input`` neuron, which takes messages.
    """

    gain: int = MESSAGE_UNITS // COUNTS
    offset: int = 0
    threshold: int = 1
    encodes: bool = True

    def __post_init__(self) -> None:
        # A change is as large as two levels.
        reached = [2 * (count * self.gain + self.offset) for count in (COUNT_MIN, COUNT_MAX)]
        narrowed(reached, np.int32, "the input's encoding: a change", advice=_ADVICE)
        narrowed_int(self.threshold, np.int32, "the input's encoding: a threshold")

    def __call__(self, values: NDArray[Any]) -> NDArray[np.int32]:
        """Messages int32 [T, ...] for the ``values`` [T, ...] that slayer's ``Input`` takes.

        Raises DataError for values that are not finite, or that messages cannot hold.
        """
        if not np.isfinite(values).all():
            raise DataError("a value of the input that is no finite number; check the frames")
        if not self.encodes:
            units = np.rint(values.astype(np.float64) * MESSAGE_UNITS)
            return narrowed(units, np.int32, "the input: a message in 1/4096", error=DataError)
        counts = np.rint(values.astype(np.float32) * COUNTS)
        counts = np.clip(counts, COUNT_MIN, COUNT_MAX).astype(np.int32)
        levels: NDArray[np.int32] = counts * self.gain + self.offset
        messages: NDArray[np.int32] = np.zeros_like(levels)
        sent = np.zeros(levels.shape[1:], np.int32)
        for message, level in zip(messages, levels, strict=True):
            change = level - sent
            message[...] = np.where(np.abs(change) >= self.threshold, change, 0)
            sent += message
        return messages

    def write(self, group: Any) -> None:
        """Store beside netx's own content."""
        for name, value in vars(self).items():
            group.attrs[_PREFIX + name] = value

    @classmethod
    def read(cls, path: Path) -> "InputEncoding":
        """The encoding that `ann2sdnn lower` stored in ``path``; ModelError where it did not."""
        with reading_extras(path, "lower") as fields:
            return cls(
                gain=fields.integer(f"{_PREFIX}gain"),
                offset=fields.integer(f"{_PREFIX}offset"),
                threshold=fields.integer(f"{_PREFIX}threshold"),
                encodes=fields.flag(f"{_PREFIX}encodes"),
            )


def input_encoding(block: NetxLayer | None) -> InputEncoding:
    """The encoding of the file's first block; ConversionError for a weight out of range."""
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
