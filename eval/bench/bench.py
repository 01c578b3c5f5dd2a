"""Times the networks on the same frames, alternating, in one process.

Timings depend on the machine and the day: compare the networks of one run, not two runs.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydantic
import torch
from torch import Tensor

from ann2sdnn.convert.folder import OpenedConversion, open_conversion
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.eval.bench.options import BenchOptions
from ann2sdnn.eval.bench.profile import EngineProfile, profile_points
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.file.session import open_session
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.backends import make_backend
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.run import Backend
from ann2sdnn.sdnn.lava.importing import has_lava
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.progress import SILENT, Reporter
from ann2sdnn.support.terminal import MISSING

_CHUNK_FRAMES = 4  # shown to every network at a time
_COMPARED_AT_ONCE = 2  # frames whose messages are held of two backends

_LABELS = {
    "onnxruntime": "ANN, ONNX Runtime",
    "torch": "ANN, torch",
    "mixed": "SDNN, engine, its own point",
    "engine": "SDNN, engine",
    "slayer": "SDNN, slayer",
}


class _Network(NamedTuple):
    """Something that is timed: ``forget`` the frames so far, ``run`` the next ones."""

    forget: Callable[[], None]
    run: Callable[[Tensor], None]


class BenchReport(pydantic.BaseModel):
    """Median milliseconds per frame over ``rounds`` alternating rounds of ``frames`` frames, with
    ``threads`` threads, after the first frame of each, in which an SDNN sends everything;
    ``first_ms`` by network is that of the first frame.

    ``messages_equal``: engine and slayer sent the same message in every neuron and frame
    (``messages_compared`` values); null where a backend kept no messages to compare. Both run
    lava's operating point. ``mixed``: the engine with its own point, null where there is none.
    ``profiles``: where the time of ``engine`` and ``mixed`` goes; null unless asked for.
    ``all_ms_per_frame``: every round, by network. Without lava slayer cannot run, and its values
    are null.
    """

    mixed_ms_per_frame: float | None = None
    engine_ms_per_frame: float
    slayer_ms_per_frame: float | None = None
    torch_ms_per_frame: float
    onnxruntime_ms_per_frame: float
    messages_equal: bool | None
    messages_compared: int
    frames: int
    rounds: int
    threads: int
    first_ms: dict[str, float]
    all_ms_per_frame: dict[str, list[float]]
    profiles: dict[str, EngineProfile] | None = None


def bench(
    folder: Path, data: Path, options: BenchOptions, *, reporter: Reporter = SILENT
) -> BenchReport:
    """Time the conversion in ``folder`` on the first sequence of ``data``.

    The ANN runs in torch and in ONNX Runtime, the SDNN in the engine and in slayer, whose messages
    are compared first, if lava is installed; where the engine has an operating point of its own, it
    runs that too. Raises ModelError and DataError for what cannot be read, UsageError for a network
    with memoryless layers, which slayer does not have.
    """
    with _threads(options.threads):
        return _bench(folder, data, options, reporter)


@contextlib.contextmanager
def _threads(n: int | None) -> Iterator[None]:
    """How many threads torch has, which all networks follow."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _bench(folder: Path, data: Path, options: BenchOptions, reporter: Reporter) -> BenchReport:
    conversion = open_conversion(folder)
    sequence = open_frames(data)[0].part(0, options.frames)
    frames = torch.from_numpy(np.concatenate(list(sequence.chunks())))
    names = ("engine", "slayer") if has_lava() else ("engine",)
    backends = {name: make_backend(name, conversion.spec) for name in names}
    compared, equal = _compare(backends["engine"], backends.get("slayer"), frames, reporter)
    if conversion.points.engine is not None:
        backends["mixed"] = make_backend("engine", conversion.points.engine)
    networks = {name: _of_backend(backend) for name, backend in backends.items()}
    networks["torch"] = _of_torch(conversion.graph)
    networks["onnxruntime"] = _of_onnxruntime(conversion)
    measured, first = _alternate(networks, frames, options.rounds, reporter)
    medians = {f"{name}_ms_per_frame": statistics.median(all_) for name, all_ in measured.items()}
    profiles = None
    if options.profile:
        profiles = profile_points(conversion.points, frames, options.rounds, reporter)
    return BenchReport(
        **medians,
        messages_equal=equal,
        messages_compared=compared,
        frames=len(frames),
        rounds=options.rounds,
        threads=torch.get_num_threads(),
        first_ms={name: statistics.median(all_) for name, all_ in first.items()},
        all_ms_per_frame=measured,
        profiles=profiles,
    )


