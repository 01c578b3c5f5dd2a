"""Rounds layer after layer, each for the messages that the rounded layers before it send."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.calibration.measure.importance import pixel_importance
from ann2sdnn.calibration.rounding.gptq import (
    Moments,
    compensated_target,
    objective,
    round_compensated,
)
from ann2sdnn.calibration.rounding.memory import too_wide
from ann2sdnn.calibration.rounding.rounded import (
    QuantisedNetwork,
    Rounded,
    RoundedLayer,
    round_nearest,
    scaled_steps,
    step_limits,
)
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.graph.averages import is_average
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork, activation
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.integers import narrowed
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
    frames' activations of one layer are kept in memory, float and rounded. Layers that are
    ``too_wide`` stay rounded to the nearest.
    """
    ann = FloatNetwork(graph)
    left_out = too_wide(graph)
    rounded = list(round_nearest(graph, plan))
    generator = torch.Generator().manual_seed(0)
    sdnn = QuantisedNetwork(graph, plan, rounded)
    floats = [ann.encode(frame[None]) for frame in frames]
    sent = [sdnn.encode(frame[None]) for frame in frames]
    left = []
    importance = []
    with reporter.task("Rounding", len(rounded), "layers") as task:
        for number, frame in enumerate(frames, 1):
            importance.append(pixel_importance(graph, frame, generator))
            task.advance(0, f"importance of pixels, frame {number} of {len(frames)}")
        for index, nearest in enumerate(rounded):
            # In place of the inputs, which are not needed any more.
            for i, x in enumerate(floats):
                floats[i] = ann.preactivation(index, x)
            ratio = 1.0
            # Averages are exact.
            if not is_average(nearest.layer) and nearest.layer.name not in left_out:
                weights = [by_layer[index] ** _IMPORTANCE for by_layer in importance]
                moments = _moments(nearest, sent, floats, weights, generator)
                rounded[index], ratio = _round(nearest, moments)
            left.append(ratio)
            sdnn = QuantisedNetwork(graph, plan, rounded)
            for i, z in enumerate(floats):
                floats[i] = activation(nearest.layer, z)
                sent[i] = sdnn.send(index, sdnn.preactivation(index, sent[i]))
            task.advance(1, nearest.layer.name)
    return tuple(rounded), tuple(left)


def _moments(
    rounded: RoundedLayer,
    sent: Sequence[Tensor],
    targets: Sequence[Tensor],
    importance: Sequence[Tensor],
    generator: torch.Generator,
) -> list[Moments]:
    """One per group, in multiples of the weight step, float64."""
    layer, plan = rounded.layer, rounded.plan
    weight = torch.from_numpy(scaled_steps(layer, plan, rounded.arriving))
    rows = layer.geometry.rows(weight, layer.input_shape[0])
    n_neurons = layer.preactivation_shape[1] * layer.preactivation_shape[2]
    # Odd, so that all phases of a transposed convolution are included.
    every = 2 * round((max(1.0, np.sqrt(n_neurons / _NEURONS_PER_FRAME)) - 1) / 2) + 1
    scale = torch.from_numpy(plan.scale / plan.weight_step).to(torch.float32)[:, None, None]
    bias = torch.zeros(len(scale)) if layer.bias is None else torch.from_numpy(layer.bias.copy())
    groups, outs, n_columns = rows.shape
    hessian = torch.zeros(groups, n_columns, n_columns, dtype=torch.float64)
    cross = torch.zeros(groups, outs, n_columns, dtype=torch.float64)
    for x, z, weights in zip(sent, targets, importance, strict=True):
        top, left = (
            int(torch.randint(min(every, size), (1,), generator=generator)) for size in z.shape[2:]
        )
        columns = layer.geometry.patches(x, weight.shape, every, (top, left))[0]
        wanted = ((z - bias[:, None, None]) * scale)[0, :, top::every, left::every]
        by_group = wanted.reshape(groups, outs, -1)
        # Neurons without any input carry no information.
        heard = columns.any(dim=1).any(dim=0)
        columns, by_group = columns[:, :, heard], by_group[:, :, heard]
        weighted = (columns * weights[top::every, left::every].flatten()[heard]).transpose(1, 2)
        hessian += columns @ weighted
        cross += by_group @ weighted
    return [Moments(h, c - w @ h) for h, c, w in zip(hessian, cross, rows, strict=True)]


def _round(nearest: RoundedLayer, moments: Sequence[Moments]) -> tuple[RoundedLayer, float]:
    geometry, channels = nearest.layer.geometry, nearest.layer.input_shape[0]
    steps = torch.from_numpy(nearest.steps.astype(np.float64))
    weight = torch.from_numpy(scaled_steps(nearest.layer, nearest.plan, nearest.arriving))
    limits = step_limits(nearest.layer, nearest.plan)
    rounded, before, after = [], 0.0, 0.0
    for rows, plain, group in zip(
        geometry.rows(weight, channels), geometry.rows(steps, channels), moments, strict=True
    ):
        target = rows + _CORRECTION * (compensated_target(rows, group) - rows)
        try:
            whole = round_compensated(target, group.hessian, limits)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined,unused-ignore]
            raise ConversionError(
                f"layer {nearest.layer.name}: the inputs of its neurons differ too much in size"
                f" for error-compensated rounding ({str(error).partition(':')[0]}); convert with"
                " --rounding nearest"
            ) from error
        rounded.append(whole)
        before += float(objective(plain, rows, group.hessian).sum())
        after += float(objective(whole, target, group.hessian).sum())
    ratio = after / before if before > 0 else 1.0
    whole_steps = geometry.from_rows(torch.stack(rounded), weight.shape, channels).numpy()
    what = f"layer {nearest.layer.name}: a rounded weight"
    kept = narrowed(whole_steps, np.int64, what, error=ConversionError)
    return replace(nearest, steps=kept), ratio
