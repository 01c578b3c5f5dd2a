"""The Python API: convert a network in memory, run it, stream through it, compare and save it.

    import ann2sdnn as a2s

    network = a2s.from_torch(module, example_input, input_scale=1 / 255)
    sdnn = a2s.to_sdnn(network, frames)  # uint8 [T, C, H, W]
    print(sdnn.compare(frames).table())

Frames are uint8 or float32 arrays or tensors [T, C, H, W] of consecutive frames, of one type for a
network; where several sequences are taken, a list of them, any other iterable, a torch DataLoader,
or a path that the commands read (``data/sources/given.py`` has all forms). All errors derive from
``ann2sdnn.support.errors.Ann2SdnnError``.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import onnx
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ann2sdnn.ann.network import is_pose_network
from ann2sdnn.ann.weights.pretrained import SHIPPED
from ann2sdnn.calibration.thresholds.budget import RUN_FRAMES
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.conversion import convert_network
from ann2sdnn.convert.folder import (
    MODEL_FILE,
    NETWORK_FILE,
    REPORT_FILE,
    SPEC_FILE,
    OpenedConversion,
    open_conversion,
)
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.render.document import render_html, report_tables
from ann2sdnn.convert.render.verdict import LAVA_NAME, MIXED_NAME, SDNN_NAME
from ann2sdnn.convert.report.lowering import LoweringReport
from ann2sdnn.convert.report.report import ConversionReport, read_report, write_report
from ann2sdnn.convert.stages.lower import lowered_with_ranges
from ann2sdnn.data.events.columns import GivenEvents
from ann2sdnn.data.events.options import EventWindow
from ann2sdnn.data.events.sliding import SlidingWindow
from ann2sdnn.data.pose.displacement import HeatmapComparison, mean
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.scale import PictureScale
from ann2sdnn.data.sources.frames import Frames, picture_scale
from ann2sdnn.data.sources.given import Array, Given, frames_of
from ann2sdnn.data.sources.labels import Targets, WithTargets
from ann2sdnn.data.sources.registry import open_frames  # noqa: F401  # a part of this API
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.eval.measure.side_by_side import CountedSdnn, SideBySide
from ann2sdnn.eval.measure.tail import TailComparison, answers_of
from ann2sdnn.eval.render.energy import energy_sheet
from ann2sdnn.eval.render.tail import tail_sheet
from ann2sdnn.eval.results.energy import EnergyEstimate, ann_energy, sdnn_energy
from ann2sdnn.eval.results.tail import TailReport
from ann2sdnn.eval.tasks.registry import TASKS, task_for
from ann2sdnn.eval.tasks.task import Evaluated, Scores
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.file.exported import exported
from ann2sdnn.graph.onnx.file.load import OnnxFile, load_onnx, parse_onnx
from ann2sdnn.graph.onnx.metadata import metadata_of
from ann2sdnn.graph.onnx.tail import Tail, tail_of
from ann2sdnn.graph.preprocessing import Preprocessing, resize_frames
from ann2sdnn.notebooks import NetworkFile, comparison_html, report_html, sdnn_html
from ann2sdnn.plots import ComparisonPlots, ReportPlots
from ann2sdnn.sdnn.backends import make_backend
from ann2sdnn.sdnn.engine.engine import NO_EVENTS, Engine, StepResult
from ann2sdnn.sdnn.engine.loops.frames import MESSAGES, OPERATIONS
from ann2sdnn.sdnn.engine.run import BackendResult
from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.spec.file import write_points
from ann2sdnn.sdnn.spec.fingerprint import fingerprint
from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.sdnn.spec.points import OperatingPoints, PointName
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.files.nested import read_nested, write_nested
from ann2sdnn.support.files.targets import check_file, check_folder
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.page.figures import DENSE, MEMORYLESS, MIXED, SDNN, SKIPPING, Style
from ann2sdnn.support.progress import SILENT, Reporter
from ann2sdnn.support.terminal import WIDTH, number, sheet_text

if TYPE_CHECKING:
    from ann2sdnn.sdnn.lava.processes.sdnn import SdnnProcess
    from ann2sdnn.sdnn.training.network import TrainableSdnn

Sequences: TypeAlias = Array | Sequence[Array]
RowName = Literal["ann", "ann, zeros skipped", "memoryless", "sdnn", "mixed"]

_BARS: dict[RowName, tuple[str, Style]] = {
    "ann": ("ANN (dense)", DENSE),
    "ann, zeros skipped": ("ANN, skipping zeros", SKIPPING),
    "memoryless": ("Memoryless SDNN", MEMORYLESS),
    "mixed": (MIXED_NAME, MIXED),
}
_POINTS = 3  # axes of labels that are points
_FRAMES = 4  # axes of outputs of several frames
_WINDOW = "window."  # of a state's names: what is the window's


def from_onnx(path: str | Path) -> NetworkFile:
    """Read the ONNX file ``path`` with its external data.

    Raises ModelError for what is missing, damaged or no ONNX file.
    """
    return _network(load_onnx(Path(path)))


def from_torch(
    module: nn.Module,
    example_input: Tensor,
    *,
    input_scale: float = 1.0,
    input_mean: float | Sequence[float] = (),
    input_std: float | Sequence[float] = (),
) -> NetworkFile:
    """Export ``module`` to ONNX in memory, for inputs of the shape of ``example_input``.

    ``example_input``: float32 [1, C, H, W], [1, C, L] for a signal or [1, K]. ``input_scale``:
    factor from a frame's values to the module's input, 1/255 for pixels and inputs of 0 to 1.
    ``input_mean`` is then subtracted, and what is left divided by ``input_std``, one number or one
    per channel, as torchvision's ``Normalize`` does. The module is exported in evaluation mode.
    Raises ModelError for a standard deviation of 0 or less, for a module that does not take the
    example, with the path of the submodule that fails, and for one that torch cannot export. What
    cannot be converted is said by ``to_sdnn``, which names the submodule too.
    """
    preprocessing = Preprocessing(_numbers(input_mean), _numbers(input_std))
    model = onnx.load_model_from_string(exported(module, example_input))
    onnx.helper.set_model_props(model, metadata_of(input_scale, preprocessing))
    content = model.SerializeToString(deterministic=True)
    return _network(parse_onnx(content, Path(type(module).__name__)))


def to_sdnn(
    network: OnnxFile,
    calibration_frames: Given,
    *,
    budget_px: float | None = None,
    budget_class: float | None = None,
    budget_error: float | None = None,
    options: ConvertOptions | None = None,
    reporter: Reporter = SILENT,
) -> "Sdnn":
    """Convert ``network`` with statistics of all ``calibration_frames``.

    ``calibration_frames``: [T, C, H, W], an iterable of such sequences, a DataLoader or a path; C,
    H and W are those of the network's input, H and W any with ``options.resize``. ``budget_px``,
    ``budget_class``, ``budget_error``: what thresholds may add, as a displacement of joints in
    pixels, as a share of frames whose class changes (0.005 for 0.5%) or as a relative L2 error of
    the output; see ``RateDistortion`` for the default. ``options``: other threshold rules,
    rounding, number formats and preprocessing; their fields on the choice of data have an effect on
    a path only. Raises UsageError for options that contradict each other, ModelError, DataError or
    ConversionError as `ann2sdnn convert` does.
    """
    options = options or ConvertOptions()
    budget = RateDistortion(
        budget_px=budget_px, budget_class=budget_class, budget_error=budget_error
    )
    if budget != RateDistortion():
        if options.thresholds != RateDistortion():
            raise UsageError("a budget and options.thresholds both choose thresholds; give one")
        options = replace(options, thresholds=budget)
    if options.sweep:
        raise UsageError("options.sweep writes files; run `ann2sdnn convert --sweep`")
    converted = convert_network(
        network,
        frames_of(
            calibration_frames,
            options.source,
            split=options.split,
            max_frames=options.max_frames,
            shortest=RUN_FRAMES,
            reporter=reporter,
        ),
        options,
        is_trainable=is_pose_network,
        reporter=reporter,
    )
    opened = OpenedConversion(converted.graph, converted.points, network)
    return Sdnn(opened, converted.report)


def load(folder: str | Path) -> "Sdnn":
    """Read a folder that ``Sdnn.save`` or `ann2sdnn convert` wrote.

    Raises ModelError when a file is missing or damaged.
    """
    return Sdnn(open_conversion(Path(folder)), read_report(Path(folder) / REPORT_FILE))


def from_nir(path: str | Path) -> Spec:
    """Read the network of a file that ``nir.write`` wrote of ``Sdnn.to_nir``.

    A backend runs it, for example ``Engine`` of ``ann2sdnn.sdnn.engine.engine``. Raises ModelError
    for a file that is missing, damaged or of another program, UsageError without the package nir.
    """
    from ann2sdnn.sdnn.spec.nir.importing import check_nir

    check_nir()
    from ann2sdnn.sdnn.spec.nir.read import read_nir

    return read_nir(Path(path))


def pretrained() -> "Sdnn":
    """The pose network that comes with the package, converted already.

    Its frames are uint8 [T, 1, 260, 344], one camera's, such as ``open_frames`` reads of DHP19
    recordings; its outputs are 13 heat maps of joints. docs/pretrained.md says how it was made.
    """
    return load(SHIPPED)


class Report(ConversionReport):
    """What the conversion did: the values of report.json."""

    def table(self) -> str:
        """The tables of `ann2sdnn inspect`, at most 80 columns wide."""
        return _as_text(report_tables(self))

    def html(self) -> str:
        """The page of `ann2sdnn inspect --html`, with its plots inside."""
        return render_html(self)

    @property
    def plot(self) -> ReportPlots:
        """The plots of the page, as matplotlib figures: ``plot.bits()``."""
        return ReportPlots(self)

    def _repr_html_(self) -> str:
        return report_html(self)


@dataclass(frozen=True)
class ComparisonRow:
    """One network of a comparison."""

    name: RowName
    """The dense ANN, the ANN without multiplications by zero, the memoryless network, the SDNN at
    its operating point for lava and, where there is one, at that for the engine."""
    operations_per_frame: float
    """Multiplications by non-zero weights, of the dense ANN by all."""
    messages_per_frame: float | None
    """Messages sent, the input's included; None for the ANN."""
    relative_error: float | None
    """Relative L2 error of all outputs against the ANN; None where the ANN is silent."""
    displacement_px: float | None
    """Mean distance in pixels of the maxima of heat maps from the ANN's; None for other outputs."""
    label_error: float | None
    """With labels: share of wrong classes, mean absolute error of values, or mean distance in
    pixels; None without."""
    accuracy: float | None = None
    """With classes as labels: share of right ones."""
    class_changed: float | None = None
    """Share of frames with another largest output than the ANN, where that has one; None for
    outputs that are no classes."""
    energy: EnergyEstimate | None = None
    """Microjoules per frame, an estimate from published energies per operation; docs/loihi.md says
    what it leaves out."""


