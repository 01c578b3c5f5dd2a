"""The tables and weights of a synapse in an engine's memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.layers import Synapse
from ann2sdnn.sdnn.engine.instructions.add_groups import PAIRINGS
from ann2sdnn.sdnn.engine.instructions.vector import Vector, in_kernel_order, padded
from ann2sdnn.sdnn.engine.layout.taps import (
    Runs,
    find_phases,
    first_needed,
    margin_of,
    needed,
    runs_of,
    square_of,
)
from ann2sdnn.sdnn.engine.layout.wiring import Wiring
from ann2sdnn.sdnn.engine.loops.memory import Builder

_MOST_OUTPUTS = 256  # of weights in groups that are spread out with zeros between
_MOST_CHANNELS = 32  # of depthwise kernels that are

_SHARE = 5  # in 16: of a row's neurons that send where its map is read
_SHARE_OF_PIXELS = 3  # the same for kernels of one pixel
_SHARE_IN_GROUPS = 2  # the same for groups


def synapse_fields(
    builder: Builder, synapse: Synapse, wiring: Wiring | None, vector: Vector
) -> dict[str, int]:
    """The fields of ``SYNAPSE`` for its taps and weights.

    Without a wiring, all that arrives is to be written to the sums from outside.
    """
    height = synapse.output_shape[1]
    if wiring is None:
        nothing = builder.hold("tables", np.zeros(height, np.int64))
        return {"needed": nothing, "first_needed": nothing}
    runs = runs_of(wiring.columns)
    fields = {
        "n_down": wiring.rows.shape[1],
        "n_across": wiring.columns.shape[1],
        "rows": builder.hold("tables", wiring.rows),
        "runs": builder.hold("tables", runs.table),
        "n_runs": builder.hold("tables", runs.n),
        "step": runs.step,
        "needed": builder.hold("tables", needed(wiring.rows, height)),
        "first_needed": builder.hold("tables", first_needed(wiring.rows, height)),
    }
    return fields | _Weights(wiring, runs).fields(builder, synapse, vector)


@dataclass(frozen=True)
class _Weights:
    """How a synapse's weights are kept, and which loop multiplies them."""

    wiring: Wiring
    runs: Runs

    def fields(self, builder: Builder, synapse: Synapse, vector: Vector) -> dict[str, int]:
        wiring, plain = self.wiring, self._by_channel
        channels, n_down, n_across, outputs = plain.shape
        fields = {
            "plain_weights": builder.hold("weights", plain),
            "group_inputs": channels // wiring.groups,
            "group_outputs": outputs,
        }
        maps, pairs = self._maps(builder, synapse), self._pairs(builder, plain)
        by_groups = maps | pairs if pairs else {}
        # A kernel of all groups multiplies by zeros, which costs less than one product at a time
        # where there are few.
        is_one_to_one = n_down * n_across * outputs == 1
        if wiring.is_depthwise and (is_one_to_one or channels > _MOST_CHANNELS):
            by_tap = np.ascontiguousarray(plain.transpose(1, 2, 0, 3))
            weights = builder.hold("weights", by_tap)
            own = {"is_depthwise": 1, "weights": weights, "n_weights": by_tap.size}
            return fields | by_groups | own
        n_outputs = outputs * wiring.groups
        n_weights = n_down * n_across * padded(n_outputs)
        if wiring.groups > 1 and n_outputs > _MOST_OUTPUTS:
            return fields | by_groups | {"is_grouped": 1, "n_weights": n_weights}
        whole = _ungrouped(plain, wiring.groups)
        return (
            fields
            | maps
            | pairs
            | {
                "weights": builder.hold("weights", in_kernel_order(whole, vector)),
                "n_weights": n_weights,
                **square_of(whole.shape, self.runs),
            }
        )

    @property
    def _by_channel(self) -> NDArray[np.int16]:
        """[C, n_down, n_across, O / groups], taps of a row in the order of runs."""
        wiring = self.wiring
        n_down, n_across = wiring.rows.shape[1], wiring.columns.shape[1]
        by_tap = wiring.weights.reshape(n_down, n_across, *wiring.weights.shape[1:])
        return by_tap[:, self.runs.order].transpose(2, 0, 1, 3)

    def _maps(self, builder: Builder, synapse: Synapse) -> dict[str, int]:
        """Of ``add_maps`` and ``add_groups``, if they serve the columns."""
        width, out_width = synapse.input_shape[2], synapse.output_shape[2]
        columns = self.wiring.columns[:, self.runs.order]
        phases = find_phases(columns, self.runs.step, out_width)
        return {
            "phases": builder.hold("tables", phases),
            "n_phases": len(phases),
            "share": _SHARE if self.wiring.weights.shape[0] > 1 else _SHARE_OF_PIXELS,
            "margin": margin_of(phases, width),
        }

    def _pairs(self, builder: Builder, plain: NDArray[np.int16]) -> dict[str, int]:
        """Of ``add_groups``, if it serves groups of these sizes."""
        channels, n_down, n_across, outputs = plain.shape
        inputs, groups = channels // self.wiring.groups, self.wiring.groups
        if (inputs, outputs) not in PAIRINGS or groups == 1:
            return {}
        pairs = np.zeros((n_down, n_across, padded(groups * outputs), 2), np.int16)
        own = plain.reshape(groups, inputs, n_down, n_across, outputs).transpose(2, 3, 0, 4, 1)
        pairs[:, :, : groups * outputs, :inputs] = own.reshape(n_down, n_across, -1, inputs)
        pairing = 1 + PAIRINGS.index((inputs, outputs))
        return {
            "pairing": pairing,
            "share": _SHARE_IN_GROUPS,
            "pair_weights": builder.hold("weights", pairs),
        }


def _ungrouped(weights: NDArray[np.int16], groups: int) -> NDArray[np.int16]:
    """``weights`` [C, n_down, n_across, O / groups] of all O outputs, zero between groups."""
    channels, n_down, n_across, outputs = weights.shape
    parts = weights.reshape(groups, -1, n_down, n_across, outputs)
    whole = np.zeros((*parts.shape[:4], groups, outputs), np.int16)
    own = np.arange(groups)
    whole[own, ..., own, :] = parts
    return whole.reshape(channels, n_down, n_across, groups * outputs)
