"""Small runs of what the commands need: `python -m ann2sdnn.eval.doctor.probes torch engine`.

Each probe runs something and compares its result, prints one line of JSON, and so does not depend
on version numbers. They run in processes of their own, since an import may crash or hang.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ann2sdnn.support.terminal import counted

if TYPE_CHECKING:
    from torch import Tensor

    from ann2sdnn.sdnn.engine.run import BackendResult
    from ann2sdnn.sdnn.spec.spec import Spec


class _WrongResultError(Exception):
    """Something runs here and computes something else than it should."""


def _torch() -> str:
    import torch
    from torch.nn.functional import conv2d

    frame = torch.arange(16.0).reshape(1, 1, 4, 4).requires_grad_()
    total = conv2d(frame, torch.ones(1, 1, 3, 3)).sum()
    (gradient,) = torch.autograd.grad(total, frame)
    # Each of the four windows has nine pixels; the four in the middle are in all of them.
    _check(total.item() == 270 and gradient[0, 0, 1, 1].item() == 4, "a convolution")
    return f"{torch.__version__}, {counted(torch.get_num_threads(), 'thread')}; gradient correct"


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        reason = "torch sees no GPU" if built else "this torch is built without CUDA"
        raise ModuleNotFoundError(reason)
    ones = torch.ones(64, 64, device="cuda")
    _check((ones @ ones).sum().item() == 64**3, "a product of matrices on the GPU")
    _, total = torch.cuda.mem_get_info()
    return f"{torch.cuda.get_device_name()}, {total / 1e9:.0f} GB; product correct"


def _engine() -> str:
    import numba

    from ann2sdnn.sdnn.engine.instructions.vector import host_vectors

    started = time.monotonic()
    result = _result("engine")
    seconds = time.monotonic() - started
    _check(_are_equal(result, _expected()), "the engine")
    vectors = "vector" if len(host_vectors()) > 1 else "plain"
    return f"numba {numba.__version__}, {vectors} code; equal to the reference in {seconds:.1f} s"


def _onnx() -> str:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    value, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")
    )
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"x": np.array([-1, 2], np.float32)})
    _check(found.tolist() == [0, 2], "a network in ONNX Runtime")
    return f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}; ReLU correct"


def _files() -> str:
    import h5py
    import numpy as np
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        frames = np.arange(64, dtype=np.uint8).reshape(8, 8)
        with h5py.File(Path(folder) / "frames.h5", "w") as file:
            file.create_dataset("frames", data=frames, compression="gzip")
        with h5py.File(Path(folder) / "frames.h5") as file:
            _check(bool((file["frames"][()] == frames).all()), "a compressed HDF5 file")
        Image.fromarray(frames).save(Path(folder) / "frame.png")
        picture = np.asarray(Image.open(Path(folder) / "frame.png"))
        _check(bool((picture == frames).all()), "a PNG picture")
    return f"h5py {h5py.__version__}; HDF5 and PNG written and read"


def _slayer() -> str:
    result = _result("slayer")
    _check(_are_equal(result, _expected()), "slayer")
    return "lava-dl; messages equal to the reference's"


def _lava() -> str:
    from importlib import import_module
    from importlib.metadata import version

    import_module("ann2sdnn.sdnn.lava.models")
    return f"lava-nc {version('lava-nc')}; its processes and models load"


def _lava_run() -> str:
    import torch

    outputs = _result("lava").outputs
    _check(torch.equal(outputs, _expected().outputs), "lava-nc")
    return "lava-nc; a simulation equal to the reference"


def _openvino() -> str:
    import numpy as np
    import openvino

    x = openvino.opset8.parameter([2], np.float32)
    network = openvino.Model([openvino.opset8.relu(x)], [x])
    found = openvino.Core().compile_model(network, "CPU")(np.array([-1, 2], np.float32))[0]
    _check(found.tolist() == [0, 2], "a network in OpenVINO")
    return f"{openvino.__version__.split('-')[0]}; ReLU correct"


def _video() -> str:
    from importlib import import_module

    from ann2sdnn.data.sources.files.decoding import OpenCv, decoder
    from ann2sdnn.support.errors import DataError

    try:
        is_opencv = isinstance(decoder(Path("video")), OpenCv)
    except DataError as error:
        raise ModuleNotFoundError("neither PyAV nor OpenCV is installed", name="av") from error
    module = import_module("cv2" if is_opencv else "av")
    return f"{'OpenCV' if is_opencv else 'PyAV'} {module.__version__} loads"


PROBES: dict[str, Callable[[], str]] = {
    "torch": _torch,
    "gpu": _gpu,
    "engine": _engine,
    "onnx": _onnx,
    "files": _files,
    "slayer": _slayer,
    "lava": _lava,
    "lava-run": _lava_run,
    "openvino": _openvino,
    "video": _video,
}


def _network() -> "Spec":
    """Two layers of integers, with a threshold."""
    import numpy as np

    from ann2sdnn.graph.kinds import Convolution
    from ann2sdnn.sdnn.spec.grid import Grid
    from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

    rng = np.random.default_rng(0)
    layers = tuple(
        SpecLayer(
            name=f"layer{channels}",
            geometry=Convolution(pads=(1, 1, 1, 1)),
            weight=(2 * rng.integers(-60, 60, (4, channels, 3, 3))).astype(np.int16),
            bias=None,
            relu=True,
            pool=None,
            threshold=2,
            scale=np.ones(4),
            input_shape=(channels, 8, 8),
        )
        for channels in (1, 4)
    )
    return Spec((1, 8, 8), 1 / 255, 4, Grid(6), layers, "0" * 64)


def _frames() -> "Tensor":
    import numpy as np
    import torch

    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (3, 1, 8, 8)).astype("u1"))


def _result(backend: str) -> "BackendResult":
    from ann2sdnn.sdnn.backends import make_backend

    return make_backend(backend, _network()).run(_frames())


def _expected() -> "BackendResult":
    """Of the reference, which nothing is compiled for."""
    from ann2sdnn.sdnn.reference.reference import Reference

    return Reference(_network()).run(_frames())


def _are_equal(first: "BackendResult", second: "BackendResult") -> bool:
    pairs = [(getattr(first, n), getattr(second, n)) for n in ("outputs", "events", "synops")]
    return all(bool((a == b).all()) for a, b in pairs)


def _check(is_right: bool, what: str) -> None:
    if not is_right:
        raise _WrongResultError(f"{what} computes a wrong result here")


def _missing(error: BaseException | None) -> ModuleNotFoundError | None:
    """The missing module that is behind ``error``."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__
    return error


def run(name: str) -> dict[str, Any]:
    """What the probe ``name`` found, or the reason why it failed."""
    try:
        return {"name": name, "found": PROBES[name]()}
    except Exception as error:  # whatever goes wrong in a library is a finding
        missing = _missing(error)
        reason = str(missing or error).strip().splitlines() or [type(error).__name__]
        module = missing.name if missing else None
        return {
            "name": name, "reason": reason[0], "is_missing": missing is not None, "module": module
        }  # fmt: skip


if __name__ == "__main__":
    output = sys.stdout
    sys.stdout = sys.stderr  # for what libraries print
    for each in sys.argv[1:]:
        output.write(json.dumps(run(each)) + "\n")
        output.flush()