@dataclass(frozen=True)
class Comparison:
    """ANN, zero-skipping ANN, memoryless network and SDNN on the same frames; all of them count."""

    rows: tuple[ComparisonRow, ...]
    tail: TailReport | None = None
    """Difference of the file's own outputs, where there are several, or where something follows the
    SDNN in the file."""

    def __getitem__(self, name: RowName) -> ComparisonRow:
        return next(row for row in self.rows if row.name == name)

    def table(self, *, energy: bool = False) -> str:
        """The rows as text of at most 80 columns; "-" for what does not apply.

        A second table has the file's own outputs, where ``tail`` has them. ``energy`` adds one of
        the energy per frame, an estimate.
        """
        return "".join(_as_text(sheet_text(sheet)) for sheet in self._sheets(energy=energy))

    @property
    def plot(self) -> ComparisonPlots:
        """Its plot, as a matplotlib figure: ``plot.operations()``."""
        both = any(row.name == "mixed" for row in self.rows)
        named = {**_BARS, "sdnn": (LAVA_NAME if both else SDNN_NAME, SDNN)}
        return ComparisonPlots([(*named[row.name], row.operations_per_frame) for row in self.rows])

    def _repr_html_(self) -> str:
        return comparison_html(self._sheets(energy=False))

    def _sheets(self, *, energy: bool) -> list[Sheet]:
        columns = [
            ("operations", [number(row.operations_per_frame, ",.0f") for row in self.rows]),
            ("messages", [number(row.messages_per_frame, ",.0f") for row in self.rows]),
            ("rel. error", [number(row.relative_error, ".4g") for row in self.rows]),
            ("moved px", [number(row.displacement_px, ".4g") for row in self.rows]),
            ("label error", [number(row.label_error, ".4g") for row in self.rows]),
        ]
        if any(row.class_changed is not None for row in self.rows):
            columns[3] = ("changed", [number(row.class_changed, ".2%") for row in self.rows])
        names, cells = zip(*columns, strict=True)
        rows = tuple(zip([row.name for row in self.rows], *cells, strict=True))
        sheets = [Sheet("Work per frame, and errors", ("network", *names), rows)]
        if self.tail is not None:
            compared = [str(row.name) for row in self.rows if not row.name.startswith("ann")]
            outputs = tail_sheet(self.tail, {name: name for name in compared})
            sheets += [] if outputs is None else [outputs]
        if energy:
            estimates = [(row.name, row.energy) for row in self.rows if row.energy is not None]
            sheets.append(energy_sheet(estimates))
        return sheets


