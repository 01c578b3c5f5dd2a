"""Training the pose network: from options and a data folder to a run folder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from ann2sdnn.ann.network import INPUT_SCALE, PoseNet
from ann2sdnn.ann.training.learner import FinalStage
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.results import write_curve
from ann2sdnn.ann.training.run_folder import RunFolder, RunState
from ann2sdnn.ann.training.trainer import Trainer
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.ann.weights.read import read_network
from ann2sdnn.data.recordings.label_check import warn_of_labels
from ann2sdnn.data.recordings.recording import open_recordings, recording_files
from ann2sdnn.data.recordings.split import Split
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.files.writing import files_in
from ann2sdnn.support.memory import available_bytes, check_memory
from ann2sdnn.support.progress import SILENT, Reporter

# Measured on a CPU: bytes of a training, for each pixel of a batch, plain and on lava's grid.
_BASE, _BYTES, _AWARE_BYTES = 10**9, 1000, 3100


@dataclass(frozen=True)
class TrainSummary:
    """How a run ended; ``onnx`` holds the weights after its last epoch.

    ``mpjpe_px`` and ``baseline_px`` (answering the mean pose) are over validation pictures of the
    test side, None where no joint is visible in them.
    """

    onnx: Path
    epochs: int
    steps: int
    seconds: float
    loss: float
    mpjpe_px: float | None
    baseline_px: float | None
    split: Split
    is_first_process: bool = True


def chosen_options(out: Path, changes: Mapping[str, Any], *, resume: bool) -> TrainOptions:
    """The default options, or with ``resume`` those of the run in ``out``, with ``changes``.

    Raises UsageError for options that cannot work; OutputError or ModelError when there is no run
    to resume or its state is damaged.
    """
    if not resume:
        return TrainOptions.with_changes(changes)
    folder = RunFolder(out)
    folder.check(resume=True, force=False)
    return replace(folder.read_state().options, **changes)


def train(
    data: Path,
    out: Path,
    options: TrainOptions | None = None,
    *,
    final_stage: FinalStage | None = None,
    resume: bool = False,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> TrainSummary:
    """Train the pose network on the recordings in ``data`` and leave the run in folder ``out``.

    With ``resume`` the run in ``out`` goes on from its last finished epoch and ends with the same
    weights as if it had never stopped; ``options`` None then means the recorded ones. Without it
    an ``out`` in use is refused unless ``force`` replaces the run in it. ``final_stage``: what
    a conversion-aware training ends with.

    Raises OutputError for ``out``, DataError for ``data``, UsageError for options that contradict
    each other, the data or the run resumed, and ModelError for an ``init`` that cannot be read and
    when training diverges.
    """
    folder = RunFolder(out)
    inputs = () if options is None or options.init is None or resume else (Path(options.init),)
    folder.check(resume=resume, force=force, inputs=(*inputs, *recording_files(data)))
    recordings = open_recordings(data)
    fingerprint = {one.name.stem: one.n_frames for one in recordings}
    if resume:
        state = _resumed(folder, options, fingerprint)
    else:
        state = _fresh(options or TrainOptions(), fingerprint)
    if state.options.conversion_aware and final_stage is None:
        raise UsageError("a conversion-aware training was asked for without its final stage")
    fabric = _fabric(state.options)
    if fabric.is_global_zero:
        warn_of_labels(recordings, reporter)
    if fabric.device.type == "cpu":
        size = state.options.crop or (recordings[0].height, recordings[0].width)
        check_training_memory(state.options, size)
    trainer = Trainer(fabric, folder, state, recordings, final_stage=final_stage, reporter=reporter)
    if fabric.is_global_zero and not resume:
        folder.clear()
    try:
        trainer.run()
    except KeyboardInterrupt:
        reporter.message(f"stopped after epoch {state.epoch}; continue with --resume")
        raise
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


def _fresh(options: TrainOptions, fingerprint: dict[str, int]) -> RunState:
    if options.init is not None:
        weights, input_scale = read_network(Path(options.init))
        return RunState(
            options, fingerprint, PoseNet.from_weights(weights).state_dict(), {}, input_scale
        )
    torch.manual_seed(options.seed)
    return RunState(options, fingerprint, PoseNet().state_dict(), {}, INPUT_SCALE)


def _resumed(
    folder: RunFolder, options: TrainOptions | None, fingerprint: dict[str, int]
) -> RunState:
    state = folder.read_state()
    if state.data != fingerprint:
        raise UsageError(
            f"{folder.path} was trained on other recordings ({len(state.data)} of them, now "
            f"{len(fingerprint)}); resume with the same --data or start a new run"
        )
    if options is not None:
        differing = state.options.differences(options)
        if differing:
            raise UsageError(
                f"{folder.path} was started with another {differing[0]} "
                f"({getattr(state.options, differing[0])}, now {getattr(options, differing[0])}); "
                "resume with the same options or start a new run"
            )
        if options.epochs < state.epoch:
            raise UsageError(
                f"--epochs {options.epochs}; the run in {folder.path} has made {state.epoch}"
                " already: ask for more"
            )
        state.options = options
    return state


def _fabric(options: TrainOptions) -> Fabric:
    try:
        fabric = Fabric(
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.num_nodes,
            precision=options.precision,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise UsageError(
            f"cannot train on {options.devices} devices of accelerator {options.accelerator} in "
            f"precision {options.precision}: {error}"
        ) from error
    fabric.launch()
    return fabric


def _finish(trainer: Trainer) -> TrainSummary:
    """Write the network as ONNX and the curve."""
    folder, state, baseline_px = trainer.folder, trainer.state, trainer.validation.baseline_px
    if trainer.fabric.is_global_zero:
        learner = trainer.learner
        with files_in(folder.path):
            write_onnx(folder.onnx, learner.network().weights(), learner.input_scale)
            write_curve(folder.curve, state.history, baseline_px)
    trainer.fabric.barrier()
    last = state.history[-1]
    return TrainSummary(
        folder.onnx,
        state.epoch,
        state.step,
        state.elapsed_s,
        last.loss,
        last.mpjpe_px,
        baseline_px,
        trainer.split,
        trainer.fabric.is_global_zero,
    )
