"""Every parser of files of strangers, with a good file to begin from."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import torch
from networks import moving_frames, random_spec
from netx_files import write_block
from onnx_models import ModelBuilder, random_weights
from recordings import write_overlapping, write_recordings

from ann2sdnn.ann.architectures import DHP19
from ann2sdnn.ann.weights.checkpoint import read_checkpoint, write_checkpoint
from ann2sdnn.data.events.aedat import POLARITY_BIT, open_aedat, write_aedat
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.data.raw.vicon import read_vicon, write_vicon
from ann2sdnn.data.recordings.experiment_file import read_experiment_file
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.sdnn.netx.importer import import_netx
from ann2sdnn.sdnn.spec.file import read_points, write_spec
from ann2sdnn.support.errors import Ann2SdnnError
from ann2sdnn.support.files.nested import read_nested, write_nested

_LONGEST = 2000  # characters of a sentence


@dataclass(frozen=True)
class Parser:
    """``write`` makes a good file; ``read`` reads it as the commands do.

    ``file``: its name. ``others``: exceptions that its only caller turns into a sentence.
    ``compiled``: modules whose loops take too long in Python; the fuzzer lets numba compile them,
    with a check of every index, and does not see which of their lines run.
    """

    name: str
    file: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    others: tuple[type[Exception], ...] = ()
    compiled: tuple[str, ...] = ()

    def good(self) -> bytes:
        """The content of a good file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.file
            self.write(path)
            return path.read_bytes()

    def fault(self, path: Path) -> Exception | None:
        """What reading ``path`` ended in, unless in a result or in one sentence."""
        try:
            self.read(path)
        except self.others:
            return None
        except Ann2SdnnError as error:
            text = str(error)
            return None if len(text.splitlines()) == 1 and len(text) < _LONGEST else error
        except Exception as error:
            return error
        return None


def _write_aedat(path: Path) -> None:
    rng = np.random.default_rng(0)
    address = (rng.integers(0, 260, 40) << 22 | rng.integers(0, 346, 40) << 12).astype(np.uint32)
    times = np.cumsum(rng.integers(0, 2**28, 40))
    write_aedat(path, [((address | POLARITY_BIT).astype(np.uint32), times)], ["a recording"])


def _read_aedat(path: Path) -> None:
    for _chunk in open_aedat(path).chunks(16):
        pass


def _write_vicon(path: Path) -> None:
    write_vicon(path, np.random.default_rng(0).normal(0, 700, (3, N_JOINTS, 3)))


def _write_frames(path: Path) -> None:
    write_recordings(path.parent, subjects=1, frames=2)


def _write_hops(path: Path) -> None:
    write_overlapping(path.parent)


def _read_recording(path: Path) -> None:
    for recording in open_recordings(path.parent):
        indices = range(min(recording.n_frames, 20))
        recording.frames(indices, [0])
        recording.labels(indices)


def _read_frames(path: Path) -> None:
    for frames in open_frames(path):
        for _chunk in frames.chunks(8):
            pass


def _write_npy(path: Path) -> None:
    np.save(path, moving_frames(4, (1, 5, 6)).numpy())


def _write_npz(path: Path) -> None:
    frames = moving_frames(4, (1, 5, 6)).numpy()
    np.savez_compressed(path, frames=frames, labels=np.arange(4), lengths=np.array([1, 3]))


def _write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=moving_frames(4, (1, 5, 6)).numpy(), compression="gzip")
        file["labels"] = np.arange(4)


def _write_onnx(path: Path) -> None:
    rng = np.random.default_rng(0)
    builder = ModelBuilder((1, 1, 8, 8)).add("Conv", random_weights(rng, 2, 1, 3, 3))
    builder.add("Relu").add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    builder.add("Reshape", np.array([1, -1], np.int64)).add("MatMul", random_weights(rng, 18, 3))
    builder.metadata["ann2sdnn.input_scale"] = "0.5"
    builder.save(path)


def _write_spec(path: Path) -> None:
    """Two layers: more of them take longer and have nothing else to be read."""
    spec = random_spec()
    write_spec(path, replace(spec, layers=spec.layers[:2]))


def _write_netx(path: Path) -> None:
    """A block of each kind that the published experiment has."""
    square = {"stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]}
    pool = {"kernelSize": [2, 2], **square}
    with h5py.File(path, "w") as file:
        write_block(file, "input", (1, 8, 8), 0)
        conv = {"kernelSize": [3, 3], **square, "groups": 1, "bias": [-4, 0]}
        weight = 2 * np.arange(-9, 9).reshape(2, 1, 3, 3)
        write_block(file, "conv", (2, 3, 3), 1, weight=weight, **conv)
        write_block(file, "pool", (2, 2, 2), 0, weight=np.full((1, 1, 2, 2), 64), **pool)
        weight = 2 * np.arange(-8, 8).reshape(2, 2, 2, 2)
        write_block(file, "convT", (2, 4, 4), 0, weight=weight, groups=1, **pool)


def _write_state(path: Path) -> None:
    write_nested(path, {"json": "{}", "step": 3, "weights": {"a": torch.ones(2)}, "rest": (1, [])})


def _write_checkpoint(path: Path) -> None:
    weights = {}
    for layer in DHP19.layers:
        sizes = (layer.out_channels, layer.in_channels)
        weights[layer.name] = np.zeros((*(sizes[::-1] if layer.transposed else sizes), 3, 3), "f4")
    write_checkpoint(path, weights, 1.0)


def _write_experiment(path: Path) -> None:
    tensors = [
        torch.sparse_coo_tensor(torch.tensor([[0], [3], [4], [1], [2]]), torch.ones(1), shape)
        for shape in ((1, 260, 344, 4, 8), (13, 260, 344, 4, 8))
    ]
    numbers = {key: [1] for key in ("session_tensor", "subject_tensor", "mov_tensor")}
    names = ("input_tensors", "target_tensors")
    lists = {name: [one] for name, one in zip(names, tensors, strict=True)}
    torch.save({**lists, **numbers}, path)


# What turns counts of events into frames.
_COUNTS = ("ann2sdnn.data.events.normalise", "ann2sdnn.data.events.windows")
_STEM = "S1_session1_mov1_7500events"

PARSERS = {
    parser.name: parser
    for parser in (
        Parser("aedat", "mov1.aedat", _write_aedat, _read_aedat),
        Parser("vicon", "S1_1_1.mat", _write_vicon, read_vicon),
        Parser("frames", f"{_STEM}.h5", _write_frames, _read_recording),
        Parser("hops", f"{_STEM}.h5", _write_hops, _read_recording, compiled=_COUNTS),
        Parser("labels", f"{_STEM}_label.h5", _write_frames, _read_recording),
        Parser("hdf5", "walk.h5", _write_hdf5, _read_frames),
        Parser("npy", "walk.npy", _write_npy, _read_frames),
        Parser("npz", "walk.npz", _write_npz, _read_frames),
        Parser("onnx", "net.onnx", _write_onnx, read_onnx),
        Parser("spec", "sdnn.h5", _write_spec, read_points),
        Parser("netx", "network.net", _write_netx, import_netx),
        Parser("state", "state.safetensors", _write_state, read_nested, (OSError, ValueError)),
        Parser("checkpoint", "last.safetensors", _write_checkpoint, read_checkpoint),
        Parser("experiment", "train.pt", _write_experiment, read_experiment_file),
    )
}