def bench_sheet(report: BenchReport) -> Sheet:
    """Medians and ranges, the fastest network first, how many times longer than it each takes, the
    first frame, and whether the backends agree.
    """
    medians = {
        name: getattr(report, f"{name}_ms_per_frame")
        for name in _LABELS
        if name in report.all_ms_per_frame
    }
    fastest = min(medians.values())
    verdict = {True: "equal", False: "DIFFERENT", None: MISSING}[report.messages_equal]
    return Sheet(
        f"Medians of {report.rounds} alternating rounds of {report.frames} frames with"
        f" {report.threads} threads",
        ("network", "ms per frame", "range", "frames/s", "ratio", "first frame"),
        tuple(
            (
                _LABELS[name],
                f"{medians[name]:.1f}",
                f"{min(report.all_ms_per_frame[name]):.1f}-{max(report.all_ms_per_frame[name]):.1f}",
                f"{1e3 / medians[name]:.1f}",
                f"{medians[name] / fastest:.2f}",
                f"{report.first_ms[name]:.1f}",
            )
            for name in sorted(medians, key=medians.__getitem__)
        ),
        notes=(
            (
                f"Messages of engine and slayer: {verdict}"
                f" ({report.messages_compared:,} values compared)"
            )
            if report.slayer_ms_per_frame is not None
            else "slayer was not timed: it needs lava-dl, which pip installs on Python 3.10 only",
        ),
    )


def _compare(
    engine: Backend, slayer: Backend | None, frames: Tensor, reporter: Reporter
) -> tuple[int, bool | None]:
    """Number of messages compared (silence included), and whether all are equal; None for none."""
    if slayer is None:
        return 0, None
    compared, equal = 0, True
    with reporter.task("Messages compared", len(frames), "frames") as task:
        for chunk in torch.split(frames, _COMPARED_AT_ONCE):
            first, second = (
                one.run(chunk, keep_messages=True).messages for one in (engine, slayer)
            )
            if first is None or second is None:
                return 0, None
            equal = equal and len(first) == len(second)
            for ours, theirs in zip(first, second, strict=False):
                compared += ours.numel()
                equal = equal and torch.equal(ours, theirs)
            task.advance(len(chunk))
    return compared, equal if compared else None


def _alternate(
    networks: dict[str, _Network], frames: Tensor, rounds: int, reporter: Reporter
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Milliseconds per frame of every round, by network, after one round that warms up: of all
    frames but the first, and of the first.
    """
    later: dict[str, list[float]] = {name: [] for name in networks}
    first: dict[str, list[float]] = {name: [] for name in networks}
    chunks = torch.split(frames[1:], _CHUNK_FRAMES)
    with reporter.task("Rounds", (rounds + 1) * len(networks), "runs") as task:
        for turn in range(rounds + 1):
            for name, network in networks.items():
                network.forget()
                started = time.perf_counter()
                network.run(frames[:1])
                begun = time.perf_counter()
                for chunk in chunks:
                    network.run(chunk)
                ended = time.perf_counter()
                if turn > 0:
                    first[name].append((begun - started) * 1e3)
                    later[name].append((ended - begun) * 1e3 / (len(frames) - 1))
                task.advance(note=name)
    return later, first


def _of_backend(backend: Backend) -> _Network:
    if not isinstance(backend, Engine):
        return _Network(backend.reset, lambda frames: _ignore(backend.run(frames)))

    def run(frames: Tensor) -> None:
        for frame in frames:
            backend.step(frame)

    return _Network(backend.reset, run)


def _ignore(result: object) -> None:
    """Nothing is done with it."""


def _of_torch(graph: Graph) -> _Network:
    network = FloatNetwork(graph)

    @torch.inference_mode()
    def run(frames: Tensor) -> None:
        network(network.encode(frames))

    return _Network(lambda: None, run)


def _of_onnxruntime(conversion: OpenedConversion) -> _Network:
    session = open_session(conversion.model.model)
    name = session.get_inputs()[0].name
    batch = session.get_inputs()[0].shape[0]
    at_once = batch if isinstance(batch, int) else 1
    scale = np.float32(conversion.graph.input_scale)

    def run(frames: Tensor) -> None:
        # One by one, or as many as the file fixes; the last ones are shown repeatedly.
        for some in torch.split(frames, at_once):
            scaled = some.numpy().astype(np.float32) * scale
            session.run(None, {name: np.resize(scaled, (at_once, *scaled.shape[1:]))})

    return _Network(lambda: None, run)
