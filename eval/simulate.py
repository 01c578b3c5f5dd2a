"""`simulate`: compares the exported network in lava-nc with slayer, message by message."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.sources.frames import CroppedFrames
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.eval.options import SimulateOptions
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.sdnn.engine.run import input_messages
from ann2sdnn.sdnn.lava.memory import check_simulation
from ann2sdnn.sdnn.lava.run import LavaRun, run_lava
from ann2sdnn.sdnn.lowering.lower import LoweredSpec, lower_spec
from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import SILENT, Reporter


@dataclass(frozen=True)
class LayerDifference:
    """``compared`` message values, of which slayer sent ``sent``; ``largest`` difference in
    message units.
    """

    name: str
    compared: int
    sent: int
    largest: int


@dataclass(frozen=True, eq=False)
class Simulation:
    """``lava_joints`` and ``slayer_joints`` [T, O, 2]: (column, row) of each output map's maximum;
    T is 0 where the maps have one pixel.
    """

    layers: tuple[LayerDifference, ...]
    lava_joints: NDArray[np.int64]
    slayer_joints: NDArray[np.int64]
    seconds: float
    seconds_a_step: float
    n_steps: int

    @property
    def compared(self) -> int:
        """Message values compared."""
        return sum(layer.compared for layer in self.layers)

    @property
    def largest(self) -> int:
        """The largest difference of a message, in message units; 0 when all are equal."""
        return max(layer.largest for layer in self.layers)

    @property
    def is_silent(self) -> bool:
        """Whether slayer sent no message, so that equal messages prove nothing."""
        return all(layer.sent == 0 for layer in self.layers)


def simulate(
    spec: Spec,
    frames: Tensor,
    *,
    model: NeuronModel = "corrected",
    hang_seconds: float = 300.0,
    reporter: Reporter = SILENT,
) -> Simulation:
    """Lower ``spec``, export it, run ``frames`` [T, C, H, W] in lava-nc and in slayer.

    Every message of every layer and time step is compared; with the stock ``model`` slayer's
    neurons lose their rounding remainder, too. Raises SimulationError when lava dies or
    hangs, ConversionError where the network cannot be lowered.
    """
    lowered = lower_spec(spec)
    check_simulation(lowered.spec, len(frames))
    inputs = input_messages(lowered.spec, frames)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.net"
        write_netx(path, lowered)
        with run_lava(
            path, inputs, model=model, hang_seconds=hang_seconds, reporter=reporter
        ) as run:
            differences, outputs = _compare(
                lowered.spec, run, frames, model=model, reporter=reporter
            )
            lava_output = run.answers(len(lowered.spec.layers) - 1, len(frames))
            joints = (
                _joints(lowered, torch.from_numpy(np.array(lava_output)), len(frames)),
                _joints(lowered, outputs, len(frames)),
            )
            n_steps = len(run.layers[0])
            return Simulation(
                differences,
                *joints,
                seconds=time.monotonic() - started,
                seconds_a_step=run.seconds / n_steps,
                n_steps=n_steps,
            )


def simulated_frames(
    data: Path,
    options: SimulateOptions,
    resize: Pair | None = None,
    *,
    reporter: Reporter = SILENT,
) -> Tensor:
    """The frames [T, C, H, W] that ``options`` choose: the first of the first sequence in ``data``.

    ``resize``: height and width that the network's frames are resized to, before they are cropped.
    Raises DataError for what cannot be read, UsageError for a crop that does not fit.
    """
    opened = open_frames(data, options.source, reporter=reporter)[:1]
    first = resized(opened, resize)[0].part(0, options.frames)
    shown = first if options.crop is None else CroppedFrames(first, *options.crop)
    return torch.from_numpy(np.concatenate(list(shown.chunks())))


def _compare(
    spec: Spec,
    run: LavaRun,
    frames: Tensor,
    *,
    model: NeuronModel,
    reporter: Reporter,
) -> tuple[tuple[LayerDifference, ...], Tensor]:
    """Differences by layer, and slayer's messages of the last layer in message units."""
    from ann2sdnn.sdnn.slayer.pipeline import pipelined_messages

    found: list[LayerDifference] = []
    expected = torch.zeros(0, dtype=torch.int32)
    with reporter.task("slayer", len(spec.layers), "layers") as task:
        for index, messages in enumerate(pipelined_messages(spec, frames, model)):
            expected = torch.round(messages / spec.grid.message_step).to(torch.int32)
            answers = run.answers(index, len(frames))
            difference = np.abs(answers.astype(np.int64) - expected.numpy())
            found.append(
                LayerDifference(
                    spec.layers[index].name,
                    expected.numel(),
                    int(torch.count_nonzero(expected)),
                    int(difference.max()),
                )
            )
            task.advance()
    return tuple(found), expected


def _joints(lowered: LoweredSpec, messages: Tensor, n_frames: int) -> NDArray[np.int64]:
    """(column, row) of each map's maximum, from the last layer's messages, pipeline delay off.

    Nothing for maps of one pixel.
    """
    if lowered.unpacking.shape[1:] == (1, 1):
        return np.zeros((0, lowered.unpacking.shape[0], 2), np.int64)
    decoded = torch.cumsum(messages.to(torch.float64), dim=0)[-n_frames:]
    scale = torch.from_numpy(lowered.spec.output_scale)[:, None, None]
    pixels, _ = decode_heatmaps(lowered.unpacking(decoded / scale).to(torch.float32))
    return pixels