class Stream:
    """An SDNN that gets its input as it comes from a camera; made by ``Sdnn.stream``.

    With a ``window`` it takes events, without one frames. ``frames``, ``messages`` (of the input
    and all layers) and ``operations`` count what it has done since the last reset. Raises
    UsageError for a window that does not fit the network's input.
    """

    def __init__(self, spec: Spec, window: EventWindow | None = None) -> None:
        if window is not None:
            _check_takes_events(spec)
        self._resize = spec.preprocessing.resize
        self._spec = spec
        self._window = None if window is None else SlidingWindow(window, spec.input_shape)
        self._engine = Engine(spec)
        self._forget_counts()

    def step(self, frame: Array, *, copy: bool = True) -> Tensor:
        """The output [O, H, W], decoded, for the next ``frame`` [C, H, W], which is resized where
        the network's frames are.

        ``copy=False`` returns the stream's own tensor, which the next step changes: the cost of a
        frame is then that of its messages, and a frame like the one before costs next to nothing.
        Raises DataError for a frame that the network does not take, UsageError in a stream of
        events.
        """
        if self._window is not None:
            raise UsageError("a stream of events takes no frames; make one without a window")
        shown = _fitting(torch.as_tensor(frame)[None], self._resize)[0]
        return self._counted(self._engine.step(shown), copy=copy)

    def step_events(
        self,
        x: ArrayLike,
        y: ArrayLike,
        t: ArrayLike,
        p: ArrayLike | None = None,
        *,
        camera: ArrayLike | None = None,
        until: int | None = None,
        copy: bool = True,
    ) -> Tensor | None:
        """The output [O, H, W] for the window that ends with these events, decoded.

        The events are all that came since the last call, any number, in order of time: columns
        ``x`` and rows ``y`` as in a frame (row 0 at the top), times ``t`` in microseconds, each [n]
        whole numbers. They enter the window and the oldest leave; only pixels that this changes are
        looked at. What is sent equals ``step`` with the window as a frame. Until the window is full
        for the first time there is no output: None.

        ``p``: polarities [n], False or True, 0 or 1, or -1 or 1. In a network with two input
        channels, whose window names no cameras, negative events are counted in channel 0 and
        positive ones in channel 1; elsewhere polarity has no effect. ``camera`` [n]: for a window
        that names cameras. ``until``: the time that it is now, for windows of microseconds, so that
        events leave also while none come; by default the last event's. ``copy``: as in ``step``.

        Raises DataError for columns of another form, events outside the sensor or out of order;
        nothing has changed then. UsageError in a stream of frames.
        """
        if self._window is None:
            raise UsageError("a stream of frames takes no events; make one with window=EventWindow")
        self._window.add(GivenEvents(x, y, t, p, camera), until)
        if not self._window.is_full:
            return None
        changes = self._window.changes()
        return self._counted(self._engine.step_pixels(changes.at, changes.values), copy=copy)

    def _counted(self, step: StepResult, *, copy: bool) -> Tensor:
        self.frames += 1
        self.messages += int(step.counts[:, MESSAGES].sum())
        self.operations += int(step.counts[:, OPERATIONS].sum())
        return step.output.clone() if copy else step.output

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a sequence, and counts are zero.

        A window is empty again, and takes its scale from its events again unless it was given.
        """
        self._engine.reset()
        if self._window is not None:
            self._window.reset()
        self._forget_counts()

    def _forget_counts(self) -> None:
        self.frames = self.messages = self.operations = 0

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the state after the last frame, and the counts, to the file ``path``.

        The file is safetensors and JSON. Raises OutputError where it exists and ``force`` is false,
        and for a disk that is full.
        """
        check_file(Path(path), force=force)
        counts = {"frames": self.frames, "messages": self.messages, "operations": self.operations}
        content = {**counts, "network": fingerprint(self._spec), "state": self.state_dict()}
        write_nested(Path(path), content)

    def load(self, path: str | Path) -> None:
        """Continue as the stream that was saved in ``path`` would have: with the same messages.

        Raises DataError for a file that is missing or damaged, or of another network, operating
        point or window; the stream is then as it was, or as at its beginning.
        """
        try:
            content = read_nested(Path(path))
            counts = [int(content[name]) for name in ("frames", "messages", "operations")]
            state, network = dict(content["state"]), content["network"]
            if not all(isinstance(value, Tensor) for value in state.values()):
                raise ValueError("a state that is no tensor")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} holds no state of a stream ({error}); name a file that Stream.save wrote"
            ) from error
        if network != fingerprint(self._spec):
            raise DataError(
                f"{path} is the state of another network or operating point; load it into a stream"
                " of the network that it was saved from"
            )
        self.load_state_dict(state)
        self.frames, self.messages, self.operations = counts

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the state after the last frame, by name; of a window its events and scale."""
        own = {} if self._window is None else self._window.state_dict()
        return self._engine.state_dict() | {_WINDOW + name: one for name, one in own.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a ``state_dict`` of the same network, and of a window of the same form.

        Raises DataError for another's; the stream is then as at its beginning.
        """
        own = {name[len(_WINDOW) :]: one for name, one in state.items() if _is_of_window(name)}
        rest = {name: one for name, one in state.items() if not _is_of_window(name)}
        if self._window is not None:
            self._window.reset()
        elif own:
            raise DataError("the state is that of a stream of events; make one with its window")
        self._engine.load_state_dict(rest)
        if self._window is not None:
            try:
                self._window.load_state_dict(own)
            except DataError:
                self._engine.reset()
                raise


