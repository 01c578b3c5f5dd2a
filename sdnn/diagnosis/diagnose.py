"""Trains a network for a few steps, measures every layer, and judges the measurements."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, count, islice

import torch
from torch import Tensor

from ann2sdnn.data.recordings.sequences import PoseSequence, SequenceSource, mean_target
from ann2sdnn.graph.planes import Planes
from ann2sdnn.sdnn.diagnosis.findings import findings
from ann2sdnn.sdnn.diagnosis.memory import StepMemory, takes_parts
from ann2sdnn.sdnn.diagnosis.options import DiagnoseOptions
from ann2sdnn.sdnn.diagnosis.outputs import joined_in_time
from ann2sdnn.sdnn.diagnosis.parts import optimise_in_parts
from ann2sdnn.sdnn.diagnosis.probes import layer_start, probe_readout
from ann2sdnn.sdnn.diagnosis.report import Diagnosis, LayerStart, Measurements
from ann2sdnn.sdnn.diagnosis.steps import optimise
from ann2sdnn.sdnn.diagnosis.subjects.subject import Settings, Subject
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.memory import gigabytes
from ann2sdnn.support.progress import SILENT, Reporter

KEPT_VALUES = 10**8  # target values; a larger set is read again for every batch


def diagnose(
    build: Callable[[Tensor], Subject],
    source: SequenceSource,
    options: DiagnoseOptions,
    *,
    settings: Settings | None = None,
    repairs: tuple[str, ...] = (),
    available: int | None = None,
    reporter: Reporter = SILENT,
) -> Diagnosis:
    """Build a network from the first batch's frames [N, 1, H, W, T], train it, and judge it.

    ``settings`` and ``repairs`` are recorded in the report. ``available``: bytes of memory that may
    be used; None for no limit. A batch that needs more, or more than 4 GB, runs one sequence at a
    time, with the same result up to rounding. Raises UsageError for a batch larger than the data
    set, and where memory is too small even so.
    """
    n = min(options.sequences, len(source))
    if options.batch > n:
        raise UsageError(f"--batch {options.batch}; the data has {n} sequences to choose from")
    # Evenly spaced, so that few sequences come from many recordings.
    chosen = [i * len(source) // n for i in range(n)]
    with reporter.task("Sequences", 1, "sets") as task:
        target = mean_target(source, chosen)
        batches = _batches(source, chosen, options.batch)
        first = next(batches)
        task.advance()
    frames = first.frames
    torch.manual_seed(options.seed)
    subject = build(frames)
    start = _start(subject, frames, target)
    in_parts = takes_parts(start.memory, options.batch, available)
    if in_parts:
        reporter.message(
            f"All {options.batch} sequences of a step at once need about"
            f" {gigabytes(start.memory.whole(options.batch))} of memory, so they run one at a time"
            " and their gradients are summed. The result is the same; it takes longer."
        )
    readout = probe_readout(subject, start.last_inputs, start.outputs, frames.shape[-1])
    optimizer = torch.optim.RMSprop(subject.parameters(), lr=options.learning_rate)
    steps = []
    with reporter.task("Optimisation", options.steps, "steps") as task:
        step = partial(optimise_in_parts, task=task) if in_parts else optimise
        for index, batch in enumerate(islice(chain([first], batches), options.steps), 1):
            steps.append(step(subject, optimizer, batch, target, index))
            task.advance(note=f"loss {steps[-1].loss:.3g}")
    measured = Measurements(
        network=subject.name,
        repairs=repairs,
        settings={**(settings or {}), "learning_rate": options.learning_rate, "seed": options.seed},
        batch=options.batch,
        sequences_at_once=1 if in_parts else options.batch,
        frames=frames.shape[-1],
        height=frames.shape[2],
        width=frames.shape[3],
        target_peak=float(first.targets.abs().max()),
        clipped_inputs=subject.clipped_inputs(frames),
        readout=readout,
        layers=tuple(start.layers),
        steps=tuple(steps),
    )
    return Diagnosis(**dict(measured), findings=findings(measured))


def _batches(source: SequenceSource, chosen: list[int], size: int) -> Iterator[PoseSequence]:
    """Batches of the chosen sequences in turn, without end; a small set stays in memory."""
    read = source.read
    if read(chosen[0]).targets.numel() * len(chosen) <= KEPT_VALUES:
        read = cache(read)
    for first in count(0, size):
        sequences = [read(chosen[(first + k) % len(chosen)]) for k in range(size)]
        frames, targets = zip(*sequences, strict=True)
        yield PoseSequence(torch.stack(frames), torch.stack(targets))


@dataclass(frozen=True)
class _Start:
    """A network before training: its layers, the memory of a step, what the last layer reads
    (C, H, W), and the shapes [1, O, H, W, T] of its outputs.
    """

    layers: list[LayerStart]
    memory: StepMemory
    last_inputs: list[torch.Size]
    outputs: list[torch.Size]


@torch.no_grad()
def _start(subject: Subject, frames: Tensor, target: Tensor) -> _Start:
    """Run the first sequence of ``frames``.

    ``target`` [J, H, W] is the target of one frame; raises UsageError where the output cannot be
    compared with it.
    """
    subject.reset()
    messages = subject.encode(frames[:1])
    sizes, layers = [(messages.numel(), int(messages.count_nonzero()))], []
    planes = Planes(subject, messages)
    for stage in subject.stages:
        arrived = planes.inputs()
        messages = stage.observe(arrived).messages
        planes.put(messages)
        sizes.append((messages.numel(), int(messages.count_nonzero())))
        layers.append(layer_start(stage, arrived, messages))
    subject.reset()
    compared = joined_in_time(planes.outputs).shape[1:4]
    if compared != target.shape:
        raise UsageError(
            f"{subject.name} has outputs of shape {list(compared)}, and the targets of"
            f" these sequences have the shape {list(target.shape)}; diagnose a network that gives"
            " one heat map per joint, as large as the picture"
        )
    values, nonzero = zip(*sizes, strict=True)
    memory = StepMemory(values, nonzero, target.numel() * frames.shape[-1], subject.reads)
    inputs = [one.shape[1:4] for one in arrived]
    return _Start(layers, memory, inputs, [sent.shape for sent in planes.outputs])
