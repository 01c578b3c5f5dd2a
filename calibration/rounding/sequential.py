"""Rounds layer after layer, each for the messages that the rounded layers before it send."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.calibration.measure.importance import pixel_importance
from ann2sdnn.calibration.measure.outputs import output_weights
from ann2sdnn.calibration.rounding.block import Block
from ann2sdnn.calibration.rounding.gptq import (
    Moments,
    compensated_target,
    objective,
    round_compensated,
)
from ann2sdnn.calibration.rounding.memory import blocks
from ann2sdnn.calibration.rounding.rounded import (
    QuantisedNetwork,
    Rounded,
    RoundedLayer,
    round_nearest,
)
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork, activation
from ann2sdnn.graph.planes import Planes
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.progress import SILENT, Reporter

_NEURONS_PER_FRAME = 2500
_CORRECTION = 0.25  # share of earlier layers' errors to compensate (docs/calibration.md)
_IMPORTANCE = 0.5  # pixels are weighted with this power of their importance


@torch.inference_mode()
def round_sequentially(
    graph: Graph,
    plan: RangePlan,
    frames: Sequence[Tensor],
    *,
    reporter: Reporter = SILENT,
) -> tuple[Rounded, tuple[float, ...]]:
    """Error-compensated rounding on ``frames`` (uint8 [C, H, W] each).

    Also returns the share [L] of the error energy of rounding to the nearest that is left. All
    frames' activations that are still to be read are kept in memory, float and rounded. Synapses
    that are ``too_wide`` stay rounded to the nearest.
    """
    ann = FloatNetwork(graph)
    sdnn = QuantisedNetwork(graph, plan, round_nearest(graph, plan))
    generator = torch.Generator().manual_seed(0)
    floats = [Planes(graph, ann.encode(frame[None])) for frame in frames]
    sent = [Planes(graph, sdnn.encode(frame[None])) for frame in frames]
    left = []
    weights = output_weights(graph, frames)
    importance = []
    with reporter.task("Rounding", len(graph.layers), "layers") as task:
        for number, frame in enumerate(frames, 1):
            importance.append(pixel_importance(graph, frame, generator, weights))
            task.advance(0, f"importance of pixels, frame {number} of {len(frames)}")
        for index, layer in enumerate(graph.layers):
            shown = [
                _Shown(own.inputs(), ann.preactivation(index, planes.inputs()), weight)
                for own, planes, weight in zip(
                    sent,
                    floats,
                    (by_layer[index] ** _IMPORTANCE for by_layer in importance),
                    strict=True,
                )
            ]
            left.append(_round_layer(sdnn, index, shown, generator))
            for own, planes, seen in zip(sent, floats, shown, strict=True):
                planes.put(activation(layer, seen.target))
                own.put(sdnn.send(index, sdnn.preactivation(index, seen.inputs)))
            task.advance(1, layer.name)
    return tuple(sdnn.layers), tuple(left)


@dataclass(frozen=True, eq=False)
class _Shown:
    """A frame at one layer. ``inputs``: the messages that its synapses receive; ``target``
    [1, O, H, W]: the float network's pre-activation; ``importance`` [H, W].
    """

    inputs: list[Tensor]
    target: Tensor
    importance: Tensor


def _round_layer(
    sdnn: QuantisedNetwork, index: int, shown: Sequence[_Shown], generator: torch.Generator
) -> float:
    """Round layer ``index`` of ``sdnn``; returns the share of the error energy that is left."""
    before = after = 0.0
    for numbers in blocks(sdnn.layers[index].layer, sdnn.layers[index].plan):
        block = Block(sdnn.layers[index], numbers)
        added = [_added_by_others(sdnn, index, numbers, frame) for frame in shown]
        rounded, *energies = _round(block, _moments(block, shown, added, generator))
        sdnn.replace(index, rounded)
        before, after = before + energies[0], after + energies[1]
    return after / before if before > 0 else 1.0


def _added_by_others(
    sdnn: QuantisedNetwork, index: int, numbers: Sequence[int], frame: _Shown
) -> Tensor | None:
    """What the synapses of layer ``index`` but ``numbers`` add to its state, as they are rounded;
    None where there are no others.
    """
    total: Tensor | None = None
    for number, messages in enumerate(frame.inputs):
        if number not in numbers:
            part = sdnn.part(index, number, messages)
            total = part if total is None else total + part
    return total


def _moments(
    block: Block,
    shown: Sequence[_Shown],
    added: Sequence[Tensor | None],
    generator: torch.Generator,
) -> list[Moments]:
    """One per group, in multiples of the weight step, float64."""
    layer, plan = block.rounded.layer, block.rounded.plan
    rows = block.weight
    n_neurons = layer.preactivation_shape[1] * layer.preactivation_shape[2]
    # Odd, so that all phases of a transposed convolution are included.
    every = 2 * round((max(1.0, np.sqrt(n_neurons / _NEURONS_PER_FRAME)) - 1) / 2) + 1
    scale = torch.from_numpy(plan.scale / block.step).to(torch.float32)[:, None, None]
    bias = torch.zeros(len(scale)) if layer.bias is None else torch.from_numpy(layer.bias.copy())
    groups, outs, n_columns = rows.shape
    hessian = torch.zeros(groups, n_columns, n_columns, dtype=torch.float64)
    cross = torch.zeros(groups, outs, n_columns, dtype=torch.float64)
    for frame, by_others in zip(shown, added, strict=True):
        z = frame.target
        top, left = (
            int(torch.randint(min(every, size), (1,), generator=generator)) for size in z.shape[2:]
        )
        columns = block.patches(frame.inputs, every, (top, left))
        wanted = (z - bias[:, None, None]) * scale
        if by_others is not None:
            wanted -= by_others / block.step
        by_group = wanted[0, :, top::every, left::every].reshape(groups, outs, -1)
        # Neurons without any input carry no information.
        heard = columns.any(dim=1).any(dim=0)
        columns, by_group = columns[:, :, heard], by_group[:, :, heard]
        weights = frame.importance[top::every, left::every].flatten()[heard]
        weighted = (columns * weights).transpose(1, 2)
        hessian += columns @ weighted
        cross += by_group @ weighted
    return [Moments(h, c - w @ h) for h, c, w in zip(hessian, cross, rows, strict=True)]


def _round(block: Block, moments: Sequence[Moments]) -> tuple[RoundedLayer, float, float]:
    """The rounded layer, and the error energies of rounding to the nearest and of this."""
    rounded, before, after = [], 0.0, 0.0
    for rows, plain, group in zip(block.weight, block.steps, moments, strict=True):
        target = rows + _CORRECTION * (compensated_target(rows, group) - rows)
        try:
            whole = round_compensated(target, group.hessian, block.limits)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined,unused-ignore]
            raise ConversionError(
                f"layer {block.rounded.layer.name}: the inputs of its neurons differ too much in"
                f" size for error-compensated rounding ({str(error).partition(':')[0]}); convert"
                " with --rounding nearest"
            ) from error
        rounded.append(whole)
        before += float(objective(plain, rows, group.hessian).sum())
        after += float(objective(whole, target, group.hessian).sum())
    return block.with_steps(torch.stack(rounded)), before, after
