"""`convert`: an ONNX file and calibration frames in, a folder with a calibrated SDNN out."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ann2sdnn.calibration.scales.planning import refuse_too_many_relays
from ann2sdnn.calibration.thresholds.rules import ThresholdOptions, ThresholdRule, choose_thresholds
from ann2sdnn.convert.explain.build import build_report
from ann2sdnn.convert.explain.layers import StageResults
from ann2sdnn.convert.report.report import ConversionReport, write_report
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.convert.stages.budget import refuse_budget_without_maps, tune
from ann2sdnn.convert.stages.lower import lower_and_measure, refuse_wrapped
from ann2sdnn.convert.stages.quantise import (
    QuantisationResult,
    QuantiseOptions,
    gather_evidence,
    quantise,
)
from ann2sdnn.convert.stages.sweep import sweep, write_sweep
from ann2sdnn.convert.stages.verify import verify
from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.frames import common_shape
from ann2sdnn.data.sources.registry import open_frames, source_files
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.file.load import load_onnx
from ann2sdnn.graph.onnx.reader import graph_of
from ann2sdnn.sdnn.spec.file import write_spec
from ann2sdnn.sdnn.spec.spec import Grid
from ann2sdnn.support.errors import ModelError, UsageError
from ann2sdnn.support.files.targets import check_folder
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.options.fields import CheckedOptions, choice, number
from ann2sdnn.support.options.limits import MOST_FRAMES
from ann2sdnn.support.progress import SILENT, Reporter

MODEL_FILE, SPEC_FILE, REPORT_FILE = "model.onnx", "sdnn.h5", "report.json"


@dataclass(frozen=True)
class ConvertOptions(CheckedOptions):
    """``max_frames`` calibration frames (None: all) of one side of the data's split; ``source``:
    options of the data's source. ``quantise``: how scales are chosen and weights rounded.
    ``sweep``: also run every threshold rule and draw operations against displacement.
    """

    thresholds: ThresholdOptions = field(default_factory=ThresholdOptions)
    spike_exp: int = number(6, at_least=0, at_most=10, option="--spike-exp")
    quantise: QuantiseOptions = field(default_factory=QuantiseOptions)
    # Pixels are 0 to 255. Networks take inputs around 1, or the pixels as they are.
    input_scale: float | None = number(None, at_least=1e-6, at_most=1e6, option="--input-scale")
    split: Side = choice("train", option="--split")
    source: SourceOptions | None = None
    max_frames: int | None = number(256, at_least=1, at_most=MOST_FRAMES, option="--frames")
    sweep: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        rule, limit = self.thresholds, self.grid.message_limit
        if rule.rule is ThresholdRule.FIXED and rule.value > limit:
            raise UsageError(
                f"--threshold {rule.value:g}; messages reach {limit:g} with a spike_exp of"
                f" {self.spike_exp}, so nothing would ever be sent: choose less"
            )

    @property
    def grid(self) -> Grid:
        """The number formats."""
        return Grid(self.spike_exp, self.thresholds.bits)


def convert(
    model: Path,
    calibration: Path,
    out: Path,
    options: ConvertOptions,
    *,
    force: bool = False,
    is_trainable: Callable[[Graph], bool] = lambda graph: False,
    reporter: Reporter = SILENT,
) -> ConversionReport:
    """Convert the ONNX file ``model`` with statistics of the frames in ``calibration``.

    ``is_trainable``: whether `train-ann` can train a network, for the advice in the report.
    Writes model.onnx (a copy that holds its weights inside), sdnn.h5, report.json and, where netx
    can express the network, network.net into ``out``, all or nothing. Raises ModelError, DataError,
    ConversionError or OutputError; each says what was wrong where. A state or message of
    network.net that leaves its bits on calibration frames is a ConversionError.
    """
    inputs = (model, *source_files(calibration))
    check_folder(out, force=force, inputs=inputs)
    runs = open_frames(
        calibration, options.source, split=options.split, max_frames=options.max_frames
    )
    channels, height, width = common_shape(runs)
    source = load_onnx(model)
    graph = graph_of(source, input_size=(height, width), input_scale=options.input_scale)
    if graph.input_shape[0] != channels:
        raise ModelError(
            f"{model} takes {graph.input_shape[0]} channels; frames of {calibration} have"
            f" {channels}, so only a network with as many input channels can be calibrated on them"
        )
    refuse_budget_without_maps(graph, options.thresholds, swept=options.sweep)
    refuse_too_many_relays(graph, options.quantise.relays)
    clock = _Clock()
    evidence = gather_evidence(graph, runs, reporter)
    statistics = evidence.statistics
    clock.lap("statistics")
    quantised = quantise(evidence, runs, options.grid, options.quantise, reporter)
    thresholds = _thresholds(quantised, options)
    spec = spec_from(graph, quantised.plan, quantised.rounded, thresholds, source.sha256)
    clock.lap("scales and rounding")
    spec, tuning = tune(graph, spec, runs, options.thresholds, reporter)
    clock.lap("thresholds")
    headroom = quantised.plan.headroom
    lowering = lower_and_measure(spec, runs, headroom=headroom, reporter=reporter)
    clock.lap("lowering")
    swept = None
    if options.sweep:
        swept = sweep(graph, spec, statistics, runs, tuning=tuning, reporter=reporter)
        clock.lap("sweep")
    verification = verify(graph, spec, runs, reporter)
    if lowering.spec is not None:
        refuse_wrapped(spec, verification, headroom)
    clock.lap("verification")
    conversion = StageResults(quantised, spec, verification)
    report = build_report(
        conversion,
        tuning=tuning,
        options=options.quantise,
        thresholds=options.thresholds.rule.value,
        recordings=sorted({run.group for run in runs}),
        seconds=clock.seconds,
        pose_network=is_trainable(graph),
    )
    report = lowering.added_to(report)
    report = report.model_copy(update={"warnings": [*graph.notes, *report.warnings]})
    with atomic_folder(out, force=force, inputs=inputs) as folder:
        source.write(folder / MODEL_FILE)
        write_spec(folder / SPEC_FILE, spec, force=True)
        lowering.write(folder)
        write_report(folder / REPORT_FILE, report)
        if swept is not None:
            write_sweep(folder, swept)
    return report


def _thresholds(quantised: QuantisationResult, options: ConvertOptions) -> tuple[int, ...]:
    """One a layer of the graph. Where scales differ from channel to channel, the mean stands for
    all.
    """
    sent = tuple(float(layer.sent.mean()) for layer in quantised.plan.layers)
    return choose_thresholds(options.thresholds, quantised.evidence.statistics, sent)


class _Clock:
    """Wall-clock seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._last, 2)
        self._last = now
