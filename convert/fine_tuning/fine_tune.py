"""`train-sdnn`: a conversion's folder in, and one out whose SDNN has learned from labels."""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.calibration.thresholds.budget import BudgetSearch, search_budget
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.conversion import MODEL_FILE, REPORT_FILE, SPEC_FILE
from ann2sdnn.convert.explain.budget import with_search
from ann2sdnn.convert.fine_tuning.report import Trained, fine_tuned_report
from ann2sdnn.convert.folder import conversion_files, open_conversion
from ann2sdnn.convert.report.report import ConversionReport, read_report, write_report
from ann2sdnn.convert.stages.verify import verify
from ann2sdnn.data.pose.heatmaps import check_heatmaps, decode_heatmaps
from ann2sdnn.data.recordings.label_check import warn_of_labels
from ann2sdnn.data.recordings.recording import Recording, open_recordings, recording_files
from ann2sdnn.data.recordings.split import choose
from ann2sdnn.data.sources.dhp19 import FrameRun, plan_runs
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.spec.file import write_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.device import usable_device
from ann2sdnn.sdnn.training.fresh import fresh_spec
from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.sdnn.training.run_folder import SdnnEpoch, SdnnRunFolder, SdnnRunState
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.files.state import resuming
from ann2sdnn.support.files.writing import files_in, sha256
from ann2sdnn.support.memory import available_bytes, check_memory
from ann2sdnn.support.progress import SILENT, Reporter

if TYPE_CHECKING:
    from ann2sdnn.sdnn.training.check import Check

# What `export` writes.
NETWORK_FILE = "network.net"
# What the folder holds beside the run.
_CONVERSION = (MODEL_FILE, SPEC_FILE, REPORT_FILE, NETWORK_FILE)
# Training frames on which fresh weights are scaled.
_SCALED_ON = 8
# Measured on a CPU: bytes of a training, for each neuron and frame of a step.
_BASE, _BYTES = 16 * 10**8, 20


@dataclass(frozen=True, eq=False)
class FineTuned:
    """How a run ended: its first and last epochs' records, and the report of the conversion.

    ``anew``: the validation pictures once more, where thresholds were chosen anew at the end.
    """

    first: SdnnEpoch
    last: SdnnEpoch
    report: ConversionReport
    anew: "Check | None"


def chosen_options(out: Path, changes: Mapping[str, Any], *, resume: bool) -> SdnnTrainOptions:
    """The default options, or with ``resume`` those of the run in ``out``, with ``changes``."""
    if not resume:
        return replace(SdnnTrainOptions(), **changes)
    folder = SdnnRunFolder(out)
    folder.check(resume=True, force=False)
    return replace(folder.read().options, **changes)


