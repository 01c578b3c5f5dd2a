"""Makes a NIR graph of a spec: the same integers, in NIR's own nodes and the two of ``nodes``.

A layer is one node per synapse (``Conv2d``, or ``Flatten`` and ``Linear``), whose results NIR adds
up at ``SdnnSigma``; a ``SumPool2d`` where the layer pools; and ``SdnnDelta``. Needs nir.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Dense, Geometry
from ann2sdnn.graph.layers import Synapse
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.spec.grid import SHIFT, Grid
from ann2sdnn.sdnn.spec.nir.nodes import SdnnDelta, SdnnSigma, register
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ModelError

FORMAT, SCHEMA = "ann2sdnn", 1
STATE_BITS, MESSAGE_BITS = 24, 16
OF_INPUT = -1  # what nodes of the input have as number of their layer


def to_nir(spec: Spec) -> Any:
    """The spec as a ``nir.NIRGraph``, which ``nir.write`` writes.

    Raises ModelError, naming the layer, for what NIR has no node for: transposed convolutions,
    maximum pooling, and pooling whose pads differ at the two ends of an axis.
    """
    register()
    made = _Nodes()
    made.add("input", nir.Input({"input": _array(spec.input_shape)}))
    sources = [made.add("input_delta", _input_delta(spec), "input")]
    for index, (layer, reads) in enumerate(zip(spec.layers, spec.reads, strict=True)):
        try:
            sources.append(made.add_layer(layer, index, [sources[plane] for plane in reads], spec))
        except ModelError as error:
            raise ModelError(f"layer {layer.name}: {error}") from error
    for number, plane in enumerate(spec.output_planes):
        shape = _array(spec.plane_shapes[plane])
        output = nir.Output({"output": shape}, metadata={"number": number})
        made.add(f"output_{number}", output, sources[plane])
    # nir 1.0.8 takes the input channels of a group for those of the input, and refuses them.
    is_checked = not any(each.geometry.groups > 1 for one in spec.layers for each in one.synapses)
    return nir.NIRGraph(made.nodes, made.edges, _metadata(spec), type_check=is_checked)


@dataclass
class _Nodes:
    """Nodes by name, and edges, as they are made."""

    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, node: Any, *sources: str) -> str:
        """The name of ``node``, which reads ``sources``."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def add_layer(self, layer: SpecLayer, index: int, sources: list[str], spec: Spec) -> str:
        """The name of the layer's last node, whose messages others read."""
        _check(layer)
        # A name of nir is one of HDF5, where a slash separates folders.
        prefix = f"{index:02d}_" + layer.name.replace("/", "_")
        flat = any(isinstance(each.geometry, Dense) for each in layer.synapses)
        arriving = []
        for number, (synapse, source) in enumerate(zip(layer.synapses, sources, strict=True)):
            make = _SYNAPSES.get(type(synapse.geometry))
            if make is None:
                raise ModelError(f"NIR has no node for {_kind(synapse.geometry)}")
            name = f"{prefix}_{number}"
            arriving.append(make(self, name, synapse, number, source))
            if flat and not isinstance(synapse.geometry, Dense):
                shape = layer.preactivation_shape
                arriving[-1] = self.add(f"{name}_flat", _flatten(shape), name)
        last = self.add(
            f"{prefix}_sigma",
            _sigma(layer, index, spec.grid, flat=flat, memory=spec.receives_changes(index)),
            *arriving,
        )
        if layer.pool is not None:
            last = self.add(f"{prefix}_pool", _sum_pool(layer.pool), last)
        return self.add(f"{prefix}_delta", _delta(layer, index, spec.grid), last)

    def add_convolution(self, name: str, synapse: Synapse, number: int, source: str) -> str:
        """One ``Conv2d``. Its bias is 0: that of a layer is added to the sum, not to changes."""
        assert isinstance(synapse.geometry, Convolution)
        geometry, weight = synapse.geometry.with_symmetric_pads(synapse.weight)
        assert isinstance(geometry, Convolution)
        node = nir.Conv2d(
            input_shape=synapse.input_shape[1:],
            weight=weight.copy(),
            stride=geometry.stride,
            padding=geometry.pads[:2],
            dilation=geometry.dilation,
            groups=geometry.groups,
            bias=np.zeros(len(weight), np.int32),
            metadata={"synapse": number},
        )
        return self.add(name, node, source)

    def add_dense(self, name: str, synapse: Synapse, number: int, source: str) -> str:
        """``Flatten`` and ``Linear``."""
        flat = self.add(f"{name}_flat", _flatten(synapse.input_shape), source)
        return self.add(name, nir.Linear(synapse.weight.copy(), metadata={"synapse": number}), flat)


