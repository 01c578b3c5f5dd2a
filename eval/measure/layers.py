"""What every layer did, the networks side by side."""

from dataclasses import dataclass
from math import prod

from ann2sdnn.eval.measure.networks import CountedSdnn
from ann2sdnn.eval.results.schema import LayerResult
from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.sdnn.spec.spec import Spec


@dataclass(frozen=True)
class _AnnLayer:
    """All None for a layer the ANN does not have, or when it was not run."""

    density: float | None = None
    macs: float | None = None
    nonzero_macs: float | None = None


@dataclass(frozen=True)
class _SdnnLayer:
    """All None when the network was not run."""

    events: float | None = None
    synops: float | None = None
    overflows: int | None = None
    oversized: int | None = None


def layer_results(
    spec: Spec,
    ann: CountedAnn | None,
    sdnn: CountedSdnn | None,
    memoryless: CountedSdnn | None,
) -> tuple[LayerResult, ...]:
    """One value a layer of ``spec``; ANN layers are found by name, which a conversion keeps."""
    ann_layers = _ann_layers(ann)
    return tuple(
        _layer_result(
            spec,
            index,
            ann_layers.get(layer.name, _AnnLayer()),
            _sdnn_layer(sdnn, index),
            _sdnn_layer(memoryless, index),
        )
        for index, layer in enumerate(spec.layers)
    )


def _layer_result(
    spec: Spec, index: int, ann: _AnnLayer, sdnn: _SdnnLayer, memoryless: _SdnnLayer
) -> LayerResult:
    layer = spec.layers[index]
    neurons = prod(layer.output_shape)
    return LayerResult(
        name=layer.name,
        neurons=neurons,
        ann_density=ann.density,
        event_density=None if sdnn.events is None else sdnn.events / neurons,
        events_per_frame=sdnn.events,
        synops_per_frame=sdnn.synops,
        threshold=layer.threshold * spec.grid.threshold_step,
        memoryless_events_per_frame=memoryless.events,
        memoryless_synops_per_frame=memoryless.synops,
        macs_per_frame=ann.macs,
        nonzero_macs_per_frame=ann.nonzero_macs,
        overflows=sdnn.overflows,
        oversized_messages=sdnn.oversized,
    )


def _ann_layers(ann: CountedAnn | None) -> dict[str, _AnnLayer]:
    if ann is None:
        return {}
    return {
        layer.name: _AnnLayer(
            density=float(ann.activations[index + 1] / ann.n_frames / prod(layer.output_shape)),
            macs=float(ann.macs[index]),
            nonzero_macs=float(ann.nonzero_macs[index] / ann.n_frames),
        )
        for index, layer in enumerate(ann.graph.layers)
    }


def _sdnn_layer(sdnn: CountedSdnn | None, index: int) -> _SdnnLayer:
    if sdnn is None:
        return _SdnnLayer()
    return _SdnnLayer(
        events=float(sdnn.events[index + 1] / sdnn.n_frames),
        synops=float(sdnn.synops[index] / sdnn.n_frames),
        overflows=int(sdnn.overflows[index]),
        oversized=int(sdnn.oversized[index]),
    )