def fine_tune(
    source: Path,
    data: Path,
    out: Path,
    options: SdnnTrainOptions | None = None,
    *,
    resume: bool = False,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> FineTuned:
    """Train the SDNN of the conversion in ``source`` on the recordings in ``data``.

    ``out`` becomes a conversion's folder again; while the run goes on it holds what ``resume``
    needs, curves and pictures. Raises ModelError for ``source``, DataError for ``data``,
    OutputError for ``out``, and UsageError for options that contradict the data or the run resumed.
    """
    if out.resolve() == source.resolve():
        raise UsageError(f"--out {out} is the conversion that is trained; choose another folder")
    if options is not None:
        usable_device(options.device)
    folder = SdnnRunFolder(out)
    inputs = (*conversion_files(source), *recording_files(data))
    folder.check(resume=resume, force=force, others=_CONVERSION, inputs=inputs)
    conversion, report = open_conversion(source), read_report(source / REPORT_FILE)
    recordings = open_recordings(data)
    frame_shape = (1, recordings[0].height, recordings[0].width)
    check_heatmaps(str(source / SPEC_FILE), conversion.spec.output_shape, frame_shape)
    label_warnings = warn_of_labels(recordings, reporter)
    state = _state(folder, options, _fingerprint(recordings), source / SPEC_FILE, resume=resume)
    options = state.options
    validation = plan_runs(
        choose(recordings, "test"),
        options.channels,
        options.validation_frames,
        option="--validation-frames",
    )
    learned_from = choose(recordings, "train")
    learning = plan_runs(
        learned_from, options.channels, options.verified_frames, option="--verified-frames"
    )
    spec = conversion.spec
    if options.device == "cpu":
        n_runs = len(learned_from) * len(options.channels)
        check_step_memory(spec, options, available_bytes(), n_runs=n_runs)
    if options.scratch:
        spec = fresh_spec(spec, _some_frames(learning), options.seed)
    watcher = _Watcher(folder, conversion.graph, spec, validation)
    learned = _train(spec, state, recordings, validation, watcher=watcher, reporter=reporter)
    search = _searched(conversion.graph, learned, learning, options, reporter)
    learned = learned if search is None else search.chosen.spec
    verification = verify(conversion.graph, learned, learning, reporter)
    trained = Trained(
        before=conversion.spec,
        after=learned,
        options=options,
        first=state.history[0],
        last=state.history[-1],
        frames=sum(run.n_frames for run in learning),
        source_sha256=state.spec_sha256,
    )
    told = with_search(fine_tuned_report(report, trained, verification), search)
    told = told.model_copy(
        update={"warnings": [*conversion.graph.notes, *told.warnings, *label_warnings]}
    )
    if search is not None:
        warnings = [*told.warnings, *search.warnings]
        rule = RateDistortion.name
        told = told.model_copy(update={"thresholds": rule, "warnings": warnings})
    with files_in(out):
        conversion.model.write(out / MODEL_FILE)
        write_spec(out / SPEC_FILE, learned, force=True)
        write_report(out / REPORT_FILE, told)
    anew = None if search is None else _checked(learned, validation)
    return FineTuned(state.history[0], state.history[-1], told, anew)


def check_step_memory(
    spec: Spec, options: SdnnTrainOptions, available: int | None, *, n_runs: int | None = None
) -> None:
    """Raise UsageError when a step of ``options`` needs more than the ``available`` bytes.

    ``n_runs``: runs of the training side, of which a batch has no more (None: not known).
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


def _searched(
    graph: Graph,
    learned: Spec,
    runs: tuple[FrameRun, ...],
    options: SdnnTrainOptions,
    reporter: Reporter,
) -> BudgetSearch | None:
    """Thresholds of ``learned`` for the budget of ``options``, None without one.

    Training by gradient sets thresholds layer by layer with little regard for how long an error
    lasts; curves of rate and distortion measure it.
    """
    if options.budget_px is None:
        return None
    layers = tuple(replace(layer, threshold=0) for layer in learned.layers)
    spec = replace(learned, layers=layers)
    return search_budget(graph, spec, runs, budget_px=options.budget_px, reporter=reporter)


def _checked(spec: Spec, runs: tuple[FrameRun, ...]) -> "Check":
    from ann2sdnn.sdnn.training.check import check

    return check(spec, runs)


def _train(
    spec: Spec,
    state: SdnnRunState,
    recordings: tuple[Recording, ...],
    validation: tuple[FrameRun, ...],
    *,
    watcher: "_Watcher",
    reporter: Reporter,
) -> Spec:
    from ann2sdnn.sdnn.training.batches import RunChoice, TrainingRuns
    from ann2sdnn.sdnn.training.trainer import SdnnTrainer

    options = state.options
    choice = RunChoice(options.run_frames, options.crop, options.mirror)
    runs = TrainingRuns(choose(recordings, "train"), options.channels, choice, options.seed)
    with resuming(watcher.folder.state) if state.history else nullcontext():
        trainer = SdnnTrainer(spec, state, runs, validation, reporter, ann=watcher.graph)
    if state.epoch == 0 and not state.history:
        watcher.folder.clear(_CONVERSION)
    return trainer.run(watcher)


class _Watcher:
    """Writes state, curves and pictures after every epoch."""

    def __init__(
        self, folder: SdnnRunFolder, graph: Graph, spec: Spec, validation: tuple[FrameRun, ...]
    ) -> None:
        self.folder, self.graph, self.validation = folder, graph, validation
        self.names = [layer.name for layer in spec.layers]
        self._ann: tuple[NDArray[np.int64], ...] | None = None

    def __call__(self, state: SdnnRunState, checked: "Check", *, last: bool) -> None:
        """Write what there is after the last epoch of ``state``."""
        from ann2sdnn.convert.fine_tuning import plots

        self.folder.write(state)
        if not last and state.epoch % state.options.pictures_every:
            return
        seen = [
            plots.SeenRun(run, run.labels(), ann, sdnn)
            for run, ann, sdnn in zip(self.validation, self.ann, checked.pixels, strict=True)
        ]
        history = [
            plots.EpochPoint(
                one.epoch,
                one.mpjpe_px,
                one.validation_synops_per_frame,
                one.events_per_frame,
                one.thresholds,
            )
            for one in state.history
        ]
        plots.write_curves(self.folder.curves, history, self.names, plots.ann_mpjpe_px(seen))
        plots.write_sheet(self.folder.picture(state.epoch), seen)

    @property
    def ann(self) -> tuple[NDArray[np.int64], ...]:
        """The joints that the ANN finds, [n, 13, 2] a run."""
        if self._ann is None:
            network = FloatNetwork(self.graph)
            self._ann = tuple(
                np.concatenate(
                    [
                        decode_heatmaps(network(network.encode(torch.from_numpy(chunk))))[0]
                        for chunk in run.chunks()
                    ]
                )
                for run in self.validation
            )
        return self._ann


def _state(
    folder: SdnnRunFolder,
    options: SdnnTrainOptions | None,
    data: dict[str, int],
    spec_path: Path,
    *,
    resume: bool,
) -> SdnnRunState:
    """A new run's state, or the one to go on from."""
    digest = sha256(spec_path)
    if not resume:
        return SdnnRunState(options or SdnnTrainOptions(), data, digest, {}, {})
    state = folder.read()
    for what, same in (
        ("recordings", state.data == data),
        ("conversion", state.spec_sha256 == digest),
    ):
        if not same:
            raise UsageError(
                f"{folder.path} was trained from another {what.rstrip('s')} than is given now;"
                f" resume with the same {what} or start a new run"
            )
    if options is not None:
        differing = state.options.differences(options)
        if differing:
            name = differing[0]
            raise UsageError(
                f"{folder.path} was started with another {name} ({getattr(state.options, name)},"
                f" now {getattr(options, name)}); resume with the same options or start a new run"
            )
        state.options = options
    return state


def _fingerprint(recordings: tuple[Recording, ...]) -> dict[str, int]:
    return {one.name.stem: one.n_frames for one in recordings}


def _some_frames(runs: tuple[FrameRun, ...]) -> torch.Tensor:
    """A few training frames, the last of each run."""
    chosen = runs[:: max(1, len(runs) // _SCALED_ON)]
    frames = [
        run.recording.frames([run.stop - 1], (run.channel,))[0] for run in chosen[:_SCALED_ON]
    ]
    return torch.from_numpy(np.stack(frames))