class Sdnn:
    """A converted network; made by ``to_sdnn`` and ``load``."""

    def __init__(self, conversion: OpenedConversion, report: ConversionReport) -> None:
        self._conversion = conversion
        self.report = Report.model_validate(dict(report))

    @property
    def plot(self) -> ReportPlots:
        """The plots of its report, as matplotlib figures: ``plot.operations()``, ``plot.bits()``,
        ``plot.curve()``.
        """
        return self.report.plot

    def _repr_html_(self) -> str:
        return sdnn_html(self.spec, self.report)

    @property
    def graph(self) -> Graph:
        """The ANN."""
        return self._conversion.graph

    @property
    def spec(self) -> Spec:
        """The SDNN's operating point for lava, which every backend runs: integer weights,
        thresholds, number formats and scales.
        """
        return self.points.lava

    @property
    def points(self) -> OperatingPoints:
        """The SDNN's operating points: the same integers with other thresholds and memory."""
        return self._conversion.points

    def run(
        self,
        frames: Given,
        *,
        backend: str = "engine",
        point: PointName | None = None,
        keep_messages: bool = False,
    ) -> BackendResult:
        """Run one sequence, [T, C, H, W] or any other form of one, from a reset state.

        ``backend``: engine, slayer or lava. ``point``: an operating point of ``points``; by default
        the engine runs its own where there is one, which needs fewer operations, and everything
        else runs lava's. ``keep_messages``: return the messages of every layer too. Raises
        DataError for frames of another shape or type, UsageError for several sequences, for a
        backend or a point that does not exist, and for a backend that cannot run the point.
        """
        shown = _fitting(_one_sequence(frames), self.spec.preprocessing.resize)
        return make_backend(backend, self.points.for_backend(backend, point)).run(
            shown, keep_messages=keep_messages
        )

    def file_outputs(self, outputs: Tensor) -> dict[str, NDArray[Any]]:
        """The outputs of the network's file by name, as arrays [T, ...] of its own shape and type.

        ``outputs``: those of ``run``, [T, O, H, W], or of a stream's ``step``, [O, H, W], which is
        one frame. What follows the SDNN in the file, such as Softmax, ArgMax, TopK or the decoding
        of boxes, runs in ONNX Runtime. An output for which frames answer with different shapes is
        an array [T] of arrays. Raises DataError for outputs of another shape, ModelError where ONNX
        Runtime cannot run what follows.
        """
        frames = outputs if outputs.ndim == _FRAMES else outputs[None]
        if tuple(frames.shape[1:]) != self.graph.output_shape or len(frames) == 0:
            raise DataError(
                f"outputs are {list(outputs.shape)}; expected those of run or of a stream's step,"
                f" [T, {', '.join(map(str, self.graph.output_shape))}]"
            )
        return dict(answers_of(self.graph, self._tail, frames))

    @cached_property
    def _tail(self) -> Tail | None:
        return tail_of(self._conversion.model, self.graph)

    def stream(
        self, *, window: EventWindow | None = None, point: PointName | None = None
    ) -> Stream:
        """A stream in the engine, with a state of its own; ``point`` as for ``run``.

        ``window``: the stream takes events (``step_events``), of which the network sees this
        window. Raises UsageError for a window that does not fit the network's input.
        """
        return Stream(self.points.for_backend("engine", point), window)

    def compare(
        self, frames: Given, labels: Sequences | None = None, *, reporter: Reporter = SILENT
    ) -> Comparison:
        """Run ANN, memoryless network and SDNN on the same ``frames`` and count their work.

        ``frames``: [T, C, H, W], an iterable of such sequences, a DataLoader or a path, of which
        the test side is taken; the state is reset before each sequence. ``labels``: an array per
        sequence. For outputs of one pixel classes [T] (whole numbers), or values [T, O] (real
        numbers), NaN where one is not known; for heat maps (column, row) in pixels [T, O, 2], NaN
        for a joint that does not count. Without them those count that come with the frames, if
        there are any. Outputs are scored as `ann2sdnn evaluate` scores them. Raises DataError for
        frames or labels of another shape or type.
        """
        given = frames_of(frames, split="test", reporter=reporter)
        truths: list[Array | None] = [None] * len(given)
        if labels is not None:
            truths = list(_labels(labels, given))
        labelled = resized(tuple(map(_with_targets, given, truths)), self.spec.preprocessing.resize)
        networks = SideBySide(self._conversion, ("ann", "sdnn"), "engine")
        names = tuple(networks.networks)
        asked = Evaluated(Path(MODEL_FILE), labelled, (), "evaluated", names)
        scored_as = task_for(self.spec, labelled)
        if scored_as == "output":
            _refuse_other_labels(truths, self.spec)
        scores = TASKS[scored_as].scores(self.spec, asked)
        points = {name: _Points() for name in names}
        total = sum(sequence.n_frames for sequence in labelled)
        tail = TailComparison(self.graph, self._tail, names)
        with reporter.task("compare", total, "frames") as task:
            for sequence, truth in zip(labelled, truths, strict=True):
                outputs = tail.watched(networks.run(sequence, task))
                scores.add(sequence, _located(outputs, points, truth, picture_scale(sequence)))
        for warning in tail.warnings:
            reporter.message(f"Warning: {warning}")
        return Comparison(_rows(networks, points, scores, self.spec.n_neurons), tail.report())

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write model.onnx, sdnn.h5, report.json and, where netx can express the network,
        network.net into ``folder``, all or nothing.

        ``force`` replaces a folder that this program wrote before. Raises OutputError.
        """
        out = Path(folder)
        check_folder(out, force=force)
        with atomic_folder(out, force=force) as temporary:
            self._conversion.model.write(temporary / MODEL_FILE)
            write_points(temporary / SPEC_FILE, self.points, force=True)
            write_report(temporary / REPORT_FILE, self.report)
            if isinstance(self.report.lowering, LoweringReport):
                self.export_netx(temporary / NETWORK_FILE)

    def export_netx(self, path: str | Path, *, force: bool = False) -> None:
        """Write the lowered network as a file that stock netx loads.

        Raises ConversionError when netx cannot express the network, OutputError for ``path``.
        """
        lowered, _ = lowered_with_ranges(self.spec, self.report)
        write_netx(Path(path), lowered, force=force)

    def to_nir(self, *, point: PointName | None = None) -> Any:
        """The SDNN as a ``nir.NIRGraph``, which ``nir.write`` writes (docs/nir.md).

        ``point``: an operating point of ``points``, by default lava's. Needs the package nir, else
        raises UsageError. Raises ModelError, naming the layer, for what NIR has no node for, such
        as transposed convolutions and maximum pooling.
        """
        from ann2sdnn.sdnn.spec.nir.importing import check_nir

        check_nir()
        from ann2sdnn.sdnn.spec.nir.export import to_nir

        return to_nir(self.points.for_backend("nir", point))

    def to_slayer(self) -> "TrainableSdnn":
        """The SDNN as a module of lava-dl blocks that can be trained.

        It takes frames [N, C, H, W, T], resized already, and returns a ``Pass``: outputs
        [N, T, O, H, W], operations [N, T] and a range penalty, all with gradients. Of several
        outputs, the values follow each other: [N, T, K, 1, 1]. ``begin(H, W)`` resets its state.
        Needs lava-dl; raises UsageError for a network with memoryless layers.
        """
        from ann2sdnn.sdnn.lava.importing import check_lava

        check_lava()
        from ann2sdnn.sdnn.training.network import TrainableSdnn

        module = TrainableSdnn(self.spec)
        module.begin(*self.spec.input_shape[1:])
        return module

    def to_lava(self, *, neuron: NeuronModel = "corrected") -> "SdnnProcess":
        """The SDNN as one lava process, with branches or without, to connect to other processes.

        Its port ``inp`` takes the changes of frames, a frame per time step, and its port ``out``
        (``out_0``, ``out_1``, ... of several outputs) gives changes of the output ``latency`` steps
        later; ``messages`` and ``decoded`` make and read them, for frames that are resized already.
        It runs in lava-nc's fixed-point simulation, and sends what ``run`` sends at lava's
        operating point. ``neuron``: ``stock`` loses rounding remainders, as lava's released neuron
        does. Needs lava-nc; raises UsageError for a network with memoryless layers.
        """
        from ann2sdnn.sdnn.lava.importing import check_lava

        check_lava()
        from ann2sdnn.sdnn.lava.processes.sdnn import SdnnProcess

        return SdnnProcess(self.spec, neuron=neuron)


class _Points:
    """Difference of one network's outputs [n, O, H, W] from the ANN's, and maxima from labels'."""

    def __init__(self) -> None:
        self._against_ann = HeatmapComparison()
        self._distances: list[NDArray[np.float64]] = []

    def add(
        self, ann: Tensor, output: Tensor, labels: NDArray[np.float64] | None, scale: PictureScale
    ) -> None:
        """``labels``: (column, row) [n, O, 2] in pixels of the frames given, or None; ``scale``: of
        those that the network saw.
        """
        self._against_ann.add(ann, output, scale)
        if labels is None:
            return
        pixels = scale.to_whole(decode_heatmaps(output)[0])
        distance = np.linalg.norm(pixels - labels, axis=-1)
        self._distances.append(distance[np.isfinite(distance)])

    def errors(self) -> tuple[float | None, float | None, float | None]:
        """Relative error, displacement in pixels, and mean distance from labels."""
        difference = self._against_ann.result()
        distance = mean(np.concatenate(self._distances)) if self._distances else None
        return difference.heatmap_relative_error, difference.displacement_px_mean, distance


