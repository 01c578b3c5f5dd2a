"""A small network with everything that calibration needs measured on a few frames."""

from dataclasses import dataclass

import numpy as np
import torch
from networks import MAX_POOL, ArrayRun, moving_frames, small_graph
from torch import Tensor

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.measure.sensitivity import measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.scales.plan import RangePlan, ScaleOptions
from ann2sdnn.calibration.scales.problem import plan_scales
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.graph.planes import separated
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.spec.grid import Grid


@dataclass(frozen=True)
class Case:
    """``frames``: uint8 [T, C, H, W]."""

    graph: Graph
    frames: Tensor
    evidence: Evidence

    def plan(self, options: ScaleOptions | None = None, grid: Grid | None = None) -> RangePlan:
        return plan_scales(self.evidence, grid or Grid(6), options or ScaleOptions())

    def float_output(self) -> Tensor:
        network = FloatNetwork(self.graph)
        return network(network.encode(self.frames))


def case(
    *, pool: Pool = MAX_POOL, bias: bool = True, dense: bool = False, n_frames: int = 10
) -> Case:
    """``small_graph`` measured on ``moving_frames``."""
    graph = small_graph(pool=pool, bias=bias, dense=dense)
    return measured_case(graph, moving_frames(n_frames))


def measured_case(graph: Graph, frames: Tensor, *, may_be_silent: bool = False) -> Case:
    """``graph`` measured on ``frames`` uint8 [T, C, H, W]."""
    statistics = measure(graph, [ArrayRun(frames.numpy())], may_be_silent=may_be_silent)
    sensitivity = measure_sensitivity(graph, list(frames), probes=4)
    return Case(graph, frames, Evidence(graph, statistics, None, sensitivity))


def noise_frames(graph: Graph, n_frames: int = 5) -> Tensor:
    """uint8 frames of the size of the input of ``graph``, in which everything changes."""
    generator = torch.Generator().manual_seed(0)
    size = (n_frames, *graph.input_shape)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)


def relative(found: Tensor, expected: Tensor) -> float:
    """Relative L2 error."""
    return float((found - expected).norm() / expected.norm())


def relative_of_outputs(graph: Graph, found: Tensor, expected: Tensor) -> float:
    """Root of the mean of the squares of the relative L2 errors of all outputs of ``graph``."""
    pairs = zip(*(separated(each, graph.output_shapes) for each in (found, expected)), strict=True)
    return float(np.sqrt(np.mean([relative(*pair) ** 2 for pair in pairs])))


def noise_like(values: Tensor, seed: int = 0) -> Tensor:
    """White noise of the same shape."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal(tuple(values.shape)).astype(np.float32))
