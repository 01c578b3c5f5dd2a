"""Opening a conversion's folder: the original network, and the spec that was made from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ann2sdnn.support.errors import ModelError

if TYPE_CHECKING:
    from ann2sdnn.graph.layers import Graph
    from ann2sdnn.graph.onnx.file.load import OnnxFile
    from ann2sdnn.sdnn.spec.points import OperatingPoints
    from ann2sdnn.sdnn.spec.spec import Spec

MODEL_FILE, SPEC_FILE, REPORT_FILE = "model.onnx", "sdnn.h5", "report.json"
NETWORK_FILE = "network.net"


@dataclass(frozen=True, eq=False)
class OpenedConversion:
    """The ANN, the SDNN made from it, and the ANN's file ``model``."""

    graph: "Graph"
    points: "OperatingPoints"
    model: "OnnxFile"

    @property
    def spec(self) -> "Spec":
        """The operating point that every backend runs."""
        return self.points.lava


def conversion_files(folder: Path) -> tuple[Path, ...]:
    """The files of the conversion in ``folder`` that commands read, and ``folder`` itself."""
    weights = folder.glob(f"{MODEL_FILE}?*") if folder.is_dir() else ()
    return (folder, *(folder / name for name in (MODEL_FILE, SPEC_FILE, REPORT_FILE)), *weights)


def open_conversion(folder: Path) -> OpenedConversion:
    """Read ``folder``/model.onnx and ``folder``/sdnn.h5.

    Raises ModelError when one is missing or damaged, or when the spec was made from another
    network.
    """
    from ann2sdnn.graph.onnx.file.load import load_onnx
    from ann2sdnn.graph.onnx.reader import graph_of
    from ann2sdnn.sdnn.spec.file import read_points

    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder; name one that `ann2sdnn convert` wrote")
    model_path, spec_path = folder / MODEL_FILE, folder / SPEC_FILE
    for path in (model_path, spec_path):
        if not path.is_file():
            raise ModelError(f"{path} is missing; name a folder that `ann2sdnn convert` wrote")
    points = read_points(spec_path)
    spec = points.lava
    model = load_onnx(model_path)
    if model.sha256 != spec.source_sha256:
        raise ModelError(
            f"{spec_path} was converted from another network (SHA-256 {spec.source_sha256[:12]}...)"
            f" than {model.path} ({model.sha256[:12]}...); convert again"
        )
    # The file is the one that was compared with ONNX Runtime when it was converted.
    graph = graph_of(
        model,
        input_size=spec.input_shape[1:],
        input_scale=spec.input_scale,
        preprocessing=spec.preprocessing,
        compare=False,
    )
    return OpenedConversion(graph, points, model)