def _located(
    outputs: Iterable[Mapping[str, Tensor]],
    points: Mapping[str, _Points],
    truth: Array | None,
    scale: PictureScale,
) -> Iterator[Mapping[str, Tensor]]:
    """Hand on ``outputs`` while their maxima are compared with those of the ANN and ``truth``."""
    start = 0
    for chunk in outputs:
        stop = start + len(chunk["ann"])
        has_points = truth is not None and truth.ndim == _POINTS
        part = (
            np.asarray(truth[start:stop], np.float64) if has_points and truth is not None else None
        )
        for name, each in points.items():
            each.add(chunk["ann"], chunk[name], part, scale)
        start = stop
        yield chunk


def _rows(
    networks: SideBySide, points: Mapping[str, _Points], scores: Scores, neurons: int
) -> tuple[ComparisonRow, ...]:
    ann, memoryless, sdnn = networks.ann, networks.memoryless, networks.sdnn
    assert ann is not None
    assert memoryless is not None
    assert sdnn is not None
    unchanged = None if scores.of_comparison().get("class_changed") is None else 0.0

    def row(
        name: RowName,
        network: str,
        operations: float,
        messages: float | None,
        from_input: float = 0,
    ) -> ComparisonRow:
        error, moved, distance = points[network].errors()
        fields = {
            **scores.of_network(network),
            **(scores.of_comparison() if network == "sdnn" else {}),
        }
        accuracy, absolute = fields.get("accuracy"), fields.get("mean_absolute_error")
        wrong = absolute if accuracy is None else 1 - accuracy
        return ComparisonRow(
            name,
            operations,
            messages,
            relative_error=error,
            displacement_px=moved,
            label_error=distance if wrong is None else wrong,
            accuracy=accuracy,
            class_changed=unchanged if network == "ann" else fields.get("class_changed"),
            energy=ann_energy(operations)
            if messages is None
            else sdnn_energy(operations, messages, from_input, neurons),
        )

    skipping = float(ann.nonzero_macs.sum()) / ann.n_frames
    return (
        row("ann", "ann", float(ann.dense.sum()), None),
        row("ann, zeros skipped", "ann", skipping, None),
        row("memoryless", "memoryless", *_work(memoryless)),
        row("sdnn", "sdnn", *_work(sdnn)),
        *((row("mixed", "mixed", *_work(networks.mixed)),) if networks.mixed is not None else ()),
    )


