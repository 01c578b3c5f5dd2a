"""The commands that are interrupted, and the small world that they read."""

from dataclasses import dataclass
from pathlib import Path

from interrupted.starting import Arguments, Starter

_FRAMES = ("--movements", "1", "--frames", "4", "--kinds", "walk")
_ONE = ("--workers", "1")
_TRAINING = ("--batch-size", "2", "--workers", "0")
_VALIDATION = ("--validation-frames", "2", "--verified-frames", "2")


@dataclass(frozen=True)
class Command:
    """A command that writes into the folder `out` of the working folder.

    ``older``: what is added to write another state, which is there when every second trial begins;
    None for a command that goes on with what it finds. ``again``: what is added to run it once more
    over what an interrupted run left. ``whole``: all its files appear in one step.
    """

    arguments: Arguments
    older: Arguments | None = ()
    again: Arguments = ("--force",)
    whole: bool = False

    @property
    def name(self) -> str:
        """The command's."""
        return self.arguments[0]

    @property
    def learns(self) -> bool:
        """Whether it can be resumed with --resume."""
        return self.name.startswith("train")


_ALL = (
    Command(
        ("synth", "out", "--subjects", "2", *_FRAMES, *_ONE),
        older=("--seed", "7"),
        whole=True,
    ),
    Command(("prepare", "raw", "out", "--workers", "2"), older=None, again=()),
    Command(
        (
            *("train-ann", "--data", "data", "--out", "out", "--epochs", "2"),
            *("--crop", "32x32", *_TRAINING),
        ),
        older=None,
    ),
    Command(
        ("convert", "net.onnx", "--calibrate", "frames.npy", "--out", "out"),
        older=("--frames", "8"),
        whole=True,
    ),
    Command(
        (
            *("train-sdnn", "sdnn", "--data", "frames.npy", "--out", "out", "--epochs", "2"),
            *("--crop", "none", *_VALIDATION, *_TRAINING),
        ),
        older=None,
    ),
    Command(
        ("evaluate", "sdnn", "--data", "frames.npy", "--out", "out"),
        older=("--frames", "6"),
    ),
    Command(("export", "sdnn", "--out", "out/network.net"), whole=True),
)
COMMANDS = {command.name: command for command in _ALL}


def make_world(folder: Path, starter: Starter) -> None:
    """Recordings, raw recordings, a small network, its frames and conversion, in ``folder``.

    Raises SystemExit where a command fails.
    """
    write_network(folder)
    for arguments in (
        ("synth", "data", "--subjects", "4", *_FRAMES, *_ONE),
        ("synth", "unused", "--subjects", "2", *_FRAMES, *_ONE, "--raw", "raw"),
        ("convert", "net.onnx", "--calibrate", "frames.npy", "--out", "sdnn"),
    ):
        done = starter.run(arguments, folder)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")


def write_network(folder: Path) -> None:
    """`net.onnx`, two convolutions, and `frames.npy`, 12 frames of a blob, in ``folder``."""
    import numpy as np
    import torch
    from torch import nn

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    torch.onnx.export(network, (torch.zeros(1, 1, 16, 20),), str(folder / "net.onnx"))
    rows, columns = np.mgrid[:16, :20]
    t = np.arange(12)[:, None, None]
    blob = 200 * np.exp(-((rows - 4 - t % 9) ** 2 + (columns - 5 - t) ** 2) / 8)
    np.save(folder / "frames.npy", blob.astype(np.uint8)[:, None])
