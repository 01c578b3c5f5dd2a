"""The Python API: convert a network in memory, run it, stream through it, compare and save it.

    import ann2sdnn as a2s

    network = a2s.from_torch(module, example_input, input_scale=1 / 255)
    sdnn = a2s.to_sdnn(network, frames)  # uint8 [T, C, H, W]
    print(sdnn.compare(frames).table())

Frames are uint8 arrays or tensors [T, C, H, W] of consecutive frames; where several sequences are
taken, a list of them. All errors derive from ``ann2sdnn.support.errors.Ann2SdnnError``.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import onnx
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from ann2sdnn.ann.network import is_pose_network
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
from ann2sdnn.convert.report.lowering import LoweringReport
from ann2sdnn.convert.report.report import ConversionReport, read_report, write_report
from ann2sdnn.convert.stages.lower import lowered_with_ranges
from ann2sdnn.data.events.columns import GivenEvents
from ann2sdnn.data.events.options import EventWindow
from ann2sdnn.data.events.sliding import SlidingWindow
from ann2sdnn.data.pose.displacement import HeatmapComparison
from ann2sdnn.data.sources.arrays import ArrayFrames
from ann2sdnn.eval.measure.side_by_side import CountedSdnn, SideBySide
from ann2sdnn.graph.layers import INPUT_SCALE_KEY, Graph
from ann2sdnn.graph.onnx.file.exported import exported
from ann2sdnn.graph.onnx.file.load import OnnxFile, load_onnx, parse_onnx
from ann2sdnn.sdnn.backends import make_backend
from ann2sdnn.sdnn.engine.engine import Engine, StepResult
from ann2sdnn.sdnn.engine.loops.frames import MESSAGES, OPERATIONS
from ann2sdnn.sdnn.engine.run import BackendResult
from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.spec.file import write_points
from ann2sdnn.sdnn.spec.points import OperatingPoints, PointName
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.files.targets import check_folder
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.progress import SILENT, Reporter
from ann2sdnn.support.terminal import WIDTH, number, sheet_text

if TYPE_CHECKING:
    from ann2sdnn.sdnn.training.network import TrainableSdnn

Array: TypeAlias = NDArray[Any] | Tensor
Sequences: TypeAlias = Array | Sequence[Array]
RowName = Literal["ann", "ann, zeros skipped", "memoryless", "sdnn", "mixed"]

_WINDOW = "window."  # of a state's names: what is the window's


def from_onnx(path: str | Path) -> OnnxFile:
    """Read the ONNX file ``path`` with its external data.

    Raises ModelError for what is missing, damaged or no ONNX file.
    """
    return load_onnx(Path(path))


def from_torch(module: nn.Module, example_input: Tensor, *, input_scale: float = 1.0) -> OnnxFile:
    """Export ``module`` to ONNX in memory, for inputs of the shape of ``example_input``.

    ``example_input``: float32 [1, C, H, W], [1, C, L] for a signal or [1, K]. ``input_scale``:
    factor from a uint8 pixel to the module's input, 1/255 for inputs of 0 to 1. The module is
    exported in evaluation mode. Raises ModelError for a module that does not take the example, with
    the path of the submodule that fails, and for one that torch cannot export. What cannot be
    converted is said by ``to_sdnn``, which names the submodule too.
    """
    model = onnx.load_model_from_string(exported(module, example_input))
    onnx.helper.set_model_props(model, {INPUT_SCALE_KEY: repr(float(input_scale))})
    return parse_onnx(model.SerializeToString(deterministic=True), Path(type(module).__name__))


def to_sdnn(
    network: OnnxFile,
    calibration_frames: Sequences,
    *,
    budget_px: float | None = None,
    budget_error: float | None = None,
    options: ConvertOptions | None = None,
    reporter: Reporter = SILENT,
) -> "Sdnn":
    """Convert ``network`` with statistics of all ``calibration_frames``.

    ``calibration_frames``: uint8 [T, C, H, W], or a list of such sequences; C, H and W are those of
    the network's input. ``budget_px``, ``budget_error``: what thresholds may add, as a displacement
    of joints in pixels or as a relative L2 error of the output; see ``RateDistortion`` for the
    default. ``options``: other threshold rules, rounding and number formats; their fields on the
    choice of data have no effect. Raises UsageError for options that contradict each other,
    ModelError, DataError or ConversionError as `ann2sdnn convert` does.
    """
    options = options or ConvertOptions()
    if budget_px is not None or budget_error is not None:
        if options.thresholds != RateDistortion():
            raise UsageError("a budget and options.thresholds both choose thresholds; give one")
        options = replace(options, thresholds=RateDistortion(budget_px, budget_error))
    if options.sweep:
        raise UsageError("options.sweep writes files; run `ann2sdnn convert --sweep`")
    converted = convert_network(
        network,
        _sequences(calibration_frames),
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


class Report(ConversionReport):
    """What the conversion did: the values of report.json."""

    def table(self) -> str:
        """The tables of `ann2sdnn inspect`, at most 80 columns wide."""
        return _as_text(report_tables(self))

    def html(self) -> str:
        """The page of `ann2sdnn inspect --html`, with its plots inside."""
        return render_html(self)


@dataclass(frozen=True)
class ComparisonRow:
    """One network of a comparison."""

    name: RowName
    """The dense ANN, the ANN without multiplications by zero, the memoryless network, the SDNN at
    its operating point for lava and, where there is one, at that for the engine."""
    operations_per_frame: float
    """Multiplications by non-zero weights; for the SDNNs synaptic operations."""
    messages_per_frame: float | None
    """Messages sent, the input's included; None for the ANN."""
    relative_error: float | None
    """Relative L2 error of all outputs against the ANN; None where the ANN is silent."""
    displacement_px: float | None
    """Mean distance in pixels of the maxima of heat maps from the ANN's; None for other outputs."""
    label_error: float | None
    """With labels: share of wrong classes, or mean distance in pixels; None without."""


