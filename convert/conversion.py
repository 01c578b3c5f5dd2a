"""`convert`: an ONNX file and calibration recordings in, a folder with a calibrated SDNN out."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from ann2sdnn.calibration.thresholds import ThresholdOptions, choose_thresholds
from ann2sdnn.convert.explanation import build_report
from ann2sdnn.convert.layer_reports import Conversion
from ann2sdnn.convert.lowering_stage import lower_and_measure, refuse_wrapped
from ann2sdnn.convert.onnx_load import load_onnx
from ann2sdnn.convert.onnx_reader import graph_of
from ann2sdnn.convert.quantisation import Quantised, QuantiseOptions, gather_evidence, quantise
from ann2sdnn.convert.relays import spec_from
from ann2sdnn.convert.report import ConversionReport, write_report
from ann2sdnn.convert.sweep import sweep, write_sweep
from ann2sdnn.convert.tuning import refuse_budget_without_maps, tune
from ann2sdnn.convert.verification import verify
from ann2sdnn.data.cameras import FRONT_CHANNELS
from ann2sdnn.data.recording import open_recordings
from ann2sdnn.data.sequences import plan_runs
from ann2sdnn.data.split import Side, choose
from ann2sdnn.errors import ModelError, UsageError
from ann2sdnn.files import atomic_folder, refuse_existing
from ann2sdnn.progress import SILENT, Reporter
from ann2sdnn.sdnn.spec import Grid
from ann2sdnn.sdnn.spec_file import write_spec

MODEL_FILE, SPEC_FILE, REPORT_FILE = "model.onnx", "sdnn.h5", "report.json"


@dataclass(frozen=True)
class ConvertOptions:
    """``max_frames`` calibration frames (None: all) of one side of the data's split, from
    ``channels``; ``quantise``: how scales are chosen and weights rounded.
    ``sweep``: also run every threshold rule and draw operations against displacement.
    """

    thresholds: ThresholdOptions = field(default_factory=ThresholdOptions)
    spike_exp: int = 6
    quantise: QuantiseOptions = field(default_factory=QuantiseOptions)
    input_scale: float | None = None
    split: Side = "train"
    channels: tuple[int, ...] = FRONT_CHANNELS
    max_frames: int | None = 256
    sweep: bool = False

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames < 1:
            raise UsageError(f"--frames {self.max_frames}; expected 1 or more")
        _ = self.grid

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
    reporter: Reporter = SILENT,
) -> ConversionReport:
    """Convert the ONNX file ``model`` with statistics of the recordings in ``calibration``.

    Writes model.onnx (a copy that holds its weights inside), sdnn.h5, report.json and, where netx
    can express the network, network.net into ``out``, all or nothing. Raises ModelError, DataError,
    ConversionError or OutputError; each says what was wrong where. A state or message of
    network.net that leaves its bits on calibration frames is a ConversionError.
    """
    refuse_existing(out, force=force)
    runs = plan_runs(
        choose(open_recordings(calibration), options.split), options.channels, options.max_frames
    )
    recording = runs[0].recording
    source = load_onnx(model)
    graph = graph_of(
        source,
        input_size=(recording.height, recording.width),
        input_scale=options.input_scale,
    )
    if graph.input_shape[0] != 1:
        raise ModelError(
            f"{model} takes {graph.input_shape[0]} channels; recordings are shown to it one camera"
            " at a time, so only a network with 1 input channel can be calibrated on them"
        )
    refuse_budget_without_maps(graph, options.thresholds, swept=options.sweep)
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
    conversion = Conversion(quantised, spec, verification)
    report = build_report(
        conversion,
        tuning=tuning,
        options=options.quantise,
        thresholds=options.thresholds.rule.value,
        recordings=sorted({run.recording.name.stem for run in runs}),
        seconds=clock.seconds,
    )
    report = lowering.added_to(report)
    report = report.model_copy(update={"warnings": [*graph.notes, *report.warnings]})
    with atomic_folder(out, force=force) as folder:
        source.write(folder / MODEL_FILE)
        write_spec(folder / SPEC_FILE, spec, force=True)
        lowering.write(folder)
        write_report(folder / REPORT_FILE, report)
        if swept is not None:
            write_sweep(folder, swept)
    return report


def _thresholds(quantised: Quantised, options: ConvertOptions) -> tuple[int, ...]:
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
