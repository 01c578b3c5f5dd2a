"""A synthetic DHP19: a folder of recordings in the data set's own file format."""

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from ann2sdnn.data.accumulate import WINDOW_EVENTS, Windows
from ann2sdnn.data.h5 import recording_writer
from ann2sdnn.data.synthetic.catalogue import CATALOGUE, N_SUBJECTS, CatalogueEntry
from ann2sdnn.data.synthetic.movements import Kind
from ann2sdnn.data.synthetic.recording import make_scene, record
from ann2sdnn.errors import DataError, UsageError
from ann2sdnn.files import atomic_folder
from ann2sdnn.progress import SILENT, Reporter, Task

SUMMARY_FILE = "synthetic.json"


@dataclass(frozen=True)
class SynthOptions:
    """What to make; the files depend on everything here except ``workers``.

    ``movements`` takes the first of the 33 movements, in an order in which a few are already
    varied; ``frames`` counts frames of a recording, ``window_events`` events of a frame;
    ``hop_events`` and ``fixed_scale`` make overlapping windows (see ``accumulate.Windows``);
    ``kinds`` keeps only movements of these kinds ("walk", "star jump").
    Raises UsageError for numbers out of range.
    """

    subjects: int = 17
    movements: int = 33
    frames: int = 64
    seed: int = 0
    window_events: int = WINDOW_EVENTS
    workers: int = 1
    first_subject: int = 1
    hop_events: int | None = None
    fixed_scale: bool = False
    kinds: tuple[str, ...] | None = None

    @property
    def entries(self) -> tuple[CatalogueEntry, ...]:
        """The movements to perform."""
        wanted = [e for e in CATALOGUE if self.kinds is None or e.kind.value in self.kinds]
        return tuple(wanted[: self.movements])

    @property
    def windows(self) -> Windows:
        """How events are cut into frames."""
        return Windows(self.window_events, self.hop_events, self.fixed_scale)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("subjects", 1, N_SUBJECTS),
            ("movements", 1, len(CATALOGUE)),
            ("frames", 1, None),
            ("seed", 0, None),
            ("window_events", 1000, None),
            ("workers", 1, None),
            ("first_subject", 1, N_SUBJECTS),
        ):
            value = getattr(self, name)
            if value < low or (high is not None and value > high):
                expected = f"at least {low}" if high is None else f"{low} to {high}"
                raise UsageError(f"{name} is {value}; expected {expected}")
        if self.first_subject + self.subjects - 1 > N_SUBJECTS:
            raise UsageError(
                f"{self.subjects} subjects from number {self.first_subject} on exceed the "
                f"{N_SUBJECTS} of DHP19; lower one of them"
            )
        known = [kind.value for kind in Kind]
        for kind in self.kinds or ():
            if kind not in known:
                raise UsageError(f"there is no movement {kind!r}; choose from {', '.join(known)}")
        _ = self.windows  # checks that the hop divides the window


@dataclass(frozen=True)
class RecordingFacts:
    """One recording: its file stem, what is in it, and how long it lasts."""

    stem: str
    subject: int
    movement: str
    height_mm: float
    frames: int
    events: int
    duration_us: int


@dataclass(frozen=True)
class SynthSummary:
    """What ``synthesise`` wrote."""

    folder: Path
    recordings: tuple[RecordingFacts, ...]

    @property
    def frames(self) -> int:
        """Frames of all recordings together."""
        return sum(r.frames for r in self.recordings)


def synthesise(
    out: Path, options: SynthOptions, *, force: bool = False, reporter: Reporter = SILENT
) -> SynthSummary:
    """Write ``options.subjects`` x ``options.movements`` recordings and a summary to ``out``.

    Each recording is a pure function of the seed, the subject and the movement, whatever else is
    made with it. Raises OutputError when ``out`` exists and ``force`` is false.
    """
    jobs = [
        _Job(options.seed, subject, entry, options.frames, options.windows)
        for subject in range(options.first_subject, options.first_subject + options.subjects)
        for entry in options.entries
    ]
    with (
        atomic_folder(out, force=force) as folder,
        reporter.task("synthetic recordings", len(jobs) * options.frames, "frames") as task,
    ):
        run = _run_here(jobs, folder, task)
        if options.workers > 1:
            run = _run_in_workers(jobs, folder, task, options.workers)
        facts = tuple(sorted(run, key=lambda f: f.stem))
        _write_summary(folder / SUMMARY_FILE, options, facts)
    return SynthSummary(out, facts)


@dataclass(frozen=True)
class _Job:
    seed: int
    subject: int
    entry: CatalogueEntry
    frames: int
    windows: Windows

    @property
    def stem(self) -> str:
        return f"S{self.subject}_session{self.entry.session}_mov{self.entry.movement}"


class _Stop(Protocol):
    def is_set(self) -> bool: ...


class _StoppedError(Exception):
    """The command was interrupted while a worker was busy."""


_stop: _Stop | None = None  # in a worker: set when the command is interrupted


def _run_here(jobs: list[_Job], folder: Path, task: Task) -> Iterator[RecordingFacts]:
    for job in jobs:
        yield _write_recording(job, folder, task)


def _run_in_workers(
    jobs: list[_Job], folder: Path, task: Task, workers: int
) -> Iterator[RecordingFacts]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(min(workers, len(jobs)), context, _begin_worker, (stop,)) as pool:
        try:
            futures = [pool.submit(_write_recording, job, folder) for job in jobs]
            for future in as_completed(futures):
                facts = future.result()
                task.advance(facts.frames, note=facts.stem)
                yield facts
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _begin_worker(stop: _Stop) -> None:
    """Leave Ctrl-C to the parent, which sets ``stop``."""
    import signal

    global _stop  # noqa: PLW0603  (an executor hands nothing else to its workers' functions)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stop = stop


def _write_recording(job: _Job, folder: Path, task: Task | None = None) -> RecordingFacts:
    scene = make_scene(job.seed, job.subject, job.entry)
    end_us = 0
    with recording_writer(folder, job.stem) as writer:
        for frame in record(scene, job.frames, job.windows):
            if _stop is not None and _stop.is_set():
                raise _StoppedError
            writer.append(frame.frame, frame.xyz_mm)
            end_us = frame.end_us
            if task is not None:
                task.advance(note=job.stem)
        written = len(writer)
        if written < job.frames:
            raise DataError(
                f"{job.stem} gave {written} of {job.frames} frames before its labels ended; "
                "choose another --seed"
            )
    return RecordingFacts(
        job.stem,
        job.subject,
        job.entry.name,
        round(scene.body.skeleton.height_mm, 1),
        written,
        job.windows.window_events + (written - 1) * job.windows.hop,
        end_us,
    )


def _write_summary(path: Path, options: SynthOptions, facts: tuple[RecordingFacts, ...]) -> None:
    chosen = {name: value for name, value in asdict(options).items() if name != "workers"}
    summary = {"schema": 1, "options": chosen, "recordings": [asdict(fact) for fact in facts]}
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