def _work(network: CountedSdnn) -> tuple[float, float, float]:
    """Operations, messages and messages of the input per frame."""
    counts = (network.synops.sum(), network.events.sum(), network.events[0])
    operations, messages, from_input = (float(count) / network.n_frames for count in counts)
    return operations, messages, from_input


def _one_sequence(frames: Given) -> Tensor:
    """The frames [T, C, H, W] of the only sequence."""
    sequences = frames_of(frames)
    if len(sequences) != 1:
        raise UsageError(
            f"there are {len(sequences)} sequences; expected one, so run them one by one, or use"
            " compare"
        )
    return torch.from_numpy(np.concatenate(list(sequences[0].chunks(sequences[0].n_frames))))


def _labels(labels: Sequences, sequences: Sequence[Frames]) -> list[NDArray[Any]]:
    given = [labels] if _is_array(labels) else labels
    arrays = [np.asarray(array) for array in given]
    if list(map(len, arrays)) != [sequence.n_frames for sequence in sequences]:
        raise DataError("labels and frames differ in length; expected one label per frame")
    return arrays


def _fitting(frames: Tensor, size: Pair | None) -> Tensor:
    """``frames`` [T, C, H, W] resized to ``size``; others and other types stay to be refused."""
    if size is None or frames.ndim != 4 or frames.dtype not in (torch.uint8, torch.float32):
        return frames
    return resize_frames(frames, size)


