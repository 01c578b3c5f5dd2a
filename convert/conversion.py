"""`convert`: an ONNX file and calibration recordings in, a folder with a calibrated SDNN out."""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.rounding import round_layer
from ann2sdnn.calibration.scales import ScalePlan, plan_scales, pool_gain
from ann2sdnn.calibration.statistics import Statistics, measure
from ann2sdnn.calibration.thresholds import ThresholdOptions, choose_thresholds
from ann2sdnn.convert.explanation import Conversion, build_report
from ann2sdnn.convert.graph import Graph
from ann2sdnn.convert.onnx_reader import read_onnx
from ann2sdnn.convert.report import ConversionReport, write_report
from ann2sdnn.convert.verification import verify
from ann2sdnn.data.cameras import FRONT_CHANNELS
from ann2sdnn.data.recording import open_recordings
from ann2sdnn.data.sequences import plan_runs
from ann2sdnn.data.split import Side, choose
from ann2sdnn.errors import ModelError, UsageError
from ann2sdnn.files import atomic_folder, refuse_existing, sha256
from ann2sdnn.progress import SILENT, Reporter
from ann2sdnn.sdnn.spec import Grid, Spec, SpecLayer
from ann2sdnn.sdnn.spec_file import write_spec

MODEL_FILE, SPEC_FILE, REPORT_FILE = "model.onnx", "sdnn.h5", "report.json"


@dataclass(frozen=True)
class ConvertOptions:
    """``max_frames`` calibration frames (None: all) of one side of the data's split, from
    ``channels``; ``headroom`` is kept between what calibration saw and the limits of the grid.
    """

    thresholds: ThresholdOptions = field(default_factory=ThresholdOptions)
    spike_exp: int = 6
    headroom: float = 1.25
    input_scale: float | None = None
    split: Side = "train"
    channels: tuple[int, ...] = FRONT_CHANNELS
    max_frames: int | None = 256

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames < 1:
            raise UsageError(f"--frames {self.max_frames}; expected 1 or more")
        Grid(self.spike_exp)


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

    Writes model.onnx (a copy), sdnn.h5 and report.json into ``out``, all or nothing. Raises
    ModelError, DataError, ConversionError or OutputError; each says what was wrong where.
    """
    refuse_existing(out, force=force)
    runs = plan_runs(
        choose(open_recordings(calibration), options.split), options.channels, options.max_frames
    )
    recording = runs[0].recording
    graph = read_onnx(
        model,
        input_size=(recording.height, recording.width),
        input_scale=options.input_scale,
    )
    if graph.input_shape[0] != 1:
        raise ModelError(
            f"{model} takes {graph.input_shape[0]} channels; recordings are shown to it one camera"
            " at a time, so only a network with 1 input channel can be calibrated on them"
        )
    clock = _Clock()
    statistics = measure(graph, runs, reporter)
    clock.lap("statistics")
    plan = plan_scales(graph, statistics, Grid(options.spike_exp), options.headroom)
    spec = build_spec(graph, statistics, plan, options, sha256(model))
    clock.lap("scales and rounding")
    verification = verify(graph, spec, runs, reporter)
    clock.lap("verification")
    conversion = Conversion(graph, statistics, plan, spec, verification)
    report = build_report(
        conversion,
        headroom=options.headroom,
        thresholds=options.thresholds.rule.value,
        recordings=sorted({run.recording.name.stem for run in runs}),
        seconds=clock.seconds,
    )
    with atomic_folder(out, force=force) as folder:
        shutil.copyfile(model, folder / MODEL_FILE)
        write_spec(folder / SPEC_FILE, spec, force=True)
        write_report(folder / REPORT_FILE, report)
    return report


def build_spec(
    graph: Graph,
    statistics: Statistics,
    plan: ScalePlan,
    options: ConvertOptions,
    source_sha256: str,
) -> Spec:
    """Round every layer with the planned scales and give it its threshold."""
    grid = Grid(options.spike_exp)
    sent_scales = tuple(
        scale * pool_gain(layer) for scale, layer in zip(plan.scales, graph.layers, strict=True)
    )
    thresholds = choose_thresholds(options.thresholds, statistics, sent_scales)
    layers: list[SpecLayer] = []
    arriving = _uniform(
        graph.input_shape[0], plan.input_gain * grid.message_step / graph.input_scale
    )
    for layer, scale, threshold in zip(graph.layers, plan.scales, thresholds, strict=True):
        own = _uniform(layer.preactivation_shape[0], scale)
        layers.append(round_layer(layer, arriving, own, threshold))
        arriving = layers[-1].scale
    return Spec(
        input_shape=graph.input_shape,
        input_scale=graph.input_scale,
        input_gain=plan.input_gain,
        grid=grid,
        layers=tuple(layers),
        source_sha256=source_sha256,
    )


def _uniform(n_channels: int, scale: float) -> NDArray[np.float64]:
    return np.full(n_channels, scale, np.float64)


class _Clock:
    """Wall-clock seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._last, 2)
        self._last = now
