"""Where a network to be diagnosed comes from: a preset, or a conversion's folder.

lava is imported when a network is built, not before.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor

from ann2sdnn.data.recordings.sequences import Targets
from ann2sdnn.sdnn.diagnosis.subjects.plain import PlainSubject
from ann2sdnn.sdnn.diagnosis.subjects.settings import (
    OF_SIGMA_DELTA_ONLY,
    ExperimentSettings,
    repaired,
)
from ann2sdnn.sdnn.diagnosis.subjects.subject import Subject
from ann2sdnn.sdnn.lava.importing import check_lava
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.sdnn.training.run_folder import SdnnRunFolder
from ann2sdnn.support.errors import ModelError, UsageError
from ann2sdnn.support.files.state import resuming
from ann2sdnn.support.files.writing import sha256

SPEC_LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Candidate:
    """A network that can be built from the first batch's frames, and what goes with it."""

    build: Callable[[Tensor], Subject]
    learning_rate: float
    targets: Targets
    settings: dict[str, float | int | str | bool | None]


def from_preset(
    name: str, repairs: Iterable[str] = (), *, threshold: float | None = None
) -> Candidate:
    """``dhp19-sdnn``: the experiment's network; ``dhp19-ann``: its control without sigma-delta.

    Raises UsageError for another name or repair, and for what has no effect on the control.
    """
    repairs = tuple(repairs)
    settings = repaired(ExperimentSettings(), repairs)
    if threshold is not None:
        if "threshold" in repairs:
            raise UsageError("--threshold and --repair threshold; choose one")
        settings = replace(settings, threshold=threshold)
    if name == "dhp19-ann":
        idle = [f"--repair {one}" for one in repairs if one in OF_SIGMA_DELTA_ONLY]
        idle += ["--threshold"] * (threshold is not None)
        if idle:
            raise UsageError(
                f"{idle[0]} has no effect with --preset dhp19-ann, a network without sigma-delta"
                " neurons; leave it out"
            )

    def experiment(frames: Tensor) -> Subject:
        from ann2sdnn.sdnn.diagnosis.subjects.experiment import ExperimentSubject

        return ExperimentSubject(settings, frames)

    def plain(frames: Tensor) -> Subject:
        return PlainSubject(settings, frames)

    builders: dict[str, Callable[[Tensor], Subject]] = {
        "dhp19-sdnn": experiment,
        "dhp19-ann": plain,
    }
    if name not in builders:
        raise UsageError(f"--preset {name}; expected {' or '.join(builders)}")
    if name == "dhp19-sdnn":
        check_lava()
    values = {key: value for key, value in asdict(settings).items() if key != "blocks"}
    return Candidate(builders[name], settings.learning_rate, "boxes", {"preset": name, **values})


def from_spec(path: Path, checkpoint: Path | None = None) -> Candidate:
    """A conversion, the spec in ``path``; its targets are the data set's Gaussian heat maps.

    ``checkpoint``: a folder in which `train-sdnn` was training it; the network then is as it was
    after the last epoch. Raises ModelError when ``path`` cannot be read, or the
    checkpoint cannot or is of another conversion.
    """
    check_lava()
    spec = read_spec(path)
    weights = None if checkpoint is None else _checkpoint(checkpoint, path)

    def build(_: Tensor) -> Subject:
        from ann2sdnn.sdnn.diagnosis.subjects.converted import SpecSubject
        from ann2sdnn.sdnn.training.network import TrainableSdnn

        network = TrainableSdnn(spec)
        if checkpoint is not None and weights is not None:
            with resuming(SdnnRunFolder(checkpoint).state):
                network.load_state_dict(weights)
        return SpecSubject(network)

    settings: dict[str, float | int | str | bool | None] = {"spec": spec.source_sha256}
    return Candidate(build, SPEC_LEARNING_RATE, "gaussians", settings)


def _checkpoint(run: Path, path: Path) -> dict[str, Tensor]:
    """The weights of an interrupted or finished training run of the conversion in ``path``."""
    state = SdnnRunFolder(run).read()
    if state.spec_sha256 != sha256(path):
        raise ModelError(f"{run} trained another conversion than {path}; name that one")
    return state.weights