def _check_takes_events(spec: Spec) -> None:
    """Raise UsageError for a network that gets no window of events as its frame."""
    if not spec.input_code.is_plain:
        raise UsageError(NO_EVENTS)
    if spec.preprocessing.resize is not None:
        raise UsageError(
            "this network's frames are resized, which a window of events is not; give it frames"
        )


def _network(file: OnnxFile) -> NetworkFile:
    return NetworkFile(file.path, file.model, file.content)


def _numbers(given: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(given) if isinstance(given, Sequence) else (given,)


def _refuse_other_labels(truths: Sequence[Array | None], spec: Spec) -> None:
    """DataError for labels that are no points where outputs are neither classes nor values."""
    for truth in truths:
        if truth is not None and truth.ndim != _POINTS:
            raise DataError(
                f"labels are {truth.dtype} {list(truth.shape)}, and the network's outputs are"
                f" {spec.output_shape}; expected points [T, {spec.output_shape[0]}, 2] for maps"
            )


def _with_targets(frames: Frames, labels: Array | None) -> Frames:
    """``frames`` with classes [T] or values [T] or [T, O]; as they are without, and for points."""
    if labels is None or labels.ndim == _POINTS:
        return frames
    array = np.asarray(labels)
    if array.dtype.kind in "iub" and array.ndim == 1:
        targets: Targets = array.astype(np.int64)
    else:
        targets = array.reshape(len(array), -1).astype(np.float32)
    return WithTargets(frames, targets)


def _is_of_window(name: str) -> bool:
    return name.startswith(_WINDOW)


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray | Tensor)


def _as_text(renderable: Any) -> str:
    from rich.console import Console

    console = Console(width=WIDTH, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()
