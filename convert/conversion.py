"""Converts an ONNX file, calibrated on frames, into a folder with an SDNN and its report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.evidence import gather_evidence
from ann2sdnn.calibration.scales.planning import refuse_too_many_relays
from ann2sdnn.calibration.thresholds.budget import RUN_FRAMES
from ann2sdnn.calibration.thresholds.rule import ThresholdInputs
from ann2sdnn.convert.explain.build import StageResults, alternatives, build_report
from ann2sdnn.convert.folder import MODEL_FILE, REPORT_FILE, SPEC_FILE
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.report.report import ConversionReport, write_report
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.convert.stages.lower import Lowering, lower_and_measure, refuse_wrapped
from ann2sdnn.convert.stages.quantise import quantise
from ann2sdnn.convert.stages.sweep import Sweep, sweep, write_sweep
from ann2sdnn.convert.stages.verify import verify
from ann2sdnn.data.sources.frames import Frames, common_shape, frame_type, group_name
from ann2sdnn.data.sources.registry import open_frames, source_files
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.file.load import OnnxFile, load_onnx
from ann2sdnn.graph.onnx.metadata import stored_preprocessing
from ann2sdnn.graph.onnx.reader import graph_of
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.spec.file import write_points
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.targets import check_folder
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.progress import SILENT, Reporter


@dataclass(frozen=True, eq=False)
class ConvertedGraph:
    """A converted graph: its operating points and the report.

    ``swept``: the networks of a sweep, None without one.
    """

    graph: Graph
    points: OperatingPoints
    report: ConversionReport
    lowering: Lowering
    swept: Sweep | None = None


@dataclass(frozen=True, eq=False)
class ConvertedNetwork(ConvertedGraph):
    """A converted network that is not written yet, with the file that it was read from."""

    source: OnnxFile = field(kw_only=True)

    def write(self, folder: Path) -> None:
        """Write model.onnx (with its weights inside), sdnn.h5, report.json and, where netx can
        express the network, network.net.
        """
        self.source.write(folder / MODEL_FILE)
        write_points(folder / SPEC_FILE, self.points, force=True)
        self.lowering.write(folder)
        write_report(folder / REPORT_FILE, self.report)
        if self.swept is not None:
            write_sweep(folder, self.swept)


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

    Writes the files of ``ConvertedNetwork`` into ``out``, all or nothing. Arguments and errors as
    for ``convert_network``; also raises OutputError.
    """
    inputs = (model, *source_files(calibration))
    check_folder(out, force=force, inputs=inputs)
    runs = open_frames(
        calibration,
        options.source,
        split=options.split,
        max_frames=options.max_frames,
        shortest=RUN_FRAMES,
        reporter=reporter,
    )
    converted = convert_network(
        load_onnx(model), runs, options, is_trainable=is_trainable, reporter=reporter
    )
    with atomic_folder(out, force=force, inputs=inputs) as folder:
        converted.write(folder)
    return converted.report


def convert_network(
    source: OnnxFile,
    runs: Sequence[Frames],
    options: ConvertOptions,
    *,
    is_trainable: Callable[[Graph], bool] = lambda graph: False,
    reporter: Reporter = SILENT,
) -> ConvertedNetwork:
    """Convert ``source`` with statistics of the sequences ``runs``; writes nothing.

    ``options``: their fields on the choice of data have no effect. ``is_trainable``: whether
    `train-ann` can train a network, for the advice in the report. Raises ModelError, DataError or
    ConversionError; each says what was wrong where. A state or message of the lowered network that
    leaves its bits on calibration frames is a ConversionError.
    """
    preprocessing = options.preprocessing(stored_preprocessing(source))
    runs = resized(runs, preprocessing.resize)
    graph = _graph_for(source, runs, options, preprocessing)
    converted = convert_graph(
        graph,
        runs,
        options,
        source_sha256=source.sha256,
        is_trainable=is_trainable(graph),
        reporter=reporter,
    )
    return ConvertedNetwork(**vars(converted), source=source)


def convert_graph(
    graph: Graph,
    runs: Sequence[Frames],
    options: ConvertOptions,
    *,
    source_sha256: str,
    is_trainable: bool = False,
    reporter: Reporter = SILENT,
) -> ConvertedGraph:
    """Convert ``graph`` with statistics of the sequences ``runs`` of frames of its size.

    ``source_sha256``: digest of the network's file, which the spec keeps. Other arguments and
    errors as for ``convert_network``.
    """
    _refuse_options(graph, options)
    clock = _Clock()
    evidence = gather_evidence(graph, runs, reporter, workers=options.workers)
    clock.lap("statistics")
    quantised = quantise(evidence, runs, options.grid, options.quantise, reporter)
    spec = spec_from(graph, quantised.plan, quantised.rounded, source_sha256)
    clock.lap("scales and rounding")
    threshold_inputs = ThresholdInputs(graph, spec, evidence.statistics, runs, reporter)
    points, search = options.thresholds.choose(threshold_inputs)
    spec = points.lava
    clock.lap("thresholds")
    headroom = quantised.plan.headroom
    lowering = lower_and_measure(spec, runs, headroom=headroom, reporter=reporter)
    clock.lap("lowering")
    swept = None
    if options.sweep:
        swept = sweep(threshold_inputs, search)
        clock.lap("sweep")
    verification = verify(graph, spec, runs, reporter)
    if lowering.spec is not None:
        refuse_wrapped(spec, verification, headroom)
    clock.lap("verification")
    others = alternatives(quantised, options.quantise, reporter)
    clock.lap("alternatives")
    report = build_report(
        StageResults(
            quantised=quantised,
            points=points,
            search=search,
            lowering=lowering,
            verification=verification,
            options=options.quantise,
            alternatives=others,
            thresholds=options.thresholds.name,
            recordings=tuple(sorted({run.group for run in runs})),
            group_name=group_name(runs),
            seconds=clock.seconds,
            pose_network=is_trainable,
        )
    )
    return ConvertedGraph(graph, points, report, lowering, swept)


def _graph_for(
    source: OnnxFile,
    runs: Sequence[Frames],
    options: ConvertOptions,
    preprocessing: Preprocessing,
) -> Graph:
    """The graph of ``source`` for frames of this size and type."""
    channels, height, width = common_shape(runs)
    graph = graph_of(
        source,
        input_size=(height, width),
        input_scale=options.input_scale,
        preprocessing=replace(preprocessing, dtype=frame_type(runs)),
        frames=_compared_frames(runs),
    )
    if graph.input_shape[0] != channels:
        raise ModelError(
            f"{source.path} takes {graph.input_shape[0]} channels; frames of {runs[0].name} have"
            f" {channels}, so only a network with as many input channels can be calibrated on them"
        )
    return graph


def _refuse_options(graph: Graph, options: ConvertOptions) -> None:
    """Raise UsageError for options that ``graph`` cannot be given."""
    options.thresholds.check_output(graph.output_shapes)
    if options.quantise.relays is not None:
        refuse_too_many_relays(graph, options.quantise.relays)


def _compared_frames(runs: Sequence[Frames]) -> dict[str, NDArray[Any]]:
    """The middle frame of up to three sequences, by name."""
    frames: dict[str, NDArray[Any]] = {}
    for place in sorted({0, len(runs) // 2, len(runs) - 1}):
        run, middle = runs[place], runs[place].n_frames // 2
        for chunk in run.part(middle, middle + 1).chunks():
            frames[f"calibration frame {middle} of {run.name}"] = np.asarray(chunk[0])
    return frames


class _Clock:
    """Wall-clock seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._last, 2)
        self._last = now
