"""Estimates the cores of Loihi 2 that a converted network needs, and the inputs that fit."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ann2sdnn.convert.folder import SPEC_FILE
from ann2sdnn.convert.report.layer import LayerReport
from ann2sdnn.convert.report.loihi import LoihiLayer, LoihiReport, LoihiSystem
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.graph.cropping import resized
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.layers import INPUT
from ann2sdnn.sdnn.costs.cores import LayerCores, LayerWork, network_cores
from ann2sdnn.sdnn.costs.loihi import CORES_PER_CHIP, FRAMES_PER_SECOND, SYSTEMS
from ann2sdnn.sdnn.costs.sizes import InputSizes, fixed_layer
from ann2sdnn.sdnn.lowering.lower import LoweredSpec, lower_spec
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ConversionError, ModelError


def loihi_report(
    spec: Spec, lowered: LoweredSpec | None, measured: Mapping[str, LayerWork] | None = None
) -> LoihiReport:
    """The estimate for ``lowered``, or for ``spec`` where that has no lowered form.

    ``measured``: the work of the layers of ``spec`` by name. A layer of a pooling tree has none.
    """
    measured = measured or {}
    network = spec if lowered is None else lowered.spec
    if lowered is None:
        work = [measured.get(layer.name) for layer in spec.layers]
    else:
        work = [
            measured.get(spec.layers[part.origin].name) if part.role == "linear" else None
            for part in lowered.parts
        ]
    layers = network_cores(network.layers, work)
    cores = sum(layer.cores for layer in layers)
    sizes = InputSizes(network, work, takes=lambda size: lowered is None or _lowers(spec, size))
    return LoihiReport(
        network="converted" if lowered is None else "lowered",
        input_size=network.input_shape[1:],
        cores=cores,
        chips=-(-cores // CORES_PER_CHIP),
        frames_per_second=FRAMES_PER_SECOND,
        layers=[_layer(layer) for layer in layers],
        systems=[
            LoihiSystem(
                name=system.name,
                chips=system.chips,
                cores=system.cores,
                fits=cores <= system.cores,
                largest_input=sizes.largest(system.cores),
            )
            for system in SYSTEMS
        ],
        fixed_layer=fixed_layer(network),
    )


def _lowers(spec: Spec, size: Pair) -> bool:
    """Whether there is a network.net for frames of ``size``: packed grids have to divide it."""
    try:
        lower_spec(resized(spec, size))
    except (ConversionError, ModelError):
        return False
    return True


def _layer(layer: LayerCores) -> LoihiLayer:
    return LoihiLayer(
        name=layer.name,
        neurons=layer.neurons,
        weight_bytes=layer.weight_bytes,
        cores_by_neurons=layer.by_neurons,
        cores_by_memory=layer.by_memory,
        cores_by_rate=layer.by_rate,
        cores=layer.cores,
        limit=layer.limit,
        busy_us=layer.busy_us,
    )


def measured_work(layers: Sequence[LayerReport], input_events: float) -> dict[str, LayerWork]:
    """The work of every layer per calibration frame, by name.

    ``input_events``: messages of the input. A layer without sources reads the one before it.
    """
    sent = {INPUT: input_events}
    work, before = {}, INPUT
    for layer in layers:
        received = sum(sent.get(source, 0.0) for source in layer.sources or [before])
        work[layer.name] = LayerWork(received, layer.synops_per_frame_measured)
        sent[layer.name], before = layer.events_per_frame_measured, layer.name
    return work


def with_estimate(report: ConversionReport, folder: Path) -> ConversionReport:
    """``report``, with the estimate for the conversion in ``folder`` where it has none: it is of an
    earlier version, or of a network that was trained further.
    """
    if report.loihi is not None or not (folder / SPEC_FILE).is_file():
        return report
    spec = read_spec(folder / SPEC_FILE)
    try:
        lowered = lower_spec(spec)
    except ConversionError:
        lowered = None  # the estimate says which network it is of
    changed = 0.0 if report.work is None else report.work.changed_pixels_per_frame
    estimate = loihi_report(spec, lowered, measured_work(report.layers, changed))
    return report.model_copy(update={"loihi": estimate})
