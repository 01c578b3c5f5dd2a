"""Makes a synthetic DHP19: a folder of recordings in the data set's own file format."""

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from ann2sdnn.data.raw.recording import prepare_recording
from ann2sdnn.data.recordings.recording import RecordingName
from ann2sdnn.data.synthetic.movements.catalogue import CatalogueEntry
from ann2sdnn.data.synthetic.options import SynthOptions
from ann2sdnn.data.synthetic.raw_recording import write_raw_recording
from ann2sdnn.data.synthetic.scene import make_scene
from ann2sdnn.support.files.targets import refuse_overlap
from ann2sdnn.support.files.writing import atomic_folder
from ann2sdnn.support.memory import available_bytes, check_workers
from ann2sdnn.support.processes.pool import run_jobs
from ann2sdnn.support.progress import SILENT, Reporter

SUMMARY_FILE = "synthetic.json"
_HOW = ("workers", "scheduler")  # options that change no file


@dataclass(frozen=True)
class RecordingFacts:
    """One recording: its file stem, its content and its length."""

    stem: str
    subject: int
    movement: str
    height_mm: float
    frames: int
    events: int
    duration_us: int


@dataclass(frozen=True)
class SynthSummary:
    """The recordings that ``synthesise`` wrote."""

    folder: Path
    recordings: tuple[RecordingFacts, ...]

    @property
    def frames(self) -> int:
        """Frames of all recordings together."""
        return sum(r.frames for r in self.recordings)


def synthesise(
    out: Path,
    options: SynthOptions,
    *,
    raw: Path | None = None,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> SynthSummary:
    """Write ``options.subjects`` x ``options.movements`` recordings and a summary to ``out``.

    Each is made as in DHP19: ``prepare``'s own code turns a raw recording into frames. With ``raw``
    the raw recordings stay there, laid out as ``prepare`` reads them. Each recording depends only
    on the seed, the subject, the movement and the windows, not on the others. Raises OutputError
    when ``out`` or ``raw`` exists and ``force`` is false.
    """
    if raw is not None:
        refuse_overlap(out, raw)
    n_jobs = options.subjects * len(options.entries)
    check_workers(min(options.workers, n_jobs), available=available_bytes())
    with ExitStack() as stack:
        folder = stack.enter_context(atomic_folder(out, force=force))
        kept = None if raw is None else stack.enter_context(atomic_folder(raw, force=force))
        jobs = [
            _Job(options, subject, entry, folder.absolute(), kept and kept.absolute())
            for subject in range(options.first_subject, options.first_subject + options.subjects)
            for entry in options.entries
        ]
        total = len(jobs) * options.frames
        with reporter.task("synthetic recordings", total, "frames") as task:
            facts = []
            made = run_jobs(
                _write_recording,
                jobs,
                options.workers,
                task.advance,
                scheduler=options.scheduler,
            )
            for fact in made:
                task.advance(0, note=fact.stem)
                facts.append(fact)
            facts.sort(key=lambda fact: fact.stem)
        _write_summary(folder / SUMMARY_FILE, options, facts)
    return SynthSummary(out, tuple(facts))


@dataclass(frozen=True)
class _Job:
    """One recording to write into ``folder``, and its raw files into ``raw`` if they are wanted."""

    options: SynthOptions
    subject: int
    entry: CatalogueEntry
    folder: Path
    raw: Path | None

    @property
    def name(self) -> RecordingName:
        return RecordingName(self.subject, self.entry.session, self.entry.movement)


def _write_recording(job: _Job, advance: Callable[[int], None]) -> RecordingFacts:
    options, windows = job.options, job.options.windows
    scene = make_scene(options.seed, job.subject, job.entry)
    with ExitStack() as stack:
        root = job.raw
        if root is None:  # the raw recording is deleted once its frames are made
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=job.folder)))
        raw, duration_us = write_raw_recording(
            root,
            job.name,
            scene,
            options.frames,
            windows,
            labels=options.labels,
            advance=advance,
        )
        written = prepare_recording(raw, job.folder, windows, lambda _bytes: advance(0))
    return RecordingFacts(
        job.name.stem,
        job.subject,
        job.entry.name,
        round(scene.body.skeleton.height_mm, 1),
        written,
        windows.window_events + (written - 1) * windows.hop,
        duration_us,
    )


def _write_summary(path: Path, options: SynthOptions, facts: Sequence[RecordingFacts]) -> None:
    chosen = {name: value for name, value in asdict(options).items() if name not in _HOW}
    chosen["fixed_scale"] = chosen.pop("normalise") == "fixed"
    summary = {"schema": 1, "options": chosen, "recordings": [asdict(fact) for fact in facts]}
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