@dataclass(frozen=True)
class Comparison:
    """ANN, zero-skipping ANN, memoryless network and SDNN on the same frames; all of them count."""

    rows: tuple[ComparisonRow, ...]

    def __getitem__(self, name: RowName) -> ComparisonRow:
        return next(row for row in self.rows if row.name == name)

    def table(self) -> str:
        """The rows as text of at most 80 columns; "-" for what does not apply."""
        names = ("network", "operations", "messages", "rel. error", "moved px", "label error")
        rows = tuple(
            (
                row.name,
                number(row.operations_per_frame, ",.0f"),
                number(row.messages_per_frame, ",.0f"),
                number(row.relative_error, ".4g"),
                number(row.displacement_px, ".4g"),
                number(row.label_error, ".4g"),
            )
            for row in self.rows
        )
        return _as_text(sheet_text(Sheet("Work per frame, and errors", names, rows)))


class Stream:
    """An SDNN that gets its input as it comes from a camera; made by ``Sdnn.stream``.

    With a ``window`` it takes events, without one frames. ``frames``, ``messages`` (of the input
    and all layers) and ``operations`` count what it has done since the last reset. Raises
    UsageError for a window that does not fit the network's input.
    """

    def __init__(self, spec: Spec, window: EventWindow | None = None) -> None:
        self._window = None if window is None else SlidingWindow(window, spec.input_shape)
        self._engine = Engine(spec)
        self._forget_counts()

    def step(self, frame: Array, *, copy: bool = True) -> Tensor:
        """The output [O, H, W], decoded, for the next ``frame``, uint8 [C, H, W].

        ``copy=False`` returns the stream's own tensor, which the next step changes: the cost of a
        frame is then that of its messages, and a frame like the one before costs next to nothing.
        Raises DataError for a frame of another shape or type, UsageError in a stream of events.
        """
        if self._window is not None:
            raise UsageError("a stream of events takes no frames; make one without a window")
        return self._counted(self._engine.step(torch.as_tensor(frame)), copy=copy)

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
        frames: Array,
        *,
        backend: str = "engine",
        point: PointName | None = None,
        keep_messages: bool = False,
    ) -> BackendResult:
        """Run one sequence, uint8 [T, C, H, W], from a reset state.

        ``backend``: engine, slayer or lava. ``point``: an operating point of ``points``; by default
        the engine runs its own where there is one, which needs fewer operations, and everything
        else runs lava's. ``keep_messages``: return the messages of every layer too. Raises
        DataError for frames of another shape or type, UsageError for a backend or a point that does
        not exist, and for a backend that cannot run the point.
        """
        return make_backend(backend, self.points.for_backend(backend, point)).run(
            torch.as_tensor(frames), keep_messages=keep_messages
        )

    def stream(
        self, *, window: EventWindow | None = None, point: PointName | None = None
    ) -> Stream:
        """A stream in the engine, with a state of its own; ``point`` as for ``run``.

        ``window``: the stream takes events (``step_events``), of which the network sees this
        window. Raises UsageError for a window that does not fit the network's input.
        """
        return Stream(self.points.for_backend("engine", point), window)

    def compare(
        self, frames: Sequences, labels: Sequences | None = None, *, reporter: Reporter = SILENT
    ) -> Comparison:
        """Run ANN, memoryless network and SDNN on the same ``frames`` and count their work.

        ``frames``: uint8 [T, C, H, W], or a list of such sequences; the state is reset before each.
        ``labels``: as ``frames``; classes [T] (whole numbers) for outputs of one pixel, or
        (column, row) in pixels [T, O, 2] for heat maps, NaN for a joint that does not count.
        Raises DataError for frames or labels of another shape or type.
        """
        sequences = _sequences(frames)
        truths = [None] * len(sequences) if labels is None else _labels(labels, sequences)
        networks = SideBySide(self._conversion, ("ann", "sdnn"), "engine")
        scores = {name: _Score() for name in networks.networks}
        total = sum(sequence.n_frames for sequence in sequences)
        with reporter.task("compare", total, "frames") as task:
            for sequence, truth in zip(sequences, truths, strict=True):
                start = 0
                for outputs in networks.run(sequence, task):
                    stop = start + len(outputs["ann"])
                    for name, score in scores.items():
                        part = None if truth is None else truth[start:stop]
                        score.add(outputs["ann"].numpy(), outputs[name].numpy(), part)
                    start = stop
        return Comparison(_rows(networks, scores))

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

    def to_slayer(self) -> "TrainableSdnn":
        """The SDNN as a module of lava-dl blocks that can be trained.

        It takes uint8 frames [N, C, H, W, T] and returns a ``Pass``: outputs [N, T, O, H, W],
        operations [N, T] and a range penalty, all with gradients. ``begin(H, W)`` resets its state.
        Needs lava-dl; raises UsageError for a network with memoryless layers.
        """
        from ann2sdnn.sdnn.lava.importing import check_lava

        check_lava()
        from ann2sdnn.sdnn.training.network import TrainableSdnn

        module = TrainableSdnn(self.spec)
        module.begin(*self.spec.input_shape[1:])
        return module


