"""Makes subjects from a preset or from a conversion's folder.

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
from ann2sdnn.sdnn.diagnosis.subjects.subject import Settings, Subject
from ann2sdnn.sdnn.lava.importing import check_lava
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.sdnn.training.run_folder import SdnnRunFolder
from ann2sdnn.support.errors import ModelError, UsageError
from ann2sdnn.support.files.writing import sha256
from ann2sdnn.support.training.state import resuming

PRESETS = ("dhp19-sdnn", "dhp19-ann")
SPEC_LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Candidate:
    """A network to be built from the first batch's frames, its learning rate and its targets."""

    build: Callable[[Tensor], Subject]
    learning_rate: float
    targets: Targets
    settings: Settings


def from_preset(
    name: str, repairs: Iterable[str] = (), *, threshold: float | None = None
) -> Candidate:
    """``dhp19-sdnn``: the experiment's network. ``dhp19-ann``: the control without sigma-delta.

    Raises UsageError for another name or repair, and for options without effect on the control.
    """
    if name not in PRESETS:
        raise UsageError(f"--preset {name}; expected {' or '.join(PRESETS)}")
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
    else:
        check_lava()

    def build(frames: Tensor) -> Subject:
        if name == "dhp19-ann":
            return PlainSubject(settings, frames)
        from ann2sdnn.sdnn.diagnosis.subjects.experiment import ExperimentSubject

        return ExperimentSubject(settings, frames)

    values = {key: value for key, value in asdict(settings).items() if key != "blocks"}
    return Candidate(build, settings.learning_rate, "boxes", {"preset": name, **values})


def from_spec(path: Path, checkpoint: Path | None = None) -> Candidate:
    """The conversion in the spec ``path``; its targets are the data set's Gaussian heat maps.

    ``checkpoint``: the run folder of `train-sdnn` with the weights after the last epoch. Raises
    ModelError when a file cannot be read, or the checkpoint belongs to another conversion.
    """
    check_lava()
    spec = read_spec(path)
    run = None if checkpoint is None else SdnnRunFolder(checkpoint)
    state = None if run is None else run.read()
    if state is not None and state.spec_sha256 != sha256(path):
        raise ModelError(f"{checkpoint} trained another conversion than {path}; name that one")

    def build(_: Tensor) -> Subject:
        from ann2sdnn.sdnn.diagnosis.subjects.converted import SpecSubject
        from ann2sdnn.sdnn.training.network import TrainableSdnn

        network = TrainableSdnn(spec)
        if run is not None and state is not None:
            with resuming(run.state):
                network.load_state_dict(state.weights)
        return SpecSubject(network)

    return Candidate(build, SPEC_LEARNING_RATE, "gaussians", {"spec": spec.source_sha256})
