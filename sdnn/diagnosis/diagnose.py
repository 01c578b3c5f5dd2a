"""Why does a network not learn? Its first optimisation steps, watched layer by layer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from ann2sdnn.data.recordings.sequences import PoseSequence, SequenceSource, mean_target
from ann2sdnn.sdnn.diagnosis.findings import findings
from ann2sdnn.sdnn.diagnosis.memory import StepMemory, in_parts_note, takes_parts
from ann2sdnn.sdnn.diagnosis.parts import optimise_in_parts
from ann2sdnn.sdnn.diagnosis.probes import layer_start, probe_readout
from ann2sdnn.sdnn.diagnosis.report import Diagnosis, LayerStart
from ann2sdnn.sdnn.diagnosis.steps import optimise
from ann2sdnn.sdnn.diagnosis.subjects.subject import Subject
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, number, random_seed
from ann2sdnn.support.progress import SILENT, Reporter

KEPT_VALUES = 10**8  # target values; larger sets are read anew for every batch


@dataclass(frozen=True)
class DiagnoseOptions(CheckedOptions):
    """The optimisation steps to watch."""

    panel = "Training"

    steps: int = number(2, at_least=1, at_most=10**6, option="--steps")
    """Optimisation steps."""
    batch: int = number(8, at_least=1, at_most=10**4, option="--batch")
    """Sequences per step."""
    sequences: int = number(16, at_least=1, at_most=10**6, option="--sequences")
    """Sequences that take turns in the batches."""
    learning_rate: float = number(
        1e-3,
        above=0,
        at_most=1,
        option="--learning-rate",
        shown_default="the preset's; else 0.0001",
    )
    """Learning rate of RMSprop."""
    seed: int = random_seed(0)
    """Seed of the initial weights."""


def diagnose(
    build: Callable[[Tensor], Subject],
    source: SequenceSource,
    options: DiagnoseOptions,
    *,
    settings: Mapping[str, float | int | str | bool | None] | None = None,
    repairs: tuple[str, ...] = (),
    available: int | None = None,
    reporter: Reporter = SILENT,
) -> Diagnosis:
    """Build a network (from the first batch's frames [N, 1, H, W, T]), train it, and judge it.

    ``settings`` and ``repairs`` only go into the report. ``available``: bytes of memory that it may
    take, None for as many as it needs; a batch that needs more than 4 GB, or than this, is run one
    sequence after another, with the same result up to rounding. Raises UsageError when a batch is
    larger than the data set, or when that does not fit either.
    """
    n = min(options.sequences, len(source))
    if options.batch > n:
        raise UsageError(f"--batch {options.batch}; the data has {n} sequences to choose from")
    # Evenly spaced, so that few sequences are of many recordings.
    chosen = [i * len(source) // n for i in range(n)]
    with reporter.task("Sequences", 1, "sets") as task:
        answer_to_beat = mean_target(source, chosen)
        batches = _Batches(source, chosen, options.batch)
        first = batches.read(0).frames
        task.advance()
    torch.manual_seed(options.seed)
    subject = build(first)
    start = _start(subject, first, answer_to_beat)
    in_parts = takes_parts(start.memory, options.batch, available)
    if in_parts:
        reporter.message(in_parts_note(start.memory, options.batch))
    readout = probe_readout(subject, start.last_input, first.shape[-1])
    optimizer = torch.optim.RMSprop(subject.parameters(), lr=options.learning_rate)
    steps = []
    with reporter.task("Optimisation", options.steps, "steps") as task:
        step = partial(optimise_in_parts, task=task) if in_parts else optimise
        for index in range(options.steps):
            batch = batches.read(index)
            steps.append(step(subject, optimizer, batch, answer_to_beat, index + 1))
            task.advance(note=f"loss {steps[-1].loss:.3g}")
    diagnosis = Diagnosis(
        network=subject.name,
        repairs=repairs,
        settings={**(settings or {}), "learning_rate": options.learning_rate, "seed": options.seed},
        batch=options.batch,
        sequences_at_once=1 if in_parts else options.batch,
        frames=first.shape[-1],
        height=first.shape[2],
        width=first.shape[3],
        clipped_inputs=subject.clipped_inputs(first),
        readout=readout,
        layers=start.layers,
        steps=tuple(steps),
    )
    return diagnosis.model_copy(update={"findings": findings(diagnosis)})


class _Batches:
    """The chosen sequences in turn, again and again; small sets stay in memory."""

    def __init__(self, source: SequenceSource, chosen: list[int], size: int) -> None:
        self.source, self.chosen, self.size = source, chosen, size
        self._kept: dict[int, PoseSequence] = {}

    def read(self, index: int) -> PoseSequence:
        """Batch ``index``."""
        places = [(index * self.size + k) % len(self.chosen) for k in range(self.size)]
        parts = [self._sequence(self.chosen[place]) for place in places]
        frames, targets = zip(*parts, strict=True)
        return PoseSequence(torch.stack(frames), torch.stack(targets))

    def _sequence(self, number: int) -> PoseSequence:
        if number in self._kept:
            return self._kept[number]
        sequence = self.source.read(number)
        if sequence.targets.numel() * len(self.chosen) <= KEPT_VALUES:
            self._kept[number] = sequence
        return sequence


@dataclass(frozen=True)
class _Start:
    """The layers before anything is learned, what a step will need, and the shape (C, H, W) of what
    enters the last layer.
    """

    layers: tuple[LayerStart, ...]
    memory: StepMemory
    last_input: tuple[int, ...]


@torch.no_grad()
def _start(subject: Subject, frames: Tensor, target: Tensor) -> _Start:
    """Seen with the first sequence of ``frames``; ``target`` [13, H, W] is a target of one frame.

    Raises UsageError where the output cannot be compared with it.
    """
    subject.reset()
    messages = subject.encode(frames[:1])
    sent = [messages.shape]
    nonzero = [int(messages.count_nonzero())]
    for stage in subject.stages:
        messages = stage.run(messages)
        sent.append(messages.shape)
        nonzero.append(int(messages.count_nonzero()))
    subject.reset()
    if sent[-1][1:4] != target.shape:
        raise UsageError(
            f"{subject.name} answers with maps of shape {list(sent[-1][1:4])}, and the targets of"
            f" these sequences have the shape {list(target.shape)}; diagnose a network that gives"
            " one heat map a joint, as large as the picture"
        )
    n_targets = target.numel() * frames.shape[-1]
    ran = zip(subject.stages, pairwise(sent), strict=True)
    values = tuple(shape.numel() for shape in sent)
    return _Start(
        layers=tuple(layer_start(stage, *shapes) for stage, shapes in ran),
        memory=StepMemory(values, tuple(nonzero), n_targets),
        last_input=tuple(sent[-2][1:4]),
    )
