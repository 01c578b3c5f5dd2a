"""Fine-tuning: trains the SDNN of a conversion and writes a conversion's folder again."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ann2sdnn.calibration.thresholds.budget import search_budget
from ann2sdnn.calibration.thresholds.deviation import Budget
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.fine_tuning.plots import RunObserver
from ann2sdnn.convert.fine_tuning.report import fine_tuned_report
from ann2sdnn.convert.folder import (
    MODEL_FILE,
    NETWORK_FILE,
    REPORT_FILE,
    SPEC_FILE,
    conversion_files,
    open_conversion,
)
from ann2sdnn.convert.report.report import ConversionReport, read_report, write_report
from ann2sdnn.convert.stages.verify import verify
from ann2sdnn.data.pose.heatmaps import check_heatmaps
from ann2sdnn.data.sources.dhp19 import Dhp19Options, Dhp19Source
from ann2sdnn.data.sources.frames import Frames, PoseFrames, common_shape, limited
from ann2sdnn.data.sources.registry import open_frames, source_files, source_of
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.sdnn.spec.file import write_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.check import Check, check
from ann2sdnn.sdnn.training.fresh import fresh_spec
from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.sdnn.training.run_folder import SdnnEpoch, SdnnRunFolder, SdnnRunState
from ann2sdnn.support.errors import ModelError, UsageError
from ann2sdnn.support.files.writing import files_in, sha256
from ann2sdnn.support.memory import available_bytes, check_memory
from ann2sdnn.support.progress import SILENT, Reporter
from ann2sdnn.support.training.fabric import fabric_on, usable_device
from ann2sdnn.support.training.state import resuming

# The files of a conversion's folder, which lie beside those of the run.
_CONVERSION = (MODEL_FILE, SPEC_FILE, REPORT_FILE, NETWORK_FILE)
_SCALED_ON = 8  # training frames on which random weights are scaled
# Measured on a CPU: bytes of a training, and per neuron and frame of a step.
_BASE, _BYTES = 16 * 10**8, 20


@dataclass(frozen=True, eq=False)
class FineTuned:
    """Outcome of a fine-tuning run."""

    first: SdnnEpoch
    """The network before training."""
    last: SdnnEpoch
    """The network after the last epoch."""
    report: ConversionReport
    rechecked: Check | None
    """Validation after thresholds were chosen again; None if they were not."""


def fine_tune(
    source: Path,
    data: Path,
    out: Path,
    options: SdnnTrainOptions | None = None,
    *,
    chosen: SourceOptions | None = None,
    resume: bool = False,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> FineTuned:
    """Train the SDNN of the conversion in ``source`` on the frames in ``data``.

    Without labelled poses its target is the ANN's output. ``chosen``: options of the data's source,
    but for cameras, which are a run's own. ``out`` ends as a conversion's folder; during training
    it holds the run's state, curves and pictures. ``resume`` continues the run in ``out``,
    ``options`` None with the recorded ones.
    Raises ModelError for ``source``, DataError for ``data``, OutputError for ``out``, and
    UsageError for options that contradict the data or the run resumed.
    """
    if out.resolve() == source.resolve():
        raise UsageError(f"--out {out} is the conversion that is trained; choose another folder")
    if options is not None:
        usable_device(options.device)
    folder = SdnnRunFolder(out)
    inputs = (*conversion_files(source), *source_files(data))
    folder.check(resume=resume, force=force, more=_CONVERSION, inputs=inputs)
    conversion, report = open_conversion(source), read_report(source / REPORT_FILE)
    size = conversion.spec.preprocessing.resize
    whole = resized(open_frames(data, chosen, reporter=reporter), size)
    state = _state(folder, options, _lengths(whole), source / SPEC_FILE, resume=resume)
    options, graph, spec = state.options, conversion.graph, conversion.spec
    if isinstance(source_of(data), Dhp19Source):
        chosen = Dhp19Options(options.channels)
    _check_fit(spec, whole, options, str(source / SPEC_FILE))
    label_warnings = source_of(data).warnings(data, "all")
    for warning in label_warnings:
        reporter.message(f"Warning: {warning}")
    train_side = resized(open_frames(data, chosen, split="train"), size)
    validation = limited(
        resized(open_frames(data, chosen, split="validation"), size),
        options.validation_frames,
        option="--validation-frames",
    )
    training = limited(train_side, options.verified_frames, option="--verified-frames")
    if options.device == "cpu":
        check_step_memory(spec, options, available_bytes(), n_runs=len(train_side))
    if options.scratch:
        spec = fresh_spec(spec, _some_frames(training), options.seed)
    observer = RunObserver(folder, graph, spec, validation)
    learned = _train(spec, state, train_side, observer, reporter)
    search = None
    if options.budget_px is not None:
        # The gradient of a threshold hardly knows how long an error lasts; the search measures it.
        layers = tuple(replace(layer, threshold=0) for layer in learned.layers)
        search = search_budget(
            graph,
            replace(learned, layers=layers),
            training,
            budget=Budget("px", options.budget_px),
            memory="all",
            reporter=reporter,
        )
        learned = search.points.lava
    verification = verify(graph, learned, training, reporter)
    tuned = fine_tuned_report(
        report,
        conversion.spec,
        learned,
        state=state,
        verification=verification,
        n_frames=sum(run.n_frames for run in training),
        search=search,
        warnings=(*graph.notes, *label_warnings),
    )
    with files_in(out):
        conversion.model.write(out / MODEL_FILE)
        write_spec(out / SPEC_FILE, learned, force=True)
        write_report(out / REPORT_FILE, tuned)
    rechecked = None if search is None else check(learned, validation, graph)
    return FineTuned(state.history[0], state.history[-1], tuned, rechecked)


def check_step_memory(
    spec: Spec, options: SdnnTrainOptions, available: int | None, *, n_runs: int | None = None
) -> None:
    """Raise UsageError where a step of ``options`` needs more than the ``available`` bytes.

    ``n_runs``: runs of the training side, the most that a batch can have; None: not known.
    """
    _, height, width = spec.input_shape
    crop = options.crop or (height, width)
    n_neurons = sum(math.prod(layer.preactivation_shape) for layer in spec.layers)
    share = crop[0] * crop[1] / (height * width)
    batch = options.batch_size if n_runs is None else min(options.batch_size, n_runs)
    frames = batch * options.chunk_frames
    check_memory(
        _BASE + round(frames * share * n_neurons * _BYTES),
        f"a step on {frames} frames of {crop[0]}x{crop[1]}",
        "give a smaller --batch-size or --chunk-frames, or smaller windows with --crop",
        available=available,
    )


def _train(
    spec: Spec,
    state: SdnnRunState,
    train_side: tuple[Frames, ...],
    observer: RunObserver,
    reporter: Reporter,
) -> Spec:
    from ann2sdnn.sdnn.training.batches import TrainingRuns
    from ann2sdnn.sdnn.training.trainer import SdnnTrainer

    options = state.options
    runs = TrainingRuns(
        train_side,
        options.chunk_frames * options.chunks,
        options.augmentation(),
        seed=options.seed,
    )
    with resuming(observer.folder.state) if state.history else nullcontext():
        trainer = SdnnTrainer(
            fabric_on(options.device),
            spec,
            state,
            runs,
            ann=observer.graph,
            validation=observer.validation,
            observe=observer,
            reporter=reporter,
        )
    if not state.history:
        observer.folder.clear(_CONVERSION)
    return trainer.run()


def _state(
    folder: SdnnRunFolder,
    options: SdnnTrainOptions | None,
    data: dict[str, int],
    spec_path: Path,
    *,
    resume: bool,
) -> SdnnRunState:
    """The state of a new run on ``data`` (see ``_lengths``), or of the one to continue."""
    digest = sha256(spec_path)
    if not resume:
        return SdnnRunState(
            options=options or SdnnTrainOptions(),
            data=data,
            spec_sha256=digest,
            weights={},
            optimizer={},
        )
    state = folder.resumed(options, data)
    if state.spec_sha256 != digest:
        raise UsageError(
            f"{folder.path} was trained from another conversion than is given now; resume with the"
            " same conversion or start a new run"
        )
    return state


def _lengths(sequences: Sequence[Frames]) -> dict[str, int]:
    """Number of frames of every group: what a resumed run has to find again."""
    return {frames.group: frames.n_frames for frames in sequences}


def _check_fit(
    spec: Spec, sequences: Sequence[Frames], options: SdnnTrainOptions, called: str
) -> None:
    """Raise ModelError or UsageError where the network, named ``called``, cannot be trained so."""
    shape = common_shape(sequences)
    if all(isinstance(frames, PoseFrames) for frames in sequences):
        check_heatmaps(called, spec.output_shape, shape)
        return
    if shape != spec.input_shape:
        sizes = ["x".join(map(str, each)) for each in (shape, spec.input_shape)]
        raise ModelError(
            f"{called} takes frames of {sizes[1]} and those of {sequences[0].name} are {sizes[0]};"
            " train on frames like those of the conversion"
        )
    if options.target == "labels":
        raise UsageError(
            f"--target labels needs labelled poses, which {sequences[0].name} lacks; leave it out"
        )
    if options.budget_px is not None:
        RateDistortion(budget_px=options.budget_px).check_output(spec.output_shapes)


def _some_frames(sequences: Sequence[Frames]) -> torch.Tensor:
    """The last frame of a few sequences, [N, C, H, W]."""
    chosen = sequences[:: max(1, len(sequences) // _SCALED_ON)][:_SCALED_ON]
    last = [next(frames.part(frames.n_frames - 1, frames.n_frames).chunks()) for frames in chosen]
    return torch.from_numpy(np.concatenate(last))
