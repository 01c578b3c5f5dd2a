"""The commands that `results` runs, in order, as a user would type them in its folder."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ann2sdnn.eval.study.options import CONVERSIONS, WINDOWS, StudiedNetwork, StudyOptions

CALIBRATION_SEED, EVALUATION_SEED = "31", "32"  # other people than the shipped network's, seed 1
_TIMED = "onnxruntime,onnxruntime_int8,mixed"


@dataclass(frozen=True)
class Step:
    """One command.

    ``arguments``: a relative path lies in the folder of the results, an absolute one is a file of
    the user's. ``output``: the file or folder that the command writes.
    """

    arguments: tuple[str | Path, ...]
    output: Path

    @property
    def command(self) -> str:
        """The line to type in the folder of the results; of the user's files only the name."""
        return shlex.join(("ann2sdnn", *map(_shown, self.arguments)))

    @property
    def inputs(self) -> tuple[str | Path, ...]:
        """What the command reads: outputs of other steps, files of the user's, "pretrained"."""
        return tuple(
            part
            for part in self.arguments
            if part == "pretrained" or (isinstance(part, Path) and part != self.output)
        )

    def words(self, folder: Path) -> tuple[str, ...]:
        """The arguments for a process that runs elsewhere: paths with ``folder`` before them."""
        return tuple(
            str(folder / part) if isinstance(part, Path) else part for part in self.arguments
        )


@dataclass(frozen=True)
class ConversionSteps:
    """What is done with one conversion of a network."""

    conversion: str
    convert: Step
    evaluate: Step
    bench: Step


@dataclass(frozen=True)
class WindowSteps:
    """What is done with a network on one kind of windows."""

    network: StudiedNetwork
    windows: str
    conversions: tuple[ConversionSteps, ...]


@dataclass(frozen=True)
class StudySteps:
    """All steps: recordings, imports of networks, and what is done with each of them."""

    recordings: tuple[Step, ...]
    imports: tuple[Step, ...]
    studies: tuple[WindowSteps, ...]

    def __iter__(self) -> Iterator[Step]:
        """In the order in which they run."""
        yield from self.recordings
        yield from self.imports
        for study in self.studies:
            for each in study.conversions:
                yield from (each.convert, each.evaluate, each.bench)


def study_steps(options: StudyOptions, networks: Sequence[StudiedNetwork]) -> StudySteps:
    """The commands that measure ``networks``."""
    return StudySteps(
        tuple(step for windows in options.windows for step in _recordings(options, windows)),
        tuple(
            Step(("import-ann", Path(network.file), "--out", _model(network)), _model(network))
            for network in networks
            if network.imported
        ),
        tuple(
            WindowSteps(
                network,
                windows,
                tuple(_conversion(options, network, windows, name) for name in options.conversions),
            )
            for network in networks
            for windows in options.windows
        ),
    )


def _model(network: StudiedNetwork) -> Path:
    return Path(network.name, "model.onnx")


def _data(windows: str, use: str) -> Path:
    return Path("data", windows, use)


def _recordings(options: StudyOptions, windows: str) -> Iterator[Step]:
    """Recordings to calibrate on, and of other people to evaluate on."""
    sizes = {
        "calibration": (options.calibration_people, options.calibration_movements),
        "people": (options.people, options.movements),
    }
    seeds = {"calibration": CALIBRATION_SEED, "people": EVALUATION_SEED}
    # So that the names of their recordings differ.
    numbered: dict[str, tuple[str, ...]] = {"people": ("--first-subject", "13")}
    workers = () if options.workers == 1 else ("--workers", str(options.workers))
    for use, (people, movements) in sizes.items():
        yield Step(
            (
                *("synth", _data(windows, use)),
                *("--subjects", str(people), "--movements", str(movements)),
                *("--frames", str(options.recorded_frames), *WINDOWS[windows]),
                *("--seed", seeds[use], *numbered.get(use, ()), *workers),
            ),
            _data(windows, use),
        )


def _conversion(
    options: StudyOptions, network: StudiedNetwork, windows: str, name: str
) -> ConversionSteps:
    place = Path(network.name, windows, name)
    sdnn, evaluation, times = place / "sdnn", place / "evaluation", place / "bench.json"
    people = _data(windows, "people")
    threads = () if options.threads is None else ("--threads", str(options.threads))
    model: str | Path = _model(network) if network.imported else network.file
    convert = Step(
        (
            "convert",
            model,
            *("--calibrate", _data(windows, "calibration"), "--split", "all"),
            *("--frames", str(options.calibration_frames), *CONVERSIONS[name]),
            *("--out", sdnn),
        ),
        sdnn,
    )
    evaluate = Step(
        (
            *("evaluate", sdnn, "--data", people, "--split", "all"),
            *("--frames", str(options.frames), "--out", evaluation),
        ),
        evaluation,
    )
    bench = Step(
        (
            *("bench", sdnn, "--data", people, "--networks", _TIMED),
            *("--frames", str(options.bench_frames), "--rounds", str(options.rounds)),
            *(*threads, "--json", times),
        ),
        times,
    )
    return ConversionSteps(name, convert, evaluate, bench)


def _shown(part: str | Path) -> str:
    return part.name if isinstance(part, Path) and part.is_absolute() else str(part)
