"""Training of the pose network: from options and a data folder to a run folder."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ann2sdnn.ann.architectures import ARCHITECTURES, DHP19
from ann2sdnn.ann.network import INPUT_SCALE, PoseNet
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.run_folder import TrainEpoch, TrainFolder, TrainState, write_curve
from ann2sdnn.ann.training.trainer import PoseTrainer
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.ann.weights.pretrained import model_file
from ann2sdnn.ann.weights.read import read_network, stored_input_size
from ann2sdnn.data.recordings.label_check import warn_of_labels
from ann2sdnn.data.recordings.recording import open_recordings, recording_files
from ann2sdnn.data.recordings.split import Split
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.onnx.metadata import size_text
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.files.writing import files_in, sha256_of_all
from ann2sdnn.support.memory import available_bytes, check_memory
from ann2sdnn.support.progress import SILENT, Reporter
from ann2sdnn.support.training.ranks import running_fabric

# Measured on a CPU: bytes of a training, and per pixel of a batch, plain and on lava's grid.
_BASE, _BYTES, _AWARE_BYTES = 10**9, 1000, 3100


@dataclass(frozen=True)
class TrainSummary:
    """How a run ended."""

    onnx: Path
    """The network after the last epoch."""
    state: TrainState
    baseline_px: float | None
    """Validation error of always answering the mean pose; None where no joint is visible."""
    split: Split
    is_first_process: bool = True

    @property
    def last(self) -> TrainEpoch:
        """The last epoch."""
        return self.state.history[-1]


def train(
    data: Path,
    out: Path,
    options: TrainOptions | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> TrainSummary:
    """Train the pose network on the recordings in ``data``; the run's folder is ``out``.

    With ``resume`` the run in ``out`` continues from its last finished epoch and ends with the same
    weights as if it had never stopped; ``options`` None then means the recorded ones. Without it,
    an ``out`` in use is refused unless ``force`` replaces the run in it.

    Raises OutputError for ``out``, DataError for ``data``, UsageError for options that contradict
    each other, the data, the ``init`` or the run resumed, ModelError for an ``init`` that cannot be
    read and where training diverges, and ProcessError where another process of the run has ended.
    """
    folder = TrainFolder(out)
    init = None if options is None or resume else options.init
    inputs = () if init is None else (model_file(Path(init)),)
    folder.check(resume=resume, force=force, inputs=(*inputs, *recording_files(data)))
    recordings = open_recordings(data)
    fingerprint = {recording.name.stem: recording.n_frames for recording in recordings}
    if resume:
        state = folder.resumed(options, fingerprint)
    else:
        state = _new_state(options or TrainOptions(), fingerprint)
    options = state.options
    with running_fabric(
        options.accelerator,
        options.devices,
        num_nodes=options.num_nodes,
        precision=options.precision,
    ) as fabric:
        if fabric.is_global_zero:
            warn_of_labels(recordings, reporter)
        if fabric.device.type == "cpu":
            whole = (recordings[0].height, recordings[0].width)
            check_training_memory(options, options.crop or options.resize or whole)
        data_sha256 = sha256_of_all(recording_files(data)[1:])
        trainer = PoseTrainer(fabric, folder, state, recordings, reporter, data_sha256=data_sha256)
        if fabric.is_global_zero and not resume:
            folder.clear()
        trainer.run()
        return _finish(trainer)


def check_training_memory(
    options: TrainOptions, size: tuple[int, int], available: int | None = None
) -> None:
    """Raise UsageError when pictures of ``size`` need more than the ``available`` bytes.

    ``available`` None: what this machine says, if it does.
    """
    n_pixels = options.batch_size * size[0] * size[1]
    by_pixel = _AWARE_BYTES if options.conversion_aware else _BYTES
    check_memory(
        _BASE + n_pixels * by_pixel,
        f"a step on {options.batch_size} pictures of {size[0]}x{size[1]}",
        "give a smaller --batch-size, or smaller windows with --crop",
        available=available_bytes() if available is None else available,
    )


def _new_state(options: TrainOptions, fingerprint: dict[str, int]) -> TrainState:
    if options.init is not None:
        weights, input_scale = read_network(model_file(Path(options.init)))
        _check_resize(options, stored_input_size(model_file(Path(options.init))))
        network = PoseNet.from_weights(weights)
    else:
        torch.manual_seed(options.seed)
        network = PoseNet(ARCHITECTURES[options.network or DHP19.name])
        input_scale = INPUT_SCALE
    name = network.architecture.name
    if options.network not in (None, name):
        raise UsageError(
            f"--network {options.network}; {options.init} holds a network {name}: leave out"
            " --network, or name another file"
        )
    return TrainState(
        options=options,
        network=name,
        data=fingerprint,
        weights=network.state_dict(),
        optimizer={},
        input_scale=input_scale,
    )


def _check_resize(options: TrainOptions, stored: Pair | None) -> None:
    """Raise UsageError where a network for resized pictures is to go on without a size."""
    if stored is not None and options.resize is None:
        size = size_text(stored)
        raise UsageError(
            f"{options.init} holds a network for pictures resized to {size}; give --resize {size},"
            " or another size such as 1/1 for whole pictures"
        )


def _finish(trainer: PoseTrainer) -> TrainSummary:
    """Write the network and the curve."""
    folder, state, baseline_px = trainer.folder, trainer.state, trainer.validation.baseline_px
    if trainer.fabric.is_global_zero:
        learner = trainer.learner
        with files_in(folder.path):
            weights, resize = learner.network().weights(), state.options.resize
            write_onnx(folder.onnx, weights, learner.input_scale, resize)
            write_curve(folder.curve, state.history, baseline_px)
    trainer.fabric.barrier()
    return TrainSummary(
        folder.onnx, state, baseline_px, trainer.split, trainer.fabric.is_global_zero
    )
