"""Pictures of a fine-tuning run: its curves, and joints in validation frames.

Colours are those of Okabe and Ito (2008), which colour-blind readers can distinguish.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ann2sdnn.data.pose.displacement import Pixels
from ann2sdnn.data.pose.drawing import draw_camera
from ann2sdnn.data.pose.error import mpjpe_px
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.data.recordings.pictures import evenly_spaced, tile
from ann2sdnn.data.sources.frames import Frames, PoseFrames, picture_scale
from ann2sdnn.data.sources.resized import before_resizing
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.check import Check
from ann2sdnn.sdnn.training.run_folder import SdnnEpoch, SdnnRunFolder, SdnnRunState
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.page.figures import ANN, SDNN, line_names

SHEET_ROWS = 4

_MILLION = 1e6


@dataclass(frozen=True, eq=False)
class SeenRun:
    """A run of validation frames, and the ANN's and the SDNN's joints in it, [n, 13, 2] each."""

    run: PoseFrames
    labels: ProjectedLabels
    ann: Pixels
    sdnn: Pixels


class RunObserver:
    """Writes the state after every epoch, and now and then curves and pictures.

    ``spec``: the network before training; ``validation``: the frames of the pictures.
    """

    def __init__(
        self, folder: SdnnRunFolder, graph: Graph, spec: Spec, validation: tuple[Frames, ...]
    ) -> None:
        self.folder, self.graph, self.validation = folder, graph, validation
        self.names = [layer.name for layer in spec.layers]

    def __call__(self, state: SdnnRunState, checked: Check, is_last: bool) -> None:
        """Write what is due after the last epoch of ``state``."""
        self.folder.write(state)
        if not is_last and state.epoch % state.options.pictures_every:
            return
        poses = [run for run in self.validation if isinstance(run, PoseFrames)]
        seen = [
            SeenRun(run, run.labels(), ann, sdnn)
            for run, ann, sdnn in zip(poses, self.ann if poses else (), checked.pixels, strict=True)
        ]
        write_curves(self.folder.curves, state.history, self.names, ann_mpjpe_px(seen))
        if seen:
            write_sheet(self.folder.picture(state.epoch), seen)

    @cached_property
    def ann(self) -> tuple[Pixels, ...]:
        """The ANN's joints in whole validation pictures, [n, 13, 2] per run."""
        network = FloatNetwork(self.graph)
        return tuple(
            picture_scale(run).to_whole(
                np.concatenate(
                    [
                        decode_heatmaps(network(network.encode(torch.from_numpy(chunk))))[0]
                        for chunk in run.chunks()
                    ]
                )
            )
            for run in self.validation
        )


def write_curves(
    path: Path, history: Sequence[SdnnEpoch], names: Sequence[str], ann_px: float | None
) -> None:
    """Draw error, operations, messages and thresholds over the epochs; ``names``: of layers."""
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    (error, operations), (events, thresholds) = figure.subplots(2, 2)
    epochs = [row.epoch for row in history]
    in_pixels = any(row.mpjpe_px is not None for row in history)
    errors = [row.mpjpe_px if in_pixels else row.relative_error for row in history]
    measured = [
        (row.epoch, one) for row, one in zip(history, errors, strict=True) if one is not None
    ]
    sdnn = {"color": SDNN.colour, "marker": SDNN.marker}
    error.plot(*np.reshape(measured, (-1, 2)).T, label=SDNN.label, **sdnn)
    if ann_px is not None:
        error.axhline(ann_px, color=ANN.colour, linestyle="--", label=ANN.label)
    error.legend()
    named = "MPJPE [px]" if in_pixels else "error against the ANN, relative"
    error.set_ylabel(f"validation {named}")
    synops = [row.validation_synops_per_frame / _MILLION for row in history]
    operations.plot(epochs, synops, **sdnn)
    operations.set_ylabel("million synaptic operations per frame")
    operations.set_ylim(bottom=0)
    _lines(events, epochs, [row.events_per_frame for row in history], ["input", *names])
    events.set_yscale("symlog", linthresh=10)
    events.set_ylabel("messages per frame")
    _lines(thresholds, epochs, [row.thresholds for row in history], names)
    thresholds.set_ylabel("threshold, of what is sent")
    for axes in (error, operations, events, thresholds):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = events.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=7)
    _save(figure, path)


def write_sheet(path: Path, seen: Sequence[SeenRun]) -> None:
    """Draw a few frames, a row each: with the labels, the ANN's joints and the SDNN's."""
    n_frames = sum(each.run.n_frames for each in seen)
    cells: list[Image.Image] = []
    for place in evenly_spaced(range(n_frames), SHEET_ROWS):
        index, at = place, 0
        while index >= seen[at].run.n_frames:
            index -= seen[at].run.n_frames
            at += 1
        cells.extend(_row(seen[at], index))
    with atomic_file(path) as temporary:
        tile(cells, 3).save(temporary, optimize=True)


def ann_mpjpe_px(seen: Sequence[SeenRun]) -> float | None:
    """The ANN's error over visible joints; None where no joint is visible."""
    if not seen:
        return None
    return mpjpe_px(
        np.concatenate([each.ann for each in seen]),
        np.concatenate([each.labels.pixels for each in seen]),
        np.concatenate([each.labels.visible for each in seen]),
    )


def _row(seen: SeenRun, index: int) -> list[Image.Image]:
    run, visible = seen.run, seen.labels.visible[index]
    frame = next(before_resizing(run).part(index, index + 1).chunks())[0, 0]
    where = f"{run.group} frame {run.start + index} camera {run.channel}"
    joints = {"label": seen.labels.pixels[index], "ANN": seen.ann[index], "SDNN": seen.sdnn[index]}
    cells = []
    for name, pixels in joints.items():
        error = np.linalg.norm((pixels - seen.labels.pixels[index]).astype(np.float64), axis=-1)
        caption = f"{name}: {error[visible].mean():.1f} px" if visible.any() else name
        caption = where if name == "label" else caption
        cells.append(draw_camera(frame, pixels, visible, caption))
    return cells


def _lines(
    axes: Axes, epochs: Sequence[int], values: Sequence[Sequence[float]], names: Sequence[str]
) -> None:
    """A line per layer, from dark to bright in their order; of many, a name per block."""
    from matplotlib import colormaps

    colours = colormaps["viridis"](np.linspace(0, 0.95, len(names)))
    for index, name in enumerate(line_names(names)):
        of_layer = [row[index] for row in values]
        axes.plot(epochs, of_layer, color=colours[index], marker=".", label=name)


def _save(figure: Figure, path: Path) -> None:
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