_SYNAPSES: Mapping[type[Geometry], Callable[[_Nodes, str, Synapse, int, str], str]] = {
    Convolution: _Nodes.add_convolution,
    Dense: _Nodes.add_dense,
}


def _check(layer: SpecLayer) -> None:
    if layer.pool is not None and layer.pool.kind != "sum":
        raise ModelError(
            f"NIR has no node for {layer.pool.kind} pooling; use average pooling, or a stride"
        )
    if layer.n_carried:
        raise ModelError("a network that is lowered for netx; make the graph before")


def _kind(geometry: Geometry) -> str:
    advice = "; upsample before the network" if geometry.name == "conv-t" else ""
    return f"the operation {geometry.name}{advice}"


def _flatten(shape: Shape) -> Any:
    return nir.Flatten({"input": _array(shape)}, start_dim=0, end_dim=-1)


def _sum_pool(pool: Pool) -> Any:
    if pool.pads[:2] != pool.pads[2:]:
        raise ModelError(
            f"pooling with pads of {list(pool.pads)}; NIR pads both ends of an axis alike"
        )
    return nir.SumPool2d(*map(_array, (pool.kernel, pool.stride, pool.pads[:2])))


def _sigma(layer: SpecLayer, index: int, grid: Grid, *, flat: bool, memory: bool) -> SdnnSigma:
    bias = layer.bias
    return SdnnSigma(
        _array(layer.preactivation_shape),
        memory=memory,
        rectify=layer.relu,
        bits=STATE_BITS,
        flat=flat,
        bias=None if bias is None else bias.astype(np.int64) << (SHIFT + grid.spike_exp),
        metadata={"layer": index, "name": layer.name, "relay": layer.is_relay},
    )


def _delta(layer: SpecLayer, index: int, grid: Grid) -> SdnnDelta:
    finer = threshold_exponent(layer.shift, grid)
    return SdnnDelta(
        _array(layer.output_shape),
        memory=layer.is_stateful,
        threshold=int(layer.threshold) << max(finer, 0),
        threshold_places=max(-finer, 0),
        shift=layer.shift,
        bits=MESSAGE_BITS,
        neuron="corrected",
        step=grid.message_step,
        scale=layer.scale.copy(),
        metadata={"layer": index},
    )


def threshold_exponent(shift: int, grid: Grid) -> int:
    """A threshold of the spec is threshold * 2^this in units of the state."""
    return grid.spike_exp + shift - grid.threshold_bits


def _input_delta(spec: Spec) -> SdnnDelta:
    step = spec.grid.message_step
    return SdnnDelta(
        _array(spec.input_shape),
        memory=spec.input_is_stateful,
        threshold=int(spec.input_threshold),
        threshold_places=0,
        shift=0,
        bits=MESSAGE_BITS,
        neuron="corrected",
        step=step,
        scale=np.full(spec.input_shape[0], spec.input_gain * step / spec.input_scale),
        metadata={"layer": OF_INPUT},
    )


def _metadata(spec: Spec) -> dict[str, Any]:
    """What a frame is made to before it enters, and the number formats; nothing that is empty."""
    own = spec.preprocessing
    optional = {
        "input_offset": spec.input_offset,
        "input_mean": own.mean,
        "input_std": own.std,
        "input_resize": own.resize or (),
    }
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "source_sha256": spec.source_sha256,
        "spike_exp": spec.grid.spike_exp,
        "threshold_bits": spec.grid.threshold_bits,
        "input_scale": spec.input_scale,
        "input_gain": spec.input_gain,
        "input_dtype": own.dtype,
        **{name: np.array(values) for name, values in optional.items() if values},
    }


def _array(values: tuple[int, ...]) -> Any:
    return np.array(values, np.int64)
