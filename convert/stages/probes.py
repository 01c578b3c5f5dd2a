"""Compares every layer of the SDNN with the float network in some frames."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.calibration.measure.histogram import Magnitudes
from ann2sdnn.convert.report.layer import Distributions, HalfOctaves
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork, activation
from ann2sdnn.graph.planes import Planes
from ann2sdnn.sdnn.spec.grid import UNITS
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

_FRAMES = 16  # compared; errors and shapes of histograms need no more


@dataclass(frozen=True, eq=False)
class LayerProbe:
    """``activation_snr_db``: 10 log10(sum a^2 / sum e^2), with a the float network's activation and
    e the difference of the receivers' sums from it; None where a or e is 0 everywhere.
    """

    activation_snr_db: float | None
    distributions: Distributions


class LayerProbes:
    """Compares about 16 evenly spaced frames (each the last of its chunk) with the ANN."""

    def __init__(self, ann: FloatNetwork, spec: Spec, n_frames: int) -> None:
        self._ann = ann
        self._layers = [_Layer(layer, spec) for layer in spec.layers]
        index_of = {layer.name: i for i, layer in enumerate(ann.graph.layers)}
        self._index_of = [index_of.get(layer.name) for layer in spec.layers]
        self._planes_of_relays = relayed_planes(spec, ann.graph)
        self._every = max(1, n_frames // _FRAMES)
        self._waiting = 0
        self.n_frames = 0

    def wants(self, n_frames: int) -> bool:
        """Whether to ``see`` the chunk of ``n_frames`` frames that was run last."""
        self._waiting += n_frames
        return self._waiting >= self._every

    @torch.inference_mode()
    def see(self, frames: Tensor, sent: tuple[Tensor, ...]) -> None:
        """Add a chunk of uint8 ``frames`` [T, C, H, W] with the sums ``sent`` [1, C, H, W] that the
        receivers of every layer of the spec hold after the last frame.
        """
        self._waiting = 0
        self.n_frames += 1
        graph = self._ann.graph
        planes = Planes(graph, self._ann.encode(frames[-2:]))
        done = 0  # layers of the graph
        for position, (layer, decoded) in enumerate(zip(self._layers, sent, strict=True)):
            index = self._index_of[position]
            if index is None:
                # A relay stands before the first layer that reads it.
                read = graph.reads[done].index(self._planes_of_relays[position])
                layer.see_relay(planes.inputs()[read], decoded)
                continue
            z = self._ann.preactivation(index, planes.inputs())
            out = activation(graph.layers[index], z)
            layer.see(z, out, decoded)
            planes.put(out)
            done = index + 1

    def result(self) -> tuple[LayerProbe, ...]:
        """The probes of all layers of the spec."""
        return tuple(layer.result() for layer in self._layers)


def relayed_planes(spec: Spec, graph: Graph) -> dict[int, int]:
    """By the index in ``spec`` of every relay: the plane of ``graph`` that it sends on."""
    planes = {name: plane for plane, name in enumerate(graph.plane_names)}
    return {
        index: planes[spec.plane_names[spec.reads[index][0]]]
        for index, layer in enumerate(spec.layers)
        if layer.is_relay
    }


class _Layer:
    """Running sums of one layer."""

    def __init__(self, layer: SpecLayer, spec: Spec) -> None:
        self.spec = layer
        scale = torch.from_numpy(layer.scale).to(torch.float32)[:, None, None]
        # A sum stands for an average pooling; states come before it and the shift.
        pool = layer.pool
        window = 1 if pool is None else pool.n_summed
        gain = layer.send_gain * window
        self._message_unit = spec.grid.message_step
        self._state_unit = self._message_unit / UNITS
        self._sent_scale, self._state_scale = scale, scale / gain
        self._signal = self._error = 0.0
        self._positive = self._negative = Magnitudes.empty()
        self._activations = self._changes = Magnitudes.empty()

    def see(self, z: Tensor, a: Tensor, decoded: Tensor) -> None:
        """Add pre-activations and activations of one or two frames, and the last's decoded sums."""
        self._compare(a[-1:], decoded / self._sent_scale)
        self._count(z, a)

    def see_relay(self, x: Tensor, decoded: Tensor) -> None:
        """Add a relay, which sends every channel twice; the first copy has all bits."""
        self._compare(x[-1:], (decoded / self._sent_scale)[:, ::2])
        copies = x.repeat_interleave(2, dim=1)
        self._count(copies, copies)

    def _count(self, z: Tensor, a: Tensor) -> None:
        positive, negative = Magnitudes.of_signs(z[-1:] * self._state_scale)
        self._positive, self._negative = self._positive + positive, self._negative + negative
        on_grid = a * self._sent_scale
        self._activations = self._activations.plus(on_grid[-1:])
        if len(a) > 1:
            self._changes = self._changes.plus(on_grid[1:] - on_grid[:1])

    def _compare(self, expected: Tensor, decoded: Tensor) -> None:
        self._signal += float(expected.square().sum(dtype=torch.float64))
        self._error += float((decoded - expected).square().sum(dtype=torch.float64))

    def result(self) -> LayerProbe:
        return LayerProbe(
            activation_snr_db=_decibels(self._signal, self._error),
            distributions=Distributions(
                positive=half_octaves(self._positive, self._state_unit),
                negative=half_octaves(self._negative, self._state_unit),
                activations=half_octaves(self._activations, self._message_unit),
                changes=half_octaves(self._changes, self._message_unit),
            ),
        )


def half_octaves(seen: Magnitudes, unit: float) -> HalfOctaves:
    """The histogram in ``unit``, a power of two, from 1 unit upwards."""
    halves = seen.counts.reshape(-1, 4).sum(axis=1)  # from eight bins per octave
    start = int(np.float32(unit).view(np.uint32) >> 22)
    filled = np.flatnonzero(halves)
    stop = max(start, int(filled[-1]) + 1) if filled.size else start
    return HalfOctaves(
        counts=[int(count) for count in halves[start:stop]],
        below=int(halves[:start].sum()),
        total=seen.total,
    )


def _decibels(signal: float, error: float) -> float | None:
    return 10 * float(np.log10(signal / error)) if signal > 0 and error > 0 else None
