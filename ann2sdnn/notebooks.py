"""What notebooks show of the API's objects: small HTML with the tables of the pages."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from ann2sdnn.convert.render import points
from ann2sdnn.convert.render.document import document
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.layers import BaseLayer, Synapse
from ann2sdnn.graph.layers import Network as Layers
from ann2sdnn.graph.onnx.file.load import OnnxFile
from ann2sdnn.graph.onnx.reader import graph_of
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.page.blocks import short_names
from ann2sdnn.support.page.document import Document, Sheet
from ann2sdnn.support.page.html import render_fragment
from ann2sdnn.support.terminal import compact, counted


class NetworkFile(OnnxFile):
    """An ONNX network in memory, as ``from_onnx`` and ``from_torch`` return it.

    A notebook shows the layers that ``to_sdnn`` converts, or the sentence with which it refuses the
    network. ``write(path)`` writes it as one file.
    """

    def _repr_html_(self) -> str:
        title, refused = self.path.name, "It cannot be converted as it is."
        try:
            graph = graph_of(self, compare=False)
        except ModelError as error:
            return render_fragment(Document(title, refused, (str(error),), (), ()))
        about = f"{_size(graph)}, {compact(graph.n_weights)} weights."
        return render_fragment(Document(title, about, graph.notes, (), (layer_sheet(graph),)))


def report_html(report: ConversionReport) -> str:
    """The first screen of the report's page, without its plots."""
    return render_fragment(replace(document(report), parts=()))


def sdnn_html(spec: Spec, report: ConversionReport) -> str:
    """Verdict, operating points and layers of an SDNN."""
    table = points.table(report)
    return render_fragment(
        Document(
            title="SDNN",
            subtitle=f"{_size(spec)}.",
            sentences=points.verdict_of(report),
            warnings=tuple(report.warnings),
            parts=(layer_sheet(spec),),
            first=() if table is None else (table,),
        )
    )


def comparison_html(sheets: Sequence[Sheet]) -> str:
    """The tables of a comparison."""
    return render_fragment(Document("Comparison", "All frames count.", (), (), tuple(sheets)))


def layer_sheet(network: Layers) -> Sheet:
    """One row per layer of a graph or a spec; of a spec thresholds and memory, too."""
    names = dict(zip(network.plane_names[1:], short_names(network.plane_names[1:]), strict=True))

    def reads(index: int) -> str:
        planes = (network.plane_names[plane] for plane in network.reads[index])
        return ", ".join(names.get(name, name) for name in planes)

    columns: list[tuple[str, Any]] = [
        ("layer", lambda at: names[network.layers[at].name]),
        ("operation", lambda at: " + ".join(map(_operation, network.layers[at].synapses))),
    ]
    if not network.is_chain:
        columns.append(("reads", reads))
    columns += [
        ("then", lambda at: _after(network.layers[at])),
        ("output", lambda at: _shape(network.layers[at].output_shape)),
        ("weights", lambda at: compact(sum(x.weight.size for x in network.layers[at].synapses))),
    ]
    if isinstance(network, Spec):
        spec_layers, step = network.layers, network.grid.threshold_step
        columns += [
            ("threshold", lambda at: f"{spec_layers[at].threshold * step:.4g}"),
            ("memory", lambda at: _memory(spec_layers[at])),
        ]
    words = ("operation", "reads", "then", "memory")
    return Sheet.of("Layers", range(len(network.layers)), *columns, words=words)


def _size(network: Layers) -> str:
    outputs = " and ".join(map(_shape, network.output_shapes))
    layers = counted(len(network.layers), "layer")
    return f"{layers}, input {_shape(network.input_shape)}, output {outputs}"


def _operation(synapse: Synapse) -> str:
    geometry, kernel = synapse.geometry, synapse.weight.shape[2:]
    parts = [geometry.name + (f" {_shape(kernel)}" if kernel else "")]
    stride = getattr(geometry, "stride", (1, 1))
    if prod(stride) > 1:
        parts.append(f"stride {_shape(stride)}")
    if geometry.groups > 1:
        parts.append(f"{geometry.groups} groups")
    return ", ".join(parts)


def _after(layer: BaseLayer) -> str:
    parts = ["ReLU"] * layer.relu + ([] if layer.pool is None else [_pool(layer.pool)])
    return ", ".join(parts)


def _pool(pool: Pool) -> str:
    return f"{pool.kind} pool {_shape(pool.kernel)}"


def _memory(layer: SpecLayer) -> str:
    return "stateful" if layer.is_stateful else "memoryless"


def _shape(shape: Shape | tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