class _Score:
    """Errors of one network's outputs [n, O, H, W], against the ANN's and against labels."""

    def __init__(self) -> None:
        self._against_ann = HeatmapComparison()
        self._errors: list[NDArray[np.float64]] = []

    def add(
        self,
        ann: NDArray[np.float32],
        output: NDArray[np.float32],
        labels: NDArray[np.float64] | None,
    ) -> None:
        self._against_ann.add(ann, output)
        if labels is None:
            return
        flat = output.reshape(*output.shape[:2], -1)
        if labels.ndim == 1:
            self._errors.append((flat[:, :, 0].argmax(axis=1) != labels).astype(np.float64))
            return
        row, column = np.divmod(flat.argmax(axis=2), output.shape[3])
        distance = np.linalg.norm(np.stack((column, row), axis=-1) - labels, axis=-1)
        self._errors.append(distance[np.isfinite(distance)])

    def errors(self) -> tuple[float | None, float | None, float | None]:
        """The last three fields of ``ComparisonRow``."""
        difference = self._against_ann.result()
        wrong = np.concatenate(self._errors) if self._errors else np.empty(0)
        label_error = float(wrong.mean()) if wrong.size else None
        return difference.heatmap_relative_error, difference.displacement_px_mean, label_error


def _rows(networks: SideBySide, scores: Mapping[str, _Score]) -> tuple[ComparisonRow, ...]:
    ann, memoryless, sdnn = networks.ann, networks.memoryless, networks.sdnn
    assert ann is not None
    assert memoryless is not None
    assert sdnn is not None
    dense, skipping = float(ann.macs.sum()), float(ann.nonzero_macs.sum()) / ann.n_frames
    of_ann = scores["ann"].errors()
    return (
        ComparisonRow("ann", dense, None, *of_ann),
        ComparisonRow("ann, zeros skipped", skipping, None, *of_ann),
        ComparisonRow("memoryless", *_work(memoryless), *scores["memoryless"].errors()),
        ComparisonRow("sdnn", *_work(sdnn), *scores["sdnn"].errors()),
        *(
            (ComparisonRow("mixed", *_work(networks.mixed), *scores["mixed"].errors()),)
            if networks.mixed is not None
            else ()
        ),
    )


def _work(network: CountedSdnn) -> tuple[float, float]:
    """Operations and messages per frame."""
    n_frames = network.n_frames
    return float(network.synops.sum()) / n_frames, float(network.events.sum()) / n_frames


def _sequences(frames: Sequences) -> tuple[ArrayFrames, ...]:
    """Sequences of the frames that a user gave, each a group of its own."""
    arrays = [np.asarray(array) for array in ([frames] if _is_array(frames) else frames)]
    for array in arrays:
        if array.dtype != np.uint8 or array.ndim != 4 or len(array) == 0:
            raise DataError(
                f"frames are {array.dtype} {list(array.shape)}; expected uint8 [T, C, H, W] with"
                " one or more frames: scale pixels to 0 to 255, and give the network its scale"
            )
    if not arrays:
        raise DataError("there are no frames; expected one or more sequences [T, C, H, W]")
    return tuple(
        ArrayFrames(array, f"sequence {index}", f"sequence {index}")
        for index, array in enumerate(arrays)
    )


def _labels(labels: Sequences, sequences: Sequence[ArrayFrames]) -> list[NDArray[np.float64]]:
    given = [labels] if _is_array(labels) else labels
    arrays = [np.asarray(array, np.float64) for array in given]
    if list(map(len, arrays)) != [sequence.n_frames for sequence in sequences]:
        raise DataError("labels and frames differ in length; expected one label per frame")
    return arrays


def _is_of_window(name: str) -> bool:
    return name.startswith(_WINDOW)


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray | Tensor)


def _as_text(renderable: Any) -> str:
    from rich.console import Console

    console = Console(width=WIDTH, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()
